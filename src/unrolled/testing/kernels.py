"""The law of kernels: each agrees with the float64 reference, within what the reference loses in the same dtype."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, library

from unrolled import ops
from unrolled.errors import OptionError
from unrolled.ops.core.register import Kernel, Op
from unrolled.ops.core.samples import Sample
from unrolled.testing.proof import LawBroken

__all__ = ["check_kernel", "samples_of"]

MULTIPLE = 4
"""A kernel may lose this many times what the reference loses: its order of sums, exp and tanh are its own."""

FLOOR = 32
"""Units in the last place of a tensor's largest value that are always granted: the reference may be lucky."""

JITTERS = 3
"""So often the arguments are moved in their last place, to see what the reference loses: once may be luck."""

SMALLEST = 1e-2
"""The least that a largest value counts for: what cancels to almost nothing still carries the rounding of its terms."""

DTYPES = (torch.float64, torch.float32)

OPCHECKS = ("test_schema", "test_autograd_registration", "test_faketensor")
"""Not torch's test of traced graphs: it compares the memory too, which need not be filled. See `_check_traced`."""

Require = Callable[[bool, str], None]
"""Raises LawBroken with the words unless the condition holds."""

Call = Callable[..., Sequence[Tensor]]
"""tensors and attributes -> outputs"""


class Result(NamedTuple):
    """Outputs, and gradients by argument name, of one call."""

    outputs: tuple[Tensor, ...]
    gradients: dict[str, Tensor]

    def named(self) -> dict[str, Tensor]:
        """All tensors by name."""
        outputs = {f"output {i}": output for i, output in enumerate(self.outputs)}
        return outputs | {f"gradient of {name}": gradient for name, gradient in self.gradients.items()}


class Bound(NamedTuple):
    """The truth in float64, and the error, in units in the last place of 1, that a sound kernel may make."""

    truth: dict[str, Tensor]
    units: dict[str, float]


def samples_of(op: str) -> list[Sample]:
    """The samples that an op of this library brings, from its samples.py."""
    return list(importlib.import_module(f"unrolled.ops.{op}.samples").samples())


def check_kernel(
    op: str | Op,
    *,
    samples: Iterable[Sample] | None = None,
    dtypes: Sequence[torch.dtype] = DTYPES,
    device: torch.device | str = "cpu",
    opcheck: bool = True,
) -> Mapping[str, int]:
    """Prove every kernel of an op, in outputs and all gradients, on contiguous and strided tensors.

    op: the name of an op of this library, or an `Op`, which then needs `samples`. The error of a kernel in a dtype may
    be 4 times that of the reference in that dtype (at least what float64 loses, scaled, when the arguments move in the
    last place), plus 32 units in the last place. A kernel must also
    leave its arguments as they are, return fresh tensors, fill its outputs, give the same outputs whether it saves for
    a backward pass or not, leave what it saved as it is, give each gradient the same whichever others are wanted, pass
    torch's opcheck, and agree in a graph (opcheck=False leaves out the last two).

    Returns how many calls each kernel ran: 0 means that it refused every sample, and that nothing is proved.
    Raises LawBroken.
    """
    if isinstance(op, Op) and samples is None:
        raise OptionError(f"check_kernel: an Op needs samples=, got none for {op.name!r}.")
    table: Op = op if isinstance(op, Op) else ops.find(op)
    ran = {kernel.name: 0 for kernel in table.kernels}
    with torch.random.fork_rng(devices=[]), _poisoned():
        for number, sample in enumerate(samples_of(table.name) if samples is None else samples):
            ideal = _truth(table, sample.arguments, device)
            for dtype in dtypes:
                arguments = _cast(sample.arguments, dtype, device)
                bound = _bound(table, sample.arguments, ideal, dtype, device)
                for kernel in table.kernels:
                    if kernel.refuses(*arguments) is None:
                        _prove(table, kernel, arguments, bound, sample.label)
                        ran[kernel.name] += 1
                        if opcheck and number < 2 and dtype == dtypes[-1]:
                            _opcheck(table, kernel, arguments, sample.label)
                            _check_traced(table, kernel, arguments, bound, sample.label)
    return ran


def _prove(op: Op, kernel: Kernel, arguments: Sequence[Any], bound: Bound, label: str) -> None:
    require = _requirement(op, kernel, label)
    # First, while nothing can have been changed yet.
    _check_ownership(op, kernel, arguments, require)
    for layout in ("contiguous", "strided"):
        _check_close(_run(op, _registered(op, kernel), arguments, layout), bound, arguments[0].dtype, layout, require)


def _requirement(op: Op, kernel: Kernel, label: str) -> Callable[[bool, str], None]:
    def require(condition: bool, finding: str) -> None:
        if not condition:
            raise LawBroken("kernel", f"{op.name}, kernel {kernel.name!r}, {label}", finding)

    return require


