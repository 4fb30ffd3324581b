"""A model of a command: loaded, and of a task that the command is about."""

from __future__ import annotations

from typing import Any

from unrolled.errors import OptionError

__all__ = ["allow", "load_model"]

# What is done with the model of each task, for messages.
USES = {
    "classify": "predict or evaluate",
    "tag": "predict or evaluate",
    "language": "generate, complete or evaluate",
    "translate": "predict or evaluate",
    "forecast": "predict, evaluate or backtest",
}


def load_model(command: str, run: str, tasks: tuple[str, ...]) -> Any:
    """The model in a run folder or a file. Raises `OptionError` where its task has no such command."""
    from unrolled.model import load

    model = load(run)
    if model.task not in tasks:
        wanted = " or ".join(filter(None, [", ".join(tasks[:-1]), tasks[-1]]))
        raise OptionError(
            f"{command}: expected a model for {wanted}, but {run} holds one for {model.task}; "
            f"use {USES[model.task]} with it."
        )
    return model


def allow(command: str, task: str, given: dict[str, Any], taken: tuple[str, ...]) -> None:
    """Raises `OptionError` for an option that was given but means nothing for the task."""
    for name, value in given.items():
        if value is not None and name not in taken:
            raise OptionError(f"{command}: {name} means nothing for a model of the task {task}; leave it out.")
