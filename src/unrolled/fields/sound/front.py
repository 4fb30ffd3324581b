"""The live front end of sound: samples in pieces of any size become frames of features, as in the whole."""

from __future__ import annotations

import numpy as np

from unrolled.errors import NotStreamable
from unrolled.fields.number import Number
from unrolled.fields.sound.mel import bands_of
from unrolled.fields.sound.options import REACH, AudioOptions
from unrolled.fields.sound.samples import checked_samples

__all__ = ["Front", "RawFront"]


class RawFront:
    """Pieces of a sound to features that are not yet normalised, float64; else as `Front`."""

    def __init__(self, options: AudioOptions) -> None:
        self.options = options
        self._bands = bands_of(options)
        self._begin()

    def _begin(self) -> None:
        # Samples from the begin of the next frame on, and whether there was one before it.
        self._left, self._begun = np.zeros(0, np.float32), False
        self._slopes = [_Slopes(self.options.look_ahead, self._bands.width) for _ in range(self.options.deltas)]
        self._waiting = [np.zeros((0, self._bands.width)) for _ in range(1 + self.options.deltas)]

    def push(self, samples: np.ndarray) -> np.ndarray:
        window, hop = self.options.window_size, self.options.hop_size
        buffer = np.concatenate([self._left, checked_samples(samples, "Audio")])
        count = max(0, (len(buffer) - window) // hop + 1)
        if count == 0:
            self._left = buffer
            return np.zeros((0, self.options.width))
        frames = np.lib.stride_tricks.sliding_window_view(buffer, window)[: count * hop : hop]
        self._left, self._begun = buffer[count * hop :].copy(), True
        return self._joined(self._bands.of(frames), last=False)

    def flush(self) -> np.ndarray:
        window, hop = self.options.window_size, self.options.hop_size
        rest = np.zeros((0, window), np.float32)
        # The samples that the frame before holds, too, make none of their own.
        if len(self._left) > (window - hop if self._begun else 0):
            rest = np.pad(self._left, (0, window - len(self._left)))[None]
        frames = self._joined(self._bands.of(rest), last=True)
        self._begin()
        return frames

    def _joined(self, features: np.ndarray, *, last: bool) -> np.ndarray:
        """The features and their slopes side by side, as far as all of them are known."""
        self._waiting[0] = np.concatenate([self._waiting[0], features])
        for order, slopes in enumerate(self._slopes, start=1):
            features = slopes.push(features)
            if last:
                features = np.concatenate([features, slopes.flush()])
            self._waiting[order] = np.concatenate([self._waiting[order], features])
        ready = min(map(len, self._waiting))
        frames = np.concatenate([columns[:ready] for columns in self._waiting], axis=1)
        self._waiting = [columns[ready:].copy() for columns in self._waiting]
        return frames


class Front:
    """Pieces of a sound to frames of features: any split gives the frames of the whole, bit for bit.

        concatenate([push(s) for s in pieces] + [flush()]) = Audio.encode(concatenate(pieces))

    A frame comes with the last sample of its window; with deltas it waits for `deltas * look_ahead` more. What is
    kept between two pieces is less than a window and a hop of samples and those waiting frames, however long the sound.

    Args:
        options: of the features.
        number: the statistics that normalise; None: nothing is normalised.

    Raises:
        NotStreamable: the options normalise per recording.
    """

    def __init__(self, options: AudioOptions, number: Number | None = None) -> None:
        if not options.streamable:
            name, value = ("normalise", "training") if options.normalise == "recording" else ("loudness", "recorded")
            raise NotStreamable(
                f"Audio: {name}={getattr(options, name)!r} needs the whole recording, so no frame can be given before "
                f"its end; fit with {name}={value!r} to stream."
            )
        self._raw, self._number = RawFront(options), number

    @property
    def width(self) -> int:
        """The number of features of a frame."""
        return self._raw.options.width

    def push(self, samples: np.ndarray) -> np.ndarray:
        """The frames that the samples complete: (frames, width) float32, frames 0 and up.

        Args:
            samples: (n,) floats at the rate of the options, n 0 and up.

        Raises:
            DataError: samples that are no finite floats of one channel; nothing of them is taken then.
        """
        return self._normalised(self._raw.push(samples))

    def flush(self) -> np.ndarray:
        """The frames that were waiting, the last one filled up with zeros; what is pushed then begins a new sound."""
        return self._normalised(self._raw.flush())

    def _normalised(self, frames: np.ndarray) -> np.ndarray:
        return (frames if self._number is None else self._number.encode(frames)).astype(np.float32)


class _Slopes:
    """The slope of each feature over 2 * REACH + 1 frames, of which `ahead` lie after the frame that it is given to.

        d_t = sum_k k x_(t + ahead - REACH + k) / sum_k k^2,     k = -REACH .. REACH

    Before the first frame stands the first, after the last the last.
    """

    def __init__(self, ahead: int, width: int) -> None:
        self._ahead, self._frames = ahead, np.zeros((0, width))

    def push(self, frames: np.ndarray) -> np.ndarray:
        if not len(frames):
            return frames
        if not len(self._frames):
            self._frames = np.repeat(frames[:1], 2 * REACH - self._ahead, axis=0)
        known = np.concatenate([self._frames, frames])
        count = max(0, len(known) - 2 * REACH)
        slopes = np.zeros((count, frames.shape[1]))
        for k in range(1, REACH + 1):
            later, earlier = known[REACH + k : REACH + k + count], known[REACH - k : REACH - k + count]
            slopes += k * (later - earlier)
        self._frames = known[count:].copy()
        return slopes / (2 * sum(k * k for k in range(1, REACH + 1)))

    def flush(self) -> np.ndarray:
        return self.push(np.repeat(self._frames[-1:], self._ahead, axis=0))
