"""Sources and targets, text to text: sentences and their translations, texts and summaries, talk and replies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.data.lines import read_lines, read_parallel
from unrolled.data.ragged import Ragged
from unrolled.data.records import iterate_records
from unrolled.errors import DataError, OptionError
from unrolled.fields.text import UNKNOWN, Text
from unrolled.tasks.texts import Texts

__all__ = ["TURN", "Pairs", "PairColumns", "copied", "joined", "read_pairs", "read_sources", "rows_of"]

# Stands between the turns of a dialogue.
TURN = " ¶ "


@dataclass(frozen=True)
class PairColumns:
    """Which columns of a table hold the two texts, or the turns of a dialogue, of which `context` come before a reply;
    names: of all columns, where a file has no header."""

    source: str = "source"
    target: str = "target"
    turns: str | None = None
    context: int = 3
    names: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class Pairs:
    """n sources, and as many targets; targets is None where they are not known."""

    sources: Texts
    targets: Texts | None

    def __len__(self) -> int:
        return len(self.sources)


def read_pairs(source: Any, target: Any, columns: PairColumns, source_shape: Text, target_shape: Text) -> Pairs:
    """Two parallel files or lists, or one table; each text is read once."""
    if isinstance(source, tuple) and target is None:
        if len(source) != 2:
            raise OptionError(f"fit: expected a pair (sources, targets), got {len(source)} parts.")
        source, target = source
    if target is not None:
        pairs = read_parallel(source, target) if _is_path(source) else _in_memory(source, target)
    else:
        pairs = rows_of(source, columns)
    # The targets wait while the sources are read: both come from one pass over the file.
    waiting: list[str] = []
    sources = Texts(_first(pairs, waiting), source_shape)
    if not len(sources):
        raise DataError("Translator: expected pairs of texts, got none: give at least one.")
    return Pairs(sources, Texts(waiting, target_shape))


def read_sources(source: Any, columns: PairColumns, shape: Text) -> Pairs:
    """Texts without targets: a list of texts or of dialogues, a table with the source column, or a file of lines."""
    if not _is_path(source):
        return Pairs(Texts([joined(text, columns.context) for text in source], shape), None)
    path = Path(source)
    tables = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".pq")
    if any(ending in tables for ending in path.suffixes):
        rows = iterate_records(source, [columns.turns or columns.source], names=columns.names)
        read = _text if columns.turns is None else lambda turns: joined(turns, columns.context)
        return Pairs(Texts((read(next(iter(row.values()))) for row in rows), shape), None)
    return Pairs(Texts(read_lines(source), shape), None)


def joined(text: Any, context: int) -> str:
    """A text as it is; of the turns of a dialogue the last `context` ones, with a mark between them."""
    if text is None:
        return ""
    if isinstance(text, str):
        return text
    return TURN.join(str(turn) for turn in list(text)[-context:])


def copied(pairs: Pairs, source: Text, target: Text) -> tuple[Ragged, Ragged | None, list[list[str]]]:
    """What a pointer may copy.

    Returns:
        For each token of the sources its code in the target's vocabulary, or, where that does not know it, size + j for
        the j-th distinct one of its row; the targets' codes, in which a word that only the source knows has that
        number, too; and those words of each row.
    """
    sources, forms = _forms(pairs.sources, source)
    table = target.codes_of(forms)
    codes = Ragged(table[sources.values], sources.offsets)
    wanted, names = (None, []) if pairs.targets is None else _forms(pairs.targets, target)
    known = None if wanted is None else Ragged(target.codes_of(names)[wanted.values], wanted.offsets)
    beyond: list[list[str]] = []
    for row in range(len(codes)):
        here, numbers = codes[row], dict[str, int]()
        for place in np.flatnonzero(here == UNKNOWN).tolist():
            form = forms[sources[row][place]]
            here[place] = target.size + numbers.setdefault(form, len(numbers))
        if known is not None and wanted is not None and numbers:
            for place in np.flatnonzero(known[row] == UNKNOWN).tolist():
                number = numbers.get(names[wanted[row][place]])
                known[row][place] = UNKNOWN if number is None else target.size + number
        beyond.append(list(numbers))
    return codes, known, beyond


def _forms(texts: Texts, field: Text) -> tuple[Ragged, Sequence[str]]:
    """Which token stands where, and the tokens, unknown ones included."""
    if texts.whole is None:
        return texts.interned.tokens, texts.interned.forms
    return texts.codes(field), field.tokens


def rows_of(source: Any, columns: PairColumns) -> Iterator[tuple[str, str]]:
    """The pairs of a table, one at a time."""
    if columns.turns is not None:
        for row in iterate_records(source, [columns.turns], names=columns.names):
            turns = row.get(columns.turns) or []
            if isinstance(turns, str):
                raise DataError(f"Column {columns.turns!r} must hold lists of turns, got the text {turns[:40]!r}.")
            for i in range(1, len(turns)):
                yield joined(turns[:i], columns.context), str(turns[i])
        return
    for row in iterate_records(source, [columns.source, columns.target], names=columns.names):
        # Several sentences, or several references, may come as a list: the sentences belong together.
        yield _text(row.get(columns.source)), _text(row.get(columns.target))


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else " ".join(str(part) for part in value)


def _in_memory(source: Iterable[Any], target: Iterable[Any]) -> Iterator[tuple[str, str]]:
    sources, targets = list(source), list(target)
    if len(sources) != len(targets):
        raise DataError(
            f"Expected as many targets as sources, got {len(sources)} sources and {len(targets)} targets: pair them up."
        )
    return zip(map(_text, sources), map(_text, targets), strict=True)


def _first(pairs: Iterable[tuple[str, str]], seconds: list[str]) -> Iterator[str]:
    for first, second in pairs:
        seconds.append(second)
        yield first


def _is_path(source: Any) -> bool:
    return isinstance(source, str | Path)
