"""The two stages of a fit: find the best step on a part of the data, then learn from all of them for as long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from unrolled.data.batch.batching import Dataset
from unrolled.train.checkpoints.checkpoint import Folder
from unrolled.train.monitor.events import Callback, Event, History
from unrolled.train.monitor.report import Progress, announce
from unrolled.train.options import TrainOptions

__all__ = ["Stage", "Training", "learn"]

# Training on more rows than when the best step was found takes longer, but not without bound.
LONGEST = 1.5
# The part of a time limit that finds out when to stop, where all rows are learned from afterwards.
SEARCH = 0.6


@dataclass(frozen=True)
class Training:
    """How a fit was asked for: where it writes, whether it goes on, whom it tells."""

    run: Path | None = None
    progress: Progress = False
    resume: bool = False
    callbacks: tuple[Callback, ...] = ()


@dataclass(frozen=True, eq=False)
class Stage:
    """One run of the loop: a fresh network, data of so many rows, and what tells when to stop: see `train.fit`."""

    net: nn.Module
    data: Dataset
    rows: int
    options: TrainOptions
    valid: Dataset | None = None
    score: Callable[[nn.Module], float] | None = None


def learn(
    search: Callable[[], Stage],
    whole: Callable[[Stage], Stage] | None,
    training: Training,
    *,
    between: Callable[[], object],
    save: Callable[[Path], object],
) -> History:
    """Train the network of the first stage until it is best, then that of `whole` for as many epochs as were best.

    search, whole: make a stage when its turn comes; `whole` is told the first one, and may be missing. A time limit is
    shared between them. between: called when the first network is trained. save: writes the model as it is then to a
    path, if the training has a run folder: at each best step of the first stage, and at the end. The second stage has
    a run folder of its own inside.

    Returns the history of the last stage, whose network is left in evaluation mode.
    """
    saved = None if training.run is None else training.run / "model.unrolled"

    def keep(event: Event) -> None:
        # Without a score no step is the best, and the last one is what there is.
        if event.kind == "evaluate" and event.best is not False and saved is not None:
            save(saved)

    first = search()
    history = _run(first, _shared(first.options, SEARCH if whole else 1.0), training, keep)
    between()
    if whole is not None:
        second = whole(first)
        options = _as_long(_shared(second.options, 1 - SEARCH), history, second.rows / max(1, first.rows))
        folder = None if training.run is None else training.run / "refit"
        if folder is not None and training.resume:
            # A first stage that went on for longer has found another number of steps.
            Folder(folder).keep_if(lambda before: options.differs_from(before) is None)
        said = f"second stage: learning from all {second.rows:,} rows for {options.max_steps:,} steps"
        announce(training.progress, said)
        history = _run(second, options, replace(training, run=folder), None)
    if saved is not None:
        save(saved)
    return history


def _run(stage: Stage, options: TrainOptions, training: Training, keep: Callback | None) -> History:
    # Accelerate takes seconds to import, which only those who train should wait for.
    from unrolled.train.loop import fit

    history = fit(
        stage.net,
        stage.data,
        options,
        valid=stage.valid,
        score=stage.score,
        run=training.run,
        progress=training.progress,
        resume=training.resume,
        callbacks=[*([] if keep is None else [keep]), *training.callbacks],
    )
    stage.net.eval()
    return history


def _shared(options: TrainOptions, share: float) -> TrainOptions:
    """The options with this part of the time limit."""
    if options.max_minutes is None:
        return options
    return options.model_copy(update={"max_minutes": options.max_minutes * share})


def _as_long(options: TrainOptions, history: History, more: float) -> TrainOptions:
    """The options for `more` times as many rows, to be trained for as many epochs as were best."""
    best = history.best_step or history.steps
    steps = max(1, round(best * min(LONGEST, more)))
    return options.model_copy(
        update={"max_steps": steps, "epochs": None, "patience": None, "evaluate_every_steps": None}
    )
