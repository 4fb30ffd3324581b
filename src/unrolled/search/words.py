"""A language model over words, or pieces of words, that has a say in a search over characters."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from unrolled.errors import DataError, OptionError
from unrolled.search.fusion import ModelScorer, Scorer, check_spelling

__all__ = ["WordScorer"]


class _Place:
    """Where in the tree of spellings a word has come to: words low .. high - 1 go on from here.

    word: the number of the one that ends here, -1 where none does.
    """

    __slots__ = ("children", "high", "low", "word")

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high, self.word = low, high, -1
        self.children: dict[int, _Place] = {}


def _tree(spellings: Sequence[Sequence[int]]) -> _Place:
    """The tree of spellings in the order of a dictionary, so that what begins alike stands side by side."""
    root = _Place(0, len(spellings))
    for number, spelling in enumerate(spellings):
        place = root
        for code in spelling:
            place = place.children.setdefault(code, _Place(number, number))
            place.high = number + 1
        place.word = number
    return root


class _History:
    """What a model has read: its state, and, as soon as it is wanted, what it says of what may follow."""

    __slots__ = ("firsts", "following", "state")

    def __init__(self, state: Any) -> None:
        self.state = state
        self.following: dict[int, tuple[float, _History]] = {}
        self.firsts: np.ndarray | None = None

    def then(self, model: Scorer[Any], code: int) -> tuple[float, _History]:
        """log p of one more code, and what has been read with it. It is kept, for other words may begin like this."""
        found = self.following.get(code)
        if found is None:
            value, state = model.score(self.state, code)
            found = self.following[code] = value, _History(state)
        return found


class _Told(NamedTuple):
    """What `WordScorer` knows of codes: the words before, where the word under way stands, what was said of it so far.

    place: None: the word is unknown, and paid for.
    """

    history: _History
    place: _Place | None
    lent: float


class WordScorer:
    """A model over words as a scorer over characters: a word costs what the model says of it, when it is complete.

        score(codes) = sum over words of log p(word | words before) + log p(end | all words)

    With look_ahead a word under way is lent log p of the likeliest word that it may become, so that the beam neither
    favours words that are not yet paid for nor drops those that will be; once the word is known, what was lent is taken
    back. A finished sequence has the same score with and without.

    Args:
        model: what scores the model's own codes. It is asked once for each sequence of words that is looked at.
        words: the model's codes, one or, where it reads pieces, several, of each spelling in the codes of the search.
        separators: the codes between words, any number in a row, before the first and after the last word, too.
        unknown: what any other word costs, at least 0, beside log p of `unknown_codes`; None: there must be none.
        unknown_codes: the model's codes for a word that is not known; none: the model does not hear of it.
        look_ahead: lend. Of a word in pieces the first one's log p is lent.

    Source: look-ahead in a prefix tree: Ortmanns, Ney and Eiden 1996, "Language-model look-ahead for large vocabulary
    speech recognition", ICSLP; here over all history, not over the last word.

    >>> import torch
    >>> def coin(codes, state):
    ...     return torch.tensor([[0.5, 0.25, 0.25]]).log(), state
    >>> model = ModelScorer(coin, torch.zeros(1, 1), begin=0, end=0)
    >>> scorer = WordScorer(model, {(2, 3): [1], (2, 4): [2]}, separators=[1])
    >>> half, state = scorer.score(scorer.begin(), 2)
    >>> rest, state = scorer.score(state, 3)
    >>> [round(math.exp(value), 3) for value in (half, rest, scorer.end(state))]
    [0.25, 1.0, 0.5]
    """

    def __init__(
        self,
        model: ModelScorer[Any],
        words: Mapping[tuple[int, ...], Sequence[int]],
        separators: Collection[int],
        *,
        unknown: float | None = None,
        unknown_codes: Sequence[int] = (),
        look_ahead: bool = True,
    ) -> None:
        self.model, self.separators, self.look_ahead = model, frozenset(separators), look_ahead
        if unknown is not None and not (math.isfinite(unknown) and unknown >= 0):
            raise OptionError(f"WordScorer: unknown must be None or a number of at least 0, got {unknown!r}.")
        if not words and unknown is None:
            raise DataError("WordScorer: expected at least one word, got none.")
        for spelling, codes in words.items():
            check_spelling("WordScorer", spelling, self.separators)
            if not codes:
                raise DataError(f"WordScorer: expected the model's codes for the word {list(spelling)}, got none.")
        spellings = sorted(words)
        self.root = _tree(spellings)
        # The last one, of number -1, is the unknown word.
        self.codes = [tuple(words[spelling]) for spelling in spellings] + [tuple(unknown_codes)]
        self.firsts = np.array([codes[0] for codes in self.codes[:-1]], np.int64)
        self.missing = -math.inf if unknown is None else -float(unknown)

    def begin(self) -> _Told:
        return _Told(_History(self.model.begin()), self.root, 0.0)

    def score(self, state: _Told, code: int) -> tuple[float, _Told]:
        history, place, lent = state
        if code in self.separators:
            value, history = self._close(state)
            return value, _Told(history, self.root, 0.0)
        if place is None:
            return 0.0, state
        after, worth = place.children.get(code), 0.0
        if after is None:
            worth = self._word(history, -1)[0]
        elif self.look_ahead:
            worth = self._best(history, after)
        # What must not come has nothing to give back.
        return worth - lent, _Told(history, after, worth if worth > -math.inf else 0.0)

    def end(self, state: _Told) -> float:
        value, history = self._close(state)
        return value + self.model.end(history.state)

    def _close(self, state: _Told) -> tuple[float, _History]:
        """The word under way is complete: what is still to be paid for it, and the words so far."""
        history, place, lent = state
        if place is self.root:
            return 0.0, history
        value, following = self._word(history, -1 if place is None else place.word)
        return value - lent, following

    def _word(self, history: _History, number: int) -> tuple[float, _History]:
        """What a word costs after those before it, and all of them."""
        value = self.missing if number < 0 else 0.0
        for code in self.codes[number]:
            one, history = history.then(self.model, code)
            value += one
        return value, history

    def _best(self, history: _History, place: _Place) -> float:
        """The log p of the likeliest word that goes on from a place, an unknown one included."""
        if history.firsts is None:
            history.firsts = self.model.ahead(history.state, self.firsts)
        best = float(history.firsts[place.low : place.high].max())
        return best if self.missing == -math.inf else max(best, self._word(history, -1)[0])
