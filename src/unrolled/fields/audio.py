"""A field for sound: log-mel or cepstral features of frames, normalised; and its live front end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from unrolled.errors import DataError, ModelFileError, OptionError
from unrolled.fields.field import Field, register_field
from unrolled.fields.number import Number, counted
from unrolled.fields.sound.front import Front, RawFront
from unrolled.fields.sound.options import AudioOptions
from unrolled.fields.sound.samples import Sound, checked_samples
from unrolled.options import typed
from unrolled.types import Json

__all__ = ["Audio", "Front"]

# A deviation of logarithms below this is rounding, and no feature.
_STILL = 1e-6


@register_field
@dataclass(frozen=True, eq=False)
class Audio(Field[np.ndarray]):
    """Sound as frames of log-mel or cepstral features: (samples,) to (frames, width) float32.

        frames = 0 for no samples, else 1 + max(0, ceil((samples - window) / hop))

    Frames are not centred: the first begins with the first sample, and no frame sees a sample after its window, so
    that `front` gives live what `encode` gives of the whole. No sound comes back: `decode` gives features.

    Args:
        options: of the features.
        number: the statistics of the training part, one group; None: features are not normalised by any.
    """

    kind: ClassVar[str] = "Audio"
    lossy: ClassVar[str] = "the phase, and what the bands do not tell apart: features come back, and no samples"
    options: AudioOptions
    number: Number | None

    @classmethod
    def fit(cls, sounds: Iterable[np.ndarray | Sound], options: AudioOptions | None = None) -> Audio:
        """The field whose statistics come from the sounds given, one at a time; hand in the training part only.

        Args:
            sounds: samples (N,) at the rate of the options, or `Sound`s; not looked at unless normalise="training".
            options: of the features; None: the defaults of `AudioOptions`.

        Raises:
            DataError: no sound has a sample, or one is of another rate, shape or kind, or not finite.
            OptionError: the bands are too narrow for the window.
        """
        options = AudioOptions() if options is None else options
        field = cls(options, None)
        RawFront(options)
        return cls(options, field._statistics(sounds)) if options.normalise == "training" else field

    def _statistics(self, sounds: Iterable[np.ndarray | Sound]) -> Number:
        """Mean and deviation of each feature over all frames, merged recording by recording (Chan et al. 1983)."""
        count, mean, squares = 0, np.zeros(self.width), np.zeros(self.width)
        for sound in sounds:
            features = self._features(sound)
            if not len(features):
                continue
            total, own = count + len(features), features.mean(axis=0)
            squares += ((features - own) ** 2).sum(axis=0) + (own - mean) ** 2 * (count * len(features) / total)
            mean += (own - mean) * (len(features) / total)
            count = total
        if not count:
            raise DataError("Audio: expected at least one sound to fit, got no sample: give the training recordings.")
        return Number("standard", mean[None], _usable(np.sqrt(squares / count))[None])

    @property
    def width(self) -> int:
        """The number of features of a frame, slopes included."""
        return self.options.width

    @property
    def streamable(self) -> bool:
        """False where loudness or features are normalised per recording: `front` then refuses."""
        return self.options.streamable

    def encode(self, value: np.ndarray) -> np.ndarray:
        """The features of a sound, (frames, width) float32, finite everywhere.

        Args:
            value: (samples,) floats at the rate of the options, or a `Sound`; or (frames, width) features in the form
                of `decode`, as computed elsewhere: of these the normalisation by training statistics is done alone.

        Raises:
            DataError: another shape, kind or rate, or a value that is not finite.
        """
        if not isinstance(value, Sound) and np.ndim(value) == 2:
            return self._checked_features(value, "the features", self.number)
        features = self._features(value)
        if self.options.normalise == "recording" and len(features):
            features = (features - features.mean(axis=0)) / _usable(features.std(axis=0))
        encoded: np.ndarray = (features if self.number is None else self.number.encode(features)).astype(np.float32)
        return encoded

    def decode(self, array: np.ndarray) -> np.ndarray:
        """The features before normalisation, (frames, width) float64: log energies, or coefficients, and slopes.

        Of features normalised per recording nothing can be undone: they come as they are. `encode` takes both.

        Raises:
            DataError: another width, or a value that is not finite.
        """
        encoded = self._checked_features(array, "the encoded sound", None)
        if self.number is not None:
            return self.number.decode(encoded)
        features: np.ndarray = encoded.astype(np.float64)
        return features

    def front(self) -> Front:
        """A live front end for one sound after another: `push(samples)` and `flush()` give the frames of `encode`.

        Raises:
            NotStreamable: loudness or features are normalised per recording.
        """
        return Front(self.options, self.number)

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """Up to six windows of a tone in noise, float32: (samples,), 1 and up, now and then silence."""
        count = int(random.integers(1, 6 * self.options.window_size))
        turns = np.arange(count) * random.uniform(0.01, 0.49)
        tone = random.uniform(0, 0.5) * np.sin(2 * np.pi * turns) + random.normal(0, 0.1, count)
        samples: np.ndarray = (tone * (random.random() > 0.1)).astype(np.float32)
        return samples

    def say(self, value: np.ndarray) -> str:
        """The length of the sound, as in "1.2 s at 8,000 Hz", or of features, as in "120 frames of 40 features"."""
        if isinstance(value, Sound):
            value = value.samples
        if np.ndim(value) == 2:
            return counted(np.shape(value), "frame", "feature")
        seconds = len(value) / self.options.rate
        return f"{f'{seconds:,.1f}' if seconds >= 1 else f'{seconds:.2g}'} s at {self.options.rate:,} Hz"

    def to_json(self) -> Json:
        """Plain JSON; `Audio.from_json` gives the field back, bit for bit."""
        return {"options": self.options.to_json(), "number": None if self.number is None else self.number.to_json()}

    @classmethod
    def from_json(cls, data: Json) -> Audio:
        """The field that `to_json` wrote. Raises `ModelFileError` for options or statistics that do not fit."""
        try:
            options = AudioOptions(**typed(dict[str, int | float | str | None], data["options"], "options"))
            RawFront(options)
        except OptionError as error:
            raise ModelFileError(f"load: {error}") from error
        number = None if data["number"] is None else Number.from_json(data["number"])
        fitted = options.normalise == "training"
        if fitted != (number is not None) or (number is not None and number.center.shape != (1, options.width)):
            held = "none" if number is None else f"those of {number.center.shape[1]}"
            wanted = f"of {options.width} features" if fitted else "none"
            raise ModelFileError(f"load: expected statistics of an Audio, {wanted}, but the model holds {held}.")
        return cls(options, number)

    def _features(self, sound: np.ndarray | Sound) -> np.ndarray:
        """The features of the whole sound, not normalised."""
        if isinstance(sound, Sound):
            if sound.rate != self.options.rate:
                raise DataError(
                    f"Audio: expected a sound of {self.options.rate:,} Hz, got one of {sound.rate:,}: resample it."
                )
            sound = sound.samples
        if self.options.loudness == "peak":
            sound = _at_full_scale(sound)
        front = RawFront(self.options)
        return np.concatenate([front.push(sound), front.flush()])

    def _checked_features(self, array: np.ndarray, name: str, number: Number | None) -> np.ndarray:
        values = np.asarray(array)
        if values.ndim != 2 or values.shape[1] != self.width or values.dtype.kind not in "fiu":
            raise DataError(
                f"Audio: expected {name} as numbers (frames, {self.width}), or a sound as (samples,), got "
                f"{values.dtype} {values.shape}: give one channel, or features of that width."
            )
        with np.errstate(over="ignore"):
            values = (values if number is None else number.encode(values)).astype(np.float32)
        if not np.isfinite(values).all():
            frame, feature = np.argwhere(~np.isfinite(values))[0]
            raise DataError(f"Audio: {name} holds no finite number at frame {frame}, feature {feature}: mend it.")
        return values


def _at_full_scale(samples: np.ndarray) -> np.ndarray:
    """The samples times what makes the highest 1; silence as it is."""
    values = checked_samples(samples, "Audio")
    peak = float(np.abs(values).max(initial=0))
    return np.asarray(values / peak if peak > 0 else values, np.float32)


def _usable(deviation: np.ndarray) -> np.ndarray:
    """The deviation, or 1 for a feature that stands still."""
    return np.where(deviation > _STILL, deviation, 1.0)
