"""The law of kernels is seen to fail: kernels of a copy of op `rnn` with one seeded bug each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from unrolled import ops
from unrolled.errors import KernelError, OptionError
from unrolled.ops.core.register import _OPS, Kernel, Op, reference_kernel, register
from unrolled.ops.rnn.op import memory_shape
from unrolled.testing import LawBroken, check_kernel
from unrolled.testing.kernels import samples_of

REFERENCE = ops.find("rnn").kernels[-1]
TENSORS = ("x", "h0", "weight_h", "mask_h?", "zone_h?", "lengths?", "reset?", "start_h?", "weight_x?", "bias?")


def shapes(x: Tensor, h0: Tensor, *_: object) -> tuple[Tensor, Tensor]:
    return x.new_empty((*x.shape[:2], h0.shape[1])), torch.empty_like(h0)


def flat_shapes(x: Tensor, h0: Tensor, *_: object) -> tuple[Tensor, Tensor]:
    return x.new_empty((x.shape[1], h0.shape[1])), torch.empty_like(h0)


@pytest.fixture
def op_with() -> Iterator[Callable[..., Op]]:
    """Registers an op with a second kernel; it leaves the table of ops when the test ends.

    forward: outputs only, its memory left unwritten; remembering: with `save` and the memory.
    """
    made: list[str] = []

    def build(
        forward: Any = None, backward: Any = REFERENCE.backward, fake: Any = shapes, remembering: Any = None
    ) -> Op:
        name = f"law_{len(LIBRARY)}"
        LIBRARY.append(name)
        made.append(name)
        whole = remembering or reference_kernel(forward or run, memory_shape).forward
        return register(
            name,
            tensors=TENSORS,
            attributes=("str nonlinearity", "float rate_h", "bool reverse"),
            outputs=2,
            shapes=fake,
            memory=memory_shape,
            kernels=(Kernel("broken", lambda *_: None, whole, backward), REFERENCE),
        )

    yield build
    for name in made:
        del _OPS[name]


LIBRARY: list[str] = []
"""Names taken: torch registers an operator once in a process."""


def prove(op: Op, **options: Any) -> None:
    check_kernel(op, samples=samples_of("rnn"), **options)


def run(*arguments: Any) -> tuple[Tensor, Tensor]:
    y, h, _ = REFERENCE.forward(*arguments, False)
    return y, h


def wrong_last_column(gates: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    y, h = run(gates, *rest)
    if y.shape[2] % 8 and y.shape[2] > 8:
        y[..., -1] = 0
    return y, h


def forgets_to_write(gates: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    y, h = run(gates, *rest)
    out = torch.empty_like(y)
    lengths = rest[4]
    for row in range(len(y)):
        stop = y.shape[1] if lengths is None else int(lengths[row])
        out[row, :stop] = y[row, :stop]
    return out, h


def ignores_lengths_at_the_end(gates: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    y, _ = run(gates, *rest)
    return y, run(gates, *rest[:4], None, *rest[5:])[1]


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
    return y, y[:, -1] if arguments[5] is None else h


def returns_argument(gates: Tensor, h0: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    y, h = run(gates, h0, *rest)
    return y, h0.copy_(h)


def ignores_the_zone(*arguments: Any) -> tuple[Tensor, Tensor]:
    return run(*arguments[:4], None, *arguments[5:-2], 0.0, arguments[-1])


def ignores_the_rate(*arguments: Any) -> tuple[Tensor, Tensor]:
    return run(*arguments[:-2], 0.0, arguments[-1])


def mixes_where_it_should_choose(*arguments: Any) -> tuple[Tensor, Tensor]:
    return run(*arguments[:4], arguments[4] if arguments[-2] == 0 else None, *arguments[5:])


def walks_forwards_all_the_same(*arguments: Any) -> tuple[Tensor, Tensor]:
    return run(*arguments[:-1], False)


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
    (ignores_the_zone, "differs"),
    (ignores_the_rate, "differs"),
    (mixes_where_it_should_choose, "differs"),
    (walks_forwards_all_the_same, "differs"),
]


@pytest.mark.parametrize(("forward", "finding"), FORWARD, ids=lambda value: getattr(value, "__name__", ""))
def test_a_wrong_forward_is_caught(op_with: Callable[..., Op], forward: Any, finding: str) -> None:
    with pytest.raises(LawBroken, match=f"law 'kernel' broken by law_.*, kernel 'broken'.*{finding}"):
        prove(op_with(forward), opcheck=False)


def remembers_too_little(*arguments: Any) -> tuple[Tensor, ...]:
    y, h, memory = REFERENCE.forward(*arguments)
    return y, h, memory[..., :-1] if arguments[-1] else memory


def remembers_unasked(*arguments: Any) -> tuple[Tensor, ...]:
    return REFERENCE.forward(*arguments[:-1], True)


def remembers_an_output(*arguments: Any) -> tuple[Tensor, ...]:
    y, h, memory = REFERENCE.forward(*arguments)
    return y, h, y if arguments[-1] else memory


def computes_otherwise_without_memory(*arguments: Any) -> tuple[Tensor, ...]:
    y, h, memory = REFERENCE.forward(*arguments)
    return (y, h, memory) if arguments[-1] else (1.001 * y, h, memory)


REMEMBERING = [
    (remembers_too_little, r"memory is .* expected \(4, 5, 6\)"),
    (remembers_unasked, r"memory is \(4, 5, 6\) .* expected \(0,\)"),
    (remembers_an_output, "an output shares memory"),
    (computes_otherwise_without_memory, "the outputs with save=False differ"),
]


@pytest.mark.parametrize(("forward", "finding"), REMEMBERING, ids=lambda value: getattr(value, "__name__", ""))
def test_a_wrong_memory_is_caught(op_with: Callable[..., Op], forward: Any, finding: str) -> None:
    with pytest.raises(LawBroken, match=f"law 'kernel' broken by .*{finding}"):
        prove(op_with(remembering=forward), opcheck=False)


def scaled(position: int) -> Any:
    def backward(given: Any, values: Any, outputs: Any, memory: Any, grads: Any, needs: Any) -> list[Tensor | None]:
        found = list(REFERENCE.backward(given, values, outputs, memory, grads, needs))
        if found[position] is not None:
            found[position] = found[position] * 1.001
        return found

    return backward


@pytest.mark.parametrize("position", [0, 1, 2, 3, 7])
def test_a_gradient_wrong_in_one_input_is_caught(op_with: Callable[..., Op], position: int) -> None:
    name = TENSORS[position].rstrip("?")
    with pytest.raises(LawBroken, match=f"gradient of {name} in torch.float64 differs"):
        prove(op_with(backward=scaled(position)), opcheck=False)


def ignores_final_grad(given: Any, values: Any, outputs: Any, memory: Any, grads: Any, needs: Any) -> Any:
    return REFERENCE.backward(given, values, outputs, memory, [grads[0], torch.zeros_like(grads[1])], needs)


def needs_a_friend(given: Any, values: Any, outputs: Any, memory: Any, grads: Any, needs: Any) -> Any:
    found = list(REFERENCE.backward(given, values, outputs, memory, grads, needs))
    if found[2] is not None and not needs[0]:
        found[2] = torch.zeros_like(found[2])
    return found


def gives_unasked(given: Any, values: Any, outputs: Any, memory: Any, grads: Any, needs: Any) -> Any:
    found = list(REFERENCE.backward(given, values, outputs, memory, grads, needs))
    found[5] = torch.zeros(1)
    return found


def hands_grad_on(given: Any, values: Any, outputs: Any, memory: Any, grads: Any, needs: Any) -> Any:
    found = list(REFERENCE.backward(given, values, outputs, memory, grads, needs))
    if found[1] is not None:
        found[1] = grads[1].copy_(found[1])
    return found


def eats_grad(given: Any, values: Any, outputs: Any, memory: Any, grads: Any, needs: Any) -> Any:
    found = REFERENCE.backward(given, values, outputs, memory, grads, needs)
    grads[0].zero_()
    return found


def forgets_the_zone(given: Any, values: Any, *rest: Any) -> Any:
    return REFERENCE.backward([*given[:4], None, *given[5:]], (values[0], 0.0, values[2]), *rest)


def works_in_its_memory(given: Any, values: Any, outputs: Any, memory: Any, grads: Any, needs: Any) -> Any:
    memory.zero_()
    return REFERENCE.backward(given, values, outputs, memory, grads, needs)


def answers_in_its_memory(given: Any, values: Any, outputs: Any, memory: Any, grads: Any, needs: Any) -> Any:
    found = list(REFERENCE.backward(given, values, outputs, memory, grads, needs))
    if found[0] is not None:
        found[0] = memory.copy_(found[0])
    return found


BACKWARD = [
    (ignores_final_grad, "gradient of .* differs"),
    (needs_a_friend, "the gradient of weight_h alone differs"),
    (gives_unasked, "the gradient of lengths came unasked"),
    (hands_grad_on, "a gradient shares memory"),
    (eats_grad, "changed an output, its memory or an incoming gradient in place"),
    (forgets_the_zone, "gradient of .* differs"),
    (works_in_its_memory, "changed an output, its memory or an incoming gradient in place"),
    (answers_in_its_memory, "a gradient shares memory"),
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


def remembers(*arguments: Any) -> tuple[Tensor, ...]:
    y, h, memory = REFERENCE.forward(*arguments)
    return y, h, y.square() if arguments[-1] else memory


def relies_on_its_memory(given: Any, values: Any, outputs: Any, memory: Any, grads: Any, needs: Any) -> Any:
    assert torch.equal(memory, outputs[0].square())
    return REFERENCE.backward(given, values, outputs, memory, grads, needs)


def test_what_a_kernel_remembers_reaches_its_backward_pass_eager_and_traced(op_with: Callable[..., Op]) -> None:
    op = op_with(remembering=remembers, backward=relies_on_its_memory)
    few = [sample for sample in samples_of("rnn")[:4] if sample.arguments[5] is None]
    assert check_kernel(op, samples=few, dtypes=(torch.float32,))["broken"] == len(few) > 0


def test_an_op_saves_only_what_a_backward_pass_may_need(op_with: Callable[..., Op]) -> None:
    saved: list[bool] = []

    def notes(*arguments: Any) -> tuple[Tensor, ...]:
        saved.append(arguments[-1])
        return REFERENCE.forward(*arguments)

    op, arguments = op_with(remembering=notes), samples_of("rnn")[0].arguments
    wanted = (arguments[0].clone().requires_grad_(), *arguments[1:])
    op(*arguments)
    outputs = op(*wanted)
    with torch.no_grad():
        op(*wanted)
    with torch.inference_mode():
        op(*wanted)
    assert saved == [False, True, False, False]
    assert len(outputs) == 2


def test_without_a_memory_the_backward_pass_replays_or_says_what_it_needs(op_with: Callable[..., Op]) -> None:
    op, arguments = op_with(backward=None), list(samples_of("rnn")[0].arguments)
    arguments[0] = arguments[0].clone().requires_grad_()
    (want,) = torch.autograd.grad(ops.find("rnn")(*arguments, kernel="reference")[0].sum(), arguments[0])
    (got,) = torch.autograd.grad(op.registered(*arguments, False, "auto")[0].sum(), arguments[0])
    torch.testing.assert_close(got, want)
    y, *_ = op.registered(*arguments, False, "broken")
    with pytest.raises(
        KernelError, match=r"kernel 'broken' needs a forward pass with save=True, got save=False; trace"
    ):
        y.sum().backward()


class Zeros(TorchDispatchMode):
    """Notes the shape of every tensor of zeros that is made."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        result = function(*arguments, **(options or {}))
        if "zeros" in str(function):
            self.shapes.append(tuple(result.shape))
        return result


def test_no_gradient_of_the_memory_is_made(op_with: Callable[..., Op]) -> None:
    arguments = list(samples_of("lstm")[0].arguments)
    arguments[0] = arguments[0].clone().requires_grad_()
    y, h, c, memory = ops.find("lstm").registered(*arguments, True, "reference")
    assert not memory.requires_grad
    with Zeros() as made:
        h.sum().backward()
    assert set(made.shapes) >= {tuple(y.shape), tuple(c.shape)}
    assert tuple(memory.shape) not in made.shapes


def test_a_kernel_that_refuses_is_counted_as_unproved() -> None:
    assert check_kernel("rnn", samples=[], opcheck=False) == dict.fromkeys(ops.kernels()["rnn"], 0)


def test_an_op_of_somebody_else_needs_samples() -> None:
    with pytest.raises(OptionError, match="an Op needs samples="):
        check_kernel(ops.find("rnn"))
