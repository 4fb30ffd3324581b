"""What every search stands on: the step it asks, the sequences it finds, a forced beginning fed through the step."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import reduce
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from unrolled.errors import DataError, LengthsError, NonFiniteError, OptionError, ShapeError
from unrolled.state import concat_rows, leaves, select_rows

__all__ = [
    "Found",
    "Start",
    "CodeStep",
    "ask",
    "length_norm",
    "make_found",
    "most_likely",
    "score",
    "make_start",
    "total",
]

S = TypeVar("S")

# Rounding may lift the logarithm of a probability this far above 0; logits handed in by mistake rise further.
SLACK = 0.05


class CodeStep(Protocol[S]):
    """One step of a model: codes (rows,) int64 and a state -> log-probabilities (rows, size) of what follows, state.

    The state is a tree of tensors, batch first, as `unrolled.state` knows it.
    """

    def __call__(self, codes: Tensor, state: S, /) -> tuple[Tensor, S]: ...


class Found(NamedTuple):
    """One sequence that a search found.

    codes: (n,) int64, a forced prefix included, without begin and end.
    log_prob: its log-probability under the model in nats, that of the end included where it ended; constraints,
        temperature and truncation change what is found, never this number.
    score: what it was ranked by: log_prob, or log_prob under the length penalty of `beam`.
    ended: True where the model ended it; False where the limit cut it, or where nothing more was allowed.
    log_probs: (n,) float64, or (n + 1,) where it ended: the terms of log_prob, one a code.
    """

    codes: np.ndarray
    log_prob: float
    score: float
    ended: bool
    log_probs: np.ndarray


class Start(NamedTuple, Generic[S]):
    """Where a search begins: the code (rows,) to read next, the state, and what was forced, with its terms."""

    codes: Tensor
    state: S
    emitted: list[list[int]]
    log_probs: list[list[float]]
    limits: list[int]

    def open_rows(self) -> list[int]:
        """The rows that may emit at all: a limit above 0 and a prefix that is not impossible."""
        possible = [total(terms) > -np.inf for terms in self.log_probs]
        return [row for row, limit in enumerate(self.limits) if limit > 0 and possible[row]]


def total(terms: Sequence[float]) -> float:
    """The sum from left to right, as the searches add up: equal sequences get equal totals, bit for bit."""
    return reduce(operator.add, terms, 0.0)


def length_norm(length: int, length_penalty: float) -> float:
    """((5 + length) / 6) ** length_penalty, GNMT's divisor of a log-probability (arXiv:1609.08144, eq. 14)."""
    return float(((5 + length) / 6) ** length_penalty)


def make_found(codes: Sequence[int], terms: Sequence[float], ended: bool, length_penalty: float = 0.0) -> Found:
    """A `Found` with its totals; the length that is penalised counts every term, that of the end included."""
    log_prob = total(terms)
    ranked = log_prob / length_norm(len(terms), length_penalty)
    return Found(np.array(codes, np.int64), log_prob, ranked, ended, np.array(terms, np.float64))


def ask(owner: str, step: CodeStep[S], codes: Tensor, state: S, rows: Sequence[int]) -> tuple[Tensor, S]:
    """What the step says, without gradients, checked. rows: the caller's number of each row, for messages."""
    with torch.no_grad():
        log_probs, state = step(codes, state)
    if log_probs.ndim != 2 or log_probs.shape[0] != codes.shape[0] or log_probs.shape[1] == 0:
        raise ShapeError(
            f"{owner}: the step must give log-probabilities (rows, size) for {codes.shape[0]} rows, got "
            f"{tuple(log_probs.shape)}; return one row of them for every code."
        )
    highest = float(log_probs.max())
    if not highest <= SLACK:
        # Where the maximum is NaN or too high, the same comparison finds one of the culprits.
        place, code = (~(log_probs <= SLACK)).nonzero()[0].tolist()
        raise NonFiniteError(
            f"{owner}: the step must give log-probabilities, numbers of at most 0, got {log_probs[place, code].item()} "
            f"for code {code} in row {rows[place]}; apply log_softmax to finite logits."
        )
    return (log_probs if highest <= 0 else log_probs.clamp(max=0)), state


