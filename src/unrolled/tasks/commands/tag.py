"""`unrolled fit tag`, and what is done with a tagger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

from unrolled.errors import DataError, OptionError
from unrolled.model.describe import Answer, Asked, Call, Command, Description, Finished, Request, Whole, Word
from unrolled.tasks.commands.reading import holds_lines, together
from unrolled.tasks.commands.results import evaluate_next, learning, scored, told
from unrolled.tasks.commands.words import (
    At,
    Cell,
    Column,
    File,
    HiddenSize,
    Layers,
    Series,
    Test,
    Truth,
    Valid,
    Vectors,
    number_or_name,
    part_of,
    part_or_file,
)

if TYPE_CHECKING:
    from unrolled.tasks.tag import Tagger

__all__ = ["DESCRIPTION"]

Source = Annotated[
    str, Word('Tagged sentences: CoNLL or CoNLL-U (also .gz), or "-"; or a table of series.', "FILE", placed=True)
]


def fit(
    file: Source,
    column: Column = None,
    id: Series = None,
    time: At = None,
    valid: Valid = None,
    test: Test = None,
    cell: Cell = None,
    hidden_size: HiddenSize = None,
    layers: Layers = None,
    vectors: Vectors = None,
) -> Asked:
    """Learn a tag for every word or step: part of speech, named entities (BIO or IOBES), any label.

    A file holds a word and its tag a line, in columns, and an empty line between sentences. Left out, the column is
    upos in CoNLL-U and the last one elsewhere. A table of series has a row for each step (--id, --time).

    \b
      unrolled fit tag train.conllu --column xpos --valid dev.conllu --test test.conllu
      unrolled fit tag entities.conll --vectors glove.txt.gz -o runs/entities
      unrolled fit tag train.conll --set crf=true --set spelling=lstm
    """
    part, valid_file = part_or_file(valid)
    return Asked(
        {"source": file, "valid": valid_file, "test": test},
        reading={"column": number_or_name(column), "id": id, "time": time},
        options={"cell": cell, "hidden_size": hidden_size, "layers": layers, "vectors": vectors},
        held=part_of(part),
    )


def held(request: Request, role: str) -> tuple[object, ...]:
    from unrolled.data.panel.steps import StepColumns
    from unrolled.data.read.conll import read_conll
    from unrolled.model.describe import held_files
    from unrolled.tasks.reading.tagged import holds_steps

    column, by = (request.reading.get(name) for name in ("column", "id"))
    chosen, steps = column if isinstance(column, str | int) else None, StepColumns(by if isinstance(by, str) else None)
    paths = map(str, held_files(request, role))
    return tuple(path if holds_steps(path, steps) else read_conll(path, chosen) for path in paths)


def predict(call: Call[Tagger], file: File) -> Iterator[Answer]:
    """a word and its tag a line, an empty line between sentences; of series a tag a line

    \b
      unrolled predict runs/tags sentences.txt -o tagged.conll
    """
    if not call.model.kind.lines:
        for tags in call.model.predict(file):
            yield Answer("".join(f"{tag}\n" for tag in tags) + "\n", {"tags": tags})
        return
    for words in _sentences(file, call.model.words):
        for line, tags in zip(words, call.model.predict(words), strict=True):
            pairs = list(zip(line, tags, strict=True))
            yield Answer("".join(f"{word}\t{tag}\n" for word, tag in pairs) + "\n", {"words": line, "tags": tags})


def _sentences(file: str, split: Callable[[str], list[str]]) -> Iterator[list[list[str]]]:
    from unrolled.data.read.conll import read_conll
    from unrolled.data.read.lines import read_lines

    if holds_lines(file):
        lines = (split(_plain(line, number, file)) for number, line in enumerate(read_lines(file), start=1))
        yield from together((words for words in lines if words), file)
        return
    # Which column holds tags, if any does, says nothing about the words.
    yield from together(read_conll(file).words, file)


def _plain(line: str, number: int, file: str) -> str:
    if "\t" in line:
        raise DataError(
            f"predict: expected a sentence a line, its words parted by spaces, got a tab in line {number} of {file}; "
            "give CoNLL columns as a file that does not end in .txt."
        )
    return line


def evaluate(call: Call[Tagger], file: Truth, column: Column = None) -> Whole:
    """accuracy of the tags, and precision, recall and F1 of chunks

    \b
      unrolled evaluate runs/tags test.conllu --json
    """
    from unrolled.data.read.conll import read_conll

    chosen = call.model.notes.column if column is None else number_or_name(column)
    if not call.model.kind.lines:
        if column is not None:
            raise OptionError(
                f"evaluate: expected --column for a model of words, got --column {column} for one of series, which are "
                "scored by the column that they were learned from; leave it out."
            )
        return scored(call.model.evaluate(file))
    return scored(call.model.evaluate(read_conll(file, chosen)))


def about(finished: Finished[Tagger]) -> list[str]:
    fields = finished.model.fields
    first, *more = finished.model.kind.say(fields)
    return told(finished, [first, f"{fields['tags'].size} tags", *more])


def closing(finished: Finished[Tagger]) -> list[str]:
    what = "-   (a text a line; or FILE)" if finished.model.kind.lines else "FILE"
    return [f"next: unrolled predict {finished.folder} {what}", *evaluate_next(finished)]


DESCRIPTION: Description[Tagger] = Description(
    fit=fit,
    commands={"predict": Command(predict), "evaluate": Command(evaluate)},
    examples=(
        "unrolled fit tag train.conllu --valid dev.conllu -o runs/tags",
        "unrolled evaluate runs/tags test.conllu",
    ),
    held=held,
    about=about,
    pictures={"learning": learning},
    closing=closing,
)
