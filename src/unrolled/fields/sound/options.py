"""What features of sound are computed: rate, frames, bands, slopes and normalisation."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from unrolled.options import Options

__all__ = ["REACH", "AudioOptions"]

REACH = 2
"""A slope is fitted to this many frames on either side of its middle one."""

# A sparse filter needs a spectrum this fine; beyond it a damaged file would ask for memory without end.
_MOST_RATE, _LONGEST_WINDOW = 200_000, 0.5


class AudioOptions(Options):
    """The features of sound: log energies in bands of the mel scale ("logmel"), or their cosine transform ("mfcc").

    Frame t is cut from sample t * hop on, without padding before the first; the last one is filled up with zeros.
    """

    owner: ClassVar[str] = "Audio"

    rate: int = Field(default=16_000, ge=100, le=_MOST_RATE, description="Samples a second.")
    features: Literal["logmel", "mfcc"] = Field(default="logmel", description="What a frame becomes.")
    window: float = Field(default=0.025, gt=0, le=_LONGEST_WINDOW, description="Length of a frame, in seconds.")
    hop: float = Field(default=0.01, gt=0, le=_LONGEST_WINDOW, description="From one frame to the next, in seconds.")
    mels: int = Field(default=40, ge=1, le=256, description="Number of bands.")
    scale: Literal["slaney", "htk"] = Field(default="slaney", description="The mel scale.")
    fmin: float = Field(default=20.0, ge=0, description="Lowest frequency of the first band, in Hz.")
    fmax: float | None = Field(default=None, gt=0, description="Highest of the last, in Hz; half the rate if left out.")
    coefficients: int = Field(default=13, ge=1, le=256, description="How many of the cosine transform are kept (mfcc).")
    deltas: int = Field(default=0, ge=0, le=2, description="1: with the slope of each feature; 2: with its slope, too.")
    look_ahead: int = Field(
        default=0, ge=0, le=REACH, description="Frames that a slope sees ahead: each order of deltas waits for so many."
    )
    loudness: Literal["recorded", "peak"] = Field(
        default="recorded",
        description="Loud as recorded, or the highest sample of each recording at full scale.",
    )
    normalise: Literal["training", "recording", "none"] = Field(
        default="training",
        description="Mean 0 and deviation 1 of each feature, over the training part or over each recording.",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if not 1 <= self.hop_size <= self.window_size or self.window_size < 2:
            raise ValueError(
                f"hop={self.hop} and window={self.window} are {self.hop_size} and {self.window_size} samples at "
                f"rate={self.rate}; expected a window of at least 2 and a hop from 1 up to the window"
            )
        if not self.fmin < self.top <= self.rate / 2:
            raise ValueError(
                f"fmin={self.fmin} and fmax={self.fmax} do not lie in this order up to half of rate={self.rate}"
            )
        if self.features == "mfcc" and self.coefficients > self.mels:
            raise ValueError(f"coefficients={self.coefficients} are more than mels={self.mels}; give at most as many")
        return self

    @property
    def window_size(self) -> int:
        """The samples of a frame."""
        return round(self.window * self.rate)

    @property
    def hop_size(self) -> int:
        """The samples from the begin of a frame to that of the next."""
        return round(self.hop * self.rate)

    def frames(self, samples: int) -> int:
        """The frames of a sound of so many samples: none without a sample, and the last one may be filled up."""
        return 1 + max(0, -(-(samples - self.window_size) // self.hop_size)) if samples else 0

    @property
    def points(self) -> int:
        """The points of a frame's spectrum: the power of two that holds it, the rest filled with zeros."""
        return 1 << (self.window_size - 1).bit_length()

    @property
    def top(self) -> float:
        """The highest frequency of the last band, in Hz."""
        return self.rate / 2 if self.fmax is None else self.fmax

    @property
    def width(self) -> int:
        """The number of features of a frame, slopes included."""
        return (self.mels if self.features == "logmel" else self.coefficients) * (1 + self.deltas)

    @property
    def streamable(self) -> bool:
        """False where loudness or features are normalised per recording, which is known at its end alone."""
        return self.normalise != "recording" and self.loudness != "peak"
