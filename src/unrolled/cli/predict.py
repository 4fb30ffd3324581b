"""`unrolled predict`: what a model says of new data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from unrolled.cli.answers import answers
from unrolled.cli.inputs import columns_of_run
from unrolled.cli.loaded import allow, load_model
from unrolled.cli.options import AsJson, Names, Run
from unrolled.cli.values import print_json, write_text
from unrolled.errors import OptionError

__all__ = ["predict"]

BEAM = 5
TASKS = ("classify", "tag", "translate", "forecast")
TAKEN = {
    "forecast": ("--future", "--plot"),
    "classify": ("--names",),
    "tag": (),
    "translate": ("--names", "--beam", "--nbest"),
}


def predict(
    run: Run,
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help='New data as for fit; "-" or .txt: a text a line.')
    ] = None,
    future: Annotated[
        str | None, typer.Option(metavar="FILE", help="forecast: covariates known for the steps ahead.")
    ] = None,
    beam: Annotated[int | None, typer.Option(min=1, help="translate: hypotheses followed.  [default: 5]")] = None,
    nbest: Annotated[int | None, typer.Option(min=1, help="translate: so many answers a line.  [default: 1]")] = None,
    names: Names = None,
    out: Annotated[
        str, typer.Option("-o", "--out", metavar="FILE", help='Where the result goes; "-" is standard output.')
    ] = "-",
    plot: Annotated[
        str | None, typer.Option(metavar="FILE", help="forecast: write a picture, .png, .svg or .pdf.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a model makes of new data. Works while a run is still training, too.

    \b
      classify   CSV with the label of each text and its probability; --json: of all classes
      tag        a word and its tag a line, an empty line between sentences
      translate  a line for a line; --nbest 3: three, with the number of the line and a tab before each
      forecast   CSV of the steps after the end of FILE, or of the training data

    \b
      echo 'what a film !' | unrolled predict runs/reviews -
      unrolled predict runs/tags sentences.txt -o tagged.conll
      unrolled predict runs/de-en test.de --beam 8 > test.en
      unrolled predict runs/load newer.csv -o forecast.csv --plot forecast.png
    """
    model = load_model("predict", run, TASKS)
    given = {"--future": future, "--beam": beam, "--nbest": nbest, "--names": names, "--plot": plot}
    allow("predict", model.task, given, TAKEN[model.task])
    if model.task == "forecast":
        _forecast(model, file, future, out, plot, as_json)
        return
    if file is None:
        raise OptionError(f"predict: expected a FILE with new data for {run}, or '-' for a text a line, got none.")
    header = columns_of_run(run, file, names)
    count = nbest or 1
    found = answers(model, file, header, beam or max(BEAM, count), count)
    _write(_json_pieces(found) if as_json else _text_pieces(found), out)


def _text_pieces(found: Iterator[Any]) -> Iterator[str]:
    for answer in found:
        yield answer.text


def _json_pieces(found: Iterator[Any]) -> Iterator[str]:
    """A list with one answer a line."""
    before = "[\n"
    for answer in found:
        if answer.data is not None:
            yield before + json.dumps(answer.data, ensure_ascii=False)
            before = ",\n"
    yield "\n]\n" if before != "[\n" else "[]\n"


def _write(pieces: Iterator[str], out: str) -> None:
    """To standard output as they come, or into a file as a whole."""
    if out != "-":
        write_text(Path(out), "".join(pieces))
        return
    for piece in pieces:
        typer.echo(piece, nl=False)


def _forecast(model: Any, file: str | None, future: str | None, out: str, plot: str | None, as_json: bool) -> None:
    if file == "-" and future == "-":
        raise OptionError(
            "predict: expected one table on standard input, got '-' for FILE and for --future; save one as a file."
        )
    from unrolled.data.read.table import read_table

    text = [model.state.columns.id] if model.state.columns.id else []
    tables = [None if source is None else read_table(source, text=text) for source in (file, future)]
    found = model.predict(tables[0], future=tables[1])
    if plot is not None:
        model.plot(plot, tables[0], future=tables[1])
    if as_json:
        print_json(found.to_json())
    elif out != "-":
        found.to_csv(out)
    else:
        typer.echo(found.to_csv(), nl=False)
