"""The options of a training run: typed, checked at the door, written into every checkpoint."""

from __future__ import annotations

import json
from typing import Literal, Self

from pydantic import Field, model_validator

from unrolled.options import Options

__all__ = ["BatchedOptions", "RunOptions", "TrainOptions"]

# These say when a run pauses or writes, so a resumed run may change them; more minutes stretch the schedule.
FREE_TO_CHANGE = frozenset({"max_minutes", "checkpoint_every_steps", "checkpoint_every_minutes", "log_every"})


class RunOptions(Options):
    """How any run goes, whatever its batches are made of.

    How long: the run ends at whichever of `epochs`, `max_steps` (optimiser steps) and `max_minutes` (wall clock, the
    last score included, summed over resumed parts) comes first. None means no such limit; at least one must be set.

    Batches: `micro_batches` cuts the share of a process, to save memory; gradients are summed, so the result is that of
    the whole batch. `bptt` cuts every batch along time (truncated BPTT): one optimiser step a piece, the state carried
    over and detached.

    Optimiser: `weight_decay` acts on matrices only: not on biases, gains of norms, initial states or (unless
    `decay_embeddings`) embeddings. `clip_value` clips each gradient entry, then `clip_norm` the norm over all.

    Learning rate: `learning_rate` x min(1, (step + 1) / warmup) x the schedule, where p in [0, 1] is the part of the
    run that is done (by `epochs`, `max_steps` or `max_minutes`, whichever is further) and e counts epochs:

        constant 1     linear 1 - (1 - final) p     cosine final + (1 - final) (1 + cos(pi p)) / 2
        exponential decay^max(0, e - hold)          step decay^floor(max(0, floor(e) - hold) / decay_every)
        plateau max(final, decay^k)

    with final = `final_factor`, hold = `hold_epochs`. k counts the plateaus so far: one each time that the score has
    not improved in `decay_patience` evaluations in a row, which are then counted anew (1: every evaluation without
    improvement is one).

    Early stopping: the score (lower is better) is taken every `evaluate_every_steps` steps (None: at the end of each
    epoch); after `patience` evaluations without improvement the run ends. The best weights are restored either way.

    Averaged weights: "ema" averages exponentially, average <- d average + (1 - d) weights after each step, with
    d = min(`average_decay`, (1 + n) / (10 + n)) at step n. "asgd" takes the mean of the weights since averaging began:
    at the first evaluation whose score is worse than the best of those more than `average_after` evaluations before it
    (NT-ASGD: Merity et al. 2017, arXiv:1708.02182, algorithm 1; `patience` is counted anew from there), or with the
    first step if `average_after` is None.
    Once there is an average, scores are taken with it, the best weights are those of the average, and without a score
    the run ends with it. Training itself goes on from the weights that are not averaged.
    """

    epochs: int | None = Field(default=10, ge=1, description="Passes over the data at most.")
    max_steps: int | None = Field(default=None, ge=1, description="Steps of the optimiser at most.")
    max_minutes: float | None = Field(default=None, gt=0, description="Minutes at most.")

    micro_batches: int = Field(default=1, ge=1, description="Parts in which a batch is worked on, to save memory.")
    bptt: int | None = Field(default=None, ge=1, description="Steps after which a sequence is cut (truncated BPTT).")

    optimizer: Literal["adamw", "adam", "sgd"] = Field(default="adamw", description="The optimiser.")
    learning_rate: float = Field(default=1e-3, gt=0, allow_inf_nan=False, description="Learning rate.")
    weight_decay: float = Field(default=0.01, ge=0, allow_inf_nan=False, description="Weight decay of matrices.")
    decay_embeddings: bool = Field(default=False, description="Let weight decay act on embeddings too.")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Momentum of sgd.")
    betas: tuple[float, float] = Field(default=(0.9, 0.999), description="The two decay rates of adam and adamw.")
    clip_norm: float | None = Field(default=1.0, gt=0, description="Largest norm of the gradient.")
    clip_value: float | None = Field(default=None, gt=0, description="Largest entry of the gradient.")

    schedule: Literal["constant", "linear", "cosine", "exponential", "step", "plateau"] = Field(
        default="constant", description="How the learning rate falls."
    )
    warmup: int = Field(default=0, ge=0, description="Steps in which the learning rate rises.")
    final_factor: float = Field(
        default=0.0, ge=0, le=1, description="Part of the learning rate that is left in the end."
    )
    decay: float = Field(default=0.8, gt=0, le=1, description="Factor of the schedules exponential, step and plateau.")
    decay_every: int = Field(default=1, ge=1, description="Epochs between two steps of the schedule step.")
    decay_patience: int = Field(default=1, ge=1, description="Scores without improvement that make a plateau.")
    hold_epochs: int = Field(default=0, ge=0, description="Epochs before exponential and step begin.")

    evaluate_every_steps: int | None = Field(
        default=None, ge=1, description="Steps between two scores; left out: an epoch."
    )
    patience: int | None = Field(
        default=None, ge=1, description="Scores without improvement after which training ends."
    )

    average: Literal["none", "ema", "asgd"] = Field(default="none", description="Average the weights.")
    average_decay: float = Field(default=0.999, gt=0, lt=1, description="How slowly the average of ema follows.")
    average_after: int | None = Field(default=5, ge=1, description="Scores without improvement before asgd begins.")

    precision: Literal["full", "bf16", "fp16"] = Field(default="full", description="Arithmetic.")
    device: Literal["auto", "cpu"] = Field(default="auto", description="Where to train.")

    checkpoint_every_steps: int | None = Field(default=None, ge=1, description="Steps between two checkpoints.")
    checkpoint_every_minutes: float | None = Field(default=5.0, ge=0, description="Minutes between two checkpoints.")
    log_every: int = Field(default=1, ge=1, description="Steps between two lines of metrics.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.epochs is None and self.max_steps is None and self.max_minutes is None:
            raise ValueError("got no end of the run; give epochs, max_steps or max_minutes")
        waits = self.average_after if self.average == "asgd" else None
        if waits is not None and self.patience is not None and self.patience <= waits:
            raise ValueError(
                f"got patience={self.patience} and average_after={waits}, so the run would end before averaging begins;"
                f" give patience={waits + 1} or more"
            )
        return self

    def watches_score(self) -> str | None:
        """The first option, in words, that means nothing without a score; None if there is none."""
        if self.patience is not None:
            return f"patience={self.patience}"
        if self.schedule == "plateau":
            return "schedule='plateau'"
        return "average='asgd'" if self.average == "asgd" and self.average_after is not None else None


class BatchedOptions(RunOptions):
    """How a run over rows goes: that of `RunOptions`, and what a batch is.

    A batch has `batch_size` rows, or as many rows of similar length as make rows x longest <= `token_budget`. Both
    count the *global* batch: with N processes each takes 1/N of its rows.
    """

    batch_size: int | None = Field(default=None, ge=1, description="Examples in a batch.")
    token_budget: int | None = Field(default=None, ge=1, description="Steps in a batch, padding included.")

    @model_validator(mode="after")
    def _one_batch(self) -> Self:
        if self.batch_size is not None and self.token_budget is not None:
            raise ValueError(f"got batch_size={self.batch_size} and token_budget={self.token_budget}; give one of them")
        return self


class TrainOptions(BatchedOptions):
    """Everything that decides how a model is trained: `BatchedOptions`, and the seed of batches and dropout.

    A batch has 32 rows where neither batch_size nor token_budget is given.
    """

    seed: int = Field(default=0, ge=0, lt=2**32, description="The same seed gives the same model.")

    @model_validator(mode="before")
    @classmethod
    def _default_batch(cls, values: object) -> object:
        if isinstance(values, dict) and values.get("batch_size") is None and values.get("token_budget") is None:
            return {**values, "batch_size": 32}
        return values

    @classmethod
    def from_json(cls, values: dict[str, object] | str) -> TrainOptions:
        """The options that `to_json` gave, as a dictionary or as JSON text."""
        return cls(**(json.loads(values) if isinstance(values, str) else values))

    def differs_from(self, earlier: dict[str, object]) -> str | None:
        """The first option that decides the result and has another value in `earlier`, in words; None if all agree.

        An option that `earlier` does not name is newer than it and had its default there.
        """
        for name, value in self.to_json().items():
            before = earlier.get(name, type(self).model_fields[name].default)
            if name not in FREE_TO_CHANGE and before != value:
                return f"{name}={value!r}, the checkpoint was written with {name}={before!r}"
        return None
