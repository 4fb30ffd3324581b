"""`unrolled fit`: train a model into a run folder, or go on with one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unrolled.cli.runs import Request, fresh_folder, load_request
from unrolled.cli.values import names, numbers, print_json, settings, write_text
from unrolled.errors import OptionError

if TYPE_CHECKING:
    from unrolled.tasks.forecast import Forecaster

__all__ = ["column_parts", "fit_app", "forecaster_options"]

INTERRUPTED = 130

fit_app = typer.Typer(rich_markup_mode=None)

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
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any option of Forecaster or TrainOptions.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


@fit_app.callback(invoke_without_command=True)
def fit(
    context: typer.Context,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with a run that was stopped or killed.")
    ] = None,
    plot: Annotated[bool, typer.Option("--plot", help="With --resume: write RUN/forecast.png.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train a model into a run folder, or go on with one.

    \b
      unrolled fit forecast weather.csv --time date --target temp_max --horizon 14 -o runs/weather --plot
      unrolled fit --resume runs/weather
    """
    if context.invoked_subcommand is not None:
        if resume is not None:
            raise OptionError("fit: expected a task or --resume RUN, got both; a run knows its own task.")
        return
    if resume is None:
        typer.echo(context.get_help())
        raise typer.Exit
    folder = Path(resume)
    request = load_request(folder)
    request.check_source(folder)
    _run(request, folder, resume=True, plot=plot, as_json=as_json)


@fit_app.command()
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
    out: Annotated[
        str | None, typer.Option("-o", "--out", metavar="RUN", help="Run folder.  [default: runs/NAME]")
    ] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Write RUN/forecast.png (needs matplotlib).")] = False,
    seed: Annotated[int, typer.Option(help="The same seed gives the same model.")] = 0,
    epochs: Annotated[
        int | None, typer.Option(help="Train for so many passes at most.  [default: until it gets no better]")
    ] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Train for so long at most.")] = None,
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
    options = forecaster_options(horizon, cell, levels, decoder, seed, epochs, max_minutes, set_)
    reading = column_parts(time, target, id, future, past, static, step, resample)
    folder = fresh_folder(out, file)
    request = Request.of(file, reading, options, {"test": _held(test)})
    _run(request, folder, resume=False, plot=plot, as_json=as_json)


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
    named = {
        "horizon": horizon, "cell": cell, "levels": numbers("--levels", levels), "decoder": decoder, "seed": seed,
        "epochs": epochs, "max_minutes": max_minutes,
    }  # fmt: skip
    return {name: value for name, value in named.items() if value is not None} | settings(words)


def _held(word: str | None) -> int | float | None:
    if word is None:
        return None
    try:
        return int(word) if word.isdigit() else float(word)
    except ValueError as error:
        raise OptionError(f"--test: expected rows (10) or a part (0.2), got {word!r}.") from error


def _run(request: Request, folder: Path, *, resume: bool, plot: bool, as_json: bool) -> None:
    from unrolled.tasks import Forecaster
    from unrolled.train import Event

    if plot:
        # Said now rather than after the training.
        from unrolled.inspect.forecast import require_matplotlib

        require_matplotlib()
    model = Forecaster(**request.options)

    def keep(event: Event) -> None:
        # Only once the data have been read: a mistake in the command leaves no folder behind.
        if event.kind == "start" and not resume:
            request.write(folder)

    try:
        model.fit(
            request.source,
            **request.reading,
            **request.held,
            run=folder,
            progress=True,
            resume=resume,
            callbacks=[keep],
        )
    except KeyboardInterrupt:
        typer.echo(f"unrolled: interrupted, nothing is lost: go on with 'unrolled fit --resume {folder}'.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    _results(model, folder, plot, as_json)


def _results(model: Forecaster, folder: Path, plot: bool, as_json: bool) -> None:
    """Scores, forecast and picture beside the model, and what was done on standard output."""
    files = {"model": str(folder / "model.unrolled")}
    scores = None if model.scores is None else model.scores.to_json()
    if scores is not None:
        import json

        files["scores"] = str(write_text(folder / "scores.json", json.dumps(scores, indent=1)))
    # A forecast that needs covariates of the future waits for them.
    if not model.state.columns.future:
        model.predict().to_csv(folder / "forecast.csv")
        files["forecast"] = str(folder / "forecast.csv")
        if plot:
            files["plot"] = str(model.plot(folder / "forecast.png"))
    if as_json:
        print_json({"run": str(folder), "files": files, "scores": scores})
        return
    net = model.state.net
    typer.echo(f"{net.cell} with {net.hidden_size} units: {net.horizon} steps ahead from the last {net.lookback}")
    if model.scores is not None:
        typer.echo(f"\n{model.scores}\n")
    else:
        typer.echo("not scored: the series are too short to hold rows out; see 'unrolled backtest'")
    typer.echo("wrote " + ", ".join(files.values()))
    if model.state.columns.future:
        columns = ", ".join(model.state.columns.future)
        picture = f" --plot {folder / 'forecast.png'}" if plot else ""
        typer.echo(
            f"next: unrolled predict {folder} --future FILE{picture}   (a table with {columns} for the steps ahead)"
        )
