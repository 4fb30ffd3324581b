"""Beam search: the n best sequences of every row, all rows and hypotheses in one batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from unrolled.check import check_size
from unrolled.errors import OptionError
from unrolled.search.constraints import Constraint, constrain
from unrolled.search.step import CodeStep, Found, Start, ask, length_norm, make_found, make_start, most_likely, total
from unrolled.state import select_rows

__all__ = ["beam"]

S = TypeVar("S")


def beam(
    step: CodeStep[S],
    state: S,
    *,
    begin: Tensor | int,
    end: int | None,
    limit: Tensor | Sequence[int] | int,
    width: int,
    nbest: int = 1,
    length_penalty: float = 0.0,
    prefix: Sequence[Sequence[int]] | None = None,
    constraints: Sequence[Constraint] = (),
) -> list[list[Found]]:
    """The best sequences of each row that a beam of `width` hypotheses meets, best first; at least one a row.

        score = log_prob / ((5 + n) / 6) ** length_penalty     n codes, those of the prefix and the end counted

    At every step the `width` most likely continuations of a row's hypotheses survive; those that end are set aside.
    So width 1 is `greedy`, and a width of size ** limit finds the best there is. Sequences that ended rank before
    those that did not (cut by the limit, or nothing more was allowed), each kind by its score; of equal ones the one
    met first goes first. Stopping early, where nothing better can come, is exact.

    Args:
        step, state, begin, end, limit, prefix, constraints: as in `greedy`.
        width: hypotheses a row, at least 1. nbest: sequences a row, at most `width`; fewer where fewer are possible.
        length_penalty: at least 0; 0 ranks by log-probability, which favours short sequences; 0.6 to 1 is usual.

    Raises OptionError for a width, nbest or length_penalty out of range, and what `greedy` raises.
    Source: the score is that of Wu et al. 2016 (GNMT), arXiv:1609.08144, eq. 14, without the coverage penalty.

    >>> def model(codes, state):
    ...     return torch.tensor([[0.5, 0.3, 0.2]]).log().expand(len(codes), 3), state
    >>> [best] = beam(model, torch.zeros(1, 1), begin=0, end=2, limit=2, width=9, nbest=2)
    >>> [(found.codes.tolist(), round(math.exp(found.log_prob), 2)) for found in best]
    [([], 0.2), ([0], 0.1)]
    """
    _check(width, nbest, length_penalty)
    origin = make_start("beam", step, state, begin=begin, end=end, limit=limit, prefix=prefix)
    rows = [_Row(nbest, length_penalty, len(codes) + n) for codes, n in zip(origin.emitted, origin.limits, strict=True)]
    return _search(step, origin, rows, width, end, constraints)


def _check(width: int, nbest: int, length_penalty: float) -> None:
    check_size("beam", "width", width)
    if check_size("beam", "nbest", nbest) > width:
        raise OptionError(f"beam: nbest must be at most width={width}, got {nbest}; widen the beam.")
    if not (math.isfinite(length_penalty) and length_penalty >= 0):
        raise OptionError(f"beam: length_penalty must be a number of at least 0, got {length_penalty!r}.")


def _search(
    step: CodeStep[S],
    origin: Start[S],
    rows: list[_Row],
    width: int,
    end: int | None,
    constraints: Sequence[Constraint],
) -> list[list[Found]]:
    """What each row finds."""
    live, codes, state = _open(origin, rows)
    taken = 0
    while live.rows:
        log_probs, state = ask("beam", step, codes, state, live.rows)
        log_probs = constrain("beam", log_probs, constraints, live.codes, live.rows)
        taken += 1
        live, parents = _advance(live, log_probs, rows, width, end)
        live, parents = _prune(live, parents, rows, origin.limits, taken)
        codes = torch.tensor([own[-1] for own in live.codes], dtype=torch.long, device=codes.device)
        state = select_rows(state, parents)
    return [row.best() for row in rows]


class _Live(NamedTuple):
    """The hypotheses under way: the row of each, ascending, its log-probability, its codes and their terms."""

    rows: list[int]
    totals: np.ndarray
    codes: list[list[int]]
    terms: list[list[float]]


class _Row:
    """What one row has found so far. longest: the most codes that a sequence of this row may have."""

    def __init__(self, nbest: int, length_penalty: float, longest: int) -> None:
        self.nbest, self.length_penalty = nbest, length_penalty
        self.ceiling = length_norm(longest, length_penalty)
        self.found: dict[bool, list[Found]] = {True: [], False: []}

    def add(self, codes: list[int], terms: list[float], ended: bool) -> None:
        """Keep a sequence if it is one of the best of its kind."""
        kind = self.found[ended]
        kind.append(make_found(codes, terms, ended, self.length_penalty))
        # The sort is stable: of equal scores the earlier stays in front.
        kind.sort(key=lambda found: -found.score)
        del kind[self.nbest :]

    def hopeless(self, log_prob: float) -> bool:
        """True if no continuation of such a hypothesis can enter the result."""
        # Log-probabilities only fall: no continuation scores more than this one's at the longest length its row may
        # reach. So what is left out could not have changed the result of searching to the limit.
        ended = self.found[True]
        return len(ended) == self.nbest and log_prob / self.ceiling <= ended[-1].score

    def best(self) -> list[Found]:
        """The result: what ended before what did not."""
        return (self.found[True] + self.found[False])[: self.nbest]


def _open(origin: Start[S], rows: list[_Row]) -> tuple[_Live, Tensor, S]:
    """One hypothesis for every row that may emit; the others are done."""
    going = origin.open_rows()
    for row in set(range(len(rows))) - set(going):
        rows[row].add(origin.emitted[row], origin.log_probs[row], False)
    codes, terms = [origin.emitted[row] for row in going], [origin.log_probs[row] for row in going]
    live = _Live(going, np.array([total(own) for own in terms], np.float64), codes, terms)
    return live, *select_rows((origin.codes, origin.state), torch.tensor(going, dtype=torch.long))


def _advance(live: _Live, log_probs: Tensor, rows: list[_Row], width: int, end: int | None) -> tuple[_Live, list[int]]:
    """The best continuations of each row; those that end go to their row, the others live on, each with its parent."""
    likely, places = most_likely(log_probs, width)
    values, codes = likely.cpu().double().numpy(), places.cpu().numpy()
    totals, owner = live.totals[:, None] + values, np.array(live.rows)
    for place in np.flatnonzero(values[:, 0] == -np.inf).tolist():
        rows[live.rows[place]].add(live.codes[place], live.terms[place], False)
    after, parents, summed = _Live([], totals, [], []), list[int](), list[float]()
    for flat in _best_of_each(np.repeat(owner, values.shape[1]), totals.ravel(), width).tolist():
        parent, choice = divmod(flat, values.shape[1])
        row, code = live.rows[parent], int(codes[parent, choice])
        terms = [*live.terms[parent], float(values[parent, choice])]
        if code == end:
            rows[row].add(live.codes[parent], terms, True)
            continue
        after.rows.append(row)
        after.codes.append([*live.codes[parent], code])
        after.terms.append(terms)
        parents.append(parent)
        summed.append(float(totals[parent, choice]))
    return after._replace(totals=np.array(summed, np.float64)), parents


def _best_of_each(owner: np.ndarray, totals: np.ndarray, width: int) -> np.ndarray:
    """The places of the `width` highest totals of each owner, owner by owner, highest first; the impossible left out.

    owner: (n,) ascending.
    """
    # lexsort is stable: of equal totals the earlier place goes first.
    order = np.lexsort((-totals, owner))
    rank = np.arange(len(order)) - np.searchsorted(owner, owner)
    return order[(rank < width) & (totals[order] > -np.inf)]


def _prune(live: _Live, parents: list[int], rows: list[_Row], limits: list[int], taken: int) -> tuple[_Live, list[int]]:
    """Without the hypotheses that the limit cuts, which go to their row, and those that cannot win any more."""
    keep = []
    for place, row in enumerate(live.rows):
        if taken == limits[row]:
            rows[row].add(live.codes[place], live.terms[place], False)
        elif not rows[row].hopeless(float(live.totals[place])):
            keep.append(place)
    kept = _Live(
        [live.rows[place] for place in keep],
        live.totals[keep],
        [live.codes[place] for place in keep],
        [live.terms[place] for place in keep],
    )
    return kept, [parents[place] for place in keep]
