"""Search: sequences out of a step, greedily, by sampling, by beam; constrained, scored, streamed.

Under connectionist temporal classification: the best path, and searches of prefixes, fused with what else has a say.
"""

from unrolled.search.beam import beam
from unrolled.search.constraints import Constraint, Forbid, NoRepeat, OneOf, Opening
from unrolled.search.fusion import HotWords, Lexicon, ModelScorer, Scorer, Units, Weighted
from unrolled.search.greedy import greedy
from unrolled.search.paths import EndPoint, best_path
from unrolled.search.prefix import PrefixSearch, prefix_search
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
    "EndPoint",
    "HotWords",
    "Lexicon",
    "ModelScorer",
    "PrefixSearch",
    "Scorer",
    "Units",
    "Weighted",
    "beam",
    "best_path",
    "prefix_search",
    "greedy",
    "sample",
    "score",
    "stream",
]
