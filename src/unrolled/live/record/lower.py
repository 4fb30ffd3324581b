"""A recorded step as a program: what is used, in fewer instructions, each number in a buffer."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from unrolled.live.program import NARROW, Instruction, Leaf, Program
from unrolled.live.record.fuse import Graph, constant_values, fused
from unrolled.live.record.gated import Held, held_layers, without_held
from unrolled.live.record.tape import (
    CONSTANTS,
    LANE,
    LANES,
    Node,
    Places,
    Tape,
    breaks,
    is_constant,
    nodes_of,
    places_of,
)
from unrolled.live.record.values import Recorded

__all__ = ["STATES", "lowered"]

STATES = {"window": 1, "slstm": 4, "mlstm": 3, "delta": 1}
"""Ops that keep a state where it is, and how many leaves it has."""

POINTWISE = frozenset(
    [
        "copy",
        "affine",
        "exp",
        "expm1",
        "log",
        "log1p",
        "sqrt",
        "sin",
        "cos",
        "abs",
        "tanh",
        "sigmoid",
        "logsigmoid",
        "silu",
        "softplus",
        "gelu",
        "relu",
        "square",
        "add",
        "subtract",
        "multiply",
        "divide",
        "maximum",
        "minimum",
        "multiply_add",
        "lerp",
        "choose",
    ]
)


class Home(NamedTuple):
    """Where some numbers of a node are: from number `first` of it to `end`, in the buffer from `offset` on."""

    first: int
    end: int
    buffer: int
    offset: int


def lowered(
    tape: Tape, input_size: int, y: Recorded | Tensor, states: Sequence[Recorded], after: Sequence[Recorded | Tensor]
) -> Program:
    """The program of a step that gives y and leaves `after` in the place of `states`. Raises NotWhole."""
    roots = [tape.row_places(y), *(tape.row_places(one) for one in after)]
    graph = fused(tape, roots)
    return _Lowering(tape, graph, input_size, [tuple(one.shape[1:]) for one in states]).program


class _Lowering:
    def __init__(self, tape: Tape, graph: Graph, input_size: int, shapes: list[tuple[int, ...]]) -> None:
        self.tape = tape
        self._held = held_layers(tape, graph, len(shapes))
        self.graph = graph = without_held(graph, self._held)
        self.program = Program(input_size, tape.dtype)
        self._homes: dict[int, list[Home]] = {0: [Home(0, input_size, self.program.buffer(input_size), 0)]}
        self._together: dict[bytes, tuple[int, int]] = {}
        self._taken: set[int] = set()
        self._last = self._last_uses()
        self._add_leaves(shapes)
        for number in graph.order:
            self._place(number, graph.nodes[number])
        self._finish()

    def _last_uses(self) -> dict[int, Places]:
        """Of every node, the number of the last one that reads each of its numbers."""
        last = {number: np.zeros(self.graph.nodes[number].width, np.int64) for number in self.graph.nodes}
        readers = [(number, one) for number in self.graph.order for one in self.graph.nodes[number].operands]
        for number, places in [*readers, *((CONSTANTS, one) for one in self.graph.roots)]:
            for source in nodes_of(places):
                if source < CONSTANTS:
                    read = places[places >> LANES == source] & LANE
                    last[source][read] = np.maximum(last[source][read], number)
        return last

    def _add_leaves(self, shapes: list[tuple[int, ...]]) -> None:
        widths = self._line_widths()
        for leaf, shape in enumerate(shapes, 1):
            size = int(np.prod(shape, dtype=np.int64))
            width = widths.get(leaf, size)
            buffer = self.program.buffer(width, size // width if width else 1)
            layer = next((place for place, held in enumerate(self._held) if leaf in held.leaves), -1)
            self.program.leaves.append(Leaf(buffer, shape, layer))
            self._homes[leaf] = [Home(0, size, buffer, 0)]

    def _line_widths(self) -> dict[int, int]:
        """How wide the lines of leaves are that an op keeps in place."""
        found: dict[int, int] = {}
        for number in self.graph.order:
            node = self.graph.nodes[number]
            for places, width in zip(node.operands[-STATES.get(node.op, 0) :], _state_widths(node), strict=False):
                leaf = self.graph.whole(places)
                if leaf is not None and leaf >= 1:
                    found.setdefault(leaf, width)
        return found

    def _find(self, place: int) -> tuple[int, int]:
        """Buffer and number in it of one place."""
        lane = place & LANE
        for home in self._homes[place >> LANES]:
            if home.first <= lane < home.end:
                return home.buffer, home.offset + lane - home.first
        raise AssertionError("a number without a home")

    def _pieces(self, places: Places) -> list[tuple[int, int, int, int]]:
        """(first, count, buffer, offset) of the runs that lie together in one line."""
        found = []
        bounds = [0, *breaks(places).tolist(), len(places)]
        for start, stop in itertools.pairwise(bounds):
            while start < stop:
                buffer, offset = self._located(int(places[start]), places[start:stop])
                width = self.program.buffers[buffer].width
                lines = self.program.buffers[buffer].lines
                room = width - offset % width if lines > 1 else stop - start
                count = min(stop - start, room, self._room(int(places[start])))
                found.append((start, count, buffer, offset))
                start += count
        return found

    def _room(self, place: int) -> int:
        if place >> LANES >= CONSTANTS:
            return 1 << LANES
        lane = place & LANE
        return next(one.end - lane for one in self._homes[place >> LANES] if one.first <= lane < one.end)

    def _located(self, place: int, places: Places) -> tuple[int, int]:
        return self._constant(places) if place >> LANES >= CONSTANTS else self._find(place)

    def _constant(self, places: Places) -> tuple[int, int]:
        key = places.tobytes()
        if key not in self._together:
            number = int(places[0] >> LANES)
            tensor = self.tape.constants[number - CONSTANTS]
            if not np.array_equal(places, places_of(number, tensor.numel())):
                tensor = constant_values(self.tape, places)
            self._together[key] = self.program.buffer(len(places), 1, self.program.keep(tensor)), 0
        return self._together[key]

    def _at(self, places: Places) -> tuple[int, int]:
        """Where these numbers stand side by side, put together first if need be."""
        if len(places) == 0:
            return 0, 0
        if is_constant(places):
            return self._constant(places)
        pieces = self._pieces(places)
        if len(pieces) == 1:
            return pieces[0][2:]
        key = places.tobytes()
        if key not in self._together:
            self._together[key] = self._put_together(places), 0
        return self._together[key]

    def _put_together(self, places: Places) -> int:
        buffer = self.program.buffer(len(places))
        times = _repetitions(places)
        if times > 1:
            base = places[::times]
            self._emit("spread", [self._at(base), (buffer, 0)], (times, len(base), 0))
        else:
            self._copy(places, buffer)
        return buffer

    def _copy(self, places: Places, buffer: int) -> None:
        """Numbers to a buffer of as many, line by line."""
        target = self.program.buffers[buffer]
        if target.lines == 1 and places.tobytes() in self._together:
            self._emit("copy", [self._together[places.tobytes()], (buffer, 0)], (len(places), 1, 0))
            return
        for first in range(0, len(places), target.width):
            for start, count, source, offset in self._pieces(places[first : first + target.width]):
                self._emit("copy", [(source, offset), (buffer, first + start)], (count, 1, 0))

    def _emit(
        self, op: str, places: Sequence[tuple[int, int]], sizes: tuple[int, int, int],
        numbers: tuple[float, float] = (0.0, 0.0), weight: int = -1, bias: int = -1,
    ) -> None:  # fmt: skip
        flat = tuple(number for place in places for number in place)
        self.program.instructions.append(Instruction(op, flat, sizes, numbers, weight, bias))

    def _place(self, number: int, node: Node) -> None:
        held = next((one for one in self._held if number == one.node or number in one.zones), None)
        if held is not None:
            if number == held.node:
                self._layer(held, node)
        elif node.op in STATES:
            self._state_op(number, node)
        else:
            at = [self._at(one) for one in node.operands]
            buffer = self._forwarded(number, node)
            self._homes[number] = [Home(0, node.width, buffer, 0)]
            weight, bias = self._weights(node)
            sizes = node.sizes
            if node.op == "linear":
                groups, out, width = (1, *self.program.constants[weight].shape)[-3:]
                sizes = (width, groups, out)
            self._emit(node.op, [*at, (buffer, 0)], sizes, node.numbers, weight, bias)

    def _forwarded(self, number: int, node: Node) -> int:
        """The buffer of a leaf that this is the new value of, where nobody needs the old one; else a fresh one."""
        if node.op in POINTWISE:
            for leaf, places in enumerate(self.graph.roots[1:], 1):
                mine = places_of(number, node.width)
                buffer = self._homes[leaf][0].buffer
                if not np.array_equal(places, mine) or self.program.buffers[buffer].lines > 1 or leaf in self._taken:
                    continue
                own = places_of(leaf, node.width)
                reads = [one for one in node.operands if (one >> LANES == leaf).any()]
                if (self._last[leaf] <= number).all() and all(np.array_equal(one, own) for one in reads):
                    self._taken.add(leaf)
                    return buffer
        return self.program.buffer(node.width)

    def _weights(self, node: Node) -> tuple[int, int]:
        weight, bias = node.weights[:2]
        if weight is not None and node.op == "linear":
            weight = _merged(weight)
        kept = [self.program.keep(one) if one is not None else -1 for one in (weight, bias)]
        return kept[0], kept[1]

    def _layer(self, held: Held, node: Node) -> None:
        number = len(self.program.layers)
        layer = held.layer(self.program)
        self.program.layers.append(layer)
        buffer = self.program.buffer(layer.output)
        for one in (held.node, *held.zones[:1]):
            self._homes[one] = [Home(0, layer.output, buffer, 0)]
        self._emit("layer", [self._at(held.x), (buffer, 0)], (layer.input, 1, layer.output), weight=number)

    def _state_op(self, number: int, node: Node) -> None:
        count = STATES[node.op]
        inputs, states = node.operands[:-count], node.operands[-count:]
        at = [self._at(one) for one in inputs]
        if node.op == "window":
            weight, bias = node.weights
            assert weight is not None
            shift = torch.zeros(node.sizes[0], dtype=self.tape.dtype) if bias is None else bias
            lines = self.program.buffer(node.sizes[0], len(weight), self.program.keep(weight))
            at += [(lines, 0), (self.program.buffer(len(shift), 1, self.program.keep(shift)), 0)]
        kept = [self._kept(one, width, number) for one, width in zip(states, _state_widths(node), strict=True)]
        first = node.width - sum(map(len, states))
        y = self.program.buffer(first)
        homes = [Home(0, first, y, 0)]
        for places, buffer in zip(states, kept, strict=True):
            homes.append(Home(first, first + len(places), buffer, 0))
            first += len(places)
        self._homes[number] = homes
        self._emit(node.op, [*at, *((one, 0) for one in kept), (y, 0)], node.sizes, node.numbers)

    def _kept(self, places: Places, width: int, number: int) -> int:
        """The buffer in which an op may change a state: its own where nobody reads the old one later, else a copy."""
        if len(places) and not is_constant(places):
            first = int(places[0])
            source, lane = first >> LANES, first & LANE
            home = next(one for one in self._homes[source] if one.first <= lane < one.end)
            whole = len(breaks(places)) == 0 and (home.first, home.end) == (lane, lane + len(places))
            fits = self.program.buffers[home.buffer].width == width and home.offset == 0 and source != 0
            if (
                whole
                and fits
                and (self._last[source][lane : lane + len(places)] <= number).all()
                and self._is_state(source, home)
            ):
                return home.buffer
        buffer = self.program.buffer(width, len(places) // width if width else 1)
        self._copy(places, buffer)
        return buffer

    def _is_state(self, source: int, home: Home) -> bool:
        """Is it a leaf's or an op's state, which nothing else shares?"""
        return source <= len(self.program.leaves) or self.graph.nodes[source].op in STATES

    def _finish(self) -> None:
        """The new state to its leaves, and y where it stands."""
        y, *after = self.graph.roots
        held = {leaf for one in self._held for leaf in one.leaves}
        waiting = []
        for leaf, places in enumerate(after, 1):
            target = self._homes[leaf][0].buffer
            if leaf not in held and len(places) and not self._is_there(places, target):
                waiting.append((target, places))
        targets = {target for target, _ in waiting}
        moved = [(target, self._safe(places, targets)) for target, places in waiting]
        end = self._safe(y, targets)
        for target, places in moved:
            self._copy(places, target)
        self.program.y = self._at(end)
        self.program.output_size = len(y)

    def _is_there(self, places: Places, target: int) -> bool:
        first = 0
        for start, count, buffer, offset in [] if is_constant(places) else self._pieces(places):
            if buffer != target or offset != start:
                return False
            first += count
        return first == len(places)

    def _safe(self, places: Places, targets: set[int]) -> Places:
        """The same numbers where no store to `targets` changes them."""
        if is_constant(places):
            return places
        if not any(piece[2] in targets for piece in self._pieces(places)):
            if len(self._pieces(places)) > 1:
                self._at(places)
            return places
        node = Node("copy", (places,), len(places), (len(places), 1, 0))
        number = self.tape.node(node)
        if number not in self._homes:
            at = self._at(places)
            buffer = self.program.buffer(len(places)) if at[0] in targets else at[0]
            if at[0] in targets:
                self._copy(places, buffer)
            self._homes[number] = [Home(0, len(places), buffer, 0 if at[0] in targets else at[1])]
        return places_of(number, len(places))


def _state_widths(node: Node) -> tuple[int, ...]:
    """Of the lines of each leaf of an op's state."""
    width, groups, other = node.sizes
    return {"window": (width,), "slstm": (width,) * 4, "mlstm": (other, width, groups), "delta": (other,)}.get(
        node.op, ()
    )


def _repetitions(places: Places) -> int:
    """How many times each number stands there in a row, if all do alike."""
    changes = np.flatnonzero(places[1:] != places[:-1])
    times = int(changes[0]) + 1 if len(changes) else len(places)
    if times == 1 or len(places) % times:
        return 1
    return times if (places.reshape(-1, times) == places[::times, None]).all() else 1


def _merged(weight: Tensor) -> Tensor:
    """Groups of a few numbers joined to larger ones with zeros between them: a product works on whole vectors."""
    if weight.shape[0] == 1:
        return weight[0]
    while weight.shape[0] % 2 == 0 and 2 * max(weight.shape[1:]) <= NARROW:
        pairs = weight.reshape(-1, 2, *weight.shape[1:])
        zero = torch.zeros_like(pairs[:, 0])
        upper, lower = torch.cat([pairs[:, 0], zero], 2), torch.cat([zero, pairs[:, 1]], 2)
        weight = torch.cat([upper, lower], 1)
    return weight
