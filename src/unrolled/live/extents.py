"""What each instruction of a program reads and writes, looked at before any address leaves Python.

Programs come from files too: a number that points outside of a buffer is refused in words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import torch

from unrolled.ops import native
from unrolled.ops.native.gated import CELLS, gate_count

if TYPE_CHECKING:
    from unrolled.live.program import GatedLayer, Instruction, Program

__all__ = ["fault"]


MOST = 1 << 31
"""Numbers of all buffers together: more are no step, and would be counted wrong."""


class _Run(NamedTuple):
    """So many numbers side by side in one line."""

    numbers: int


class _Lines(NamedTuple):
    """So many lines from the first one on, of so many numbers each."""

    lines: int
    width: int


_Extent = _Run | _Lines
_Extents = Callable[[int, int, int], list[_Extent]]


def _each(*counts: int) -> list[_Extent]:
    return [_Run(count) for count in counts]


def _unary(width: int, groups: int, other: int) -> list[_Extent]:
    return _each(width, width)


EXTENTS: dict[str, _Extents] = {
    "linear": lambda width, groups, other: _each(groups * width, groups * other),
    "layer": lambda width, groups, other: _each(width, other),
    "window": lambda width, groups, other: [
        _Run(width), _Lines(other + 1, width), _Run(width), _Lines(other, width), _Run(width),
    ],
    "slstm": lambda width, groups, other: _each(*[width] * 9),
    "mlstm": lambda width, groups, other: [
        *_each(groups * width, groups * width, groups * other, groups, groups),
        _Lines(groups * width, other), _Lines(groups, width), _Run(groups), _Run(groups * other),
    ],
    "delta": lambda width, groups, other: [
        *_each(*[groups * width] * 3, groups * other, *[groups * width] * 2),
        _Lines(groups * width, other), _Run(groups * other),
    ],
    "gather": lambda width, groups, other: _each(1, width),
    "group_sum": lambda width, groups, other: _each(groups * width, groups),
    "group_max": lambda width, groups, other: _each(groups * width, groups),
    "spread": lambda width, groups, other: _each(groups, groups * width),
    **{name: lambda width, groups, other: _each(*[groups * width] * 2)
       for name in ("layer_norm", "rms_norm", "unit_norm", "l2_norm")},
    **{name: lambda width, groups, other: _each(*[width] * 3)
       for name in ("add", "subtract", "multiply", "divide", "maximum", "minimum")},
    **{name: lambda width, groups, other: _each(*[width] * 4) for name in ("multiply_add", "lerp", "choose")},
}  # fmt: skip
"""Of the op's places, in their order, by width, groups and the third size; others are functions of one operand."""

WRITTEN = {"window": (3, 4), "slstm": (4, 5, 6, 7, 8), "mlstm": (5, 6, 7, 8), "delta": (6, 7)}
"""The places that an op writes, where these are more than the last one."""


def fault(program: Program) -> str | None:
    """Why a program cannot be run, in words, or None."""
    return next(_faults(program), None)


def _faults(program: Program) -> Iterator[str]:
    for number, tensor in enumerate(program.constants):
        if tensor.dtype != program.dtype or tensor.device.type != "cpu" or tensor.layout != torch.strided:
            yield f"constant {number} is {tensor.dtype} on {tensor.device}, expected {program.dtype} on the CPU"
    for number, buffer in enumerate(program.buffers):
        lines, width, constant = buffer
        empty = lines > 1 and not width
        if min(lines, width) < 0 or lines * width > MOST or empty or not -1 <= constant < len(program.constants):
            yield f"buffer {number} is {buffer}"
            return
        if constant >= 0 and program.constants[constant].numel() != lines * width:
            yield f"buffer {number} holds another number of numbers than constant {constant}"
    if sum(buffer.lines * buffer.width for buffer in program.buffers) > MOST:
        yield f"its buffers hold more than {MOST} numbers"
    yield from _ends(program)
    for number, layer in enumerate(program.layers):
        yield from (f"layer {number}: {reason}" for reason in _of_layer(program, layer))
    for number, one in enumerate(program.instructions):
        yield from (f"instruction {number}, {one.op}: {reason}" for reason in _of_instruction(program, one))


def _ends(program: Program) -> Iterator[str]:
    """What stands wrong of x, y and the state."""
    first = _outside(program, (0, 0), _Run(program.input_size), written=True)
    if program.input_size < 0 or first is not None:
        yield f"x: {first}"
    last = _outside(program, program.y, _Run(program.output_size), written=False)
    if program.output_size < 0 or last is not None:
        yield f"y: {last}"
    wanted = [number for number, layer in enumerate(program.layers) for _ in range(_leaves(layer))]
    if [leaf.layer for leaf in program.leaves if leaf.layer != -1] != wanted:
        yield f"the layers keep {len(wanted)} leaves, one after another, which the state does not have"
        return
    kept = iter(size for layer in program.layers for size in (layer.output, layer.hidden)[: _leaves(layer)])
    for number, leaf in enumerate(program.leaves):
        size = math.prod(leaf.shape)
        if not 0 <= leaf.buffer < len(program.buffers) or min(leaf.shape, default=0) < 0:
            yield f"leaf {number} is {leaf}"
            continue
        buffer = program.buffers[leaf.buffer]
        if buffer.constant >= 0 or buffer.lines * buffer.width != size or (leaf.layer >= 0 and next(kept) != size):
            yield f"leaf {number} has {size} numbers, which its buffer or layer has not"


