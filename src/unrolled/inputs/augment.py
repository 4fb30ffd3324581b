"""What training does to inputs: masks, noise, other speeds, other voices."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from unrolled.nn.reading.masks import MaskedReader
from unrolled.nn.reading.reader import Reader
from unrolled.options import Options

__all__ = ["AugmentOptions", "MaskOptions", "masked"]


class MaskOptions(Options):
    """What training does to features of sounds and series, see `MaskedReader`; not done when they are judged."""

    time_masks: int = Field(default=0, ge=0, description="Stretches of an input that are left out in training.")
    time_mask: int = Field(default=20, ge=0, description="Steps that one of them covers at most, a fifth of all.")
    band_masks: int = Field(default=0, ge=0, description="Bands of neighbouring features left out in training.")
    band_mask: int = Field(default=8, ge=0, description="Features that one of them covers at most.")
    feature_noise: float = Field(default=0.0, ge=0, description="Deviation of noise on the features in training.")

    @property
    def perturbs(self) -> bool:
        """Whether sounds are heard from other speakers, microphones or rooms."""
        return False

    @property
    def changes_speed(self) -> bool:
        """Whether inputs are learned from at other speeds, too."""
        return False


class AugmentOptions(MaskOptions):
    """What training does to whole inputs, too; nothing of it is done when they are judged.

    speeds: each is learned from at these speeds, too. Of sounds alone, and of log energies of bands: frequency_warp,
    channel_decibels, gain_decibels and noise_decibels, see `PerturbedReader`; noise: sound files, or folders or lists
    of them, of which the noise is. The others are those of `MaskOptions`.
    """

    frequency_warp: float = Field(
        default=0.0, ge=0, le=1, description="Voices higher or lower in training, by a factor of up to exp of this."
    )
    channel_decibels: float = Field(
        default=0.0, ge=0, le=60, description="Deviation of the tone of other microphones in training, in decibels."
    )
    gain_decibels: float = Field(
        default=0.0, ge=0, le=60, description="Deviation of the loudness in training, in decibels."
    )
    noise_decibels: float | None = Field(
        default=None, ge=-60, le=200, description="Noise in training: lowest ratio of sound to noise, in decibels."
    )
    noise: tuple[Path, ...] = Field(
        default=(), description="Sound files, or folders of them, whose sounds are the noise in training; none: a hiss."
    )
    speeds: tuple[Annotated[float, Field(ge=0.25, le=4)], ...] = Field(
        default=(),
        description="Every input is learned from at these speeds, too, such as 0.9 and 1.1; a sound's pitch follows.",
    )

    @field_validator("noise", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        return (value,) if isinstance(value, str | Path) else value

    @model_validator(mode="after")
    def _as_loud(self) -> Self:
        if self.noise and self.noise_decibels is None:
            raise ValueError(
                f"noise={[str(path) for path in self.noise]} needs to know how loud it is: give noise_decibels, the "
                "lowest ratio of sound to noise, such as 10"
            )
        return self

    @property
    def perturbs(self) -> bool:
        perturbed = self.frequency_warp, self.channel_decibels, self.gain_decibels
        return any(perturbed) or self.noise_decibels is not None

    @property
    def changes_speed(self) -> bool:
        return bool(self.speeds)


def masked(reader: Reader, drawn: MaskOptions) -> MaskedReader:
    """The reader with what training does to its features."""
    return MaskedReader(
        reader, times=drawn.time_masks, longest=drawn.time_mask, bands=drawn.band_masks, widest=drawn.band_mask,
        noise=drawn.feature_noise,
    )  # fmt: skip
