"""The one door to the compiled walks: an op declares its shapes as data, and what comes is looked at before it passes.

Every tensor is checked before its address leaves Python: a wrong dtype, device or shape is refused in words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from operator import itemgetter

import torch
from torch import Tensor

from unrolled.ops import native
from unrolled.ops.core.register import Attribute, Kernel, Memory, Tensors
from unrolled.ops.native.calls import address, called, dense

__all__ = ["TYPES", "Argument", "Layout", "Walk", "argument", "walk_kernel"]

TYPES = {torch.float32: 0, torch.float64: 1}
"""What the compiled kernels compute in, and their numbers for it."""

ROWS = "rows"
"""The first dimension of a start: one row for all, or one for each row of the batch."""

Given = Mapping[str, Tensor | None]
Dimension = tuple[int, tuple[str, ...]]


@dataclass(frozen=True)
class Argument:
    """A tensor of an op. dims: each a product such as "4 hidden", whose names stand for the same number everywhere.

    dtype: None is that of the op's first tensor. by_row: a walk leaves its gradient by rows of the batch, to be summed.
    """

    name: str
    dims: tuple[str, ...]
    dtype: torch.dtype | None = None
    by_row: bool = False

    @property
    def starts(self) -> bool:
        """Is it a state that resets return to?"""
        return self.dims[0] == ROWS


def argument(text: str, *, by_row: bool = False) -> Argument:
    """An argument written as "name: dim, dim"; `lengths` are int64 and resets bool.

    >>> argument("gates: batch, time, 4 hidden").dims
    ('batch', 'time', '4 hidden')
    """
    name, _, dims = text.partition(": ")
    dtype = {"lengths": torch.int64, "reset": torch.bool, "zone_h": torch.bool, "zone_c": torch.bool}.get(name)
    return Argument(name, tuple(dims.split(", ")), dtype, by_row)


@cache
def _parsed(dim: str) -> Dimension:
    words = dim.split()
    return math.prod(int(word) for word in words if word.isdigit()), tuple(word for word in words if not word.isdigit())


class Layout:
    """The shapes of an op's arguments, made ready to be checked: where each size is read, and which dims there are."""

    def __init__(
        self, arguments: Sequence[Argument], constants: Sequence[str] = (), optional: Sequence[str] = ()
    ) -> None:
        """constants: sizes that are known beforehand. optional: arguments from which no size is read."""
        self.arguments = tuple(arguments)
        self.sources: list[tuple[str, str, int, int, tuple[str, ...]]] = []
        known, pending = set(constants), [one for one in arguments if one.name not in optional]
        while pending:
            solved = [one for one in pending if self._read(one, known)]
            assert solved, "no size can be read from what is left"
            pending = [one for one in pending if one not in solved]
        self.dims = {dim: _parsed(dim) for one in arguments for dim in one.dims}
        # Looked up before every call, so in the form that is read soonest.
        self._products = [(dim, *parsed) for dim, parsed in self.dims.items()]
        self._wanted = [(one, one.name, _getter(one.dims), one.dtype, one.starts) for one in arguments]

    def _read(self, one: Argument, known: set[str]) -> bool:
        """Note which sizes this argument says; False: too few others are known yet."""
        for axis, dim in enumerate(one.dims):
            number, names = _parsed(dim)
            unknown = [name for name in names if name not in known]
            if len(unknown) > 1:
                return False
            if unknown and unknown[0] != ROWS:
                self.sources.append((unknown[0], one.name, axis, number, tuple(n for n in names if n in known)))
                known.add(unknown[0])
        return True

    def solve(self, given: Given, sizes: dict[str, int]) -> bool:
        """Read all sizes; False where a tensor has not the dimensions, or a size is no whole number above 0."""
        for name, source, axis, number, others in self.sources:
            tensor = given.get(source)
            if tensor is None or tensor.ndim <= axis:
                return False
            for other in others:
                number *= sizes[other]
            sizes[name], rest = divmod(tensor.shape[axis], number)
            if rest or not sizes[name]:
                return False
        return True

    def objection(self, given: Given, sizes: dict[str, int]) -> str | None:
        """Why the tensors do not fit, in words, or None; `sizes`, which may hold constants, is filled."""
        first = given[self.arguments[0].name]
        assert first is not None
        dtype = first.dtype
        if dtype not in TYPES:
            return f"{self.arguments[0].name} is {dtype}, it runs on float32 and float64"
        constants = dict(sizes)
        fit = self.solve(given, sizes)
        shapes: dict[str, int] = {}
        for dim, number, names in self._products if fit else ():
            for name in names:
                number *= sizes.get(name, 1)
            shapes[dim] = number
        for one, name, expected, kind, starts in self._wanted:
            tensor = given.get(name)
            if tensor is None:
                continue
            if not tensor.is_cpu or tensor.layout is not torch.strided or tensor.dtype is not (kind or dtype):
                return _wrong_kind(one, tensor, dtype)
            if fit and starts:
                fit = tensor.ndim > 0 and self._rows(tensor.shape[0], sizes)
                shapes[ROWS] = sizes.get(ROWS, 0)
            if not fit or tensor.shape != expected(shapes):
                return self._misfit(given, constants)
        lengths, time = given.get("lengths"), sizes["time"]
        if lengths is not None and not all(0 <= length <= time for length in lengths.tolist()):
            return f"lengths lie outside 0 to {time}"
        return None

    def read(self, dim: str, sizes: Mapping[str, int]) -> int:
        """How large a dim is, once the sizes are known."""
        return _value(self.dims[dim], sizes)

    def _rows(self, rows: int, sizes: dict[str, int]) -> bool:
        """Starts have one row for all, or one for each of the batch, all of them alike."""
        return rows in (1, sizes["batch"]) and sizes.setdefault(ROWS, rows) == rows

    def _misfit(self, given: Given, sizes: dict[str, int]) -> str:
        """The first tensor that does not fit those before it, in words."""
        present = [(one, tensor) for one in self.arguments if (tensor := given.get(one.name)) is not None]
        constants, later = dict(sizes), []
        for one, tensor in present:
            fits = _fits(one, tensor, sizes)
            if fits is None:
                later.append((one, tensor))
            elif not fits:
                return _wrong_shape(one, tensor, present, constants)
        one, tensor = next((pair for pair in later if not _fits(*pair, sizes)), present[0])
        return _wrong_shape(one, tensor, present, constants)


