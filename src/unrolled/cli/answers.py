"""What a classifier, a tagger or a translator says of each input, as text and as JSON."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from unrolled.cli.inputs import under_names
from unrolled.cli.options import is_table
from unrolled.errors import DataError

__all__ = ["Answer", "answers"]

# Lines that are read before the first of them is answered: each at once where somebody types them.
TOGETHER = 1000
LINES = (".txt", ".text")


class Answer(NamedTuple):
    """One piece of the output, its line ends included, and the same for a machine; None: it is no answer."""

    text: str
    data: Any


def answers(model: Any, file: str, header: Sequence[str] | None, beam: int, nbest: int) -> Iterator[Answer]:
    """One for each input in the file, in its order; read as it is needed."""
    if model.task == "classify":
        return _labels(model, file, header)
    if model.task == "tag":
        return _tags(model, file)
    return _translations(model, file, header, beam, nbest)


def _labels(model: Any, file: str, header: Sequence[str] | None) -> Iterator[Answer]:
    classes, first = model.classes_.tolist(), True
    for source in _texts_or_file(model, file, header):
        found = model.predict_proba(source)
        if first:
            # Only now, so that a mistake in the file leaves no output behind.
            yield Answer(_row("label", "probability"), None)
            first = False
        for row in found:
            best = int(row.argmax())
            whole = {str(name): float(p) for name, p in zip(classes, row, strict=True)}
            data = {"label": classes[best], "probability": float(row[best]), "probabilities": whole}
            yield Answer(_row(classes[best], f"{row[best]:.6f}"), data)


def _texts_or_file(model: Any, file: str, header: Sequence[str] | None) -> Iterator[Any]:
    if not _holds_lines(file):
        yield under_names(file, header)
        return
    if "text" not in model.fields:
        raise DataError(
            f"predict: expected series of numbers in a .ts, .npy or .npz file or a folder, as the model learned from, "
            f"got lines of text in {file!r}."
        )
    yield from _together(_lines(file), file)


def _tags(model: Any, file: str) -> Iterator[Answer]:
    for words in _sentences(file):
        for line, tags in zip(words, model.predict(words), strict=True):
            pairs = list(zip(line, tags, strict=True))
            yield Answer("".join(f"{word}\t{tag}\n" for word, tag in pairs) + "\n", {"words": line, "tags": tags})


def _sentences(file: str) -> Iterator[list[list[str]]]:
    if _holds_lines(file):
        split = (_words(line, number, file) for number, line in enumerate(_lines(file), start=1))
        yield from _together((words for words in split if words), file)
        return
    from unrolled.data.read.conll import read_conll

    # Which column holds tags, if any does, says nothing about the words.
    yield from _together(read_conll(file).words, file)


def _words(line: str, number: int, file: str) -> list[str]:
    if "\t" in line:
        raise DataError(
            f"predict: expected a sentence a line, its words parted by spaces, got a tab in line {number} of {file}; "
            "give CoNLL columns as a file that does not end in .txt."
        )
    return line.split()


def _translations(model: Any, file: str, header: Sequence[str] | None, beam: int, nbest: int) -> Iterator[Answer]:
    number = 0
    for sources in _together(_sources(model, file, header), file):
        found = iter(model.candidates([source for source in sources if _says(source)], width=beam, nbest=nbest))
        for source in sources:
            number += 1
            best = next(found) if _says(source) else []
            # Several answers have the number of their line before them.
            before = f"{number}\t" if nbest > 1 else ""
            lines = [" ".join(text.splitlines()) for text, _ in best] or [""]
            data = [{"text": text, "score": score} for text, score in best]
            yield Answer("".join(f"{before}{line}\n" for line in lines), {"source": source, "targets": data})


def _sources(model: Any, file: str, header: Sequence[str] | None) -> Iterator[Any]:
    """Texts, or dialogues as lists of turns."""
    if not is_table(file) and header is None:
        yield from _lines(file)
        return
    from unrolled.data.read.records import iterate_records

    source, _, turns, *_ = model.notes["columns"]
    for row in iterate_records(under_names(file, header), [turns or source]):
        value = row[turns or source]
        # Sentences in a list belong together, as in training; the turns of a dialogue stay apart.
        yield value if turns is not None and value else _joined(value)


def _joined(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else " ".join(str(part) for part in value)


def _says(source: Any) -> bool:
    return bool(source.strip() if isinstance(source, str) else source)


def _holds_lines(file: str) -> bool:
    if file == "-":
        return True
    endings = [ending.lower() for ending in Path(file).suffixes if ending.lower() != ".gz"]
    return bool(endings) and endings[-1] in LINES and not Path(file).is_dir()


def _lines(file: str) -> Iterator[str]:
    from unrolled.data.read.lines import read_lines

    return read_lines(file)


def _together(items: Iterable[Any], file: str) -> Iterator[list[Any]]:
    rest, typed = iter(items), file == "-" and sys.stdin.isatty()
    while some := list(islice(rest, 1 if typed else TOGETHER)):
        yield some


def _row(*fields: Any) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(fields)
    return line.getvalue()
