"""The gated cells of a recorded step: each is a whole compiled layer, where nothing else sees its state."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from unrolled.live.program import GatedLayer, Program
from unrolled.live.record.fuse import Graph, constant_values, used
from unrolled.live.record.tape import LANE, LANES, Node, Places, Tape, is_constant, places_of

__all__ = ["WEIGHTS", "Held", "NotWhole", "held_layers", "without_held"]

WEIGHTS = ("weight_h", "bias_h", "norm_h", "peephole", "weight_p", "norm_c")
"""What a gated node holds of weights, in this order."""

EPSILON = 1e-5
"""Of the compiled layers' norms."""


class NotWhole(Exception):
    """A gated cell is used so that it is no layer by itself: its equations have to be recorded."""


class Held(NamedTuple):
    """A gated cell that can be a layer.

    zones: the nodes of zoneout that go with it; the first gives y where h has a rate. sizes: of h and of c.
    """

    node: int
    zones: tuple[int, ...]
    x: Places
    leaves: tuple[int, ...]
    cell: str
    sizes: tuple[int, int]
    rates: tuple[float, float]
    weights: dict[str, Tensor]

    def layer(self, program: Program) -> GatedLayer:
        weights = {name: program.keep(tensor) for name, tensor in self.weights.items()}
        output, hidden = self.sizes
        return GatedLayer(self.cell, len(self.x), hidden, output, self.rates, weights)


def held_layers(tape: Tape, graph: Graph, leaves: int) -> list[Held]:
    """Every gated cell of the graph as a layer. Raises NotWhole."""
    return [_held(tape, graph, number, leaves) for number in graph.order if graph.nodes[number].op == "gated"]


def without_held(graph: Graph, held: list[Held]) -> Graph:
    """The graph without what the layers do themselves."""
    nodes = dict(graph.nodes)
    for one in held:
        for zone in set(one.zones) - {one.node}:
            nodes[zone] = nodes[zone]._replace(operands=(places_of(one.node, 1),))
        nodes[one.node] = nodes[one.node]._replace(operands=(one.x,))
    return used(nodes, graph.roots)


def _held(tape: Tape, graph: Graph, number: int, leaves: int) -> Held:
    node = graph.nodes[number]
    gates, *states = node.operands
    found = [graph.whole(one) for one in states]
    own = tuple(one for one in found if one is not None and 1 <= one <= leaves)
    if len(own) != len(states) or own != tuple(range(own[0], own[0] + len(own))):
        raise NotWhole
    rates, zones, first = [], [], 0
    for leaf, old in zip(own, states, strict=True):
        fresh = places_of(number, len(old), first)
        first += len(old)
        zone, rate = _zone(graph, graph.roots[leaf], fresh, old)
        rates.append(rate)
        zones.append(zone)
    _check_readers(graph, number, own, zones)
    x, weights = _projection(tape, graph, gates, node.word)
    weights |= {name: one for name, one in zip(WEIGHTS, node.weights, strict=True) if one is not None}
    # Of h first: what stands there for a rate of 0 is the node itself.
    placed = tuple(number if zone is None else zone for zone in zones)
    return Held(number, placed, x, own, node.word, (len(states[0]), len(states[-1])), (rates[0], rates[-1]), weights)


def _zone(graph: Graph, after: Places, fresh: Places, old: Places) -> tuple[int | None, float]:
    """The node of zoneout between the new value and the leaf, and its rate."""
    if np.array_equal(after, fresh):
        return None, 0.0
    number = graph.whole(after)
    if number is not None and graph.nodes[number].op == "zone":
        node = graph.nodes[number]
        if np.array_equal(node.operands[0], fresh) and np.array_equal(node.operands[1], old):
            return number, node.numbers[0]
    raise NotWhole


def _check_readers(graph: Graph, number: int, leaves: tuple[int, ...], zones: list[int | None]) -> None:
    """Nothing else may see the old state, the new c, or the new h before zoneout."""
    width = len(graph.roots[leaves[0]])
    hidden = set(leaves) | {zone for zone in zones[1:] if zone is not None}
    allowed = {number, *(zone for zone in zones if zone is not None)}
    readers = [one for place in graph.order if place not in allowed for one in graph.nodes[place].operands]
    rest = [one for leaf, one in enumerate(graph.roots) if leaf not in leaves]
    for places in [*readers, *rest]:
        sources, lanes = places >> LANES, places & LANE
        mine = sources == number
        if (
            np.isin(sources, list(hidden)).any()
            or (mine & (lanes >= width)).any()
            or (zones[0] is not None and mine.any())
        ):
            raise NotWhole


def _projection(tape: Tape, graph: Graph, gates: Places, cell: str) -> tuple[Places, dict[str, Tensor]]:
    """What the gates are made of: x, and the weights by name."""
    weights: dict[str, Tensor] = {}
    number = graph.whole(gates)
    node = None if number is None else graph.nodes[number]
    if node is not None and node.op == "linear":
        return _product(node, weights)
    parts, bias = _parts(tape, graph, gates)
    gains, widths, place, product = [], [], 0, None
    for part, gain in parts:
        norm = graph.made_by(part, "layer_norm")
        if norm is None or norm.numbers[0] != EPSILON or norm.sizes[1] != 1:
            raise NotWhole
        source = norm.operands[0]
        product = int(source[0] >> LANES)
        if not np.array_equal(source, places_of(product, len(source), place)):
            raise NotWhole
        place += len(source)
        gains.append(gain)
        widths.append(len(source))
    found = graph.nodes.get(product) if product is not None else None
    third = len(gates) // 3
    wanted = [2 * third, third] if cell.startswith("gru") else [len(gates)]
    if (
        found is None
        or found.op != "linear"
        or found.weights[1] is not None
        or widths != wanted
        or cell.startswith("rnn")
    ):
        raise NotWhole
    weights["norm_x"] = torch.cat(gains)
    if bias is not None:
        weights["bias"] = bias
    return _product(found, weights)


def _product(node: Node, weights: dict[str, Tensor]) -> tuple[Places, dict[str, Tensor]]:
    weight, bias = node.weights
    if weight is None or weight.shape[0] != 1:
        raise NotWhole
    weights["weight_x"] = weight[0]
    if bias is not None:
        weights["bias"] = bias
    return node.operands[0], weights


def _parts(tape: Tape, graph: Graph, gates: Places) -> tuple[list[tuple[Places, Tensor]], Tensor | None]:
    """The normed parts with their gains, and the bias of all."""
    parts, biases = [], []
    start = 0
    while start < len(gates):
        number = int(gates[start] >> LANES)
        node = graph.nodes.get(number)
        if node is None or node.op not in ("multiply", "multiply_add") or not is_constant(node.operands[1]):
            raise NotWhole
        if not np.array_equal(gates[start : start + node.width], places_of(number, node.width)):
            raise NotWhole
        parts.append((node.operands[0], constant_values(tape, node.operands[1])))
        if node.op == "multiply_add":
            if not is_constant(node.operands[2]):
                raise NotWhole
            biases.append(constant_values(tape, node.operands[2]))
        start += node.width
    if biases and len(biases) != len(parts):
        raise NotWhole
    return parts, torch.cat(biases) if biases else None