def _getter(dims: Sequence[str]) -> Callable[[Mapping[str, int]], tuple[int, ...]]:
    """What takes the sizes of these dims out of those of all."""
    if len(dims) > 1:
        return itemgetter(*dims)
    (dim,) = dims
    return lambda shapes: (shapes[dim],)


def _value(parsed: Dimension, sizes: Mapping[str, int]) -> int:
    number, names = parsed
    for name in names:
        number *= sizes.get(name, 1)
    return number


def _wrong_kind(one: Argument, tensor: Tensor, dtype: torch.dtype) -> str | None:
    if tensor.device.type != "cpu":
        return f"{one.name} is on {tensor.device}, it runs on the CPU"
    if tensor.layout != torch.strided:
        return f"{one.name} is {tensor.layout}, expected {torch.strided}"
    if tensor.dtype != (one.dtype or dtype):
        return f"{one.name} is {tensor.dtype}, expected {one.dtype or dtype}"
    return None


def _fits(one: Argument, tensor: Tensor, sizes: dict[str, int]) -> bool | None:
    """Has the tensor the shape declared, as far as sizes are known? New ones are noted; None: too few are known."""
    shape = tensor.shape
    if len(shape) != len(one.dims):
        return False
    undecided = False
    for dim, size in zip(one.dims, shape, strict=True):
        number, names = _parsed(dim)
        unknown = None
        for name in names:
            known = sizes.get(name)
            if known is not None:
                number *= known
            elif unknown is None:
                unknown = name
            else:
                undecided = True
        if unknown is None:
            if size != number:
                return False
        elif not undecided:
            if size == 0 or size % number or (unknown == ROWS and size not in (1, sizes["batch"])):
                return False
            sizes[unknown] = size // number
    return None if undecided else True


