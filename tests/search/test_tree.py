"""Sequences that begin alike, against plain tuples."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from unrolled.search.tree import Tree


@pytest.mark.parametrize("seed", range(20))
def test_a_tree_holds_what_plain_tuples_hold_and_no_more(seed: int) -> None:
    random, tree = np.random.default_rng(seed), Tree[int]()
    held: list[tuple[int, tuple[int, ...]]] = [(tree.root, ())]
    tree.hold(tree.root)
    settled: tuple[int, ...] = ()
    for _ in range(300):
        node, values = held[int(random.integers(len(held)))]
        if random.random() < 0.6:
            for value in random.integers(0, 2, int(random.integers(1, 3))).tolist():
                node, values = tree.grow(node, value), (*values, value)
            tree.hold(node)
            held.append((node, values))
        while len(held) > 4 or (len(held) > 1 and random.random() < 0.2):
            gone, _ = held.pop(int(random.integers(len(held))))
            tree.release(gone)
        if random.random() < 0.2:
            settled += tuple(tree.settle())
            assert all(values[: len(settled)] == settled for _, values in held)
            following = {values[len(settled) : len(settled) + 1] for _, values in held}
            assert len(following) > 1 or following == {()}
        kept = {values[:count] for _, values in held for count in range(len(settled), len(values) + 1)}
        assert len(tree) == len(kept | {settled})
        assert len({node for node, _ in held}) == len({values for _, values in held})
        for node, values in held:
            assert (*settled, *tree.path(node)) == values


def test_a_long_sequence_is_copied_and_let_go_whole() -> None:
    tree = Tree[int]()
    node = tree.root
    for value in range(20_000):
        node = tree.grow(node, value)
    tree.hold(node)
    other = copy.deepcopy(tree)
    tree.release(node)
    assert len(tree) == 1
    assert other.path(node) == list(range(20_000)) == other.settle()
    assert len(other) == 1
