"""Vectors of codes: one trained row for each word, character or piece."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from unrolled.check import check_rate, check_size
from unrolled.errors import DataError, OptionError, ShapeError

__all__ = ["Embedding", "check_codes"]

# The code of the padding in every text.
PADDING = 0


class Embedding(nn.Module):
    """A vector for every code, with dropout of whole words.

        y = m[code] * E[code]          m: 0 with probability `dropout`, else 1 / (1 - dropout); off in evaluation

    size: the number of codes. width: features of a vector. dropout: rate in [0, 1); one draw for each code and call, so
    that a dropped word is gone wherever it stands. vectors (size, width): where the rows start. found (size,) bool:
    which of them hold a vector; None means all. frozen: no row is trained.

    Rows without a vector start uniform with variance 1 / width, or with the variance of the vectors found. The row of
    code 0, the padding, starts at zero and is not trained by a look-up; a padded step is never looked at.

    Source: Merity et al. 2017, arXiv:1708.02182, section 4.3 (dropout of words); Lample et al. 2016, arXiv:1603.01360
    (vectors from elsewhere).

    >>> Embedding(10, 4)(torch.tensor([[3, 7, 0]])).shape
    torch.Size([1, 3, 4])
    """

    def __init__(
        self,
        size: int,
        width: int,
        *,
        dropout: float = 0.0,
        vectors: Tensor | None = None,
        found: Tensor | None = None,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        self.size = check_size("Embedding", "size", size)
        self.output_size = check_size("Embedding", "width", width)
        self.dropout = check_rate("Embedding", "dropout", dropout)
        rows = _first_rows(size, width, vectors, found)
        # Held by torch's own class, so that whoever treats embeddings apart (weight decay) knows it for one.
        self.table: nn.Embedding = nn.Embedding.from_pretrained(  # type: ignore[no-untyped-call]
            rows, freeze=frozen, padding_idx=PADDING
        )

    @property
    def weight(self) -> Tensor:
        """The rows (size, width): a parameter, which an output layer may share."""
        return self.table.weight

    def forward(self, codes: Tensor) -> Tensor:
        """codes (...) of integers in 0 .. size - 1 -> (..., width). Raises DataError for any other."""
        check_codes("Embedding", "code", codes, 0, self.size)
        y: Tensor = self.table(codes)
        if not self.training or not self.dropout:
            return y
        kept = self.weight.new_empty(self.size).bernoulli_(1 - self.dropout) / (1 - self.dropout)
        return y * kept[codes][..., None]

    def extra_repr(self) -> str:
        return f"dropout={self.dropout}" if self.dropout else ""


def check_codes(owner: str, name: str, codes: Tensor, low: int, size: int) -> None:
    """Codes must be integers in low .. size - 1. Values are looked at on the CPU alone, where that costs no wait."""
    if codes.dtype.is_floating_point or codes.dtype == torch.bool:
        raise DataError(f"{owner}: every {name} must be an integer, got {codes.dtype}; encode the values with a field.")
    if codes.device.type != "cpu" or not codes.numel() or torch.compiler.is_compiling():
        return
    least, most = (int(value) for value in torch.aminmax(codes))
    if least < low or most >= size:
        bad = least if least < low else most
        raise DataError(
            f"{owner}: every {name} must lie in {low}..{size - 1}, got {bad}; encode with the field this was built for."
        )


def _first_rows(size: int, width: int, vectors: Tensor | None, found: Tensor | None) -> Tensor:
    spread = 1 / math.sqrt(width)
    if vectors is None:
        if found is not None:
            raise OptionError("Embedding: found tells which rows of vectors hold one, but vectors is None; give both.")
        rows = _uniform(size, width, spread)
    else:
        given = torch.ones(size, dtype=torch.bool) if found is None else found
        if vectors.shape != (size, width) or given.shape != (size,):
            raise ShapeError(
                f"Embedding: vectors must be ({size}, {width}) and found ({size},), "
                f"got {tuple(vectors.shape)} and {tuple(given.shape)}; make them for the same text field."
            )
        chosen = vectors[given]
        if chosen.numel() > 1:
            spread = float(chosen.std())
        rows = torch.where(given[:, None], vectors.to(torch.get_default_dtype()), _uniform(size, width, spread))
    rows[PADDING] = 0
    return rows


def _uniform(size: int, width: int, spread: float) -> Tensor:
    bound = math.sqrt(3) * spread
    return torch.empty(size, width).uniform_(-bound, bound)
