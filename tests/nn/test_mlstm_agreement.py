"""The mLSTM of `mlstm_kernels` and `xlstm`, in their native torch, gives what ours gives.

What differs by convention: tensors there are (batch, heads, time, width) and gates have no or one number at the end;
`mlstm_kernels` scales q by width ** -0.5 where we scale k, so its c and n are larger by width ** 0.5; both add 1e-6 to
what a read is divided by, which is set to 0 here; its chunkwise form wants times that its chunk divides, and leaves
chunks before a large gate to differences of running sums. Both start from c = n = m = 0.
"""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from torch import Tensor

from unrolled import ops

mlstm_kernels = pytest.importorskip("mlstm_kernels", reason="mlstm_kernels is not installed")

pytestmark = pytest.mark.filterwarnings("ignore:.*script_method.*:DeprecationWarning")

HEADS, WIDTH = 3, 8
KERNELS = ["auto", "chunkwise", "reference"]


def peer(name: str, function: str) -> Any:
    # Its triton kernels come along where triton is there, and torch warns of what they need.
    return getattr(importlib.import_module(f"mlstm_kernels.torch.{name}"), function)


def drawn(time: int, scale: float = 2.0) -> list[Tensor]:
    """q, k, v (batch, time, heads, width), i and f (batch, time, heads), ready for gradients."""
    generator = torch.Generator().manual_seed(time)
    shapes = [(2, time, HEADS, WIDTH)] * 3 + [(2, time, HEADS)] * 2
    made = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    return [t.requires_grad_() for t in (*made[:3], scale * made[3], scale * made[4] + 2)]


def zero_state() -> list[Tensor]:
    shapes = ((WIDTH, WIDTH), (WIDTH,), ())
    return [torch.zeros(2, HEADS, *shape, dtype=torch.float64) for shape in shapes]


def ours(given: list[Tensor], kernel: str) -> tuple[Tensor, ...]:
    q, k, v, i, f = given
    return ops.find("mlstm")(q, *zero_state(), k, v, i, f, *[None] * 5, 16, kernel=kernel)


def theirs(given: list[Tensor]) -> list[Tensor]:
    """Heads before time."""
    return [t.transpose(1, 2).contiguous() for t in given]


def assert_agrees(got: Tensor, want: Tensor, limit: float = 1e-10) -> None:
    assert float((got - want).detach().abs().max()) <= limit * float(want.detach().abs().max())


def assert_gradients_agree(given: list[Tensor], got: Tensor, want: Tensor, limit: float = 1e-9) -> None:
    weight = torch.randn(got.shape, generator=torch.Generator().manual_seed(1), dtype=got.dtype)
    found, expected = (torch.autograd.grad((y * weight).sum(), given, retain_graph=True) for y in (got, want))
    for one, other in zip(found, expected, strict=True):
        assert_agrees(one, other, limit)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("form", ["native", "native_stablef"])
def test_the_parallel_form_of_mlstm_kernels_agrees(form: str, kernel: str) -> None:
    given = drawn(50)
    name = form.removeprefix("native")
    call = peer(f"parallel.{form}", f"mlstm_parallel__native{name}_autograd")
    want = call(*theirs(given), eps=0.0).transpose(1, 2)
    y = ours(given, kernel)[0]
    assert_agrees(y, want)
    assert_gradients_agree(given, y, want)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_recurrent_form_of_mlstm_kernels_agrees_in_outputs_and_state(kernel: str) -> None:
    given = drawn(33)
    call = peer("recurrent.native_sequence", "mlstm_recurrent_sequence__native_fw")
    want, state = call(*theirs(given), return_last_states=True, eps=0.0, dtype_state=torch.float64)
    y, c, n, m = ours(given, kernel)
    assert_agrees(y, want.transpose(1, 2))
    for got, leaf in zip((c * WIDTH**0.5, n * WIDTH**0.5, m), state, strict=True):
        assert_agrees(got, leaf.reshape(got.shape))


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_chunkwise_form_of_mlstm_kernels_agrees(kernel: str) -> None:
    given = drawn(64)
    call = peer("chunkwise.native", "mlstm_chunkwise__native_autograd")
    want, state = call(*theirs(given), return_last_states=True, eps=0.0, chunk_size=16)
    y, c, n, m = ours(given, kernel)
    # It keeps its states in float32 whatever the input.
    assert_agrees(y, want.transpose(1, 2), 1e-5)
    for got, leaf in zip((c * WIDTH**0.5, n * WIDTH**0.5, m), state, strict=True):
        assert_agrees(got, leaf.reshape(got.shape), 1e-5)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_parallel_form_of_xlstm_agrees(kernel: str) -> None:
    pytest.importorskip("xlstm", reason="xlstm is not installed")
    backends = importlib.import_module("xlstm.blocks.mlstm.backends")
    given = drawn(50)
    q, k, v, i, f = theirs(given)
    want = backends.parallel_stabilized_simple(q, k, v, i[..., None], f[..., None], eps=0.0).transpose(1, 2)
    y = ours(given, kernel)[0]
    assert_agrees(y, want)
    assert_gradients_agree(given, y, want)