def _check_close(result: Result, bound: Bound, dtype: torch.dtype, way: str, require: Require) -> None:
    for name, got in result.named().items():
        want = bound.truth[name]
        require(got.shape == want.shape, f"{way}: {name} is {tuple(got.shape)}, expected {tuple(want.shape)}")
        require(got.dtype == dtype, f"{way}: {name} is {got.dtype}, expected {dtype}")
        require(bool(torch.isfinite(got).all()), f"{way}: {name} is not finite, or not all of it was written")
        error = float((got.double() - want).abs().max())
        limit = bound.units[name] * torch.finfo(dtype).eps
        require(error <= limit, f"{way}: {name} in {dtype} differs by {error:.3g}, allowed is {limit:.2g}")


def _check_ownership(op: Op, kernel: Kernel, arguments: Sequence[Any], require: Require) -> None:
    """Arguments untouched, outputs and gradients fresh, and each gradient by itself equal to all at once."""
    count = len(op.tensors)
    given, values = list(arguments[:count]), list(arguments[count:])
    before = _copies(given)
    outputs, memory = _forward_both_ways(op, kernel, arguments, require)
    grads = [torch.randn_like(output) for output in outputs]
    kept = _copies((*outputs, memory, *grads))
    needs = [t is not None and t.dtype.is_floating_point for t in given]
    found = kernel.backward(given, values, outputs, memory, grads, needs)
    others = [*given, *outputs, memory, *grads]
    require(_fresh([g for g in found if g is not None], others), "a gradient shares memory")
    require(_unchanged(before, given), "an argument was changed in place")
    untouched = _unchanged(kept, (*outputs, memory, *grads))
    require(untouched, "the backward pass changed an output, its memory or an incoming gradient in place")
    for position, need in enumerate(needs):
        together = found[position]
        finding = f"the gradient of {op.tensors[position]} came unasked, or not at all"
        require(need == (together is not None), finding)
        if together is not None:
            wanted = [i == position for i in range(count)]
            alone = kernel.backward(given, values, outputs, memory, grads, wanted)[position]
            same = alone is not None and _alike(alone, together)
            require(same, f"the gradient of {op.tensors[position]} alone differs from that with all others")


def _forward_both_ways(
    op: Op, kernel: Kernel, arguments: Sequence[Any], require: Require
) -> tuple[Sequence[Tensor], Tensor]:
    """Outputs and memory of a forward pass that saves; one that does not must give the same outputs and no memory."""
    outputs, memory = _forward(op, kernel, arguments, True, require)
    again, _ = _forward(op, kernel, arguments, False, require)
    same = all(_alike(one, other) for one, other in zip(again, outputs, strict=True))
    require(same, "the outputs with save=False differ from those with save=True")
    return outputs, memory


def _forward(
    op: Op, kernel: Kernel, arguments: Sequence[Any], save: bool, require: Require
) -> tuple[Sequence[Tensor], Tensor]:
    tensors = arguments[: len(op.tensors)]
    before = _copies(tensors)
    with torch.no_grad():
        *outputs, memory = kernel.forward(*arguments, save)
    require(_fresh([*outputs, memory], tensors), "an output shares memory with an argument or with another output")
    require(all(bool(o.isfinite().all()) for o in outputs), "an output is not finite, or not all of it was written")
    require(_unchanged(before, tensors), "an argument was changed in place")
    shape, dtype = op.memory(*arguments) if save else (0,), arguments[0].dtype
    finding = f"save={save}: memory is {tuple(memory.shape)} in {memory.dtype}, expected {shape} in {dtype}"
    require(memory.shape == shape and memory.dtype == dtype, finding)
    return outputs, memory


def _copies(tensors: Sequence[Tensor | None]) -> list[Tensor | None]:
    return [None if t is None else t.clone() for t in tensors]


def _unchanged(before: Sequence[Tensor | None], after: Sequence[Tensor | None]) -> bool:
    # What was never written in a memory may be NaN, and then stays NaN.
    pairs = zip(before, after, strict=True)
    return all(o is None or n is None or bool(((o == n) | ((o != o) & (n != n))).all()) for o, n in pairs)


def _alike(one: Tensor, other: Tensor) -> bool:
    """Equal up to the order of sums."""
    limit = 2**10 * torch.finfo(one.dtype).eps * float(other.abs().max().clamp(min=1.0))
    return one.shape == other.shape and float((one - other).abs().max()) <= limit


def _truth(op: Op, arguments: Sequence[Any], device: torch.device | str) -> Bound:
    """The truth, and what the reference loses in float64 when its arguments move in the last place, in units of 1's."""
    exact = _cast(arguments, torch.float64, device)
    truth = _run(op, _plain(op), exact).named()
    units = dict.fromkeys(truth, 0.0)
    for seed in range(JITTERS):
        moved = _run(op, _plain(op), _rounded(exact, torch.Generator().manual_seed(seed))).named()
        for name, want in truth.items():
            loss = float((moved[name] - want).abs().max()) / torch.finfo(torch.float64).eps
            units[name] = max(units[name], loss)
    return Bound(truth, units)


