"""Constraints: which codes may come next, given what a row has emitted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor

from unrolled.check import check_size
from unrolled.errors import DataError, OptionError, ShapeError

__all__ = ["Constraint", "Forbid", "NoRepeat", "OneOf", "Opening", "constrain"]


class Constraint(Protocol):
    """What may come next. Several are taken together: a code must be allowed by every one of them.

    The end is a code like any other, so a constraint that must let a sequence end allows it. Where nothing is allowed
    the sequence ends there, not ended.
    """

    def mask(self, emitted: Sequence[Sequence[int]], rows: Sequence[int], size: int) -> Tensor | None:
        """(n, size) bool, or (1, size) for all: True where a code may come next; None where all may.

        emitted: the codes of each of n sequences so far, a forced prefix included; not to be changed.
        rows: the row of the batch that each sequence belongs to.
        size: the number of codes.
        """


class Forbid:
    """Some codes are never emitted: padding, unknown, begin.

    >>> Forbid([0, 2]).mask([[]], [0], 4)
    tensor([[False,  True, False,  True]])
    """

    def __init__(self, codes: Iterable[int]) -> None:
        self.codes = sorted(set(codes))

    def mask(self, emitted: Sequence[Sequence[int]], rows: Sequence[int], size: int) -> Tensor | None:
        """See `Constraint.mask`."""
        allowed = torch.ones(1, size, dtype=torch.bool)
        allowed[0, [code for code in self.codes if 0 <= code < size]] = False
        return allowed


class NoRepeat:
    """No run of `length` codes occurs twice in an output, its prefix included; length 1: no code twice.

    >>> NoRepeat(2).mask([[1, 2, 1]], [0], 4)
    tensor([[ True,  True, False,  True]])
    """

    def __init__(self, length: int) -> None:
        self.length = check_size("NoRepeat", "length", length)

    def mask(self, emitted: Sequence[Sequence[int]], rows: Sequence[int], size: int) -> Tensor | None:
        """See `Constraint.mask`."""
        allowed = np.ones((len(emitted), size), bool)
        for place, codes in enumerate(emitted):
            if len(codes) >= self.length:
                allowed[place, self._repeats(np.array(codes))] = False
        return torch.from_numpy(allowed)

    def _repeats(self, codes: np.ndarray) -> np.ndarray:
        """The codes that followed earlier on what the last codes are now."""
        runs = np.lib.stride_tricks.sliding_window_view(codes, self.length)
        again = (runs[:, :-1] == codes[len(codes) - self.length + 1 :]).all(1)
        following: np.ndarray = runs[again, -1]
        return following


class Opening:
    """One code of the output, the first as a rule, must be one of some: the rest of a half-typed word.

    Args:
        allowed: (size,) bool, or (rows, size) where each row of the batch has its own.
        at: the place of that code in the output, or one a row: the length of the prefix, where one is forced.
    """

    def __init__(self, allowed: Tensor, at: int | Sequence[int] = 0) -> None:
        if allowed.dtype != torch.bool or allowed.ndim not in (1, 2):
            raise ShapeError(
                f"Opening: allowed must be a bool tensor (size,) or (rows, size), got {tuple(allowed.shape)} of "
                f"{allowed.dtype}."
            )
        self.allowed, self.at = allowed, at

    def mask(self, emitted: Sequence[Sequence[int]], rows: Sequence[int], size: int) -> Tensor | None:
        """See `Constraint.mask`."""
        places = [self.at] * len(rows) if isinstance(self.at, int) else [self.at[row] for row in rows]
        here = [len(codes) == place for codes, place in zip(emitted, places, strict=True)]
        if not any(here):
            return None
        device = self.allowed.device
        own = self.allowed if self.allowed.ndim == 1 else self.allowed[torch.tensor(rows, device=device)]
        return own | ~torch.tensor(here, device=device)[:, None]


_Tree: TypeAlias = dict[int, "_Tree"]
"""The codes that may come next, and what may come after each."""


class OneOf:
    """The output must be one of the sequences given, whole: an entry of a list, a command, a known name.

    Args:
        sequences: the outputs that may be, as lists of codes without begin and end; they may begin alike.
        end: the code of the end.

    >>> OneOf([[0, 1], [0]], end=3).mask([[], [0], [2]], [0, 0, 0], 4)
    tensor([[ True, False, False, False],
            [False,  True, False,  True],
            [False, False, False, False]])
    """

    def __init__(self, sequences: Iterable[Sequence[int]], end: int) -> None:
        self.root: _Tree = {}
        known: set[int] = set()
        for codes in sequences:
            node = self.root
            known.update((*codes, end))
            for code in (*codes, end):
                node = node.setdefault(code, {})
        if not self.root:
            raise OptionError("OneOf: sequences must hold at least one sequence, got none.")
        self.lowest, self.highest = min(known), max(known)

    def mask(self, emitted: Sequence[Sequence[int]], rows: Sequence[int], size: int) -> Tensor | None:
        """See `Constraint.mask`."""
        if self.lowest < 0 or self.highest >= size:
            wrong = self.lowest if self.lowest < 0 else self.highest
            raise DataError(
                f"OneOf: codes must lie in 0..{size - 1}, which the step gives log-probabilities for, got {wrong}; "
                "encode the sequences with the vocabulary of the model."
            )
        allowed = np.zeros((len(emitted), size), bool)
        for place, codes in enumerate(emitted):
            node = self.root
            for code in codes:
                node = node.get(code, {})
            allowed[place, list(node)] = True
        return torch.from_numpy(allowed)


def constrain(
    owner: str,
    log_probs: Tensor,
    constraints: Sequence[Constraint],
    emitted: Sequence[Sequence[int]],
    rows: Sequence[int],
) -> Tensor:
    """log_probs (n, size) with what is not allowed at minus infinity."""
    for constraint in constraints:
        allowed = constraint.mask(emitted, rows, log_probs.shape[1])
        if allowed is None:
            continue
        fits = allowed.ndim == 2 and allowed.shape[0] in (1, len(rows)) and allowed.shape[1] == log_probs.shape[1]
        if allowed.dtype != torch.bool or not fits:
            raise ShapeError(
                f"{owner}: the mask of {type(constraint).__name__} must be bool {tuple(log_probs.shape)}, got "
                f"{tuple(allowed.shape)} of {allowed.dtype}."
            )
        log_probs = log_probs.masked_fill(~allowed.to(log_probs.device), -torch.inf)
    return log_probs
