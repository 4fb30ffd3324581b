"""What the laws say, once: for layers, alignments and fitted models; each brings how it runs and what spoils it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from unrolled.state import leaves

__all__ = ["Comparison", "Outcome", "WithLoss", "difference", "gradients", "loss_and_gradients", "padding_law", "worst"]

B = TypeVar("B")
B_contra = TypeVar("B_contra", contravariant=True)

Outcome = Mapping[str, Tensor]
"""What a run gives, by name: values and gradients."""


class Comparison(NamedTuple):
    """Two outcomes that a law wants to be the same; where: what was done to get the first."""

    where: str
    got: Outcome
    expected: Outcome


def padding_law(run: Callable[[B], Outcome], clean: B, spoilt: Iterable[tuple[str, B]]) -> Iterator[Comparison]:
    """What stands where nothing is valid, NaN and infinity included, reaches no value and no gradient.

    run: what a batch gives. spoilt: the batch with something else in its padding, and in words what that is.
    """
    expected = run(clean)
    for where, batch in spoilt:
        yield Comparison(where, run(batch), expected)


class WithLoss(Protocol[B_contra]):
    """A module with a loss over batches, as the training loop takes it."""

    def loss(self, batch: B_contra, state: None) -> tuple[Tensor, Tensor | int | float, object]: ...

    def named_parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]: ...


def loss_and_gradients(module: WithLoss[B], batch: B) -> dict[str, Tensor]:
    """The total and the count of a batch, and the gradient of every parameter, by name."""
    total, count, _ = module.loss(batch, None)
    found = {"loss": total.detach(), "count": torch.as_tensor(count)}
    return found | gradients(total, dict(module.named_parameters()))


def gradients(total: Tensor, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The gradient of a total by each tensor that wants one, by name; zeros where it does not depend on it."""
    wanted = {name: tensor for name, tensor in tensors.items() if tensor.requires_grad}
    slopes: Iterable[Tensor] = map(torch.zeros_like, wanted.values())
    if wanted and total.requires_grad:
        slopes = torch.autograd.grad(total, list(wanted.values()), allow_unused=True, materialize_grads=True)
    return {f"gradient of {name}": slope for name, slope in zip(wanted, slopes, strict=True)}


def difference(left: object, right: object) -> float:
    """The largest difference over two trees of tensors, relative to the largest value (at least 1); NaN is infinite."""
    largest = 0.0
    for a, b in zip(leaves(left), leaves(right), strict=True):
        if a.shape != b.shape:
            return float("inf")
        if a.numel() == 0 or torch.equal(a, b):
            continue
        size = max(1.0, float(b.abs().max()))
        gap = float((a - b).abs().max()) / size
        largest = max(largest, gap if gap == gap else float("inf"))
    return largest


def worst(comparisons: Iterable[Comparison]) -> float:
    """How far a law is from holding: the largest `difference` of all that it compares; other names are infinite."""
    return max(
        (
            difference(tuple(got.values()), tuple(expected[name] for name in got))
            if got.keys() == expected.keys()
            else float("inf")
            for _, got, expected in comparisons
        ),
        default=0.0,
    )
