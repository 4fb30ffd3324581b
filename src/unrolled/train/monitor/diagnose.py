"""Why a loss or a gradient stopped being finite: the likely cause in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median

import torch
from torch import Tensor, nn

from unrolled.data.batch.batching import Rows
from unrolled.errors import TrainingError
from unrolled.train.options import TrainOptions

__all__ = ["describe", "diverged"]

SHOWN_ROWS = 12
# A norm this many times the median of the steps before it means that gradients grow by themselves.
GROWTH = 30.0


def diverged(
    what: str,
    *,
    step: int,
    epoch: int,
    batch: int,
    rows: Rows,
    pieces: Iterable[object | None],
    module: nn.Module,
    options: TrainOptions,
    rate: float,
    norms: Sequence[float],
    checkpoint: str | None,
) -> TrainingError:
    """The error for a step that was refused: where it happened, its likely cause, and what is still good."""
    kept = f"the last good checkpoint is {checkpoint}" if checkpoint else "no checkpoint was asked for (run=)"
    cause = _in_batch(pieces) or _in_weights(module) or _in_course(options, rate, norms)
    return TrainingError(
        f"fit: {what} at step {step} (epoch {epoch}, batch {batch}, rows {_shown(rows)}); likely cause: {cause}; "
        f"the step was not applied, {kept}."
    )


def _in_batch(pieces: Iterable[object | None]) -> str | None:
    for piece in pieces:
        for name, leaf in _named_leaves(piece, "batch"):
            if leaf.is_floating_point() and not bool(torch.isfinite(leaf).all()):
                bad = (~torch.isfinite(leaf)).nonzero()
                return (
                    f"{name} of this batch holds {len(bad)} values that are not finite, the first at "
                    f"{tuple(bad[0].tolist())}; clean or mask the data"
                )
    return None


def _in_weights(module: nn.Module) -> str | None:
    for name, parameter in module.named_parameters():
        if not bool(torch.isfinite(parameter.detach()).all()):
            return f"the weights {name} are not finite; start from finite weights"
    return None


def _in_course(options: TrainOptions, rate: float, norms: Sequence[float]) -> str:
    recent = ", ".join(f"{norm:.3g}" for norm in norms[-5:])
    if norms and not norms[-1] < GROWTH * median(norms):
        advice = "lower learning_rate" if options.clip_norm else "set clip_norm or lower learning_rate"
        return f"exploding gradients, their norm was {recent} in the steps before; {advice} (now {rate:.3g})"
    history = f", the gradient norm was {recent} in the steps before" if norms else ""
    cause = f"the learning rate {rate:.3g} is too high, or the loss is undefined for this batch{history}"
    return f"{cause}; try learning_rate={rate / 10:.3g}"


def _named_leaves(value: object, name: str) -> list[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        return [(name, value)]
    if not isinstance(value, tuple):
        return []
    fields: Iterable[object] = getattr(value, "_fields", range(len(value)))
    return [leaf for field, part in zip(fields, value, strict=True) for leaf in _named_leaves(part, f"{name}.{field}")]


def _shown(rows: Rows) -> str:
    listed = ", ".join(str(row) for row in rows[:SHOWN_ROWS].tolist())
    return f"{listed}, ... {len(rows)} in all" if len(rows) > SHOWN_ROWS else listed


def describe(loss: float, norm: float) -> str | None:
    """What is not finite, in words; None if both are finite."""
    if not math.isfinite(loss):
        return f"the loss became {loss}"
    return None if math.isfinite(norm) else f"the gradient norm became {norm} (the loss was {loss:.6g})"
