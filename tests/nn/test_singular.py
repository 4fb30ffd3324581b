"""Cells whose equations have no slope at zero: what stands in the padding must reach no gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from unrolled.nn import Bidirectional, Cell, Recurrent, Residual, Stack, VariationalDropout, Zoneout
from unrolled.state import HState
from unrolled.testing import check_recurrent

SINGULAR: dict[str, Callable[[Tensor], Tensor]] = {
    "norm": lambda x: x / x.norm(dim=-1, keepdim=True),
    "inverse": lambda x: 1 / x,
    "root": lambda x: x.abs().sqrt(),
    "log": lambda x: x.abs().log(),
}


class Operands(NamedTuple):
    """x as the step sees it, and an optional mask."""

    x: Tensor
    mask: Tensor | None = None


class Singular(Cell[HState]):
    """h' = tanh(W f(x) + U h), where f is singular at zero; early: f is a part of `project`."""

    emits_state = True

    def __init__(self, name: str, *, early: bool, size: int = 3) -> None:
        super().__init__(size, size)
        self.function, self.early = SINGULAR[name], early
        self.weight_x, self.weight_h = nn.Parameter(torch.rand(size, size)), nn.Parameter(torch.rand(size, size))

    def zero_state(self, batch_size: int, device: Any, dtype: torch.dtype | None) -> HState:
        return HState(torch.zeros(batch_size, self.output_size, device=device, dtype=dtype))

    def project(self, x: Tensor) -> Operands:
        return Operands(self.function(x) @ self.weight_x.T if self.early else x)

    def mask_recurrent(self, operands: Operands, mask: Tensor) -> Operands:
        return operands._replace(mask=mask)

    def recur(self, operands: Operands, state: HState) -> tuple[Tensor, HState]:
        read = operands.x if self.early else self.function(operands.x) @ self.weight_x.T
        seen = state.h if operands.mask is None else state.h * operands.mask
        h = torch.tanh(read + seen @ self.weight_h.T)
        return h, HState(h)


class Rooted(Singular):
    """y = sqrt(h): singular at the state that it begins with, which a row that has ended before it began keeps."""

    def recur(self, operands: Operands, state: HState) -> tuple[Tensor, HState]:
        _, new = super().recur(operands, state)
        return (new.h * state.h + new.h**2).abs().sqrt(), new


WRAPPERS: dict[str, Callable[[Callable[[], Cell[Any]]], Recurrent[Any]]] = {
    "alone": lambda make: make(),
    "both ways": lambda make: Bidirectional(make(), make()),
    "stack": lambda make: Stack([make(), make()]),
    "zoneout": lambda make: Zoneout(make(), 0.2),
    "residual": lambda make: Residual(make(), norm=True),
    "dropout": lambda make: VariationalDropout(make(), input=0.1, recurrent=0.1),
}


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("function", SINGULAR)
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_gradients_are_those_of_each_row_alone(wrapper: str, function: str, early: bool) -> None:
    torch.manual_seed(0)
    layer = WRAPPERS[wrapper](lambda: Singular(function, early=early)).double().eval()
    lengths = [4, 6, 1, 0]
    x = torch.rand(4, 7, 3, dtype=torch.float64) + 0.5
    reset = torch.zeros(4, 7, dtype=torch.bool)
    reset[0, 2] = reset[1, 4] = True
    y, _ = layer(x.requires_grad_(), lengths=lengths, reset=reset)
    weights = [x, *layer.parameters()]
    found = torch.autograd.grad(y.square().sum(), weights)
    total = torch.zeros((), dtype=torch.float64)
    for row, count in enumerate(lengths):
        if count:
            part = slice(row, row + 1)
            total = total + layer(x[part, :count], reset=reset[part, :count])[0].square().sum()
    torch.testing.assert_close(found, torch.autograd.grad(total, weights))


@pytest.mark.parametrize("early", [False, True])
def test_it_trains_under_its_wrappers(early: bool) -> None:
    for wrapper in WRAPPERS.values():
        layer = wrapper(lambda: Singular("norm", early=early))
        layer(torch.rand(3, 5, 3) + 0.5, lengths=[5, 2, 0])[0].sum().backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in layer.parameters())


def test_a_row_without_steps_hands_its_state_to_no_equation() -> None:
    layer = Rooted("norm", early=False)
    state = HState(torch.tensor([[0.5] * 3, [0.0] * 3]).requires_grad_())
    y, _ = layer(torch.rand(2, 5, 3) + 0.5, state, lengths=[5, 0])
    y.sum().backward()
    assert state.h.grad is not None
    assert state.h.grad.isfinite().all()


def test_the_laws_hold_for_it() -> None:
    check_recurrent(lambda: Singular("root", early=True))
