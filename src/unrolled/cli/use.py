"""What is done with a model: predict, evaluate, backtest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unrolled.cli.fit import (
    AsJson,
    Id,
    Known,
    Past,
    Resample,
    Set,
    Static,
    Step,
    Target,
    Time,
    column_parts,
    forecaster_options,
)
from unrolled.cli.runs import load_request
from unrolled.cli.values import print_json
from unrolled.errors import OptionError

if TYPE_CHECKING:
    from unrolled.tasks.forecast import Forecaster

__all__ = ["backtest", "evaluate", "predict"]

Run = Annotated[str, typer.Argument(metavar="RUN", help="Run folder, or a saved model.")]


def predict(
    run: Run,
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="Newer history; default: the training data.")
    ] = None,
    future: Annotated[
        str | None, typer.Option(metavar="FILE", help="Covariates known in the future, for the steps ahead.")
    ] = None,
    out: Annotated[
        str, typer.Option("-o", "--out", metavar="FILE", help='Where the CSV goes; "-" is standard output.')
    ] = "-",
    plot: Annotated[str | None, typer.Option(metavar="FILE", help="Write a picture: .png, .svg or .pdf.")] = None,
    as_json: AsJson = False,
) -> None:
    """Forecast the steps after the end of the training data, or of FILE. Works while a run is still training, too.

    \b
      unrolled predict runs/load -o forecast.csv --plot forecast.png
      unrolled predict runs/load newer.csv --future holidays.csv
      cat newer.csv | unrolled predict runs/load - > forecast.csv
    """
    model = _load(run)
    if file == "-" and future == "-":
        raise OptionError(
            "predict: expected one table on standard input, got '-' for FILE and for --future; save one as a file."
        )
    from unrolled.data.table import read_table

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


def evaluate(
    run: Run,
    file: Annotated[str, typer.Argument(metavar="FILE", help='Table with the rows that came; "-" is standard input.')],
    stride: Annotated[int | None, typer.Option(help="Rows between forecasts.  [default: the horizon]")] = None,
    as_json: AsJson = False,
) -> None:
    """Score a model on rows that came after its training data, beside the baselines.

    \b
      unrolled evaluate runs/load newer.csv
    """
    report = _load(run).evaluate(file, stride=stride)
    print_json(report.to_json()) if as_json else typer.echo(str(report))


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
    seed: Annotated[int, typer.Option(help="The same seed gives the same numbers.")] = 0,
    max_minutes: Annotated[float | None, typer.Option(help="Train for so long at most.")] = None,
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
        request.check_source(Path(source))
        model, table, reading = Forecaster(**request.options), request.source, request.reading
    elif horizon is None:
        raise OptionError("backtest: expected --horizon for a table, for instance --horizon 24, or a run folder.")
    else:
        model = Forecaster(**forecaster_options(horizon, cell, levels, decoder, seed, None, max_minutes, set_))
        table = source
    report = model.backtest(table, windows=windows, stride=stride, progress=True, **reading)
    print_json(report.to_json()) if as_json else typer.echo(str(report))


def _load(run: str) -> Forecaster:
    from unrolled.model import load
    from unrolled.tasks.forecast import Forecaster

    model = load(run)
    if not isinstance(model, Forecaster):
        raise OptionError(f"expected a forecast model, but {run} holds a {model.task} model.")
    return model
