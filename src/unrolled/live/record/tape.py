"""What a step does with the numbers of a row, as a graph: every entry of every recorded value by where it comes from.

An entry has a code: the number of a node, which of the node's numbers it is, and the row. So whatever only renames
entries (a view, a slice, a join, an expansion) is torch's own function on the codes, and makes no node. Codes without
their row are places.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from unrolled.live.record.values import Call, Recorded, Unrecordable

__all__ = ["CONSTANTS", "LANE", "LANES", "Node", "Places", "Tape", "breaks", "is_constant", "nodes_of", "places_of"]

Places = np.ndarray
"""(numbers,) int64."""

LANES = 30
"""Bits of the number within a node."""

LANE = (1 << LANES) - 1
"""The bits themselves."""

CONSTANTS = 1 << 20
"""Nodes from this number on are constants."""

FEW = 8
"""A function of so many pieces that lie apart is so many instructions; of more, they are first put together."""


class Node(NamedTuple):
    """An instruction to be: what it reads, how many numbers it makes, its sizes, numbers and weights.

    Of an op of the state, the numbers after those of y are the new state's, leaf by leaf.
    """

    op: str
    operands: tuple[Places, ...] = ()
    width: int = 0
    sizes: tuple[int, int, int] = (0, 1, 0)
    numbers: tuple[float, float] = (0.0, 0.0)
    weights: tuple[Tensor | None, Tensor | None] = (None, None)
    word: str = ""
    """Which gated cell."""


def places_of(number: int, width: int, first: int = 0) -> Places:
    """Numbers of a node from the first one given on."""
    return (number << LANES) + np.arange(first, first + width)


def nodes_of(places: Places) -> list[int]:
    """The nodes that these are numbers of."""
    numbers = places >> LANES
    if len(numbers) and (numbers == numbers[0]).all():
        return [int(numbers[0])]
    return [int(number) for number in np.unique(numbers)]


def is_constant(places: Places) -> bool:
    """Does every number come from constants?"""
    return bool((places >> LANES >= CONSTANTS).all())


def breaks(places: Places) -> Places:
    """Positions at which the next number is not that which follows."""
    return np.flatnonzero(places[1:] - places[:-1] != 1) + 1


class Tape:
    """The graph of one step, of some pretended rows; `table` takes torch's functions by name."""

    def __init__(
        self,
        rows: int,
        dtype: torch.dtype,
        table: Callable[[Tape, Call, Sequence[object], Mapping[str, object]], object],
    ) -> None:
        self.rows = rows
        self.dtype = dtype
        self.nodes: list[Node] = []
        self.constants: list[Tensor] = []
        self._table = table
        self._made: dict[tuple[object, ...], int] = {}
        self._known: dict[int, int] = {}

    def call(self, function: Call, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
        """A function of torch, or a step of an op, on recorded values."""
        return self._table(self, function, args, kwargs)

    def source(self, op: str, shape: tuple[int, ...]) -> Recorded:
        """Numbers that are there when a step begins: (rows, *shape)."""
        number = self._add(Node(op, width=int(np.prod(shape, dtype=np.int64))))
        return self.view(self.places(number), shape)

    def view(self, places: Places, shape: Sequence[int], dtype: torch.dtype | None = None) -> Recorded:
        """A value (rows, *shape) of these places in every row."""
        row = torch.from_numpy(places.astype(np.int64) << 1).view(1, *shape)
        steps = torch.arange(self.rows).view(-1, *[1] * len(shape))
        return Recorded(self, torch.where(row >= CONSTANTS << (LANES + 1), row, row + steps), dtype)

    def places(self, number: int) -> Places:
        """All numbers of a node."""
        return places_of(number, self.nodes[number].width)

    def node(self, node: Node) -> int:
        """The number of a node; two that are alike are one."""
        key = (node.op, *(one.tobytes() for one in node.operands), node.width, node.sizes, node.numbers)
        key = (*key, *map(id, node.weights), node.word)
        if key not in self._made:
            self._made[key] = self._add(node)
        return self._made[key]

    def _add(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def constant(self, tensor: Tensor) -> Tensor:
        """The codes of a tensor that is the same in every row and at every step."""
        if isinstance(tensor, Recorded):
            return tensor.codes
        if id(tensor) not in self._known:
            self._known[id(tensor)] = len(self.constants)
            self.constants.append(tensor)
        first = CONSTANTS + self._known[id(tensor)] << LANES
        return (first + torch.arange(tensor.numel()).view(tensor.shape)) << 1

    def codes(self, given: Recorded | Tensor, dimensions: int) -> Tensor:
        """The codes of a value; of a tensor (rows, ...) that has a row like the others, those of one row."""
        if isinstance(given, Recorded):
            return given.codes
        if given.ndim == dimensions and self.rows > 1 and given.shape[0] == self.rows:
            if not torch.equal(given, given[:1].expand_as(given)):
                raise Unrecordable("a tensor is made for this batch whose rows differ")
            given = given[:1].contiguous()
        return self.constant(given)

    def row_places(self, value: Recorded | Tensor) -> Places:
        """The places of a value (rows, ...) in a row, one after another; every row must have its own alone."""
        codes = self.codes(value, value.ndim)
        codes = codes.expand(self.rows, *codes.shape[1:]) if codes.ndim and codes.shape[0] == 1 else codes
        if codes.ndim == 0 or codes.shape[0] != self.rows:
            raise Unrecordable(f"rows of the batch are mixed: {tuple(codes.shape)} holds no row for each stream")
        flat = codes.reshape(self.rows, -1).numpy()
        rows = np.arange(self.rows)[:, None]
        if not ((flat & 1 == rows) | (flat >> 1 >= CONSTANTS << LANES)).all() or (flat >> 1 != flat[:1] >> 1).any():
            raise Unrecordable("rows of the batch are mixed")
        places: Places = flat[0] >> 1
        return places

    def pointwise(self, op: str, *operands: Recorded | Tensor, numbers: tuple[float, float] = (0.0, 0.0)) -> Recorded:
        """A function of single numbers of operands that are broadcast."""
        dimensions = max(one.ndim for one in operands)
        codes = [self.codes(one, dimensions) for one in operands]
        shape = torch.Size(np.broadcast_shapes(*(one.shape for one in codes)))
        columns = np.stack([one.expand(shape).reshape(-1).numpy() for one in codes])
        row, columns = self._rows_of(columns, shape), columns >> 1
        whole = columns.shape[1]
        one_row = (
            len(shape) > 0
            and shape[0] == self.rows
            and whole
            and not ((columns.reshape(len(operands), self.rows, -1) != columns[:, None, : whole // self.rows]).any())
        )
        if one_row:
            columns = columns[:, : whole // self.rows]
        columns, back = _distinct(columns)
        places = self._split(op, columns, numbers)[back]
        if one_row:
            places = np.tile(places, self.rows)
        return Recorded(self, torch.from_numpy((places << 1) + row).view(shape))

    def _rows_of(self, columns: Places, shape: torch.Size) -> Places:
        """The row of every entry; constants have none."""
        rows = np.where(columns >> 1 >= CONSTANTS << LANES, -1, columns & 1)
        found: Places = rows.max(0)
        if ((rows != found) & (rows >= 0)).any():
            raise Unrecordable("rows of the batch are mixed")
        if (found < 0).any():
            # Of constants alone: a row's own where it stands in one.
            place = np.arange(found.size) // max(1, found.size // self.rows) if shape[:1] == (self.rows,) else 0
            found = np.where(found < 0, place, found)
        return found

    def _split(self, op: str, columns: Places, numbers: tuple[float, float]) -> Places:
        """The places of what nodes make of these columns: one for each of a few pieces that lie apart."""
        # What repeats numbers is put together in one instruction as it is.
        cuts = [breaks(one) for one in columns if not is_constant(one) and (one[1:] != one[:-1]).all()]
        few = sorted({int(cut) for one in cuts if len(one) < FEW for cut in one})
        bounds = [0, *few, columns.shape[1]] if len(few) < FEW else [0, columns.shape[1]]
        made = []
        for start, stop in itertools.pairwise(bounds):
            operands = tuple(np.ascontiguousarray(one[start:stop]) for one in columns)
            made.append(self.places(self.node(Node(op, operands, stop - start, (stop - start, 1, 0), numbers))))
        return np.concatenate(made)


def _distinct(columns: Places) -> tuple[Places, Places]:
    """Columns without repetition, in the order that breaks least, and where each one given is among them."""
    count = columns.shape[1]
    if (columns[0, 1:] > columns[0, :-1]).all():
        return columns, np.arange(count)
    order = np.lexsort(columns[::-1])
    ordered = columns[:, order]
    fresh = np.ones(count, bool)
    fresh[1:] = (ordered[:, 1:] != ordered[:, :-1]).any(0)
    back = np.empty(count, np.int64)
    back[order] = np.cumsum(fresh) - 1
    kept = ordered[:, fresh]
    # The same in the order in which they come first.
    first = np.full(kept.shape[1], count)
    np.minimum.at(first, back, np.arange(count))
    turn = np.argsort(first)
    early = kept[:, turn]
    if sum(len(breaks(one)) for one in early) <= sum(len(breaks(one)) for one in kept):
        kept, back = early, np.argsort(turn)[back]
    return kept, back
