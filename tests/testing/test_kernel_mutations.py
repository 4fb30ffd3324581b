"""The law of kernels is seen to fail: kernels of a copy of op `rnn` with one seeded bug each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from unrolled import ops
from unrolled.errors import OptionError
from unrolled.ops.register import _OPS, Kernel, Op, register
from unrolled.testing import LawBroken, check_kernel
from unrolled.testing.kernels import samples_of

REFERENCE = ops.rnn.kernels[-1]
TENSORS = ("gates", "h0", "weight_h", "mask_h?", "lengths?", "reset?", "start_h?")


def shapes(gates: Tensor, h0: Tensor, *_: object) -> tuple[Tensor, Tensor]:
    return torch.empty_like(gates), torch.empty_like(h0)


def flat_shapes(gates: Tensor, h0: Tensor, *_: object) -> tuple[Tensor, Tensor]:
    return gates.new_empty(gates.shape[1:]), torch.empty_like(h0)


@pytest.fixture
def op_with() -> Iterator[Callable[..., Op]]:
    """Registers an op with a second kernel; it leaves the table of ops when the test ends."""
    made: list[str] = []

    def build(forward: Any = REFERENCE.forward, backward: Any = REFERENCE.backward, fake: Any = shapes) -> Op:
        name = f"law_{len(LIBRARY)}"
        LIBRARY.append(name)
        made.append(name)
        kernel = Kernel("broken", lambda *_: None, forward, backward)
        return register(
            name, tensors=TENSORS, attributes=("str nonlinearity",), outputs=2, shapes=fake, kernels=(kernel, REFERENCE)
        )

    yield build
    for name in made:
        del _OPS[name]


LIBRARY: list[str] = []
"""Names taken: torch registers an operator once in a process."""


def prove(op: Op, **options: Any) -> None:
    check_kernel(op, samples=samples_of("rnn"), **options)


def run(*arguments: Any) -> tuple[Tensor, Tensor]:
    y, h = REFERENCE.forward(*arguments)
    return y, h


def wrong_last_column(gates: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    y, h = run(gates, *rest)
    if y.shape[2] % 8 and y.shape[2] > 8:
        y[..., -1] = 0
    return y, h


def forgets_to_write(gates: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    y, h = run(gates, *rest)
    out = torch.empty_like(y)
    lengths = rest[3]
    for row in range(len(y)):
        stop = y.shape[1] if lengths is None else int(lengths[row])
        out[row, :stop] = y[row, :stop]
    return out, h


def ignores_lengths_at_the_end(gates: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    y, _ = run(gates, *rest)
    return y, run(gates, *rest[:3], None, *rest[4:])[1]


def reads_contiguous(gates: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    flat = torch.as_strided(gates, gates.shape, (gates.shape[1] * gates.shape[2], gates.shape[2], 1))
    return run(flat, *rest)


def computes_in_half(*arguments: Any) -> tuple[Tensor, Tensor]:
    narrow = [a.bfloat16() if isinstance(a, Tensor) and a.dtype.is_floating_point else a for a in arguments]
    y, h = run(*narrow)
    return y.to(arguments[0].dtype), h.to(arguments[0].dtype)


def computes_in_single(*arguments: Any) -> tuple[Tensor, Tensor]:
    single = [a.float() if isinstance(a, Tensor) and a.dtype.is_floating_point else a for a in arguments]
    y, h = run(*single)
    return y.to(arguments[0].dtype), h.to(arguments[0].dtype)


def writes_argument(gates: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    result = run(gates, *rest)
    gates.mul_(2)
    return result


def returns_view(*arguments: Any) -> tuple[Tensor, Tensor]:
    y, h = run(*arguments)
    return y, y[:, -1] if arguments[4] is None else h


def returns_argument(gates: Tensor, h0: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    y, h = run(gates, h0, *rest)
    return y, h0.copy_(h)


FORWARD = [
    (wrong_last_column, "output 0 in torch.float64 differs"),
    (forgets_to_write, "an output is not finite, or not all of it was written"),
    (ignores_lengths_at_the_end, "output 1 in torch.float64 differs"),
    (reads_contiguous, "differs"),
    (computes_in_half, "differs"),
    (computes_in_single, "in torch.float64 differs"),
    (writes_argument, "an argument was changed in place"),
    (returns_view, "an output shares memory"),
    (returns_argument, "an output shares memory"),
]


@pytest.mark.parametrize(("forward", "finding"), FORWARD, ids=lambda value: getattr(value, "__name__", ""))
def test_a_wrong_forward_is_caught(op_with: Callable[..., Op], forward: Any, finding: str) -> None:
    with pytest.raises(LawBroken, match=f"law 'kernel' broken by law_.*, kernel 'broken'.*{finding}"):
        prove(op_with(forward), opcheck=False)


def scaled(position: int) -> Any:
    def backward(given: Any, values: Any, outputs: Any, grads: Any, needs: Any) -> list[Tensor | None]:
        found = list(REFERENCE.backward(given, values, outputs, grads, needs))
        if found[position] is not None:
            found[position] = found[position] * 1.001
        return found

    return backward


@pytest.mark.parametrize("position", [0, 1, 2, 3, 6])
def test_a_gradient_wrong_in_one_input_is_caught(op_with: Callable[..., Op], position: int) -> None:
    name = TENSORS[position].rstrip("?")
    with pytest.raises(LawBroken, match=f"gradient of {name} in torch.float64 differs"):
        prove(op_with(backward=scaled(position)), opcheck=False)


def ignores_final_grad(given: Any, values: Any, outputs: Any, grads: Any, needs: Any) -> Any:
    return REFERENCE.backward(given, values, outputs, [grads[0], torch.zeros_like(grads[1])], needs)


def needs_a_friend(given: Any, values: Any, outputs: Any, grads: Any, needs: Any) -> Any:
    found = list(REFERENCE.backward(given, values, outputs, grads, needs))
    if found[2] is not None and not needs[0]:
        found[2] = torch.zeros_like(found[2])
    return found


def gives_unasked(given: Any, values: Any, outputs: Any, grads: Any, needs: Any) -> Any:
    found = list(REFERENCE.backward(given, values, outputs, grads, needs))
    found[4] = torch.zeros(1)
    return found


def hands_grad_on(given: Any, values: Any, outputs: Any, grads: Any, needs: Any) -> Any:
    found = list(REFERENCE.backward(given, values, outputs, grads, needs))
    if found[1] is not None:
        found[1] = grads[1].copy_(found[1])
    return found


def eats_grad(given: Any, values: Any, outputs: Any, grads: Any, needs: Any) -> Any:
    found = REFERENCE.backward(given, values, outputs, grads, needs)
    grads[0].zero_()
    return found


BACKWARD = [
    (ignores_final_grad, "gradient of .* differs"),
    (needs_a_friend, "the gradient of weight_h alone differs"),
    (gives_unasked, "the gradient of lengths came unasked"),
    (hands_grad_on, "a gradient shares memory"),
    (eats_grad, "changed an output or an incoming gradient in place"),
]


@pytest.mark.parametrize(("backward", "finding"), BACKWARD, ids=lambda value: getattr(value, "__name__", ""))
def test_a_wrong_backward_is_caught(op_with: Callable[..., Op], backward: Any, finding: str) -> None:
    with pytest.raises(LawBroken, match=f"law 'kernel' broken by .*{finding}"):
        prove(op_with(backward=backward), opcheck=False)


def test_wrong_shapes_for_tracing_are_caught(op_with: Callable[..., Op]) -> None:
    with pytest.raises(LawBroken, match="opcheck test_"):
        prove(op_with(fake=flat_shapes), dtypes=(torch.float32,))


def test_a_sound_second_kernel_passes(op_with: Callable[..., Op]) -> None:
    op = op_with()
    count = len(samples_of("rnn"))
    few = samples_of("rnn")[:6]
    assert check_kernel(op, samples=few, dtypes=(torch.float32,)) == {"broken": 6, "reference": 6}
    assert count > 20


def test_a_kernel_that_refuses_is_counted_as_unproved() -> None:
    assert check_kernel("rnn", samples=[], opcheck=False) == {"reference": 0}


def test_an_op_of_somebody_else_needs_samples() -> None:
    with pytest.raises(OptionError, match="an Op needs samples="):
        check_kernel(ops.rnn)
