"""The laws of the house, tried on a model as it stands: its own weights, its own data."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from unrolled.errors import UnrolledError
from unrolled.nn import Recurrent
from unrolled.padding import valid_mask
from unrolled.testing.book import difference, padding_law, worst
from unrolled.testing.proof import values

__all__ = ["BrokenLaw", "CheckReport", "Law", "recurrent_laws", "run_laws"]

S = TypeVar("S")

ROWS, STEPS = 3, 7
# In float64 the laws hold up to rounding; trained weights of ordinary size stay far below this.
TOLERANCE = 1e-9


class BrokenLaw(UnrolledError, RuntimeError):
    """A law of the house does not hold for this model."""


class Law(NamedTuple):
    """A law to try. error: how far it is from holding, by a relative measure; tolerance: how far it may be."""

    name: str
    claim: str
    error: Callable[[], float]
    tolerance: float = TOLERANCE


class Verdict(NamedTuple):
    """One law and how it went."""

    name: str
    claim: str
    error: float
    tolerance: float

    @property
    def holds(self) -> bool:
        return self.error <= self.tolerance


@dataclass(frozen=True)
class CheckReport:
    """What `check` found: a line for each law."""

    verdicts: tuple[Verdict, ...]

    def __str__(self) -> str:
        width = max((len(v.name) for v in self.verdicts), default=0)
        return "\n".join(
            f"{'holds ' if v.holds else 'BROKEN'}  {v.name:<{width}}  {v.claim} (off by {v.error:.1e})"
            for v in self.verdicts
        )

    def to_json(self) -> list[dict[str, Any]]:
        """The verdicts as plain JSON."""
        return [{**v._asdict(), "holds": v.holds} for v in self.verdicts]


def run_laws(laws: Sequence[Law]) -> CheckReport:
    """Try all laws; raises `BrokenLaw` naming those that do not hold."""
    report = CheckReport(tuple(Verdict(law.name, law.claim, law.error(), law.tolerance) for law in laws))
    broken = [v for v in report.verdicts if not v.holds]
    if broken:
        what = "; ".join(
            f"{v.name}: {v.claim}, but it is off by {v.error:.3g} (allowed {v.tolerance:.1g})" for v in broken
        )
        raise BrokenLaw(f"check: {len(broken)} of {len(report.verdicts)} laws are broken: {what}.")
    return report


def recurrent_laws(net: nn.Module) -> list[Law]:
    """Padding, batch, reset and chunk for every outermost recurrent part of a network, with its weights in float64."""
    laws: list[Law] = []
    for name, layer in _outermost(net):
        exact = copy.deepcopy(layer).cpu().double().eval()
        x = torch.randn(ROWS, STEPS, layer.input_size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        trials = [
            ("padding", "what stands in the padding reaches no output", _padding),
            ("batch", "a row alone equals the row in the batch", _batch),
            ("reset", "a row reset before step t equals a fresh run from t", _reset),
        ]
        if exact.streamable:
            trials.append(("chunk", "single steps with the state carried equal the whole", _chunk))
        laws += [
            Law(f"{law} of {name}", claim, lambda trial=trial, exact=exact, x=x: _quietly(trial, exact, x))  # type: ignore[misc]
            for law, claim, trial in trials
        ]
    return laws


def _outermost(net: nn.Module, name: str = "") -> list[tuple[str, Recurrent[Any]]]:
    if isinstance(net, Recurrent):
        return [(name or type(net).__name__, net)]
    return [found for child, part in net.named_children() for found in _outermost(part, f"{name}.{child}".lstrip("."))]


@torch.no_grad()
def _quietly(trial: Callable[[Recurrent[Any], Tensor], float], layer: Recurrent[Any], x: Tensor) -> float:
    return trial(layer, x)


def _padding(layer: Recurrent[S], x: Tensor) -> float:
    lengths = torch.tensor([STEPS, 4, 0])
    dirty = torch.where(valid_mask(lengths, STEPS)[..., None], x, torch.nan)
    return worst(padding_law(lambda given: values(*layer(given, lengths=lengths)), x, [("NaN", dirty)]))


def _batch(layer: Recurrent[S], x: Tensor) -> float:
    whole, _ = layer(x)
    return max(difference(layer(x[row : row + 1])[0], whole[row : row + 1]) for row in range(ROWS))


def _reset(layer: Recurrent[S], x: Tensor) -> float:
    reset = torch.zeros(ROWS, STEPS, dtype=torch.bool)
    reset[:, 3] = True
    return difference(layer(x, reset=reset)[0][:, 3:], layer(x[:, 3:])[0])


def _chunk(layer: Recurrent[S], x: Tensor) -> float:
    whole, last = layer(x)
    state = layer.initial_state(ROWS, dtype=x.dtype)
    outputs = []
    for t in range(STEPS):
        y, state = layer.step(x[:, t], state)
        outputs.append(y)
    return max(difference(torch.stack(outputs, 1), whole), difference(state, last))
