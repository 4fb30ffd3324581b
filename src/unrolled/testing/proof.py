"""What every law stands on: the error that names a broken law, seeded trials, and comparison with derived tolerance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unrolled.nn.recurrent import Recurrent
from unrolled.state import leaves, map_state
from unrolled.testing.book import Comparison, gradients

__all__ = ["LENGTHS", "LawBroken", "Make", "Proof", "Trial", "outcome", "values"]

Make = Callable[[], Recurrent[Any]]

LENGTHS = (7, 4, 1, 0, 7)
"""Valid steps of the rows of a trial: full, ragged, a single step, none."""

ROUNDING = 2**14
"""Two orders of the same float64 sums may differ by this many units in the last place of the largest value.

A trial sums at most a few hundred products a step and carries them over seven steps, which loses some 2**10 units; the
rest leaves room for a recurrence that amplifies. A wrong term is larger by many orders of magnitude.
"""


class LawBroken(AssertionError):
    """A law does not hold. `law` is its name."""

    def __init__(self, law: str, owner: str, finding: str) -> None:
        super().__init__(f"law {law!r} broken by {owner}: {finding}")
        self.law = law


class Trial(NamedTuple):
    """One call: x (batch, time, input_size), the state carried in or None, lengths and reset or None."""

    x: Tensor
    state: Any
    lengths: Tensor | None
    reset: Tensor | None


class Proof:
    """A context in which one law is proved, with a fresh layer in float64 and evaluation mode.

    Every parameter is moved by random numbers, so that what starts at zero (biases, peepholes) counts. When the context
    ends, the global random state is what it was.
    """

    def __init__(self, law: str, make: Make, *, dtype: torch.dtype = torch.float64, seed: int = 0) -> None:
        self.law = law
        self.make = make
        self.dtype = dtype
        self.seed = seed
        self._fork = torch.random.fork_rng(devices=[])

    def __enter__(self) -> Proof:
        self._fork.__enter__()
        torch.manual_seed(self.seed)
        self.layer = self.fresh()
        self.owner = type(self.layer).__name__
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._fork.__exit__(kind, error, trace)
        if error is not None and not isinstance(error, LawBroken):
            error.add_note(f"while proving law {self.law!r}")

    def fresh(self) -> Recurrent[Any]:
        """Another layer from `make`, with other parameter values."""
        layer = self.make()
        if not isinstance(layer, Recurrent):
            raise TypeError(f"make must return a Recurrent, got {type(layer).__name__}.")
        layer = layer.to(self.dtype).eval()
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.3)
        return layer

    def trial(
        self, lengths: Sequence[int] | None = LENGTHS, *, batch: int = 5, time: int = 7, carried: bool = True
    ) -> Trial:
        """A random call without resets; carried=True starts from a state that the layer itself can reach."""
        batch = batch if lengths is None else len(lengths)
        x = torch.randn(batch, time, self.layer.input_size, dtype=self.dtype, requires_grad=True)
        counts = None if lengths is None else torch.tensor(lengths)
        return Trial(x, self.reached(batch) if carried else None, counts, None)

    def reached(self, batch: int) -> Any:
        """The state after three random steps, its floating leaves ready for gradients."""
        with torch.no_grad():
            _, state = self.layer(torch.randn(batch, 3, self.layer.input_size, dtype=self.dtype))
        return map_state(_leaf, state)

    def run(self, trial: Trial) -> tuple[Tensor, Any]:
        """The layer on a trial."""
        y, final = self.layer(trial.x, trial.state, lengths=trial.lengths, reset=trial.reset)
        return y, final

    def require(self, condition: bool, finding: str) -> None:
        """Raise LawBroken with `finding` unless the condition holds."""
        if not condition:
            raise LawBroken(self.law, self.owner, finding)

    def same(self, where: str, actual: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
        """Raise LawBroken at the first tensor that is not finite or differs by more than rounding."""
        self.require(actual.keys() == expected.keys(), f"{where}: got {sorted(actual)}, expected {sorted(expected)}")
        for name, want in expected.items():
            got = actual[name]
            shapes = f"{tuple(got.shape)}, expected {tuple(want.shape)}"
            self.require(got.shape == want.shape, f"{where}: {name} is {shapes}")
            self.require(got.dtype == want.dtype, f"{where}: {name} is {got.dtype}, expected {want.dtype}")
            if not want.dtype.is_floating_point:
                self.require(torch.equal(got, want), f"{where}: {name} differs")
            elif want.numel():
                self._close(where, name, got.detach(), want.detach())

    def all_same(self, comparisons: Iterable[Comparison]) -> None:
        """Raise LawBroken at the first comparison that is not of the same."""
        for where, got, expected in comparisons:
            self.same(where, got, expected)

    def _close(self, where: str, name: str, got: Tensor, want: Tensor) -> None:
        self.require(bool(torch.isfinite(got).all()), f"{where}: {name} is not finite")
        limit = ROUNDING * torch.finfo(want.dtype).eps * max(1.0, float(want.abs().max()))
        error = float((got - want).abs().max())
        self.require(error <= limit, f"{where}: {name} differs by {error:.3g}, rounding explains {limit:.1g}")


def values(y: Tensor, final: object) -> dict[str, Tensor]:
    """The outputs of a call by name."""
    return {"y": y} | {f"final state leaf {i}": leaf for i, leaf in enumerate(leaves(final))}


def outcome(layer: Recurrent[Any], trial: Trial, y: Tensor, final: object) -> dict[str, Tensor]:
    """Outputs of a call and the gradients of a random weighting of them, by name."""
    results = values(y, final)
    inputs = {"x": trial.x} | {f"state leaf {i}": leaf for i, leaf in enumerate(leaves(trial.state))}
    return results | gradients(weighted(results), inputs | dict(layer.named_parameters()))


def weighted(results: Mapping[str, Tensor]) -> Tensor:
    """A scalar that every value of the floating results enters with a weight of its own."""
    total = torch.zeros((), dtype=results["y"].dtype)
    for number, result in enumerate(results.values()):
        if result.dtype.is_floating_point:
            generator = torch.Generator().manual_seed(number)
            weight = torch.randn(result.shape, generator=generator, dtype=torch.float64).to(result.dtype)
            total = total + (result * weight).sum()
    return total


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().clone().requires_grad_(tensor.dtype.is_floating_point)