def _wrong_shape(
    one: Argument, tensor: Tensor, present: Sequence[tuple[Argument, Tensor]], known: Mapping[str, int]
) -> str:
    """What shape was expected: in numbers as far as the other tensors say them, else in words."""
    sizes = dict(known)
    for _ in range(2):
        for other, its in present:
            if other is not one:
                _fits(other, its, sizes)
    # A start has a row for each of the batch, unless it has one for all.
    sizes.setdefault(ROWS, sizes.get("batch", 1))
    if tensor.ndim == len(one.dims):
        # What nothing else says stays as it came.
        for dim, size in zip(one.dims, tensor.shape, strict=True):
            if size and dim.isidentifier():
                sizes.setdefault(dim, size)
    expected = [_said(dim, sizes) for dim in one.dims]
    words = ", none of them 0" if not all(word.isdigit() for word in expected) else ""
    listed = ", ".join(expected) + ("," if len(expected) == 1 else "")
    return f"{one.name} has the shape {tuple(tensor.shape)}, expected ({listed}){words}"


def _said(dim: str, sizes: Mapping[str, int]) -> str:
    number, names = _parsed(dim)
    number *= math.prod(sizes.get(name, 1) for name in names)
    unknown = [name for name in names if name not in sizes]
    return " * ".join([*([str(number)] if number != 1 or not unknown else []), *unknown])


@dataclass(frozen=True)
class Walk:
    """An op whose whole sequence one compiled walk takes.

    function: what the names of its compiled functions and of its list of fields begin with. arguments: in the order in
    which the op takes its tensors. outputs: y, then the state's leaves, as the fields call them, with their dims. read:
    those of them that the backward pass looks at. words(*attributes): plain numbers by field name; dims may name them.
    """

    function: str
    arguments: tuple[Argument, ...]
    outputs: Mapping[str, tuple[str, ...]]
    read: tuple[str, ...]
    memory: Memory
    words: Callable[..., Mapping[str, int]] = dict
    constants: tuple[str, ...] = ()
    """Those of the words that dims name."""
    least: Mapping[str, int] = field(default_factory=dict)
    """Words that must be at least so large."""

    @cached_property
    def layout(self) -> Layout:
        """The shapes of the arguments, made ready."""
        optional = [one.name for one in self.arguments if one.dtype is not None or one.starts]
        return Layout(self.arguments, self.constants, optional)

    @cached_property
    def fields(self) -> str:
        """What the compiled module calls the list of fields."""
        return f"{self.function.upper()}_FIELDS"

    @cached_property
    def starts(self) -> tuple[str, ...]:
        """The names of the state that resets return to."""
        return tuple(one.name for one in self.arguments if one.starts)

    def objection(self, given: Given, attributes: Sequence[Attribute]) -> str | None:
        """Why the arguments do not fit, or None."""
        words = dict(self.words(*attributes))
        for name, least in self.least.items():
            if words[name] < least:
                return f"{name} is {words[name]}, expected at least {least}"
        if given["reset"] is not None and any(given[name] is None for name in self.starts):
            *some, last = self.starts
            listed = f"{', '.join(some)} and {last}" if some else last
            return f"reset is given without {listed}, the state it returns to"
        return self.layout.objection(given, words)


