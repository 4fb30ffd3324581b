"""One run of any task: fit, keep what was asked, tell what came of it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import typer

from unrolled.cli.inputs import fit_arguments, opened
from unrolled.cli.results import forecast_results, sequence_results
from unrolled.cli.runs import RECORD, Request, fresh_folder
from unrolled.cli.values import print_json

__all__ = ["go_on", "start"]

INTERRUPTED = 130


def start(
    task: str,
    files: dict[str, str | None],
    *,
    reading: dict[str, Any],
    options: dict[str, Any],
    held: dict[str, Any],
    out: str | None,
    plot: bool,
    as_json: bool,
) -> None:
    """A new run."""
    folder = fresh_folder(out, files["source"] or "")
    _run(Request.of(task, files, reading, options, held), folder, resume=False, plot=plot, as_json=as_json)


def go_on(request: Request, folder: Path, *, plot: bool, as_json: bool) -> None:
    """A run that was stopped or killed, or one that has ended, to see its results again."""
    request.check_files(folder)
    _run(request, folder, resume=True, plot=plot, as_json=as_json)


def _run(request: Request, folder: Path, *, resume: bool, plot: bool, as_json: bool) -> None:
    from unrolled.model.base import TASKS
    from unrolled.train import Event

    if plot:
        # Said now rather than after the training.
        from unrolled.inspect.figure import require_matplotlib

        require_matplotlib()
    module, name = TASKS[request.task]
    model = getattr(import_module(module), name)(**request.options)

    def keep(event: Event) -> None:
        # Only once the data have been read: a mistake in the command leaves no folder behind.
        if event.kind == "start" and not (folder / RECORD).exists():
            request.write(folder)

    try:
        test = opened(request, "test")
        source, how = fit_arguments(request)
        model.fit(*source, **how, run=folder, progress=True, resume=resume, callbacks=[keep])
    except KeyboardInterrupt:
        typer.echo(f"unrolled: {_interrupted(folder, request)}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    results = (forecast_results if request.task == "forecast" else sequence_results)(model, request, folder, test, plot)
    if as_json:
        print_json({"run": str(folder), "files": results.files, "scores": results.scores})
        return
    for line in results.lines:
        typer.echo(line)


def _interrupted(folder: Path, request: Request) -> str:
    if not (folder / RECORD).exists():
        return "interrupted before the training began; nothing was written, give the command again."
    if "-" in request.files.values():
        return f"interrupted: {folder} holds the best model so far, but what came by standard input cannot be resumed."
    return f"interrupted, nothing is lost: go on with 'unrolled fit --resume {folder}'."
