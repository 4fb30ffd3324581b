"""Greedy search, and the walk that it shares with sampling: every row grows one sequence."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

from unrolled.search.constraints import Constraint, constrain
from unrolled.search.step import CodeStep, Found, Start, ask, make_found, make_start
from unrolled.state import select_rows

__all__ = ["Choose", "CodeWalk", "greedy", "likeliest"]

S = TypeVar("S")

Choose = Callable[[Tensor, Sequence[int]], Tensor]
"""(log-probabilities (n, size), the row of the batch that each belongs to) -> codes (n,) int64."""


def greedy(
    step: CodeStep[S],
    state: S,
    *,
    begin: Tensor | int,
    end: int | None,
    limit: Tensor | Sequence[int] | int,
    prefix: Sequence[Sequence[int]] | None = None,
    constraints: Sequence[Constraint] = (),
) -> list[Found]:
    """One sequence a row: at every step the most likely code, of equal ones the lowest.

    A row that has ended leaves the batch, so that it costs nothing more.

    Args:
        step: see `CodeStep`.
        state: the state before the first code, one row for each sequence wanted.
        begin: the code that the step reads first, one for all rows or (rows,).
        end: the code that ends a sequence; None: only the limit does.
        limit: the most codes that are chosen for a row, the end counted and the prefix not; one for all, or (rows,).
        prefix: the forced beginning of each row's output, ragged; None: nothing is forced. Constraints do not judge it.
        constraints: what may come next, see `Constraint`.

    Returns:
        One `Found` a row.

    Raises:
        NonFiniteError: the step gives NaN, or numbers above 0.
        ShapeError, LengthsError, DataError: begin, limit or prefix do not fit the rows.

    >>> def countdown(codes, state):
    ...     return torch.nn.functional.one_hot((codes - 1).clamp(min=0), 5).log(), state
    >>> [found] = greedy(countdown, torch.zeros(1, 1), begin=4, end=0, limit=9)
    >>> found.codes.tolist(), found.ended
    ([3, 2, 1], True)
    """
    origin = make_start("greedy", step, state, begin=begin, end=end, limit=limit, prefix=prefix)
    return CodeWalk("greedy", step, origin, end, constraints, likeliest).finish()


def likeliest(log_probs: Tensor, rows: Sequence[int]) -> Tensor:
    """The most likely code of each row, of equal ones the lowest."""
    return log_probs.argmax(1)


class CodeWalk(Generic[S]):
    """Rows that each grow one sequence, all by one step at a time; a row that is done leaves the batch.

    rows: the rows still under way. found: what each row has become, None while it is under way.
    """

    def __init__(
        self,
        owner: str,
        step: CodeStep[S],
        origin: Start[S],
        end: int | None,
        constraints: Sequence[Constraint],
        choose: Choose,
    ) -> None:
        self.owner, self.step, self.end, self.constraints, self.choose = owner, step, end, constraints, choose
        self.emitted, self.terms, self.limits = origin.emitted, origin.log_probs, origin.limits
        self.found: list[Found | None] = [None] * len(origin.limits)
        self.taken = 0
        self.rows = list(range(len(origin.limits)))
        self.codes, self.state = origin.codes, origin.state
        going = origin.open_rows()
        for row in set(self.rows) - set(going):
            self._close(row, False)
        self._keep(going)

    def finish(self) -> list[Found]:
        """CodeWalk until every row is done."""
        while self.rows:
            self.advance()
        return [found for found in self.found if found is not None]

    def advance(self) -> list[int]:
        """One step; the codes emitted by the rows under way, without ends."""
        log_probs, self.state = ask(self.owner, self.step, self.codes, self.state, self.rows)
        emitted = [self.emitted[row] for row in self.rows]
        log_probs = constrain(self.owner, log_probs, self.constraints, emitted, self.rows)
        chosen = self.choose(log_probs, self.rows)
        values = log_probs.gather(1, chosen[:, None])[:, 0].tolist()
        self.taken += 1
        going, codes = [], []
        for place, (row, code, value) in enumerate(zip(self.rows, chosen.tolist(), values, strict=True)):
            if value == -math.inf:
                self._close(row, False)
                continue
            self.terms[row].append(value)
            if code == self.end:
                self._close(row, True)
                continue
            self.emitted[row].append(code)
            codes.append(code)
            if self.taken == self.limits[row]:
                self._close(row, False)
            else:
                going.append(place)
        self.codes = chosen.to(self.codes.device)
        self._keep(going)
        return codes

    def _keep(self, places: list[int]) -> None:
        if len(places) < len(self.rows):
            self.rows = [self.rows[place] for place in places]
            index = torch.tensor(places, dtype=torch.long)
            self.codes, self.state = select_rows((self.codes, self.state), index)

    def _close(self, row: int, ended: bool) -> None:
        self.found[row] = make_found(self.emitted[row], self.terms[row], ended)
