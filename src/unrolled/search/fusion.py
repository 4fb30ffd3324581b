"""What else has a say in a prefix search, code by code: language models, lengths, lexicons, hot words."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import torch

from unrolled.errors import DataError, OptionError
from unrolled.search.step import CodeStep, ask
from unrolled.state import leaves

__all__ = ["HotWords", "Lexicon", "ModelScorer", "Scorer", "Units", "Weighted", "check_spelling"]

S = TypeVar("S")


class Scorer(Protocol[S]):
    """A score for every sequence of codes: the sum of those of its codes, each given the codes before, and of its end.

    A state is what has to be known of the codes so far. It is never changed: many sequences go on from the same one.
    """

    def begin(self) -> S:
        """The state before the first code."""

    def score(self, state: S, code: int) -> tuple[float, S]:
        """log p of the code, or any number; -inf where it must not come; and the state after it."""

    def end(self, state: S) -> float:
        """log p of the end."""


class Weighted(Generic[S]):
    """`weight` times what a scorer says; what must not come stays so: the alpha of shallow fusion."""

    def __init__(self, scorer: Scorer[S], weight: float) -> None:
        self.scorer, self.weight = scorer, _number("Weighted", "weight", weight)

    def begin(self) -> S:
        return self.scorer.begin()

    def score(self, state: S, code: int) -> tuple[float, S]:
        value, state = self.scorer.score(state, code)
        return self._weighed(value), state

    def end(self, state: S) -> float:
        return self._weighed(self.scorer.end(state))

    def _weighed(self, value: float) -> float:
        return value if value == -math.inf else self.weight * value


class Units:
    """`weight` for every code, or with separators for every word: the beta of shallow fusion.

    A language model favours what is short; this makes up for it. A word is counted at its first code.
    """

    def __init__(self, weight: float, separators: Collection[int] = ()) -> None:
        self.weight, self.separators = _number("Units", "weight", weight), frozenset(separators)

    def begin(self) -> bool:
        return True

    def score(self, state: bool, code: int) -> tuple[float, bool]:
        """state: does a unit begin here?"""
        if code in self.separators:
            return 0.0, True
        return (self.weight if state else 0.0), not self.separators

    def end(self, state: bool) -> float:
        return 0.0


class _Model(Generic[S]):
    """A model after some codes; it is asked when its word is first wanted."""

    def __init__(self, code: int, state: S, step: CodeStep[S]) -> None:
        self.code, self.state, self.step = code, state, step
        self.known: tuple[np.ndarray, S] | None = None

    def ahead(self) -> tuple[np.ndarray, S]:
        """log p of what follows (size,), and the state after the code."""
        if self.known is None:
            codes = torch.tensor([self.code], device=leaves(self.state)[0].device)
            log_probs, after = ask("ModelScorer", self.step, codes, self.state, [0])
            self.known = log_probs[0].cpu().double().numpy(), after
        return self.known


class ModelScorer(Generic[S]):
    """A model's own step as a scorer: one that says what code comes next.

    step: see `CodeStep`. state: of one row, before the first code. begin: the code that it reads first. end: the code
    of the end; None: the end costs nothing. codes: the model's code for each code of the search; None: the same.
    """

    def __init__(
        self,
        step: CodeStep[S],
        state: S,
        *,
        begin: int,
        end: int | None = None,
        codes: Sequence[int] | None = None,
    ) -> None:
        self.step, self.first, self.last, self.codes = step, _Model(begin, state, step), end, codes

    def begin(self) -> _Model[S]:
        return self.first

    def ahead(self, state: _Model[S], codes: np.ndarray) -> np.ndarray:
        """log p of each of the codes (n,), if it came next: (n,)."""
        own = codes if self.codes is None else np.array(self.codes)[codes]
        return self._told(state, own)

    def score(self, state: _Model[S], code: int) -> tuple[float, _Model[S]]:
        own = code if self.codes is None else self.codes[code]
        [value] = self._told(state, np.array([own]))
        return float(value), _Model(own, state.ahead()[1], self.step)

    def end(self, state: _Model[S]) -> float:
        return 0.0 if self.last is None else float(state.ahead()[0][self.last])

    def _told(self, state: _Model[S], own: np.ndarray) -> np.ndarray:
        """log p of the model's own codes (n,)."""
        log_probs = state.ahead()[0]
        wrong = own[(own < 0) | (own >= len(log_probs))]
        if len(wrong):
            raise DataError(
                f"ModelScorer: codes must lie in 0..{len(log_probs) - 1}, which the model gives log-probabilities for, "
                f"got {wrong[0]}; encode with the vocabulary of the model."
            )
        found: np.ndarray = log_probs[own]
        return found


class _Node:
    """A place in a tree of spellings. whole: what the one is worth that ends here, None where none does.

    worth: what is lent to a hot phrase that has come so far.
    """

    __slots__ = ("children", "whole", "worth")

    def __init__(self) -> None:
        self.children: dict[int, _Node] = {}
        self.whole: float | None = None
        self.worth = 0.0

    def place(self, codes: Iterable[int]) -> list[_Node]:
        """The nodes of a spelling, made where they are not there."""
        path, node = list[_Node](), self
        for code in codes:
            node = node.children.setdefault(code, _Node())
            path.append(node)
        return path


