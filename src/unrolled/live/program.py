"""Live steps written down as a program: instructions over buffers, all of which one compiled call runs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unrolled.errors import OptionError, ShapeError
from unrolled.ops import native
from unrolled.state import map_state

__all__ = ["Program", "Value"]

NARROW = 32
"""Numbers that the widest registers hold in two vectors."""

Step = tuple[int, list[int], tuple[int, int, int], tuple[float, float], int, int]


class Value:
    """What a program has at hand in every row: `width` numbers of one line of a buffer, or several such lines.

    Sums, differences, products and quotients of values, tensors and numbers are values; so is a slice. A tensor is the
    same for all rows: (width,), or a scalar.
    """

    def __init__(self, program: Program, buffer: int, width: int, lines: int = 1, offset: int = 0) -> None:
        self.program = program
        self.buffer = buffer
        self.width = width
        self.lines = lines
        self.offset = offset

    def __getitem__(self, part: slice) -> Value:
        start, stop, step = part.indices(self.width)
        if step != 1 or self.lines != 1:
            raise ShapeError(f"Program: a value can be cut into neighbours alone, got {part} of {self.lines} lines.")
        return Value(self.program, self.buffer, stop - start, 1, self.offset + start)

    def chunk(self, parts: int) -> tuple[Value, ...]:
        """So many slices of equal width."""
        return self.split([self.width // parts] * parts)

    def split(self, sizes: Sequence[int]) -> tuple[Value, ...]:
        """Slices of these widths, one after another."""
        bounds = itertools.accumulate(sizes, initial=0)
        return tuple(self[start:stop] for start, stop in itertools.pairwise(bounds))

    def __add__(self, other: Value | Tensor | float) -> Value:
        return self.affine(1.0, other) if isinstance(other, float | int) else self._point("add", other)

    def __sub__(self, other: Value | Tensor | float) -> Value:
        return self.affine(1.0, -other) if isinstance(other, float | int) else self._point("subtract", other)

    def __rsub__(self, other: float) -> Value:
        return self.affine(-1.0, other)

    def __mul__(self, other: Value | Tensor | float) -> Value:
        return self.affine(other, 0.0) if isinstance(other, float | int) else self._point("multiply", other)

    def __truediv__(self, other: Value | Tensor) -> Value:
        return self._point("divide", other)

    def __neg__(self) -> Value:
        return self.affine(-1.0, 0.0)

    __radd__ = __add__
    __rmul__ = __mul__

    def affine(self, scale: float, shift: float) -> Value:
        """scale * self + shift."""
        return self._point("affine", numbers=(float(scale), float(shift)))

    def multiply_add(self, factor: Value | Tensor, term: Value | Tensor) -> Value:
        """self * factor + term."""
        return self._point("multiply_add", factor, term)

    def lerp(self, end: Value | Tensor, weight: Value | Tensor) -> Value:
        """self + weight * (end - self)."""
        return self._point("lerp", end, weight)

    def choose(self, yes: Value | Tensor, no: Value | Tensor) -> Value:
        """`yes` where self is at least 0, `no` elsewhere."""
        return self._point("choose", yes, no)

    def maximum(self, other: Value | Tensor) -> Value:
        return self._point("maximum", other)

    def copy(self) -> Value:
        """The same numbers, which no later `store` changes."""
        return self._point("copy")

    def exp(self) -> Value:
        return self._point("exp")

    def expm1(self) -> Value:
        return self._point("expm1")

    def sqrt(self) -> Value:
        return self._point("sqrt")

    def tanh(self) -> Value:
        return self._point("tanh")

    def sigmoid(self) -> Value:
        return self._point("sigmoid")

    def silu(self) -> Value:
        return self._point("silu")

    def softplus(self) -> Value:
        return self._point("softplus")

    def gelu(self) -> Value:
        """By the error function."""
        return self._point("gelu")

    def relu(self) -> Value:
        return self._point("relu")

    def square(self) -> Value:
        return self._point("square")

    def layer_norm(self, groups: int, eps: float) -> Value:
        """(self - mean) / sqrt(variance + eps) in each of `groups` parts side by side."""
        return self._norm("layer_norm", groups, eps)

    def rms_norm(self, groups: int, eps: float) -> Value:
        """self / sqrt(mean of squares + eps) in each group."""
        return self._norm("rms_norm", groups, eps)

    def unit_norm(self, groups: int, eps: float) -> Value:
        """self / max(norm, eps) in each group."""
        return self._norm("unit_norm", groups, eps)

    def l2_norm(self, groups: int, eps: float) -> Value:
        """self / sqrt(sum of squares + eps) in each group."""
        return self._norm("l2_norm", groups, eps)

    def group_sum(self, groups: int) -> Value:
        """The sum of each group: `groups` numbers."""
        y = self.program.fresh(groups)
        self.program.emit("group_sum", [self, y], (self.width // groups, groups, 0))
        return y

    def spread(self, width: int) -> Value:
        """Each number `width` times: a group of its own."""
        y = self.program.fresh(self.width * width)
        self.program.emit("spread", [self, y], (width, self.width, 0))
        return y

    def _norm(self, op: str, groups: int, eps: float) -> Value:
        y = self.program.fresh(self.width)
        self.program.emit(op, [self, y], (self.width // groups, groups, 0), (eps, 0.0))
        return y

    def _point(self, op: str, *others: Value | Tensor, numbers: tuple[float, float] = (0.0, 0.0)) -> Value:
        program = self.program
        operands = [self, *(program.value(other, self.width) for other in others)]
        for one in operands:
            if one.width != self.width or one.lines != 1:
                wanted = f"one line of {self.width} numbers"
                raise ShapeError(f"Program: {op} takes {wanted}, got {one.lines} of {one.width}.")
        y = program.fresh(self.width)
        program.emit(op, [*operands, y], (self.width, 1, 0), numbers)
        return y


class _Leaf(NamedTuple):
    """A leaf of the state: its buffer, and the number of the live layer that holds it itself, or -1."""

    buffer: int
    layer: int


class Program:
    """The live step of a layer for `batch` rows, to be written by the layer's writer.

    `x` is what a step is given, `state` the layer's state with a `Value` for each leaf: a leaf (batch, ..., width) has
    as many lines as it has numbers of the dimensions between. What is stored there is there at the next step.
    """

    def __init__(self, input_size: int, state: Any, batch: int, dtype: torch.dtype, stored: int) -> None:
        """state: of one row, on any device; stored: how the weights of `linear` are kept, by number."""
        self.input_size = input_size
        self.batch = batch
        self.dtype = dtype
        self.stored = stored
        self.alive: list[Tensor] = []
        """What the addresses in the fields point at."""
        self.only_in_evaluation = False
        """Does the layer do something else in training?"""
        self._buffers: list[tuple[int, int, int]] = []
        self._steps: list[Step] = []
        self._layers: list[dict[str, Any]] = []
        self._work = 0
        self.x = self.fresh(input_size)
        self._leaves: list[_Leaf] = []
        self.state = map_state(self._declare, state)

    def fields(self, y: Value, kind: int) -> dict[str, Any]:
        """What the compiled stepper takes; kind: the dtype's number."""
        return {
            "type": kind,
            "stored": self.stored,
            "batch": self.batch,
            "input": self.input_size,
            "output": y.width,
            "buffers": self._buffers,
            "steps": self._steps,
            "layers": self._layers,
            "leaves": [tuple(leaf) for leaf in self._leaves],
            "y": (y.buffer, y.offset),
            "work": float(self._work * self.batch),
            "only_in_evaluation": self.only_in_evaluation,
        }

    def fresh(self, width: int, lines: int = 1) -> Value:
        """A new buffer."""
        self._buffers.append((lines, width, 0))
        return Value(self, len(self._buffers) - 1, width, lines)

    def value(self, given: Value | Tensor | float, width: int) -> Value:
        """What is given as a value; a tensor or number is the same for all rows and steps."""
        if isinstance(given, Value):
            return given
        tensor = torch.as_tensor(given, dtype=self.dtype).detach()
        return self.constant(tensor.expand(width) if tensor.numel() == 1 else tensor)

    def constant(self, tensor: Tensor) -> Value:
        """A tensor (width,), or (lines, width), the same for all rows and steps."""
        address = self._keep(tensor)
        lines, width = (1, *tensor.shape)[-2:]
        self._buffers.append((lines, width, address))
        return Value(self, len(self._buffers) - 1, width, lines)

    def linear(self, x: Value, weight: Tensor, bias: Tensor | None = None) -> Value:
        """x @ weight^T + bias; weight (out, in), or (groups, out, in) for x and y in groups side by side."""
        weight = _merged(weight)
        groups, out, width = (1, *weight.shape)[-3:]
        if x.width != groups * width or x.lines != 1:
            raise ShapeError(f"Program: linear takes {groups} * {width} numbers, got {x.lines} lines of {x.width}.")
        y = self.fresh(groups * out)
        self._work += groups * out * width
        addresses = self._keep(weight), 0 if bias is None else self._keep(bias.flatten())
        self.emit("linear", [x, y], (width, groups, out), weights=addresses)
        return y

    def window(self, x: Value, past: Value, weight: Tensor, bias: Tensor | None = None) -> Value:
        """A causal convolution of each unit by itself: bias + weight[-1] x + the sum of weight[i] past[i].

        past: the latest inputs as lines, the oldest first; x joins them. weight (lines + 1, width).
        """
        shift = self.constant(torch.zeros(x.width, dtype=self.dtype) if bias is None else bias)
        y = self.fresh(x.width)
        lines = weight.shape[0] - 1
        self._work += weight.numel()
        self.emit("window", [x, self.constant(weight), shift, past, y], (x.width, 1, lines))
        return y

    def slstm(self, gates: tuple[Value, Value, Value, Value], state: Any, exponential: bool) -> Value:
        """A step of the op slstm: gates i, f, z, o with their recurrent part, state (h, c, n, m)."""
        y = self.fresh(gates[0].width)
        self.emit("slstm", [*gates, *state, y], (y.width, 1, int(exponential)))
        return y

    def mlstm(self, q: Value, k: Value, v: Value, i: Value, f: Value, state: Any) -> Value:
        """A step of the op mlstm: state (c, n, m), heads side by side."""
        heads = i.width
        y = self.fresh(v.width)
        self._work += 3 * heads * (q.width // heads) * (v.width // heads)
        self.emit("mlstm", [q, k, v, i, f, *state, y], (q.width // heads, heads, v.width // heads))
        return y

    def delta(self, q: Value, decay: Value, k: Value, v: Value, a: Value, b: Value, s: Value, heads: int) -> Value:
        """A step of the op delta, whose w is the logarithm of `decay`; heads side by side."""
        y = self.fresh(v.width)
        self._work += 4 * heads * (q.width // heads) * (v.width // heads)
        self.emit("delta", [q, decay, k, v, a, b, s, y], (q.width // heads, heads, v.width // heads))
        return y

    def cell(self, fields: dict[str, Any], x: Value, state: Any) -> Value:
        """A step of a gated cell, from its fields for the compiled stepper; it keeps its state itself."""
        number = len(self._layers)
        self._layers.append(fields)
        buffers = {leaf.buffer for leaf in leaves_of(state)}
        self._leaves = [_Leaf(leaf.buffer, number) if leaf.buffer in buffers else leaf for leaf in self._leaves]
        y = self.fresh(fields["output"])
        self.emit("layer", [x, y], (x.width, 1, y.width), weights=(number, 0))
        return y

    def store(self, state: Value, value: Value) -> None:
        """`value` is the state from now on."""
        if state.width != value.width or state.lines != 1:
            raise ShapeError(f"Program: a state of {state.lines} lines of {state.width} cannot take {value.width}.")
        self.emit("copy", [value, state], (value.width, 1, 0))

    def join(self, *parts: Value) -> Value:
        """The parts side by side."""
        y = self.fresh(sum(part.width for part in parts))
        at = 0
        for part in parts:
            self.store(y[at : at + part.width], part)
            at += part.width
        return y

    def emit(
        self,
        op: str,
        places: list[Value],
        sizes: tuple[int, int, int],
        numbers: tuple[float, float] = (0.0, 0.0),
        weights: tuple[int, int] = (0, 0),
    ) -> None:
        """One more instruction; its number and places are those of the compiled table."""
        flat = [number for place in places for number in (place.buffer, place.offset)]
        self._steps.append((native.compiled().PROGRAM_OPS.index(op), flat, sizes, numbers, *weights))

    def _declare(self, leaf: Tensor) -> Any:
        if leaf.dtype != self.dtype:
            raise OptionError(f"Program: the state must be {self.dtype}, got a leaf of {leaf.dtype}.")
        value = self.fresh(leaf.shape[-1], prod(leaf.shape[1:-1]))
        self._work += value.lines * value.width
        self._leaves.append(_Leaf(value.buffer, -1))
        return value

    def _keep(self, tensor: Tensor) -> int:
        """The address of a tensor's numbers, which live as long as the program."""
        if tensor.dtype != self.dtype:
            raise OptionError(f"Program: weights must be {self.dtype}, got {tensor.dtype}.")
        dense = tensor.detach().contiguous()
        self.alive.append(dense)
        return dense.data_ptr()


def leaves_of(state: Any) -> list[Value]:
    """The values of a program's state."""
    return [state] if isinstance(state, Value) else [leaf for part in state for leaf in leaves_of(part)]


def _merged(weight: Tensor) -> Tensor:
    """Groups of a few numbers joined to larger ones with zeros between them: a product works on whole vectors."""
    while weight.ndim == 3 and weight.shape[0] % 2 == 0 and 2 * max(weight.shape[1:]) <= NARROW:
        pairs = weight.reshape(-1, 2, *weight.shape[1:])
        zero = torch.zeros_like(pairs[:, 0])
        upper, lower = torch.cat([pairs[:, 0], zero], 2), torch.cat([zero, pairs[:, 1]], 2)
        weight = torch.cat([upper, lower], 1)
    return weight
