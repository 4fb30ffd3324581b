"""The commands and their help. Whatever is heavy is imported inside a command, so that --help is quick."""

from __future__ import annotations

from typing import Annotated

import typer

from unrolled import __version__
from unrolled.cli.commands import Commands
from unrolled.cli.fit import fit_app
from unrolled.cli.generate import complete, generate
from unrolled.cli.kernels import kernels
from unrolled.cli.predict import predict
from unrolled.cli.score import backtest, evaluate

__all__ = ["app"]

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(fit_app, name="fit")
for command in (predict, evaluate, generate, complete, backtest, kernels):
    app.command()(command)


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
    """Recurrent networks from raw files: fit, predict, evaluate, generate.

    \b
      unrolled fit classify reviews.csv --text review --label stars -o runs/reviews --plot
      echo 'what a film !' | unrolled predict runs/reviews -
      unrolled fit tag train.conllu --valid dev.conllu -o runs/tags
      unrolled evaluate runs/tags test.conllu
      unrolled fit language book.txt --level char -o runs/book
      unrolled generate runs/book 'It was a '
      unrolled fit translate train.de train.en -o runs/de-en
      unrolled predict runs/de-en test.de --beam 8 > test.en
      unrolled fit forecast load.csv --time timestamp --target load --horizon 24 -o runs/load --plot
      unrolled fit --resume runs/load

    A table may be .csv, .tsv, .jsonl or .parquet, any text file .gz; "-" is standard input or output. A mistake ends
    in one sentence and exit code 2. Every command has its own --help.
    """
