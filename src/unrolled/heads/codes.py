"""Codes at a place: what all heads over them say."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from unrolled.errors import ShapeError
from unrolled.heads.head import Head, marked
from unrolled.nn.reading.embedding import check_codes

__all__ = ["CodeHead", "draw_codes"]


class CodeHead(Head):
    """A head whose values are codes 0 .. size - 1, one a place, -1 where it is not known.

    size: the number of codes.
    """

    size: int

    @abstractmethod
    def probabilities(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The probability of each code at each place (..., size), 0 in the padding."""

    def known(self, y: Tensor, codes: Tensor, lengths: Tensor | None) -> Tensor:
        """The codes with -1 in the padding. Raises `ShapeError`, and `DataError` for a code that there is not."""
        if codes.shape != y.shape[:-1]:
            raise ShapeError(
                f"{type(self).__name__}: expected codes {tuple(y.shape[:-1])}, one a place, got {tuple(codes.shape)}; "
                "give -1 where a code is not known."
            )
        codes = marked(codes, lengths, -1)
        check_codes(type(self).__name__, "code", codes, -1, self.size)
        return codes


def draw_codes(probabilities: Tensor, generator: torch.Generator | None) -> Tensor:
    """A code drawn by each row of probabilities (rows, size): (rows,) int64."""
    if not len(probabilities):
        return torch.zeros(0, dtype=torch.long, device=probabilities.device)
    return torch.multinomial(probabilities, 1, generator=generator)[:, 0]
