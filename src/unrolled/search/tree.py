"""Sequences that begin alike, kept once as far as they do, and no longer than somebody needs them."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Tree"]

V = TypeVar("V", bound=Hashable)


class _Node(Generic[V]):
    """A value, the number of the node before it, those after it, and how many hold the sequence that ends here."""

    __slots__ = ("above", "below", "held", "value")

    def __init__(self, above: int, value: V | None) -> None:
        self.above, self.value = above, value
        self.below: dict[V, int] = {}
        self.held = 0


class Tree(Generic[V]):
    """Sequences of values, each known by the number of its last node; equal ones have the same number.

    What nobody holds, and nothing held begins with, is left out; what all that are held begin with, `settle` takes out.
    Each step takes the time of what changes, however long the sequences are.

    >>> tree = Tree[str]()
    >>> first = tree.grow(tree.grow(tree.root, "a"), "b")
    >>> second = tree.grow(tree.above(first), "c")
    >>> tree.hold(first), tree.hold(second), tree.settle(), tree.path(second)
    (None, None, ['a'], ['c'])
    >>> tree.release(first), tree.settle(), tree.path(second), len(tree)
    (None, ['c'], [], 1)
    """

    def __init__(self) -> None:
        # Numbers rather than references: a copy of a long sequence must not go as deep as it is long.
        self.root, self._next = 0, 1
        self._nodes = {0: _Node[V](-1, None)}

    def __len__(self) -> int:
        """How many nodes there are, the root among them."""
        return len(self._nodes)

    def grow(self, node: int, value: V) -> int:
        """The sequence with one more value. It must be held, before another is released."""
        below = self._nodes[node].below
        found = below.get(value)
        if found is None:
            found, self._next = self._next, self._next + 1
            below[value] = found
            self._nodes[found] = _Node(node, value)
        return found

    def above(self, node: int) -> int:
        """The sequence without its last value; no number of one where none is left."""
        return self._nodes[node].above

    def hold(self, node: int) -> None:
        """Keep a sequence until it is released as often as it was held."""
        self._nodes[node].held += 1

    def release(self, node: int) -> None:
        """Keep a sequence no longer, where nobody else holds it."""
        here = self._nodes[node]
        here.held -= 1
        while node != self.root and not here.held and not here.below:
            del self._nodes[node]
            node, value = here.above, here.value
            here = self._nodes[node]
            assert value is not None
            del here.below[value]

    def path(self, node: int) -> list[V]:
        """The values of a sequence but for those that were settled."""
        values = list[V]()
        while node != self.root:
            here = self._nodes[node]
            assert here.value is not None
            values.append(here.value)
            node = here.above
        return values[::-1]

    def settle(self) -> list[V]:
        """The values that all sequences held begin with, which are then no part of them."""
        values, here = list[V](), self._nodes[self.root]
        while not here.held and len(here.below) == 1:
            [(value, node)] = here.below.items()
            values.append(value)
            del self._nodes[self.root]
            self.root, here = node, self._nodes[node]
            here.above, here.value = -1, None
        return values