class Lexicon:
    """Nothing but the spellings of known words between separators; 0 for those, -inf for what is none.

    words: their codes. separators: the codes between words, any number in a row, before the first and after the last
    word, too. unknown: what a word that is not known costs, at least 0, once each; None: there must be none.

    >>> lexicon = Lexicon([[2, 3]], separators=[1])
    >>> value, state = lexicon.score(lexicon.begin(), 2)
    >>> value, lexicon.end(state), lexicon.score(state, 1)[0], lexicon.score(state, 3)[0]
    (0.0, -inf, -inf, 0.0)
    """

    def __init__(
        self, words: Iterable[Sequence[int]], separators: Collection[int], unknown: float | None = None
    ) -> None:
        self.root, self.separators = _Node(), frozenset(separators)
        if unknown is not None and not (math.isfinite(unknown) and unknown >= 0):
            raise OptionError(f"Lexicon: unknown must be None or a number of at least 0, got {unknown!r}.")
        self.missing = -math.inf if unknown is None else -float(unknown)
        for word in words:
            check_spelling("Lexicon", word, self.separators)
            self.root.place(word)[-1].whole = 0.0
        if not self.root.children and unknown is None:
            raise DataError("Lexicon: expected at least one word, got none.")

    def begin(self) -> _Node | None:
        return self.root

    def score(self, state: _Node | None, code: int) -> tuple[float, _Node | None]:
        """state: where in the tree the word has come to; None: it is unknown, and paid for."""
        if code in self.separators:
            return self.end(state), self.root
        if state is None:
            return 0.0, None
        after = state.children.get(code)
        return (self.missing, None) if after is None else (0.0, after)

    def end(self, state: _Node | None) -> float:
        known = state is None or state is self.root or state.whole is not None
        return 0.0 if known else self.missing


class _Heard(NamedTuple):
    """What `HotWords` knows: the phrases under way, does a word begin here, and the bonus lent to them so far."""

    under_way: tuple[_Node, ...]
    fresh: bool
    lent: float


class HotWords:
    """A bonus for every place at which a hot word or phrase stands, as whole words.

    While one is under way its bonus is lent, share by share with its codes, so that the beam keeps it; what is lent is
    given back when it breaks off. So a finished sequence has the bonuses of the phrases that stand in it, no more.

    phrases: the bonus, above 0, of each spelling, the separators between its words included. separators: the codes
    between words; none: there are no words, and a phrase counts wherever its codes stand.

    >>> hot = HotWords({(2, 3): 4.0}, separators=[1])
    >>> half, state = hot.score(hot.begin(), 2)
    >>> half, hot.score(state, 3)[0], hot.score(state, 2)[0], hot.end(state)
    (2.0, 2.0, -2.0, -2.0)
    """

    def __init__(self, phrases: Mapping[tuple[int, ...], float], separators: Collection[int]) -> None:
        self.root, self.separators = _Node(), frozenset(separators)
        for phrase, bonus in phrases.items():
            check_spelling("HotWords", phrase)
            if not (math.isfinite(bonus) and bonus > 0):
                raise OptionError(f"HotWords: a bonus must be a number above 0, got {bonus!r} for {list(phrase)}.")
            if phrase[0] in self.separators or phrase[-1] in self.separators:
                raise DataError(f"HotWords: a phrase must not begin or end with a separator, got {list(phrase)}.")
            path = self.root.place(phrase)
            path[-1].whole = float(bonus)
            # Between separators a phrase must wait for the one behind it; else it is earned with its last code.
            for done, node in enumerate(path if self.separators else path[:-1], 1):
                node.worth = max(node.worth, bonus * done / len(phrase))

    def begin(self) -> _Heard:
        return _Heard((), True, 0.0)

    def score(self, state: _Heard, code: int) -> tuple[float, _Heard]:
        open_nodes = (*state.under_way, self.root) if state.fresh else state.under_way
        reached = tuple(after for node in open_nodes if (after := node.children.get(code)) is not None)
        parts = code in self.separators
        earned = self._earned(state.under_way if parts else ()) if self.separators else self._earned(reached)
        lent = max((node.worth for node in reached), default=0.0)
        return earned + lent - state.lent, _Heard(reached, parts or not self.separators, lent)

    def end(self, state: _Heard) -> float:
        return (self._earned(state.under_way) if self.separators else 0.0) - state.lent

    @staticmethod
    def _earned(nodes: Iterable[_Node]) -> float:
        return math.fsum(node.whole for node in nodes if node.whole is not None)


def check_spelling(owner: str, codes: Sequence[int], separators: Collection[int] = ()) -> None:
    """A spelling must hold codes, none of them blank or one of the separators."""
    if not codes or min(codes) < 1:
        raise DataError(f"{owner}: a spelling must hold codes of at least 1, got {list(codes)}; leave out blanks.")
    if not set(separators).isdisjoint(codes):
        raise DataError(f"{owner}: a word must hold no separator, got {list(codes)}; give each word by itself.")


def _number(owner: str, name: str, value: float) -> float:
    if not math.isfinite(value):
        raise OptionError(f"{owner}: {name} must be a finite number, got {value!r}.")
    return float(value)