def walk_kernel(walk: Walk) -> Kernel:
    """The kernel "cpp" of an op that is one compiled walk."""
    names = [one.name for one in walk.arguments]
    count = len(names)

    def refuses(*arguments: Tensor | Attribute | None) -> str | None:
        given = dict(zip(names, arguments[:count], strict=True))
        return native.reason() or walk.objection(given, arguments[count:])  # type: ignore[arg-type]

    def forward(*arguments: Tensor | Attribute | None) -> tuple[Tensor, ...]:
        *plain, save = arguments
        given: Given = dict(zip(names, plain[:count], strict=True))  # type: ignore[arg-type]
        call = _Call(walk, given, plain[count:])  # type: ignore[arg-type]
        results = {name: call.fresh(dims) for name, dims in walk.outputs.items()}
        left = call.first.new_empty(walk.memory(*plain) if save else (0,))
        call.run("forward", {**results, **({"memory": left} if save else {})})
        return (*results.values(), left)

    def backward(
        plain: Tensors,
        values: Sequence[Attribute],
        outputs: Tensors,
        left: Tensor,
        grads: Tensors,
        needs: Sequence[bool],
    ) -> Tensors:
        call = _Call(walk, dict(zip(names, plain, strict=True)), values)
        incoming = {f"grad_{name}": grad for name, grad in zip(walk.outputs, grads, strict=True)}
        read = {name: y for name, y in zip(walk.outputs, outputs, strict=True) if name in walk.read}
        wanted = [
            one for one, need in zip(walk.arguments, needs, strict=True) if need and call.given[one.name] is not None
        ]
        found = {one.name: call.gradient(one) for one in wanted}
        call.run("backward", {**read, "memory": left, **incoming, **{f"grad_{name}": t for name, t in found.items()}})
        found |= {one.name: call.summed(one, found[one.name]) for one in wanted}
        return [found.get(name) for name in names]

    return Kernel("cpp", refuses, forward, backward)


class _Call:
    """One call of a walk: its tensors and all its sizes."""

    def __init__(self, walk: Walk, given: Given, attributes: Sequence[Attribute]) -> None:
        self.walk, self.given = walk, given
        self.sizes = dict(walk.words(*attributes))
        # Everything has been checked, where the kernel was chosen because it refuses nothing.
        walk.layout.solve(given, self.sizes)
        start = given[walk.starts[0]]
        if start is not None:
            self.sizes[ROWS] = start.shape[0]
        first = given[walk.arguments[0].name]
        assert first is not None
        self.first = first

    def fresh(self, dims: Sequence[str]) -> Tensor:
        """A new tensor. Not like another one: that would keep strides, and a walk writes row after row."""
        parsed = (_parsed(dim) for dim in dims)
        return self.first.new_empty(
            [number * math.prod(self.sizes[name] for name in names) for number, names in parsed]
        )

    def gradient(self, one: Argument) -> Tensor:
        """Where the gradient of an argument goes: each row has its own share of what all rows share."""
        if one.by_row:
            return self.fresh(("batch", *one.dims))
        return self.fresh(("batch", *one.dims[1:]) if one.starts else one.dims)

    def summed(self, one: Argument, gradient: Tensor) -> Tensor:
        """The gradient by rows as that of the argument that was given."""
        if one.by_row:
            return gradient.sum(0)
        return gradient.sum(0, keepdim=True) if one.starts and self.sizes[ROWS] < len(gradient) else gradient

    def run(self, direction: str, others: Given) -> None:
        """Call the compiled function on the op's tensors and on others by field name."""
        module = native.compiled()
        fields = dict(self.sizes)
        fields |= {"type": TYPES[self.first.dtype], "threads": native.threads(), "start_rows": self.sizes.get(ROWS, 0)}
        # Held until the call is over: a strided tensor is read through its copy.
        alive = []
        for tensors in (self.given, others):
            for name, tensor in tensors.items():
                if tensor is not None:
                    in_order = dense(tensor)
                    alive.append(in_order)
                    fields[name] = address(in_order)
        values = [fields.get(name, 0) for name in getattr(module, self.walk.fields)]
        work = 1
        for size in self.sizes.values():
            work *= size or 1
        called(getattr(module, f"{self.walk.function}_{direction}"), values, work=work, alive=alive)
