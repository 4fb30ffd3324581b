"""Search: sequences out of a step, greedily, by sampling, by beam; constrained, scored, streamed."""

from unrolled.search.beam import beam
from unrolled.search.constraints import Constraint, Forbid, NoRepeat, OneOf, Opening
from unrolled.search.greedy import greedy
from unrolled.search.sample import sample, stream
from unrolled.search.step import CodeStep, Found, score

__all__ = [
    "Constraint",
    "Forbid",
    "Found",
    "NoRepeat",
    "OneOf",
    "Opening",
    "CodeStep",
    "beam",
    "greedy",
    "sample",
    "score",
    "stream",
]
