"""The training loop of every task: `fit(module, data, options)`. Accelerate is imported when `fit` is first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unrolled.train.monitor.events import Callback, Evaluation, Event, History
from unrolled.train.options import BatchedOptions, RunOptions, TrainOptions

if TYPE_CHECKING:
    from unrolled.train.loop import fit

__all__ = ["BatchedOptions", "Callback", "Evaluation", "Event", "History", "RunOptions", "TrainOptions", "fit"]


def __getattr__(name: str) -> object:
    if name == "fit":
        from unrolled.train.loop import fit

        return fit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
