"""Search: sequences out of a step, greedily, by sampling, by beam; constrained, scored, streamed.

Under connectionist temporal classification: the best path, and searches of prefixes, fused with what else has a say.
"""

from unrolled.search.beam import beam
from unrolled.search.constraints import Constraint, Forbid, NoRepeat, OneOf, Opening
from unrolled.search.fusion import HotWords, Lexicon, ModelScorer, Scorer, Units, Weighted
from unrolled.search.greedy import greedy
from unrolled.search.likeliest import LikeliestPath
from unrolled.search.paths import EndPoint, Spelled, best_path, path_of, split_words
from unrolled.search.prefix import Labelling, PrefixSearch, SoFar, prefix_search
from unrolled.search.sample import sample, stream
from unrolled.search.step import CodeStep, Found, score
from unrolled.search.words import WordScorer

__all__ = [
    "CodeStep",
    "Constraint",
    "EndPoint",
    "Forbid",
    "Found",
    "HotWords",
    "Labelling",
    "Lexicon",
    "LikeliestPath",
    "ModelScorer",
    "NoRepeat",
    "OneOf",
    "Opening",
    "PrefixSearch",
    "Scorer",
    "SoFar",
    "Spelled",
    "Units",
    "Weighted",
    "WordScorer",
    "beam",
    "best_path",
    "greedy",
    "path_of",
    "prefix_search",
    "sample",
    "score",
    "split_words",
    "stream",
]
