"""Fewer instructions for the same numbers: what nobody uses goes, and what one instruction can do is one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unrolled.live.record.tape import CONSTANTS, LANE, LANES, Node, Places, Tape, is_constant, nodes_of, places_of

__all__ = ["Graph", "constant_values", "fused", "used"]


@dataclass
class Graph:
    """The nodes in use, by number and in the order in which they run; roots: places of y and of every new leaf."""

    nodes: dict[int, Node]
    order: list[int]
    roots: list[Places]

    def whole(self, places: Places) -> int | None:
        """The node of which these are all numbers in order, or None."""
        if not len(places):
            return None
        number = int(places[0] >> LANES)
        if number >= CONSTANTS or self.nodes[number].width != len(places):
            return None
        return number if np.array_equal(places, places_of(number, len(places))) else None

    def made_by(self, places: Places, op: str) -> Node | None:
        """The node of this op of which these are all numbers, or None."""
        number = self.whole(places)
        return None if number is None or self.nodes[number].op != op else self.nodes[number]


def fused(tape: Tape, roots: list[Places]) -> Graph:
    """The graph of what the roots need."""
    graph = used(dict(enumerate(tape.nodes)), roots)
    rules = _Rules(tape, graph)
    for number in graph.order:
        graph.nodes[number] = rules.applied(graph.nodes[number])
    return used(graph.nodes, roots)


def used(nodes: dict[int, Node], roots: list[Places]) -> Graph:
    """The graph of those nodes that the roots need, and of what is there when a step begins."""
    needed: set[int] = set()
    waiting: list[Places] = list(roots)
    while waiting:
        places = waiting.pop()
        for number in nodes_of(places):
            if number < CONSTANTS and number not in needed:
                needed.add(number)
                waiting.extend(nodes[number].operands)
    sources = [number for number, node in nodes.items() if not node.operands and node.op in ("x", "leaf")]
    order = [number for number in sorted(needed) if number not in sources]
    return Graph({number: nodes[number] for number in sorted({*needed, *sources})}, order, roots)


class _Rules:
    def __init__(self, tape: Tape, graph: Graph) -> None:
        self.tape, self.graph = tape, graph
        readers = [one for number in graph.order for one in graph.nodes[number].operands]
        self._uses = Counter(number for places in [*readers, *graph.roots] for number in nodes_of(places))

    def applied(self, node: Node) -> Node:
        """The node, or one that does what it and those before it do."""
        if node.op == "add":
            return self._add(node)
        if node.op == "multiply":
            return self._multiply(node)
        if node.op == "affine":
            inner = self._only(node.operands[0], "affine")
            if inner is not None:
                (scale, shift), (first, second) = node.numbers, inner.numbers
                return inner._replace(numbers=(scale * first, scale * second + shift))
        return node

    def _only(self, places: Places, op: str) -> Node | None:
        """The node of this op that is used here, whole, and nowhere else."""
        number = self.graph.whole(places)
        if number is None or self._uses[number] != 1 or self.graph.nodes[number].op != op:
            return None
        return self.graph.nodes[number]

    def _add(self, node: Node) -> Node:
        for a, b in (node.operands, node.operands[::-1]):
            product = self._only(a, "linear")
            if product is not None and product.weights[1] is None and is_constant(b):
                return product._replace(weights=(product.weights[0], constant_values(self.tape, b)))
            factor = self._only(a, "multiply")
            if factor is not None:
                return node._replace(op="multiply_add", operands=(*factor.operands, b))
        return node

    def _multiply(self, node: Node) -> Node:
        for a, b in (node.operands, node.operands[::-1]):
            norm = self._norm(a, b)
            if norm is not None:
                return norm
            scaled = self._only(a, "affine")
            if scaled is not None and scaled.numbers[1] == 0.0 and is_constant(b):
                tensor = constant_values(self.tape, b) * scaled.numbers[0]
                factor = (self.tape.constant(tensor) >> 1).numpy()
                return node._replace(operands=(scaled.operands[0], factor))
        return node

    def _norm(self, x: Places, factor: Places) -> Node | None:
        """x / sqrt(n * the sum of its squares + m) in groups, of which `factor` is the rest."""
        number = int(factor[0] >> LANES)
        if number >= CONSTANTS or self.graph.nodes[number].op != "divide":
            return None
        inverse = self.graph.nodes[number]
        root = self.graph.made_by(inverse.operands[1], "sqrt")
        moved = None if root is None else self.graph.made_by(root.operands[0], "affine")
        total = None if moved is None else self.graph.made_by(moved.operands[0], "group_sum")
        squares = None if total is None else self.graph.made_by(total.operands[0], "square")
        if moved is None or total is None or squares is None or not np.array_equal(squares.operands[0], x):
            return None
        width, groups, _ = total.sizes
        ones = is_constant(inverse.operands[0]) and bool((constant_values(self.tape, inverse.operands[0]) == 1).all())
        if not ones or not np.array_equal(factor, np.repeat(places_of(number, groups), width)):
            return None
        scale, eps = moved.numbers
        op = "l2_norm" if scale == 1.0 else "rms_norm" if abs(scale * width - 1) < 1e-9 else None
        return None if op is None else Node(op, (x,), len(x), (width, groups, 0), (eps, 0.0))


def constant_values(tape: Tape, places: Sequence[int] | Places) -> Tensor:
    """The numbers of constants at these places."""
    given = np.asarray(places)
    numbers, lanes = (given >> LANES) - CONSTANTS, given & LANE
    found = torch.empty(len(given), dtype=tape.dtype)
    for number in np.unique(numbers).tolist():
        here = torch.from_numpy(numbers == number)
        found[here] = tape.constants[number].detach().reshape(-1)[torch.from_numpy(lanes)[here]]
    return found
