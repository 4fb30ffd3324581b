"""The commands and their help. Whatever is heavy is imported inside a command, so that --help is quick."""

from __future__ import annotations

from typing import Annotated

import typer

from unrolled import __version__
from unrolled.cli.commands import Commands
from unrolled.cli.fit import make_fit
from unrolled.cli.kernels import kernels
from unrolled.cli.listings import cells, options, tasks
from unrolled.cli.verbs import make_verbs
from unrolled.model.registry import described_tasks

__all__ = ["make_app"]

HELP = """Recurrent networks from raw files: fit, predict, evaluate, generate.

\b
{examples}
  unrolled fit --resume runs/load

A table may be .csv, .tsv, .jsonl or .parquet, any text file .gz; "-" is standard input or output. A mistake ends
in one sentence and exit code 2. Every command has its own --help.
"""


def make_app() -> typer.Typer:
    """The whole command line, with the tasks that are registered by now."""
    described = described_tasks()
    examples = "\n".join(f"  {line}" for description in described.values() for line in description.examples)
    app = typer.Typer(
        cls=Commands,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(help=HELP.format(examples=examples))(_commands)
    app.add_typer(make_fit(described), name="fit")
    for name, verb in make_verbs(described).items():
        app.command(name)(verb)
    for command in (tasks, options, cells, kernels):
        app.command()(command)
    return app


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"unrolled {__version__}")
        raise typer.Exit


def _commands(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Answer --version."""
