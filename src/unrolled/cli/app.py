"""The commands and their help. Whatever is heavy is imported inside a command, so that --help is quick."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from unrolled import __version__
from unrolled.cli.fit import fit_app
from unrolled.cli.kernels import kernels
from unrolled.cli.use import backtest, evaluate, predict
from unrolled.errors import UnrolledError

__all__ = ["app"]

INTERRUPTED = 130
MISTAKE = 2


class _Commands(TyperGroup):
    """Turns a user's mistake into one sentence and exit code 2, and Ctrl-C into 130."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except UnrolledError as error:
            typer.echo(f"unrolled: {error}", err=True)
            raise typer.Exit(MISTAKE) from None
        except KeyboardInterrupt:
            typer.echo("unrolled: interrupted.", err=True)
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(fit_app, name="fit")
app.command()(predict)
app.command()(evaluate)
app.command()(backtest)
app.command()(kernels)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"unrolled {__version__}")
        raise typer.Exit


@app.callback()
def commands(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Recurrent networks from raw files: fit, predict, evaluate.

    \b
      unrolled fit forecast load.csv --time timestamp --target load --horizon 24 -o runs/load --plot
      unrolled predict runs/load -o forecast.csv
      unrolled evaluate runs/load newer.csv
      unrolled fit --resume runs/load
      unrolled kernels

    A table may be .csv, .tsv or .parquet; "-" is standard input or output. A mistake ends in one sentence and exit
    code 2. Every command has its own --help.
    """
