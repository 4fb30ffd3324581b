"""Vectors of words from their characters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unrolled.check import check_choice, check_size
from unrolled.errors import OptionError
from unrolled.nn.cells.lstm import LSTM
from unrolled.nn.reading.embedding import Embedding
from unrolled.nn.wrappers.bidirectional import Bidirectional
from unrolled.padding import valid_mask, zero_padding

__all__ = ["SpellingEncoder"]

# Characters that one filter of the convolution sees.
WINDOW = 3


class SpellingEncoder(nn.Module):
    """A vector for every word, read from its characters c_1 ... c_n.

        "cnn":  y = max_t  W [c_(t-1), c_t, c_(t+1)] + b          zeros beside the word
        "lstm": y = [forward LSTM's h after c_n, backward LSTM's h after c_1]

    size: the number of character codes; 0 is the padding and stands on the right. width: features of a character.
    output_size: features of y; even for "lstm", half a direction. A word without characters is a vector of zeros.

    Source: Ma and Hovy 2016, arXiv:1603.01354, section 2.1 (cnn, 30 filters of 3 characters); Lample et al. 2016,
    arXiv:1603.01360, section 4.1 (lstm).

    >>> SpellingEncoder(20, output_size=6)(torch.tensor([[5, 4, 9], [7, 0, 0]])).shape
    torch.Size([2, 6])
    """

    def __init__(self, size: int, width: int = 30, output_size: int = 30, kind: str = "cnn") -> None:
        super().__init__()
        self.output_size = check_size("SpellingEncoder", "output_size", output_size)
        self.kind = check_choice("SpellingEncoder", "kind", kind, ("cnn", "lstm"))
        self.embedding = Embedding(size, width)
        self.filters = nn.Conv1d(width, output_size, WINDOW, padding=WINDOW // 2) if kind == "cnn" else None
        self.ways = self._both_ways(width) if kind == "lstm" else None

    def forward(self, spellings: Tensor) -> Tensor:
        """spellings (words, characters) int64 -> (words, output_size)."""
        if not spellings.numel():
            return self.embedding.weight.new_zeros(spellings.shape[0], self.output_size)
        lengths = (spellings != 0).sum(1)
        x = zero_padding(self.embedding(spellings), lengths)
        if self.ways is not None:
            _, final = self.ways(x, lengths=lengths)
            return torch.cat([final.forward.h, final.backward.h], -1)
        assert self.filters is not None
        y: Tensor = self.filters(x.transpose(1, 2))
        valid = valid_mask(lengths, x.shape[1])[:, None]
        best = torch.where(valid, y, torch.finfo(y.dtype).min).amax(2)
        return torch.where(lengths[:, None] > 0, best, 0)

    def _both_ways(self, width: int) -> Bidirectional:
        if self.output_size % 2:
            raise OptionError(
                f"SpellingEncoder: output_size must be even for kind='lstm', got {self.output_size}; "
                "each direction gives half of it."
            )
        half = self.output_size // 2
        return Bidirectional(LSTM(width, half), LSTM(width, half))

    def extra_repr(self) -> str:
        return f"kind={self.kind}"
