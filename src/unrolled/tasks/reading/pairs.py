"""Sources and targets, text to text: sentences and their translations, texts and summaries, talk and replies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from unrolled.data.batch.ragged import Ragged
from unrolled.data.read.files import suffix
from unrolled.data.read.lines import read_lines, read_parallel
from unrolled.data.read.records import comments_above, iterate_records
from unrolled.data.read.sources import holds_columns, is_path, is_several, require_text
from unrolled.errors import DataError, OptionError
from unrolled.fields.text import UNKNOWN, Text
from unrolled.inputs.input import Input
from unrolled.inputs.text import TextInput
from unrolled.inputs.texts import Texts
from unrolled.types import TABLES

__all__ = [
    "TURN",
    "Pairs",
    "PairColumns",
    "check_table",
    "copied",
    "joined",
    "read_pairs",
    "read_references",
    "read_sources",
    "rows_of",
]

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

    @property
    def said(self) -> str:
        """Where the two texts stand, in words."""
        if self.turns is not None:
            return f"each turn of column {self.turns!r} after the first, with the {self.context} turns before it"
        return f"column {self.source!r} with column {self.target!r}"


@dataclass(frozen=True, eq=False)
class Pairs:
    """n sources, and as many targets; targets is None where they are not known."""

    sources: Input[Any]
    targets: TextInput | None
    remarks: tuple[str, ...] = ()

    @property
    def words(self) -> Texts:
        """The texts of the sources, for what copies words of them."""
        if not isinstance(self.sources, TextInput):
            raise OptionError(
                f"Translator: words are copied from texts, got {self.sources.kind} as sources; give copying='none'."
            )
        return self.sources.texts

    def __len__(self) -> int:
        return len(self.sources)


def read_pairs(source: object, target: object, columns: PairColumns, source_shape: Text, target_shape: Text) -> Pairs:
    """Two parallel files or lists, or one table; each text is read once."""
    if isinstance(source, tuple) and target is None:
        if len(source) != 2:
            raise OptionError(f"fit: expected a pair (sources, targets), got {len(source)} parts.")
        source, target = source
    above: tuple[str, ...] = ()
    if target is not None:
        lines = is_path(source) or is_path(target)
        pairs = _lines(source, target) if lines else _in_memory(source, target)
        how = "each source with the target of its line" if lines else "each source with the target of its place"
    else:
        check_table(source)
        pairs, how = rows_of(source, columns), columns.said
        above = () if columns.names else comments_above(source)
    sources, targets = map(TextInput, Texts.side_by_side(pairs, (source_shape, target_shape)))
    if not len(sources):
        raise DataError("Translator: expected pairs of texts, got none: give at least one.")
    return Pairs(sources, targets, (*above, f"pairs: {len(sources):,}, {how}"))


def read_sources(source: object, columns: PairColumns, shape: Text) -> Pairs:
    """Texts without targets: a list of texts or of dialogues, a table with the source column, or a file of lines."""
    if is_path(source) and suffix(source) not in TABLES:
        return Pairs(TextInput(Texts(read_lines(source), shape)), None)
    if is_path(source) or holds_columns(source):
        rows = iterate_records(source, [columns.turns or columns.source], names=columns.names)
        values = (next(iter(row.values())) for row in rows)
        read = _text if columns.turns is None else lambda turns: joined(turns, columns.context)
        return Pairs(TextInput(Texts(map(read, values), shape)), None)
    texts = [joined(text, columns.context) for text in _texts(source, "sources")]
    return Pairs(TextInput(Texts(texts, shape)), None)


def check_table(source: object) -> None:
    """Raises DataError if a source that comes without targets is no table that could hold them."""
    if not is_path(source) and not holds_columns(source):
        raise DataError(
            f"Translator: expected targets beside the sources, or a table of both, got {type(source).__name__} alone; "
            "give the targets, too."
        )


def joined(text: object, context: int) -> str:
    """A text as it is; of the turns of a dialogue the last `context` ones, with a mark between them."""
    if not isinstance(text, list | tuple | np.ndarray):
        return _text(text)
    return TURN.join(_text(turn) for turn in list(text)[-context:])


def copied(pairs: Pairs, source: Text | None, target: Text) -> tuple[Ragged, Ragged | None, list[list[str]]]:
    """What a pointer may copy.

    Returns:
        For each token of the sources its code in the target's vocabulary, or, where that does not know it, size + j for
        the j-th distinct one of its row; the targets' codes, in which a word that only the source knows has that
        number, too; and those words of each row.
    """
    # Where the sources have words, they have the field of words.
    sources, forms = _forms(pairs.words, cast("Text", source))
    table = target.codes_of(forms)
    codes = Ragged(table[sources.values], sources.offsets)
    wanted, names = (None, []) if pairs.targets is None else _forms(pairs.targets.texts, target)
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


def rows_of(source: object, columns: PairColumns) -> Iterator[tuple[str, str]]:
    """The pairs of a table, one at a time."""
    if columns.turns is not None:
        for row in iterate_records(source, [columns.turns], names=columns.names):
            found = row.get(columns.turns)
            if found is not None and not is_several(found):
                raise DataError(
                    f"Expected lists of turns in column {columns.turns!r}, got {found!r}: give such a column."
                )
            turns = [] if found is None else list(found)
            for i in range(1, len(turns)):
                yield joined(turns[:i], columns.context), _text(turns[i])
        return
    for row in iterate_records(source, [columns.source, columns.target], names=columns.names):
        # Several sentences, or several references, may come as a list: the sentences belong together.
        yield _text(row.get(columns.source)), _text(row.get(columns.target))


def _text(value: object) -> str:
    """A value of a table as text: nothing where it is missing, the sentences of a list one after another."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    return " ".join(map(_text, value)) if is_several(value) else str(value)


