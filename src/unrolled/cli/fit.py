"""`unrolled fit`: train a model into a run folder, or go on with one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from unrolled.cli.commands import Commands
from unrolled.cli.results import finish
from unrolled.cli.runs import RECORD, check_files, fresh_folder, load_request, make_request, write_request
from unrolled.cli.values import print_json, say
from unrolled.cli.words import AsJson, command_of, words_of
from unrolled.errors import OptionError
from unrolled.model.describe import Described, Request, Word
from unrolled.model.registry import describe_task, find_task
from unrolled.tasks.commands.words import Epochs, MaxMinutes, Seed, Set, settings

__all__ = ["make_fit"]

INTERRUPTED = 130
HELP = """Train a model into a run folder, or go on with one.

\b
{examples}
  unrolled fit --resume runs/load
"""

Out = Annotated[str | None, Word("Run folder.  [default: runs/NAME]", "RUN", flags=("-o", "--out"))]
Plot = Annotated[bool, Word("Write pictures into RUN (needs matplotlib).", flags=("--plot",))]


def make_fit(described: Mapping[str, Described]) -> typer.Typer:
    """`fit` with a command for each task."""
    app = typer.Typer(cls=Commands, rich_markup_mode=None)
    examples = "\n".join(f"  {line}" for description in described.values() for line in description.examples[:1])
    app.callback(invoke_without_command=True, help=HELP.format(examples=examples))(_fit)
    for task, description in described.items():
        words = {**words_of(description.fit), **words_of(_start, after=2)}
        start = partial(_start, task, description)
        app.command()(command_of(start, task, description.fit.__doc__ or "", words.values()))
    return app


def _fit(
    context: typer.Context,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with a run that was stopped or killed.")
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option("--max-minutes", help="With --resume: another limit, of all parts together.")
    ] = None,
    plot: Annotated[bool, typer.Option("--plot", help="With --resume: write pictures into RUN.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    if context.invoked_subcommand is not None:
        if resume is not None:
            raise OptionError("fit: expected a task or --resume RUN, got both; a run knows its own task.")
        if plot or as_json or max_minutes is not None:
            raise OptionError(
                "fit: expected --plot, --json and --max-minutes after the task, as in "
                f"'fit {context.invoked_subcommand} ... --plot'."
            )
        return
    if resume is None:
        typer.echo(context.get_help())
        raise typer.Exit
    folder = Path(resume)
    request = load_request(folder)
    if max_minutes is not None:
        request = replace(request, options={**request.options, "max_minutes": max_minutes})
    check_files(request, folder)
    description = describe_task(request.task)
    if description is None:
        raise OptionError(f"fit: the task {request.task} says nothing of its commands; fit it in Python.")
    _run(request, description, folder, resume=True, plot=plot, as_json=as_json)


def _start(
    task: str,
    description: Described,
    set_: Set = None,
    out: Out = None,
    plot: Plot = False,
    seed: Seed = 0,
    epochs: Epochs = None,
    max_minutes: MaxMinutes = None,
    as_json: AsJson = False,
    **words: object,
) -> None:
    """A new run."""
    asked = description.fit(**words)
    named = {**asked.options, "seed": seed, "epochs": epochs, "max_minutes": max_minutes}
    options = {name: value for name, value in named.items() if value is not None} | settings(set_)
    folder = fresh_folder(out, asked.files.get("source") or "")
    request = make_request(task, asked, options)
    _run(request, description, folder, resume=False, plot=plot, as_json=as_json)


def _run(request: Request, description: Described, folder: Path, *, resume: bool, plot: bool, as_json: bool) -> None:
    from unrolled.train import Event

    if plot:
        # Said now rather than after the training.
        from unrolled.inspect.figure import require_matplotlib

        require_matplotlib()
    kind: Any = find_task(request.task)
    model = kind(**request.options)

    def keep(event: Event) -> None:
        # Only once the data have been read: a mistake in the command leaves no folder behind.
        if event.kind == "start" and (resume or not (folder / RECORD).exists()):
            write_request(request, folder)

    try:
        test = description.held(request, "test")
        source, how = description.sources(request)
        valid = description.held(request, "valid")
        if valid:
            how = {**how, "valid": valid if len(valid) > 1 else valid[0]}
        model.fit(*source, **how, run=folder, progress=True, resume=resume, callbacks=(keep,))
    except KeyboardInterrupt:
        say(f"unrolled: {_interrupted(folder, request)}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    results = finish(description, model, request, folder, test, plot)
    if as_json:
        told = {"files": results.files, "scores": results.scores, "understood": list(model.understood)}
        print_json({"run": str(folder), **told})
        return
    for line in results.lines:
        say(line)


def _interrupted(folder: Path, request: Request) -> str:
    if not (folder / RECORD).exists():
        return "interrupted before the training began; nothing was written, give the command again."
    if "-" in request.files.values():
        return f"interrupted: {folder} holds the best model so far, but what came by standard input cannot be resumed."
    return f"interrupted, nothing is lost: go on with 'unrolled fit --resume {folder}'."
