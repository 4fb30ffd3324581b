"""`unrolled evaluate` and `unrolled backtest`: how good a model is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from unrolled.cli.fit_forecast import (
    Id,
    Known,
    Past,
    Resample,
    Static,
    Step,
    Target,
    Time,
    column_parts,
    forecaster_options,
)
from unrolled.cli.inputs import columns_of_run, under_names
from unrolled.cli.loaded import USES, allow, load_model
from unrolled.cli.options import AsJson, Column, MaxMinutes, Names, Run, Seed, Set, is_table, number_or_name
from unrolled.cli.runs import load_request
from unrolled.cli.values import print_json
from unrolled.errors import OptionError

__all__ = ["backtest", "evaluate"]

TAKEN = {
    "forecast": ("--stride",), "classify": ("--names",), "tag": ("--column",), "language": (),
    "translate": ("TARGET", "--beam", "--names"),
}  # fmt: skip


def evaluate(
    run: Run,
    file: Annotated[str, typer.Argument(metavar="FILE", help='Data with the truth, as for fit; or "-".')],
    target: Annotated[
        str | None, typer.Argument(metavar="TARGET", help="translate: the truth, where FILE holds sources alone.")
    ] = None,
    stride: Annotated[
        int | None, typer.Option(help="forecast: rows between forecasts.  [default: the horizon]")
    ] = None,
    beam: Annotated[int | None, typer.Option(min=1, help="translate: hypotheses followed.  [default: 5]")] = None,
    column: Column = None,
    names: Names = None,
    as_json: AsJson = False,
) -> None:
    """Score a model on data that it has not learned from.

    \b
      unrolled evaluate runs/reviews test.csv
      unrolled evaluate runs/tags test.conllu --json
      unrolled evaluate runs/book other.txt
      unrolled evaluate runs/de-en test.de test.en --beam 8
      unrolled evaluate runs/load newer.csv
    """
    model = load_model("evaluate", run, tuple(USES))
    given = {"TARGET": target, "--stride": stride, "--beam": beam, "--column": column, "--names": names}
    allow("evaluate", model.task, given, TAKEN[model.task])
    report = _score(model, run, file, target, stride, beam, column, names)
    print_json(report.to_json()) if as_json else typer.echo(str(report))


def _score(
    model: Any,
    run: str,
    file: str,
    target: str | None,
    stride: int | None,
    beam: int | None,
    column: str | None,
    names: str | None,
) -> Any:
    if model.task == "forecast":
        return model.evaluate(file, stride=stride)
    if model.task == "language":
        return model.evaluate(file)
    if model.task == "tag":
        from unrolled.data.read.conll import read_conll

        return model.evaluate(read_conll(file, model.notes["column"] if column is None else number_or_name(column)))
    header = columns_of_run(run, file, names)
    if model.task == "classify":
        return model.evaluate(under_names(file, header))
    if target is None and file != "-" and not is_table(file) and header is None:
        raise OptionError(
            f"evaluate: expected a file of sources and one of targets, or one table, got {file} alone; add the targets."
        )
    source = file if target is not None else under_names(file, header)
    return model.evaluate(source, target, width=5 if beam is None else beam)


def backtest(
    source: Annotated[
        str, typer.Argument(metavar="RUN|FILE", help="Run folder; or a table, with --horizon and its columns.")
    ],
    windows: Annotated[int, typer.Option(help="Forecasts of each series.")] = 8,
    stride: Annotated[int | None, typer.Option(help="Rows between forecasts.  [default: the horizon]")] = None,
    horizon: Annotated[int | None, typer.Option(help="Steps to forecast (for a FILE).")] = None,
    time: Time = None,
    target: Target = None,
    id: Id = None,
    future: Known = None,
    past: Past = None,
    static: Static = None,
    step: Step = None,
    resample: Resample = None,
    cell: Annotated[str, typer.Option(help="Recurrent cell: gru, lstm, rnn.")] = "gru",
    levels: Annotated[str | None, typer.Option(help="Bands in percent.  [default: 80,95]")] = None,
    decoder: Annotated[str, typer.Option(help="direct or autoregressive.")] = "direct",
    set_: Set = None,
    seed: Seed = 0,
    max_minutes: MaxMinutes = None,
    as_json: AsJson = False,
) -> None:
    """Score by rolling origin: fit on the rows before the first origin, then forecast from each origin in turn.

    \b
      unrolled backtest runs/load --windows 12
      unrolled backtest load.csv --time timestamp --target load --horizon 24
    """
    from unrolled.tasks import Forecaster

    reading = column_parts(time, target, id, future, past, static, step, resample)
    if Path(source).is_dir():
        request = load_request(Path(source))
        if request.task != "forecast":
            raise OptionError(f"backtest: expected a run of forecasts, but {source} is one for {request.task}.")
        request.check_files(Path(source))
        model, table, reading = Forecaster(**request.options), request.files["source"], request.reading
    elif horizon is None:
        raise OptionError("backtest: expected --horizon for a table, for instance --horizon 24, or a run folder.")
    else:
        model = Forecaster(**forecaster_options(horizon, cell, levels, decoder, seed, None, max_minutes, set_))
        table = source
    report = model.backtest(table, windows=windows, stride=stride, progress=True, **reading)
    print_json(report.to_json()) if as_json else typer.echo(str(report))
