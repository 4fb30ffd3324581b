"""What a few words say together, whatever their order: one vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unrolled.check import check_rate, check_size
from unrolled.errors import OptionError
from unrolled.nn.reading.embedding import Embedding
from unrolled.padding import Padded, valid_mask, zero_padding

__all__ = ["BagOfWords"]


class BagOfWords(nn.Module):
    """The mean of the vectors of words, made a vector of its own; zeros where there is no word.

        v = tanh(A mean_i E[word_i] + b)          over the words from code `first` on

    embedding: vectors of the codes. output_size: features of v. first: the lowest code that is a word that says
    something. silence: the part of the rows in training that are read as if they had no word, so that the network also
    learns what there is without one.

    Source: of the mean, Mikolov et al. 2013, arXiv:1301.3781, section 3.1.

    >>> bag = BagOfWords(Embedding(10, 4), 3)
    >>> bag(Padded(torch.tensor([[5, 7], [0, 0]]), torch.tensor([2, 0]))).shape
    torch.Size([2, 3])
    """

    def __init__(self, embedding: Embedding, output_size: int, *, first: int = 1, silence: float = 0.0) -> None:
        super().__init__()
        self.embedding = embedding
        self.output_size = check_size("BagOfWords", "output_size", output_size)
        self.silence = check_rate("BagOfWords", "silence", silence)
        if not 0 <= first < embedding.size:
            raise OptionError(f"BagOfWords: first must lie in 0..{embedding.size - 1}, got {first}; leave it out.")
        self.first = first
        self.map = nn.Linear(embedding.output_size, output_size)

    def forward(self, words: Padded) -> Tensor:
        """The codes of words (batch, words) and how many each row has -> (batch, output_size)."""
        codes = zero_padding(words.values, words.lengths)
        said = (codes >= self.first) & valid_mask(words.lengths, codes.shape[1])
        if self.training and self.silence:
            said = said & (torch.rand(len(codes), 1, device=codes.device) >= self.silence)
        total = torch.where(said[..., None], self.embedding(codes), 0).sum(1)
        count = said.sum(1, keepdim=True)
        v = self.map(total / count.clamp(min=1)).tanh()
        return torch.where(count > 0, v, 0)
