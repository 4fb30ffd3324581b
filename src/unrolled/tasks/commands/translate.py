"""`unrolled fit translate`, and what is done with a translator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from unrolled.errors import DataError, OptionError
from unrolled.model.describe import (
    Answer,
    Asked,
    Call,
    Command,
    Description,
    Finished,
    Request,
    Whole,
    Word,
    held_files,
)
from unrolled.tasks.commands.reading import header_in, header_of, table_of, together, under_names
from unrolled.tasks.commands.results import evaluate_next, learning, scored, told
from unrolled.tasks.commands.words import (
    Beam,
    Cell,
    File,
    HiddenSize,
    Layers,
    Level,
    Names,
    Truth,
    column_names,
    is_table,
    part_of,
    part_or_file,
)

if TYPE_CHECKING:
    from unrolled.tasks.reading.pairs import PairColumns
    from unrolled.tasks.translate import Translator

__all__ = ["DESCRIPTION"]

BEAM = 5
# A picture of attention shows a sentence of so many words, where one of the first ones has as few.
WORDS, SEEN = 20, 200

Parallel = Annotated[str | None, Word("For two parallel files: a text a line.", "FILE")]


def fit(
    file: Annotated[
        str, Word('Texts, one a line; or a table of pairs or dialogues; or "-".', "SOURCE|TABLE", placed=True)
    ],
    target_file: Annotated[str | None, Word("What becomes of them, line by line.", "TARGET", placed=True)] = None,
    source: Annotated[str | None, Word("Column of the texts read.", "COLUMN")] = None,
    target: Annotated[str | None, Word("Column of the texts to write.", "COLUMN")] = None,
    turns: Annotated[str | None, Word("Column with the turns of a dialogue.", "COLUMN")] = None,
    context: Annotated[int | None, Word("Turns before a reply that are read.  [default: 3]")] = None,
    names: Names = None,
    valid: Annotated[str | None, Word("What decides when to stop: a table, or a part (0.03).", "FILE|PART")] = None,
    valid_source: Parallel = None,
    valid_target: Parallel = None,
    test: Annotated[str | None, Word("Table to score the model on.", "FILE")] = None,
    test_source: Parallel = None,
    test_target: Parallel = None,
    level: Level = None,
    cell: Cell = None,
    hidden_size: HiddenSize = None,
    layers: Layers = None,
) -> Asked:
    """Learn to write one text when reading another: translations, summaries, replies.

    \b
      unrolled fit translate train.de train.en --valid-source val.de --valid-target val.en -o runs/de-en
      unrolled fit translate papers.jsonl --source abstract --target title --set copying=pointer
      unrolled fit translate talks.jsonl --turns turns --context 2
      unrolled fit translate pairs.tsv --names source,target --test test.tsv --plot
    """
    _check_columns(file, target_file, {"--source": source, "--target": target, "--turns": turns, "--names": names})
    valid_files = _held("valid", part_or_file(valid)[1], valid_source, valid_target, target_file)
    test_files = _held("test", test, test_source, test_target, target_file)
    columns = {"source": source, "target": target, "turns": turns, "context": context}
    return Asked(
        {"source": file, "target": target_file, **valid_files, **test_files},
        reading={**columns, "names": column_names(names) or None},
        options={"level": level, "cell": cell, "hidden_size": hidden_size, "layers": layers},
        held=part_of(part_or_file(valid)[0]),
    )


def _held(role: str, table: str | None, source: str | None, target: str | None, parallel: str | None) -> dict[str, str]:
    """The files for "valid" or "test" by what they are for: a table, or two files as the training data are."""
    if (source is None) != (target is None):
        raise OptionError(f"fit translate: expected --{role}-source and --{role}-target together, got one of them.")
    if source is None or target is None:
        if table is not None and parallel is not None and not is_table(table):
            raise OptionError(
                f"fit translate: expected two files with --{role}-source and --{role}-target, as the training data "
                f"are, or a table, got --{role} {table}."
            )
        return {} if table is None else {role: table}
    if table is not None:
        raise OptionError(f"fit translate: expected --{role}, or --{role}-source and --{role}-target, got both.")
    return {role: source, f"{role}_target": target}


def _check_columns(file: str, target_file: str | None, columns: Mapping[str, str | None]) -> None:
    given = [name for name, value in columns.items() if value is not None]
    if target_file is not None and given:
        raise OptionError(
            f"fit translate: expected {given[0]} with one table, got it with two files of lines; leave it out."
        )
    if target_file is None and file != "-" and not is_table(file) and "--names" not in given:
        raise OptionError(
            f"fit translate: expected two files, source and target, or one table (.csv, .tsv, .jsonl, .parquet), got "
            f"{file} alone."
        )
    if columns["--turns"] is not None and (columns["--source"] or columns["--target"]):
        raise OptionError("fit translate: expected --turns, or --source and --target, got both.")


def columns_of(request: Request, *, named: bool) -> PairColumns:
    """The columns that were asked for; named: with the names of all, for a table without a header."""
    from unrolled.tasks.reading.pairs import PairColumns

    values: Mapping[str, Any] = request.given()
    chosen = {name: value for name, value in values.items() if name != "names"}
    return PairColumns(**chosen, names=header_in(request) if named else None)


def arguments(request: Request) -> tuple[list[object], dict[str, object]]:
    header = header_in(request)
    files = [under_names(path, header) for path in request.paths("source")]
    return list(files), {"columns": columns_of(request, named=False), **request.held}


def held(request: Request, role: str) -> tuple[object, ...]:
    from unrolled.data.read.lines import read_parallel

    paths = [str(path) for path in held_files(request, role)]
    if len(paths) < 2:
        return tuple(table_of(path, request) for path in paths)
    pairs = list(read_parallel(paths[0], paths[1]))
    if not pairs:
        raise DataError(f"{Path(paths[0]).name} and {Path(paths[1]).name} are empty: give a text a line.")
    return [first for first, _ in pairs], [second for _, second in pairs]


def predict(
    call: Call[Translator],
    file: File,
    names: Names = None,
    beam: Beam = None,
    nbest: Annotated[int, Word("So many answers a line.", least=1)] = 1,
) -> Iterator[Answer]:
    """a line for a line; --nbest 3: three, with the number of the line and a tab before each

    \b
      unrolled predict runs/de-en test.de --beam 8 > test.en
    """
    number, width = 0, beam or max(BEAM, nbest)
    for sources in together(_sources(call, file, names), file):
        found = iter(call.model.candidates([source for source in sources if _says(source)], width=width, nbest=nbest))
        for source in sources:
            number += 1
            best = next(found) if _says(source) else []
            # Several answers have the number of their line before them.
            before = f"{number}\t" if nbest > 1 else ""
            lines = [" ".join(text.splitlines()) for text, _ in best] or [""]
            data = [{"text": text, "score": score} for text, score in best]
            yield Answer("".join(f"{before}{line}\n" for line in lines), {"source": source, "targets": data})


def _sources(call: Call[Translator], file: str, names: str | None) -> Iterator[str | list[str]]:
    """Texts, or dialogues as lists of turns."""
    header = header_of(call, file, names)
    if not is_table(file) and header is None:
        from unrolled.data.read.lines import read_lines

        yield from read_lines(file)
        return
    from unrolled.data.read.records import iterate_records

    columns = call.model.columns
    for row in iterate_records(under_names(file, header), [columns.turns or columns.source]):
        value = row[columns.turns or columns.source]
        # Sentences in a list belong together, as in training; the turns of a dialogue stay apart.
        yield value if columns.turns is not None and value else _joined(value)


def _joined(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else " ".join(str(part) for part in value)


def _says(source: str | list[str]) -> bool:
    return bool(source.strip() if isinstance(source, str) else source)


def evaluate(
    call: Call[Translator],
    file: Truth,
    target: Annotated[str | None, Word("The truth, where FILE holds sources alone.", "TARGET", placed=True)] = None,
    beam: Beam = None,
    names: Names = None,
) -> Whole:
    """BLEU, chrF and ROUGE of the best targets

    \b
      unrolled evaluate runs/de-en test.de test.en --beam 8
    """
    header = header_of(call, file, names)
    if target is None and file != "-" and not is_table(file) and header is None:
        raise OptionError(
            f"evaluate: expected a file of sources and one of targets, or one table, got {file} alone; add the targets."
        )
    source = file if target is not None else under_names(file, header)
    return scored(call.model.evaluate(source, target, width=beam or BEAM))


def about(finished: Finished[Translator]) -> list[str]:
    fields = finished.model.fields
    return told(finished, [f"{side} {fields[side].describe()}" for side in ("source", "target")])


def attention(finished: Finished[Translator]) -> Path | None:
    """A map of where the decoder looks, for one of the first held-out sentences that is short enough to be read."""
    if finished.model.options.head.attention == "none":
        return None
    first = [source for source, _ in islice(_pairs(finished), SEEN)]
    short = [text for text in first if 0 < len(text.split()) <= WORDS]
    sentence = max(short, key=len, default=min((text for text in first if text.strip()), key=len, default=""))
    return finished.model.plot(sentence, finished.folder / "attention.png") if sentence else None


def _pairs(finished: Finished[Translator]) -> Iterator[tuple[str, str]]:
    """The pairs of texts that the translator was held to, or else those that it learned from."""
    from unrolled.data.read.lines import read_parallel
    from unrolled.tasks.reading.pairs import rows_of

    given = finished.held or tuple(finished.request.paths("source"))
    if "-" in given:
        return iter(())
    if len(given) > 1:
        return read_parallel(*given)
    return rows_of(given[0], columns_of(finished.request, named=True))


def closing(finished: Finished[Translator]) -> list[str]:
    return [
        f"next: unrolled predict {finished.folder} -   (a text a line; or FILE)",
        *evaluate_next(finished),
    ]


DESCRIPTION: Description[Translator] = Description(
    fit=fit,
    commands={"predict": Command(predict), "evaluate": Command(evaluate)},
    examples=(
        "unrolled fit translate train.de train.en -o runs/de-en",
        "unrolled predict runs/de-en test.de --beam 8 > test.en",
    ),
    sources=arguments,
    held=held,
    about=about,
    pictures={"learning": learning, "attention": attention},
    closing=closing,
)
