"""What a run tells: events while it goes on, a history when it has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

__all__ = ["Callback", "Evaluation", "Event", "History", "Kind"]

Kind = Literal["start", "step", "evaluate", "checkpoint", "stop"]


class Event(NamedTuple):
    """One thing that happened; a field that has no meaning for its kind is None.

    kind: "start" (also of a resumed run), "step" (one optimiser step), "evaluate", "checkpoint", "stop" (always the
    last one, also after an error). step: optimiser steps done. epoch: the epoch it belongs to, from 1. fraction: part
    of the run that is done, 0 to 1. loss: total / count of the step, or since the last evaluation. grad_norm: before
    clipping. seconds: wall clock since the start, earlier parts of a resumed run included. score: lower is better.
    best: whether the score is the best so far. message: the checkpoint's path, or why the run stopped.
    """

    kind: Kind
    step: int
    epoch: int
    seconds: float
    fraction: float = 0.0
    loss: float | None = None
    learning_rate: float | None = None
    grad_norm: float | None = None
    score: float | None = None
    valid_loss: float | None = None
    best: bool | None = None
    message: str | None = None


Callback = Callable[[Event], object]


class Evaluation(NamedTuple):
    """One row of the table of a run: the training loss since the row before, and the validation score."""

    step: int
    epoch: int
    loss: float | None
    learning_rate: float
    valid_loss: float | None
    score: float | None
    seconds: float


class History(NamedTuple):
    """What a finished run was.

    stopped: "epochs", "max_steps", "patience" or "max_minutes". best_step and best_score are None without a score;
    otherwise the module holds the weights of best_step.
    """

    evaluations: tuple[Evaluation, ...]
    steps: int
    epochs: float
    seconds: float
    stopped: str
    best_step: int | None = None
    best_score: float | None = None