def _lines(source: object, target: object) -> Iterator[tuple[str, str]]:
    """Of two files, or one and a list; a side that is neither is told as such when it is read."""
    for side in (source, target):
        if isinstance(side, str | Path):
            require_text("Translator", side)
    return read_parallel(cast("Iterable[str]", source), cast("Iterable[str]", target))


def _in_memory(source: object, target: object) -> Iterator[tuple[str, str]]:
    sources, targets = _texts(source, "sources"), _texts(target, "targets")
    if len(sources) != len(targets):
        raise DataError(
            f"Expected as many targets as sources, got {len(sources)} sources and {len(targets)} targets: pair them up."
        )
    return zip(map(_text, sources), map(_text, targets), strict=True)


def _texts(values: object, what: str) -> list[object]:
    """Texts, or lists of them, in memory."""
    if holds_columns(values) or not is_several(values):
        raise DataError(
            f"Translator: expected a list of texts as {what}, got {type(values).__name__}; give a column of texts."
        )
    found = list(values)
    for row, value in enumerate(found):
        parts = list(value) if is_several(value) else [value]
        wrong = [part for part in parts if not isinstance(part, str)]
        if wrong:
            raise DataError(f"Translator: expected text in row {row} of the {what}, got {wrong[0]!r}; fill it in.")
    return found


def read_references(
    source: object, target: object, columns: PairColumns
) -> tuple[list[object], Sequence[str] | Sequence[Sequence[str]]]:
    """Sources as predict takes them, and the reference, or the list of references, of each."""
    pairs: Sequence[tuple[object, object]]
    if target is None:
        check_table(source)
        pairs = list(rows_of(source, columns))
    elif is_path(source) or is_path(target):
        pairs = list(_lines(source, target))
    else:
        sources, targets = list(cast("Iterable[object]", source)), list(cast("Iterable[object]", target))
        if len(sources) != len(targets):
            raise DataError(
                f"evaluate: expected a target for each source, got {len(sources)} sources and {len(targets)} targets: "
                "pair them up."
            )
        pairs = list(zip(sources, targets, strict=True))
    if not pairs:
        raise DataError("evaluate: expected at least one source and its reference, got none; give some.")
    return [first for first, _ in pairs], cast("Sequence[str]", [second for _, second in pairs])
