"""Where the codes of a prefix stand, carried from frame to frame by those of its paths that are the best so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from unrolled.fields.text import BLANK
from unrolled.search.paths import Spelled
from unrolled.search.tree import Tree

__all__ = ["Trace", "first_trace"]


class Trace(NamedTuple):
    """The best path that spells a prefix and ends in a blank, and the best one that ends in its last code.

        blank' = max(blank, code) + log p(blank)
        code'  = max(code, what led to it) + log p(code)      what led to it: the blank, or another code, of the prefix
                                                              without the last code
    Of equal paths the one that stays counts, then the one through the blank, as for `path_of`.

    blank, code: log p of the two. closed: the codes of the first, in a tree of those of all prefixes. before: those of
    the second but for the last, which begins in frame `begin`; `total` is the sum of its probabilities since. None:
    there is no such path.
    """

    blank: float
    closed: int | None
    code: float
    before: int | None
    begin: int
    total: float

    def stay(
        self, tree: Tree[Spelled], frame: Sequence[float], last: int, time: int, shorter: tuple[Trace, int] | None
    ) -> Trace:
        """One more frame, number `time`, without a new code. shorter: the prefix without the last code, and the last
        code of that, where paths come from there."""
        blank, closed = self._left(tree, last, BLANK, time, frame[BLANK])
        if shorter is not None and shorter[0]._leading(shorter[1], last) > self.code:
            return shorter[0].grow(tree, frame, shorter[1], last, time)._replace(blank=blank, closed=closed)
        code = self.code + frame[last]
        before = None if code == -math.inf else self.before
        return Trace(blank, closed, code, before, self.begin, self.total + math.exp(frame[last]))

    def grow(self, tree: Tree[Spelled], frame: Sequence[float], last: int, new: int, time: int) -> Trace:
        """One more frame, number `time`, in which a new code begins."""
        code, before = self._left(tree, last, new, time, frame[new])
        return Trace(-math.inf, None, code, before, time, math.exp(frame[new]))

    def ended(self, tree: Tree[Spelled], last: int, time: int) -> list[Spelled]:
        """The codes of the best path, if frame `time` is none of it."""
        if self.blank > self.code:
            return [] if self.closed is None else tree.path(self.closed)
        return [] if self.before is None else [*tree.path(self.before), self._under_way(last, time)]

    def hold(self, tree: Tree[Spelled]) -> None:
        for node in (self.closed, self.before):
            if node is not None:
                tree.hold(node)

    def release(self, tree: Tree[Spelled]) -> None:
        for node in (self.closed, self.before):
            if node is not None:
                tree.release(node)

    def _leading(self, last: int, new: int) -> float:
        """log p of the best path from which a new code, or a blank, may come: an equal code must wait for a blank."""
        return self.blank if new == last else max(self.blank, self.code)

    def _left(self, tree: Tree[Spelled], last: int, new: int, time: int, log_prob: float) -> tuple[float, int | None]:
        """That path with the new code in frame `time`: log p, and the codes before the new one."""
        value = self._leading(last, new)
        if value + log_prob == -math.inf:
            return -math.inf, None
        if value == self.blank or self.before is None:
            return value + log_prob, self.closed
        return value + log_prob, tree.grow(self.before, self._under_way(last, time))

    def _under_way(self, last: int, time: int) -> Spelled:
        """The last code, if it is over before frame `time`."""
        return Spelled((last,), self.begin, time, self.total / (time - self.begin))


def first_trace(tree: Tree[Spelled]) -> Trace:
    """That of no code, before the first frame."""
    return Trace(0.0, tree.root, -math.inf, None, 0, 0.0)