def _leaves(layer: GatedLayer) -> int:
    return 2 if layer.cell.startswith("lstm") else 1


def _of_layer(program: Program, layer: GatedLayer) -> Iterator[str]:
    if layer.cell not in CELLS:
        yield f"the cell {layer.cell!r} is none of {', '.join(CELLS)}"
        return
    gates, wide, lstm = gate_count(layer.cell), layer.hidden, layer.cell.startswith("lstm")
    shapes: dict[str, tuple[int, ...]] = {
        "weight_x": (gates * wide, layer.input), "weight_h": (gates * wide, layer.output), "bias": (gates * wide,),
        "norm_x": (gates * wide,), "norm_h": (gates * wide,),
        **({"bias_h": (wide,)} if layer.cell == "gru after" else {}),
        **({"norm_c": (2, wide), "peephole": (gates - 1, wide), "weight_p": (layer.output, wide)} if lstm else {}),
    }  # fmt: skip
    given = layer.weights
    if not {"weight_x", "weight_h"} <= given.keys() <= shapes.keys() or ("norm_x" in given) != ("norm_h" in given):
        yield f"it has the weights {', '.join(given)}, which no {layer.cell} has"
        return
    if min(layer.input, wide, layer.output) < 1 or ("weight_p" not in given and layer.output != wide):
        yield f"it takes {layer.input} numbers, keeps {wide} and gives {layer.output}"
    for name, number in given.items():
        shape = tuple(program.constants[number].shape) if 0 <= number < len(program.constants) else None
        if shape != shapes[name]:
            yield f"{name} has the shape {shape}, expected {shapes[name]}"
    if not all(0 <= rate < 1 for rate in layer.rates) or len(layer.rates) != 2:
        yield f"its rates are {layer.rates}"


def _of_instruction(program: Program, one: Instruction) -> Iterator[str]:
    width, groups, other = one.sizes
    if one.op not in native.compiled().PROGRAM_OPS or min(one.sizes) < 0:
        yield f"there is no such instruction with the sizes {one.sizes}"
        return
    if one.op in ("group_max", "gather") and not width:
        yield "it takes at least one number"
        return
    extents = EXTENTS.get(one.op, _unary)(width, groups, other)
    places = list(zip(one.places[::2], one.places[1::2], strict=False))
    if len(one.places) != 2 * len(extents):
        yield f"it has {len(one.places)} numbers for its places, expected {2 * len(extents)}"
        return
    written = WRITTEN.get(one.op, (len(extents) - 1,))
    for number, (place, extent) in enumerate(zip(places, extents, strict=True)):
        wrong = _outside(program, place, extent, written=number in written)
        if wrong is not None:
            yield wrong
    yield from _of_weights(program, one)


def _of_weights(program: Program, one: Instruction) -> Iterator[str]:
    width, groups, other = one.sizes
    if one.op == "layer":
        known = 0 <= one.weight < len(program.layers)
        if not known or (program.layers[one.weight].input, program.layers[one.weight].output) != (width, other):
            yield f"there is no layer {one.weight} from {width} to {other} numbers"
        return
    wanted = {"linear": (groups * other * width, groups * other), "gather": (other * width, 0)}.get(one.op, (0, 0))
    for name, number, count in (("weight", one.weight, wanted[0]), ("bias", one.bias, wanted[1])):
        left_out = number == -1 and (name == "bias" or one.op not in ("linear", "gather"))
        if not left_out and not (0 <= number < len(program.constants) and program.constants[number].numel() == count):
            yield f"its {name} is no constant of {count} numbers"


def _outside(program: Program, place: tuple[int, int], extent: _Extent, *, written: bool) -> str | None:
    """Why these numbers do not stand in one buffer, or None."""
    number, offset = place
    if not 0 <= number < len(program.buffers):
        return f"there is no buffer {number}"
    lines, width, constant = program.buffers[number]
    if written and constant >= 0:
        return f"buffer {number} is a constant, and nothing writes there"
    if isinstance(extent, _Lines):
        fits = offset == 0 and extent.lines <= lines and extent.width <= width
        return None if fits else f"{extent.lines} lines of {extent.width} from {offset} on are not in buffer {number}"
    line = offset % width if lines > 1 else offset
    if 0 <= offset <= lines * width - extent.numbers and line + extent.numbers <= width:
        return None
    return f"{extent.numbers} numbers from {offset} on are not in buffer {number}"
