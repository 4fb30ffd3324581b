"""Other speakers, other microphones and noise, made of the features of sounds, in training alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from unrolled.errors import OptionError
from unrolled.nn.reading.reader import Reader
from unrolled.padding import Padded, valid_mask, zero_padding

__all__ = ["PerturbedReader", "RecordedNoise"]

NATS = math.log(10) / 10
"""A decibel, as the natural logarithm of an energy."""

# A microphone or a room: so many half waves over the bands, from a slope on.
_WAVES = 3
# From the loudest noise to the softest, in decibels.
_SPAN = 20.0
# How noise varies from one band and frame to the next: of white noise in bands of a few points of the spectrum.
_RIPPLE = 0.6


class RecordedNoise(Protocol):
    """Recordings of noise, of which the i-th is log energies (frames, M), one frame at least: a list of arrays is."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int, /) -> np.ndarray: ...


class PerturbedReader(Reader):
    """In training, each row as another speaker, microphone or room would give it; else the reader as it is.

    Features are e = scale * x + center, log energies of M bands; what is drawn is drawn once a row:

        warp:    e'(f) = e(a f),                             a = exp(u), u ~ U(-warp, warp): linear between two centres,
                                                             beyond the outermost band as in it
        channel: e'_m = e_m + sum_k c_k cos(pi k (m + 1/2) / M),   c_k ~ N(0, channel) decibels, k = 1 .. 3
        gain:    e'_m = e_m + g,                               g ~ N(0, gain) decibels
        noise:   e'_tm = log(exp(e_tm) + P 10^(-r/10) q_tm), r ~ U(noise, noise + 20) decibels, P the mean energy over
                                                             the row's valid steps, q log-normal, deviation 0.6;
                 of recordings: q a stretch of one of them, from a frame on that is drawn, too, over and over where it
                                is shorter, its energies divided by their mean over the row's valid steps

    in this order, and the reader reads (e' - center) / scale. Energies of noise are added, which on average is what
    adding its samples does: of spoken digits a feature came out 1.5 dB apart where the noise moved it by 8 dB. All is
    drawn from torch's random state, so a run that goes on draws what it would have drawn.

    Args:
        reader: reads the features.
        centres: of the bands in Hz, rising.
        center, scale: (M,) what normalised the features; None: they are log energies as they are.
        warp: largest logarithm of the factor; 0.15 makes voices up to 16 % higher or lower.
        channel, gain: deviations in decibels. noise: lowest ratio of sound to noise in decibels; None adds none.
        recorded: what the noise is; None: a hiss, as loud in every band. What is silent in them adds nothing.

    Source: warp: Jaitly and Hinton 2013, "Vocal tract length perturbation improves speech recognition"; there the
    highest frequency stays where it is, and the filters are warped instead of the features.
    """

    centres: Tensor
    waves: Tensor
    center: Tensor
    scale: Tensor

    def __init__(
        self,
        reader: Reader,
        centres: Sequence[float],
        *,
        center: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        warp: float = 0.0,
        channel: float = 0.0,
        gain: float = 0.0,
        noise: float | None = None,
        recorded: RecordedNoise | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("warp", warp), ("channel", channel), ("gain", gain)):
            if not 0 <= value < math.inf:
                raise OptionError(f"PerturbedReader: {name} must be a number of at least 0, got {value!r}.")
        if noise is not None and not math.isfinite(noise):
            raise OptionError(f"PerturbedReader: noise must be a finite number of decibels, got {noise!r}.")
        bands = len(centres)
        if bands != reader.output_size or bands < 2:
            raise OptionError(
                f"PerturbedReader: expected centres for the {reader.output_size} features that the reader gives, two "
                f"or more, got {bands}; features must be the log energies of bands, without slopes."
            )
        self.reader = reader
        self.output_size = reader.output_size
        self.warp, self.channel, self.gain, self.noise, self.recorded = warp, channel, gain, noise, recorded
        waves = torch.arange(1, _WAVES + 1)[:, None] * (torch.arange(bands) + 0.5) * (math.pi / bands)
        # No weights: they come from the fields, and a model that is judged needs none of them.
        for name, values in (
            ("centres", torch.tensor(list(centres))),
            ("waves", waves.cos()),
            ("center", torch.zeros(bands) if center is None else torch.tensor(list(center))),
            ("scale", torch.ones(bands) if scale is None else torch.tensor(list(scale))),
        ):
            self.register_buffer(name, values.float(), persistent=False)

    def frames(self, lengths: Tensor) -> Tensor:
        return self.reader.frames(lengths)

    @property
    def context(self) -> int | None:
        return self.reader.context

    def forward(self, x: Padded) -> Tensor:
        if self.training and x.values.ndim == 3 and x.values.shape[2] == self.output_size:
            x = x._replace(values=self.changed(zero_padding(x.values, x.lengths), x.lengths))
        y: Tensor = self.reader(x)
        return y

    def changed(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x (batch, time, M) as another draw gives it; what it holds in the padding is not to be read."""
        center, scale, waves = (part.to(x) for part in (self.center, self.scale, self.waves))
        e = scale * x + center
        if self.warp:
            e = self._warped(e)
        if self.channel:
            e = e + (self.channel * NATS * torch.randn(len(e), _WAVES, device=e.device, dtype=e.dtype) @ waves)[:, None]
        if self.gain:
            e = e + self.gain * NATS * torch.randn(len(e), 1, 1, device=e.device, dtype=e.dtype)
        if self.noise is not None:
            e = torch.logaddexp(e, self._noise(e, lengths.to(e.device), self.noise))
        return (e - center) / scale

    def _warped(self, e: Tensor) -> Tensor:
        centres = self.centres.to(e)
        factor = torch.exp(self.warp * (2 * torch.rand(len(e), 1, device=e.device, dtype=e.dtype) - 1))
        wanted = (factor * centres).clamp(centres[0], centres[-1])
        above = torch.searchsorted(centres, wanted).clamp(1, len(centres) - 1)
        part = ((wanted - centres[above - 1]) / (centres[above] - centres[above - 1]))[:, None]
        low, high = (e.gather(2, place[:, None].expand_as(e)) for place in (above - 1, above))
        return low + part * (high - low)

    def _noise(self, e: Tensor, lengths: Tensor, least: float) -> Tensor:
        """The log energies of noise, (batch, time, M)."""
        ratio = least + _SPAN * torch.rand(len(e), 1, 1, device=e.device, dtype=e.dtype)
        level = _loudness(e, lengths) - NATS * ratio
        if self.recorded is None:
            return level + _RIPPLE * torch.randn_like(e)
        stretches = torch.stack([_stretch(self.recorded, e.shape[1]) for _ in range(len(e))]).to(e)
        own = _loudness(stretches, lengths)
        # Digital silence is equally soft everywhere; it must not become a hiss as loud as was asked for.
        differs = (stretches != stretches[:, :1, :1]) & valid_mask(lengths, e.shape[1])[..., None]
        return torch.where(differs.flatten(1).any(1)[:, None, None], level + stretches - own, -math.inf)


def _loudness(e: Tensor, lengths: Tensor) -> Tensor:
    """The logarithm of the mean energy over all bands and a row's valid steps: (batch, 1, 1), of no step -inf."""
    valid = valid_mask(lengths, e.shape[1])[..., None]
    total = torch.where(valid, e, -math.inf).logsumexp((1, 2), keepdim=True)
    return total - (lengths.clamp(min=1) * e.shape[2]).log()[:, None, None]


def _stretch(recorded: RecordedNoise, time: int) -> Tensor:
    """So many frames of one of the recordings, from one of its frames on: (time, M)."""
    frames = torch.from_numpy(recorded[int(torch.randint(len(recorded), ()))])
    begin = int(torch.randint(len(frames), ()))
    return frames[(begin + torch.arange(time)) % len(frames)]
