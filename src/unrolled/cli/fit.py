"""`unrolled fit`: train a model into a run folder, or go on with one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unrolled.cli.commands import Commands
from unrolled.cli.fit_classify import classify
from unrolled.cli.fit_forecast import forecast
from unrolled.cli.fit_language import language
from unrolled.cli.fit_tag import tag
from unrolled.cli.fit_translate import translate
from unrolled.cli.fitting import go_on
from unrolled.cli.options import AsJson
from unrolled.cli.runs import load_request
from unrolled.errors import OptionError

__all__ = ["fit_app"]

fit_app = typer.Typer(cls=Commands, rich_markup_mode=None)
for command in (classify, tag, language, translate, forecast):
    fit_app.command()(command)


@fit_app.callback(invoke_without_command=True)
def fit(
    context: typer.Context,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with a run that was stopped or killed.")
    ] = None,
    plot: Annotated[bool, typer.Option("--plot", help="With --resume: write pictures into RUN.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train a model into a run folder, or go on with one.

    \b
      unrolled fit classify reviews.csv --text review --label stars -o runs/reviews
      unrolled fit tag train.conllu --valid dev.conllu --test test.conllu -o runs/tags
      unrolled fit language book.txt --level char -o runs/book
      unrolled fit translate train.de train.en -o runs/de-en
      unrolled fit forecast weather.csv --time date --target temp_max --horizon 14 -o runs/weather --plot
      unrolled fit --resume runs/weather
    """
    if context.invoked_subcommand is not None:
        if resume is not None:
            raise OptionError("fit: expected a task or --resume RUN, got both; a run knows its own task.")
        if plot or as_json:
            raise OptionError(
                f"fit: expected --plot and --json after the task, as in 'fit {context.invoked_subcommand} ... --plot'."
            )
        return
    if resume is None:
        typer.echo(context.get_help())
        raise typer.Exit
    folder = Path(resume)
    go_on(load_request(folder), folder, plot=plot, as_json=as_json)
