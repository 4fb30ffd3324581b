"""The sLSTM cell against the one of the package `xlstm`, with the conventions of both mapped onto each other."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from unrolled.nn import SLSTM, SLSTMState

theirs = pytest.importorskip("xlstm.blocks.slstm.cell", reason="the package xlstm is not installed")


class Pair:
    """Our cell and theirs with the same weights, in float64, values and gradients.

    Gates stand in the same order i, f, z, o in the input, the weights and the bias. Their recurrent kernel (heads,
    4 width, width) is ours; their bias is added inside the cell, ours with the input; their state is h, c, n, m in one
    tensor (4, batch, hidden), their time comes first.
    """

    def __init__(self, hidden: int, heads: int) -> None:
        torch.manual_seed(0)
        self.ours = SLSTM(3, hidden, heads=heads).double()
        config = theirs.sLSTMCellConfig(hidden_size=hidden, num_heads=heads, backend="vanilla", dtype="float32")
        self.cell = theirs.sLSTMCell_vanilla(config).double()
        with torch.no_grad():
            for parameter in self.ours.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.3)
            self.cell._recurrent_kernel_.copy_(self.ours.weight_h)
            assert self.ours.bias is not None
            self.cell._bias_.copy_(self.ours.bias)

    def theirs(self, x: Tensor, state: SLSTMState) -> tuple[Tensor, SLSTMState]:
        """Their cell on our input, from our state."""
        gates = (x @ self.ours.weight_x.T).transpose(0, 1)
        every: Any = self.cell._impl(True, gates, torch.stack(tuple(state)))
        return every[0, 1:].transpose(0, 1), SLSTMState(*every[:, -1])

    def gradients(self, x: Tensor, state: SLSTMState, whose: str) -> list[Tensor]:
        """Values, and the gradients of x and of all weights."""
        leaf = x.clone().requires_grad_()
        y, final = self.ours(leaf, state) if whose == "ours" else self.theirs(leaf, state)
        results = [y, *final]
        torch.manual_seed(1)
        grads = [torch.randn(result.shape, dtype=result.dtype) for result in results]
        cell, inner = self.ours, self.cell
        own = [cell.weight_h, cell.bias] if whose == "ours" else [inner._recurrent_kernel_, inner._bias_]
        found = torch.autograd.grad(results, [leaf, cell.weight_x, *own], grads)
        return [*(result.detach() for result in results), *found]


def assert_alike(one: list[Tensor], other: list[Tensor]) -> None:
    for got, want in zip(one, other, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10 * float(want.detach().abs().max()))


@pytest.mark.parametrize(("hidden", "heads"), [(8, 1), (12, 3), (64, 4)])
@pytest.mark.parametrize("size", [1.0, 20.0])
def test_it_agrees_with_the_package_from_a_fresh_state(hidden: int, heads: int, size: float) -> None:
    pair = Pair(hidden, heads)
    x = size * torch.randn(5, 30, 3, dtype=torch.float64)
    state = pair.ours.initial_state(5, dtype=torch.float64)
    assert_alike(pair.gradients(x, state, "ours"), pair.gradients(x, state, "theirs"))


def test_it_agrees_with_the_package_from_a_carried_state() -> None:
    pair = Pair(12, 3)
    x = torch.randn(5, 30, 3, dtype=torch.float64)
    with torch.no_grad():
        _, state = pair.ours(x)
    assert_alike(pair.gradients(x.flip(1), state, "ours"), pair.gradients(x.flip(1), state, "theirs"))


def test_the_package_decides_for_the_whole_batch_whether_it_is_fresh() -> None:
    pair = Pair(8, 2)
    x = torch.randn(2, 4, 3, dtype=torch.float64)
    with torch.no_grad():
        # Low input gates leave a low m; a fresh row then has its own, and not the greater one of a state it never had.
        pair.ours.bias[:8] -= 20
        pair.cell._bias_.copy_(pair.ours.bias)
        _, seen = pair.ours(x[:1])
        fresh = pair.ours.initial_state(1, dtype=torch.float64)
        mixed = SLSTMState(*(torch.cat(leaves) for leaves in zip(seen, fresh, strict=True)))
        y, final = pair.ours(x, mixed)
        alone, lonely = pair.ours(x[1:])
        other, theirs_final = pair.theirs(x, mixed)
    torch.testing.assert_close(y[1:], alone)
    torch.testing.assert_close(final.n[1:], lonely.n)
    # Its stabiliser of 0 leaves their fresh row a normaliser too small for the scale it stands in.
    assert not torch.allclose(theirs_final.n[1:], lonely.n)
    torch.testing.assert_close(other[:1], y[:1])
