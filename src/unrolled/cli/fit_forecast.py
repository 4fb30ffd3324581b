"""`unrolled fit forecast`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from unrolled.cli.fitting import start
from unrolled.cli.options import AsJson, Epochs, MaxMinutes, Out, Seed, Set, task_options
from unrolled.cli.values import names, numbers
from unrolled.errors import OptionError

__all__ = [
    "Id",
    "Known",
    "Past",
    "Resample",
    "Static",
    "Step",
    "Target",
    "Time",
    "column_parts",
    "forecast",
    "forecaster_options",
]

File = Annotated[
    str, typer.Argument(metavar="FILE", help='Table: .csv, .tsv, .parquet (also .gz), or "-" for standard input.')
]
Time = Annotated[str | None, typer.Option(help="Column of timestamps, or of whole numbers that count.")]
Target = Annotated[list[str] | None, typer.Option(help="Column to forecast; several with commas.")]
Id = Annotated[str | None, typer.Option("--id", help="Column that names the series, if there are several.")]
Known = Annotated[list[str] | None, typer.Option("--future", help="Covariates known in advance: holidays, prices.")]
Past = Annotated[list[str] | None, typer.Option(help="Covariates known only up to now.")]
Static = Annotated[list[str] | None, typer.Option(help="Covariates constant in each series.")]
Step = Annotated[str | None, typer.Option(help="Time between rows: h, 15min, D, W, B, MS, ...; default: as seen.")]
Resample = Annotated[
    str | None, typer.Option(help="Make times regular: mean, sum, last, first, max or min of each step.")
]


def forecast(
    file: File,
    horizon: Annotated[int, typer.Option(help="Steps to forecast.")],
    time: Time = None,
    target: Target = None,
    id: Id = None,
    future: Known = None,
    past: Past = None,
    static: Static = None,
    cell: Annotated[str, typer.Option(help="Recurrent cell: gru, lstm, rnn.")] = "gru",
    levels: Annotated[str | None, typer.Option(help="Bands in percent.  [default: 80,95]")] = None,
    decoder: Annotated[
        str, typer.Option(help="direct (all steps at once) or autoregressive (step by step).")
    ] = "direct",
    step: Step = None,
    resample: Resample = None,
    set_: Set = None,
    out: Out = None,
    plot: Annotated[bool, typer.Option("--plot", help="Write RUN/forecast.png (needs matplotlib).")] = False,
    seed: Seed = 0,
    epochs: Epochs = None,
    max_minutes: MaxMinutes = None,
    test: Annotated[
        str | None, typer.Option(help="Rows (10) or part (0.2) at the end to score by.  [default: about 0.2]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Learn to forecast one or many series of a table (long format).

    The end of each series is held out to score the model beside simple baselines; the model that is kept is then
    trained on all rows. Time and target columns may be left out where only one choice makes sense.

    \b
      unrolled fit forecast air.csv --horizon 12 --plot
      unrolled fit forecast shops.csv --time day --target sales --id shop --future holiday --static region --horizon 28
      unrolled fit forecast load.csv --horizon 24 --cell lstm --levels 50,90 --set hidden_size=128 --set dropout=0.2
      unrolled fit forecast counts.csv --horizon 8 --decoder autoregressive --set likelihood=negative-binomial
    """
    start(
        "forecast",
        {"source": file},
        reading=column_parts(time, target, id, future, past, static, step, resample),
        options=forecaster_options(horizon, cell, levels, decoder, seed, epochs, max_minutes, set_),
        held={"test": _held(test)},
        out=out,
        plot=plot,
        as_json=as_json,
    )


def column_parts(
    time: str | None,
    target: list[str] | None,
    id: str | None,
    future: list[str] | None,
    past: list[str] | None,
    static: list[str] | None,
    step: str | None,
    resample: str | None,
) -> dict[str, Any]:
    """The arguments of `Forecaster.fit` that say what the columns are."""
    return {
        "time": time, "target": names(target) or None, "id": id, "future": names(future), "past": names(past),
        "static": names(static), "step": step, "resample": resample,
    }  # fmt: skip


def forecaster_options(
    horizon: int,
    cell: str,
    levels: str | None,
    decoder: str,
    seed: int,
    epochs: int | None,
    max_minutes: float | None,
    words: list[str] | None,
) -> dict[str, Any]:
    """The options of a Forecaster that the command line names; those left out are missing."""
    return task_options(
        words, horizon=horizon, cell=cell, levels=numbers("--levels", levels), decoder=decoder, seed=seed,
        epochs=epochs, max_minutes=max_minutes,
    )  # fmt: skip


def _held(word: str | None) -> int | float | None:
    if word is None:
        return None
    try:
        return int(word) if word.isdigit() else float(word)
    except ValueError as error:
        raise OptionError(f"--test: expected rows (10) or a part (0.2), got {word!r}.") from error
