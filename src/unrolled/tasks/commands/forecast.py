"""`unrolled fit forecast`, and what is done with a forecaster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from unrolled.errors import OptionError
from unrolled.model.describe import Asked, Call, Command, Description, Finished, ScoreReport, Whole, Word
from unrolled.tasks.commands.results import scored
from unrolled.tasks.commands.words import CELLS, MaxMinutes, Seed, Set, Truth, column_names, numbers, settings

if TYPE_CHECKING:
    from unrolled.tasks.forecast import Forecaster

__all__ = ["DESCRIPTION"]

Time = Annotated[str | None, Word("Column of timestamps, or of whole numbers that count.")]
Target = Annotated[list[str] | None, Word("Column to forecast; several with commas.")]
Id = Annotated[str | None, Word("Column that names the series, if there are several.")]
Known = Annotated[list[str] | None, Word("Covariates known in advance: holidays, prices.")]
Past = Annotated[list[str] | None, Word("Covariates known only up to now.")]
Static = Annotated[list[str] | None, Word("Covariates constant in each series.")]
Step = Annotated[str | None, Word("Time between rows: h, 15min, D, W, B, MS, ...; default: as seen.")]
Resample = Annotated[str | None, Word("Make times regular: mean, sum, last, first, max or min of each step.")]
DayFirst = Annotated[
    bool | None, Word("Read 01/02/2012 as in February, or as in January.", flags=("--day-first/--month-first",))
]
Cell = Annotated[str, Word(f"Recurrent cell: {', '.join(CELLS)}.")]
Levels = Annotated[str | None, Word("Bands in percent.  [default: 80,95]")]
Decoder = Annotated[str, Word("direct (all steps at once) or autoregressive (step by step).")]
Stride = Annotated[int | None, Word("Rows between forecasts.  [default: the horizon]")]


def fit(
    file: Annotated[
        str, Word('Table: .csv, .tsv, .parquet (also .gz), or "-" for standard input.', "FILE", placed=True)
    ],
    horizon: Annotated[int, Word("Steps to forecast.")],
    time: Time = None,
    target: Target = None,
    id: Id = None,
    future: Known = None,
    past: Past = None,
    static: Static = None,
    cell: Cell = "gru",
    levels: Levels = None,
    decoder: Decoder = "direct",
    step: Step = None,
    resample: Resample = None,
    day_first: DayFirst = None,
    test: Annotated[str | None, Word("Rows (10) or part (0.2) at the end to score by.  [default: about 0.2]")] = None,
) -> Asked:
    """Learn to forecast one or many series of a table (long format).

    The end of each series is held out to score the model beside simple baselines; the model that is kept is then
    trained on all rows. Time and target columns may be left out where only one choice makes sense.

    \b
      unrolled fit forecast air.csv --horizon 12 --plot
      unrolled fit forecast shops.csv --time day --target sales --id shop --future holiday --static region --horizon 28
      unrolled fit forecast load.csv --horizon 24 --cell lstm --levels 50,90 --set hidden_size=128 --set dropout=0.2
      unrolled fit forecast counts.csv --horizon 8 --decoder autoregressive --set likelihood=negative-binomial
    """
    return Asked(
        {"source": file},
        reading=_columns(time, target, id, future, past, static, step, resample, day_first),
        options={"horizon": horizon, "cell": cell, "levels": numbers("--levels", levels), "decoder": decoder},
        held={"test": _held(test)},
    )


def _columns(
    time: str | None,
    target: list[str] | None,
    id: str | None,
    future: list[str] | None,
    past: list[str] | None,
    static: list[str] | None,
    step: str | None,
    resample: str | None,
    day_first: bool | None,
) -> dict[str, object]:
    """The arguments of `Forecaster.fit` that say what the columns are."""
    return {
        "time": time,
        "target": column_names(target) or None,
        "id": id,
        "future": column_names(future),
        "past": column_names(past),
        "static": column_names(static),
        "step": step,
        "resample": resample,
        "day_first": day_first,
    }


def _held(word: str | None) -> int | float | None:
    if word is None:
        return None
    try:
        return int(word) if word.isdigit() else float(word)
    except ValueError as error:
        raise OptionError(f"--test: expected rows (10) or a part (0.2), got {word!r}.") from error


def predict(
    call: Call[Forecaster],
    file: Annotated[str | None, Word("New data as for fit.", "FILE", placed=True)] = None,
    future: Annotated[str | None, Word("Covariates known for the steps ahead.", "FILE")] = None,
    plot: Annotated[str | None, Word("Write a picture, .png, .svg or .pdf.", "FILE")] = None,
) -> Whole:
    """CSV of the steps after the end of FILE, or of the training data

    \b
      unrolled predict runs/load newer.csv -o forecast.csv --plot forecast.png
    """
    from unrolled.data.read.table import read_table

    if file == "-" and future == "-":
        raise OptionError(
            "predict: expected one table on standard input, got '-' for FILE and for --future; save one as a file."
        )
    model = call.model
    text = [model.state.columns.id] if model.state.columns.id else []
    tables = [None if source is None else read_table(source, text=text) for source in (file, future)]
    found = model.predict(tables[0], future=tables[1])
    if plot is not None:
        model.plot(plot, tables[0], future=tables[1])
    return Whole((found.to_csv(raw=call.raw),), found.to_json)


def evaluate(call: Call[Forecaster], file: Truth, stride: Stride = None) -> Whole:
    """errors beside simple baselines, of forecasts of the rows after the training data

    \b
      unrolled evaluate runs/load newer.csv
    """
    return scored(call.model.evaluate(file, stride=stride))


def backtest(
    call: Call[Forecaster],
    windows: Annotated[int, Word("Forecasts of each series.")] = 8,
    stride: Stride = None,
    horizon: Annotated[int | None, Word("Steps to forecast (for a FILE).")] = None,
    time: Time = None,
    target: Target = None,
    id: Id = None,
    future: Known = None,
    past: Past = None,
    static: Static = None,
    step: Step = None,
    resample: Resample = None,
    day_first: DayFirst = None,
    cell: Cell = "gru",
    levels: Levels = None,
    decoder: Decoder = "direct",
    set_: Set = None,
    seed: Seed = 0,
    max_minutes: MaxMinutes = None,
) -> Whole:
    """Score by rolling origin: fit on the rows before the first origin, then forecast from each origin in turn.

    \b
      unrolled backtest runs/load --windows 12
      unrolled backtest load.csv --time timestamp --target load --horizon 24
    """
    request = call.request()
    if request is not None:
        return _rolled(request.files["source"], request.options, request.reading, windows, stride)
    if horizon is None:
        raise OptionError("backtest: expected --horizon for a table, for instance --horizon 24, or a run folder.")
    chosen = {"horizon": horizon, "cell": cell, "levels": numbers("--levels", levels), "decoder": decoder}
    chosen |= {"seed": seed, "max_minutes": max_minutes}
    options = {name: value for name, value in chosen.items() if value is not None} | settings(set_)
    columns = _columns(time, target, id, future, past, static, step, resample, day_first)
    return _rolled(call.run, options, columns, windows, stride)


def _rolled(
    table: str, options: Mapping[str, Any], reading: Mapping[str, Any], windows: int, stride: int | None
) -> Whole:
    from unrolled.tasks import Forecaster

    model = Forecaster(**options)
    return scored(model.backtest(table, windows=windows, stride=stride, progress=True, **reading))


def own_scores(model: Forecaster, test: tuple[object, ...]) -> ScoreReport | None:
    """The scores on the rows that the fit held out."""
    return model.scores


def about(finished: Finished[Forecaster]) -> list[str]:
    net = finished.model.state.net
    first = f"{net.cell} with {net.hidden_size} units: {net.horizon} steps ahead from the last {net.lookback}"
    unscored = "not scored: the series are too short to hold rows out; see 'unrolled backtest'"
    return [first] if finished.report is not None else [first, unscored]


def _knows_the_future(model: Forecaster) -> bool:
    """Whether nothing is asked for to forecast: no covariates, or rows of the table held them for the whole horizon."""
    ahead = model.state.tail.ahead
    enough = ahead is not None and bool((ahead.lengths >= model.options.horizon).all())
    return enough or not model.state.columns.future


def forecast(finished: Finished[Forecaster]) -> Path | None:
    """The forecast; one that needs covariates of the future waits for them."""
    if not _knows_the_future(finished.model):
        return None
    finished.model.predict().to_csv(finished.folder / "forecast.csv")
    return finished.folder / "forecast.csv"


def plot(finished: Finished[Forecaster]) -> Path | None:
    return finished.model.plot(finished.folder / "forecast.png") if _knows_the_future(finished.model) else None


def closing(finished: Finished[Forecaster]) -> list[str]:
    columns = ", ".join(finished.model.state.columns.future)
    if not columns or _knows_the_future(finished.model):
        return []
    picture = f" --plot {finished.folder / 'forecast.png'}" if finished.plot else ""
    ahead = f"(a table with {columns} for the steps ahead)"
    return [f"next: unrolled predict {finished.folder} --future FILE{picture}   {ahead}"]


DESCRIPTION: Description[Forecaster] = Description(
    fit=fit,
    commands={
        "predict": Command(predict),
        "evaluate": Command(evaluate),
        "backtest": Command(
            backtest, starts=Word("Run folder; or a table, with --horizon and its columns.", "RUN|FILE", placed=True)
        ),
    },
    examples=(
        "unrolled fit forecast load.csv --time timestamp --target load --horizon 24 -o runs/load --plot",
        "unrolled evaluate runs/load newer.csv",
    ),
    score=own_scores,
    about=about,
    leaves={"forecast": forecast},
    pictures={"plot": plot},
    closing=closing,
)
