"""Masks and noise on the features of steps, in training alone."""

from __future__ import annotations

import torch
from torch import Tensor

from unrolled.check import check_rate
from unrolled.errors import OptionError
from unrolled.nn.reading.reader import Reader
from unrolled.padding import Padded

__all__ = ["MaskedReader"]


class MaskedReader(Reader):
    """In training, stretches of steps and bands of features become 0, and noise is added; else the reader as it is.

        t ~ U{0 .. min(longest, share * length)},   t_0 ~ U{0 .. length - t},   steps t_0 .. t_0 + t - 1 become 0
        f ~ U{0 .. widest},                         f_0 ~ U{0 .. width - f},    features f_0 .. f_0 + f - 1 become 0

    Each row has masks of its own. Features should be normalised: 0 is what is usual. All is drawn from torch's random
    state, so a run that goes on draws what it would have drawn.

    reader: gives the features. times, bands: how many masks of each kind a row has. longest, widest: of one of them, in
    steps and in features. share: of the steps of a row that one may cover at most. noise: deviation of what is added.

    Source: Park et al. 2019, "SpecAugment", arXiv:1904.08779, section 2, without the warping of time.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        times: int = 0,
        longest: int = 20,
        share: float = 0.2,
        bands: int = 0,
        widest: int = 8,
        noise: float = 0.0,
    ) -> None:
        super().__init__()
        for name, value in (("times", times), ("longest", longest), ("bands", bands), ("widest", widest)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise OptionError(f"MaskedReader: {name} must be an integer of at least 0, got {value!r}.")
        if not 0 <= noise < float("inf"):
            raise OptionError(f"MaskedReader: noise must be a number of at least 0, got {noise!r}.")
        self.reader = reader
        self.output_size = reader.output_size
        self.times, self.longest, self.share = times, longest, check_rate("MaskedReader", "share", share)
        self.bands, self.widest, self.noise = bands, widest, noise

    def frames(self, lengths: Tensor) -> Tensor:
        return self.reader.frames(lengths)

    @property
    def context(self) -> int | None:
        return self.reader.context

    def forward(self, x: Padded) -> Tensor:
        y: Tensor = self.reader(x)
        if not self.training:
            return y
        if self.noise:
            y = y + self.noise * torch.randn_like(y)
        lengths = self.frames(x.lengths).to(y.device)
        for _ in range(self.times):
            most = (self.share * lengths).long().clamp(max=self.longest)
            y = y.masked_fill(_stretches(lengths, most, y.shape[1])[:, :, None], 0)
        widths = torch.full_like(lengths, y.shape[2])
        for _ in range(self.bands):
            y = y.masked_fill(_stretches(widths, widths.clamp(max=self.widest), y.shape[2])[:, None, :], 0)
        return y


def _stretches(lengths: Tensor, most: Tensor, size: int) -> Tensor:
    """A stretch of 0 to `most` (batch,) places within `lengths` (batch,) for each row: bool (batch, size)."""
    draws = torch.rand(2, len(lengths), device=lengths.device, dtype=torch.float64)
    length = (draws[0] * (most + 1)).long()
    start = (draws[1] * (lengths - length + 1)).long()
    places = torch.arange(size, device=lengths.device)
    return (places >= start[:, None]) & (places < (start + length)[:, None])