def _rounded(arguments: Sequence[Any], generator: torch.Generator) -> list[Any]:
    """The arguments, every number moved up or down by a unit in its last place."""
    moved = []
    for argument in arguments:
        if isinstance(argument, Tensor) and argument.dtype.is_floating_point:
            signs = 2 * torch.randint(0, 2, argument.shape, generator=generator).to(argument) - 1
            argument = argument * (1 + torch.finfo(argument.dtype).eps * signs)
        moved.append(argument)
    return moved


def _bound(op: Op, arguments: Sequence[Any], ideal: Bound, dtype: torch.dtype, device: torch.device | str) -> Bound:
    truth, lost = ideal
    # In float64 the reference is the truth and has no error to show: its loss in float32 stands in, in units.
    measured = torch.float32 if dtype == torch.float64 else dtype
    rough = _run(op, _plain(op), _cast(arguments, measured, device)).named()
    units = {}
    for name, want in truth.items():
        loss = float((rough[name].double() - want).abs().max()) / torch.finfo(measured).eps
        units[name] = MULTIPLE * max(loss, lost[name]) + FLOOR * float(want.abs().max().clamp(min=SMALLEST))
    return Bound(truth, units)


def _plain(op: Op) -> Call:
    """The reference as itself, outside the registered operator."""
    return lambda *arguments: op.kernels[-1].forward(*arguments, False)[:-1]


def _registered(op: Op, kernel: Kernel) -> Call:
    return lambda *arguments: op.registered(*arguments, True, kernel.name)[:-1]


def _run(op: Op, call: Call, arguments: Sequence[Any], layout: str = "contiguous") -> Result:
    """One call with all gradients."""
    count = len(op.tensors)
    inputs, wanted = [], {}
    for name, tensor in zip(op.tensors, arguments[:count], strict=True):
        if tensor is not None and tensor.dtype.is_floating_point:
            # An alias, not a clone, which would lose the strides of an expanded tensor.
            wanted[name] = tensor.detach().requires_grad_()
            tensor = wanted[name]
        inputs.append(tensor if tensor is None or layout == "contiguous" else _strided(tensor))
    outputs = tuple(call(*inputs, *arguments[count:]))
    total = torch.zeros((), dtype=outputs[0].dtype, device=outputs[0].device)
    for number, output in enumerate(outputs):
        weight = torch.randn(output.shape, generator=torch.Generator().manual_seed(number)).bfloat16()
        total = total + (output * weight.to(output)).sum()
    found = torch.autograd.grad(total, list(wanted.values()), allow_unused=True, materialize_grads=True)
    return Result(tuple(o.detach() for o in outputs), dict(zip(wanted, found, strict=True)))


def _opcheck(op: Op, kernel: Kernel, arguments: Sequence[Any], label: str) -> None:
    ready = [_leaf(a) if isinstance(a, Tensor) else a for a in arguments]
    require = _requirement(op, kernel, label)
    report = library.opcheck(op.registered, (*ready, True, kernel.name), test_utils=OPCHECKS, raise_exception=False)
    for name, verdict in report.items():
        require(verdict == "SUCCESS", f"opcheck {name}: {verdict}")


def _check_traced(op: Op, kernel: Kernel, arguments: Sequence[Any], bound: Bound, label: str) -> None:
    """The op inside one compiled graph."""
    torch.compiler.reset()
    compiled: Any = torch.compile(
        lambda *given: op(*given, kernel=kernel.name), fullgraph=True, dynamic=True, backend="aot_eager"
    )
    result = _run(op, compiled, arguments)
    torch.compiler.reset()
    _check_close(result, bound, arguments[0].dtype, "traced", _requirement(op, kernel, label))


def _cast(arguments: Sequence[Any], dtype: torch.dtype, device: torch.device | str) -> list[Any]:
    def move(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return value.to(device=device, dtype=dtype if value.dtype.is_floating_point else value.dtype)

    return [move(value) for value in arguments]


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().clone().requires_grad_(tensor.dtype.is_floating_point)


def _strided(tensor: Tensor) -> Tensor:
    """The same values with a gap after each, still part of the graph."""
    return torch.stack([tensor, tensor], -1)[..., 0]


def _fresh(results: Sequence[Tensor], others: Sequence[Tensor | None]) -> bool:
    taken = {t.untyped_storage().data_ptr() for t in others if t is not None and t.numel()}
    places = [t.untyped_storage().data_ptr() for t in results if t.numel()]
    return taken.isdisjoint(places) and len(set(places)) == len(places)


@contextmanager
def _poisoned() -> Iterator[None]:
    """Fresh memory holds NaN, so that what a kernel forgets to write shows."""
    deterministic: Any = torch.utils.deterministic
    before = (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled())
    filling = deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    deterministic.fill_uninitialized_memory = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        deterministic.fill_uninitialized_memory = filling