def most_likely(log_probs: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` highest values of each row, descending, and their codes; of equal values the lower code goes first.

    log_probs: (rows, size). Returns (rows, min(count, size)) twice.
    """
    count, size = min(count, log_probs.shape[1]), log_probs.shape[1]
    values, codes = log_probs.topk(min(count + 1, size))
    codes = codes[:, :count].sort(1).values
    if size > count:
        # topk picks any of several equal values; rows where that decides who is in are sorted in full.
        tied = (values[:, count - 1] == values[:, count]) & (values[:, count] > -torch.inf)
        if bool(tied.any()):
            whole = log_probs[tied].sort(dim=1, descending=True, stable=True).indices
            codes[tied] = whole[:, :count].sort(1).values
    values, order = log_probs.gather(1, codes).sort(dim=1, descending=True, stable=True)
    return values, codes.gather(1, order)


def make_start(
    owner: str,
    step: CodeStep[S],
    state: S,
    *,
    begin: Tensor | int,
    end: int | None,
    limit: Tensor | Sequence[int] | int,
    prefix: Sequence[Sequence[int]] | None,
) -> Start[S]:
    """The arguments that all searches share, checked, and the prefix fed through the step."""
    first = _begin_codes(owner, state, begin)
    count = first.shape[0]
    limits = _limits(owner, limit, count)
    forced = [[] for _ in range(count)] if prefix is None else _lists(owner, "prefix", prefix, count)
    if end is not None and any(end in codes for codes in forced):
        row = [end in codes for codes in forced].index(True)
        raise DataError(
            f"{owner}: a prefix is the beginning of an output, but that of row {row} holds the end code {end}; "
            "cut it there."
        )
    following, state, terms = _feed(owner, step, state, first, forced)
    return Start(following, state, forced, terms, limits)


def score(
    step: CodeStep[S],
    state: S,
    sequences: Sequence[Sequence[int] | np.ndarray],
    *,
    begin: Tensor | int,
    end: int | None = None,
    length_penalty: float = 0.0,
) -> list[Found]:
    """The log-probability of one given sequence a row, each as the `Found` that a search would have returned.

    Args:
        step: see `CodeStep`.
        state: the state before the first code, one row a sequence.
        sequences: one list of codes a row, without begin and end; they may differ in length.
        begin: the code that the step reads first, one for all rows or (rows,).
        end: the code of the end, whose log-probability is then counted; None: the sequences stay open.
        length_penalty: as in `beam`, for the score.

    Raises:
        DataError: a code the step knows no log-probability for, or not one sequence a row.
        NonFiniteError: the step gives NaN, or numbers above 0.

    >>> import math
    >>> def coin(codes, state):
    ...     return torch.full((len(codes), 4), 0.25).log(), state
    >>> [found] = score(coin, torch.zeros(1, 1), [[0, 1]], begin=2, end=3)
    >>> round(found.log_prob / math.log(0.25)), found.ended
    (3, True)
    """
    first = _begin_codes("score", state, begin)
    given = _lists("score", "sequences", sequences, first.shape[0])
    whole = given if end is None else [[*codes, end] for codes in given]
    _, _, terms = _feed("score", step, state, first, whole)
    return [make_found(codes, own, end is not None, length_penalty) for codes, own in zip(given, terms, strict=True)]


def _feed(
    owner: str, step: CodeStep[S], state: S, first: Tensor, forced: list[list[int]]
) -> tuple[Tensor, S, list[list[float]]]:
    """Teacher forcing over ragged lists: the code to read next, the state after each list, and each code's term."""
    count, following = first.shape[0], first
    terms: list[list[float]] = [[] for _ in range(count)]
    for time in range(max(map(len, forced), default=0)):
        active = [row for row, codes in enumerate(forced) if len(codes) > time]
        picked = torch.tensor(active, device=first.device)
        everyone = len(active) == count
        mine = (following, state) if everyone else select_rows((following, state), picked)
        log_probs, after = ask(owner, step, *mine, active)
        wanted = [forced[row][time] for row in active]
        _check_codes(owner, wanted, active, log_probs.shape[1])
        targets = torch.tensor(wanted, device=first.device)
        values = log_probs.gather(1, targets.to(log_probs.device)[:, None])[:, 0].tolist()
        for row, value in zip(active, values, strict=True):
            terms[row].append(value)
        if everyone:
            following, state = targets, after
            continue
        # Rows whose list is over keep what they have.
        place = torch.arange(count, device=first.device)
        place[picked] = torch.arange(count, count + len(active), device=first.device)
        following, state = select_rows(concat_rows([(following, state), (targets, after)]), place)
    return following, state, terms


def _check_codes(owner: str, codes: list[int], rows: list[int], size: int) -> None:
    for code, row in zip(codes, rows, strict=True):
        if not 0 <= code < size:
            raise DataError(
                f"{owner}: codes must lie in 0..{size - 1}, which the step gives log-probabilities for, got {code} in "
                f"row {row}; encode the text with the vocabulary of the model."
            )


def _begin_codes(owner: str, state: object, begin: Tensor | int) -> Tensor:
    held = leaves(state)
    if not isinstance(begin, Tensor):
        if not held:
            raise OptionError(
                f"{owner}: the state holds no tensor that tells the number of rows, got begin={begin!r}; give begin as "
                "a tensor with one code a row."
            )
        return torch.full((held[0].shape[0],), operator.index(begin), device=held[0].device)
    if begin.ndim != 1 or begin.dtype.is_floating_point or (held and held[0].shape[0] != begin.shape[0]):
        count = held[0].shape[0] if held else "any number of"
        raise ShapeError(
            f"{owner}: begin must be one integer code a row, ({count} rows), got {tuple(begin.shape)} of {begin.dtype}."
        )
    return begin.long()


def _limits(owner: str, limit: Tensor | Sequence[int] | int, count: int) -> list[int]:
    values = np.asarray(limit.tolist() if isinstance(limit, Tensor) else limit)
    integers = values.dtype.kind in "iu" or not values.size
    if not integers or values.shape not in ((), (count,)) or (values < 0).any():
        raise LengthsError(
            f"{owner}: limit must be an integer of at least 0, or one for each of {count} rows, got {limit!r}."
        )
    return [int(value) for value in np.broadcast_to(values, count)]


def _lists(owner: str, name: str, sequences: Sequence[Sequence[int] | np.ndarray], count: int) -> list[list[int]]:
    if len(sequences) != count:
        raise DataError(f"{owner}: {name} must hold one list of codes for each of {count} rows, got {len(sequences)}.")
    return [[operator.index(code) for code in codes] for codes in sequences]
