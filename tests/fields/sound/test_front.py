"""The live front end: any split of a sound gives the frames of the whole, bit for bit."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from unrolled.errors import DataError
from unrolled.fields import Audio, AudioOptions, Front

KINDS: dict[str, dict[str, object]] = {
    "log-mel": {},
    "frames without overlap": {"window": 0.016, "hop": 0.016},
    "two samples a frame": {"window": 0.016, "hop": 0.000125},
    "coefficients, causal slopes": {"features": "mfcc", "deltas": 2},
    "coefficients, a frame ahead": {"features": "mfcc", "deltas": 2, "look_ahead": 1},
    "slopes two frames ahead": {"deltas": 1, "look_ahead": 2, "scale": "htk"},
    "not normalised": {"normalise": "none"},
}


def fitted(kind: str) -> Audio:
    options = AudioOptions(rate=8000, **KINDS[kind])
    random = np.random.default_rng(3)
    return Audio.fit([random.normal(0, 0.1, 2000)], options)


def streamed(front: Front, pieces: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([*[front.push(piece) for piece in pieces], front.flush()])


@pytest.mark.parametrize("kind", KINDS)
def test_any_split_gives_the_frames_of_the_whole(kind: str) -> None:
    field = fitted(kind)
    # One front for all of them: each flush begins anew.
    front = field.front()
    for seed in range(40):
        random = np.random.default_rng(seed)
        samples = field.draw(random)[: int(random.integers(1500))]
        cuts = np.sort(random.integers(0, len(samples) + 1, int(random.integers(12))))
        frames = streamed(front, np.split(samples, cuts))
        assert frames.dtype == np.float32
        assert frames.shape[1] == front.width == field.width
        assert np.array_equal(frames, field.encode(samples)), (seed, cuts)


@pytest.mark.parametrize("kind", KINDS)
def test_single_samples_give_the_frames_of_the_whole(kind: str) -> None:
    field = fitted(kind)
    samples = np.random.default_rng(0).normal(0, 0.1, 700).astype(np.float32)
    assert np.array_equal(streamed(field.front(), np.split(samples, 700)), field.encode(samples))


def test_a_frame_comes_with_the_last_sample_of_its_window_and_slopes_wait_as_said() -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 1000)
    for deltas, ahead in ((0, 0), (2, 0), (1, 2), (2, 1)):
        front = Audio.fit([samples], AudioOptions(rate=8000, deltas=deltas, look_ahead=ahead)).front()
        complete = 200 + 80 * deltas * ahead
        assert len(front.push(samples[: complete - 1])) == 0
        assert len(front.push(samples[complete - 1 : complete])) == 1


def test_memory_does_not_grow_with_the_sound() -> None:
    front = fitted("coefficients, a frame ahead").front()
    piece = np.random.default_rng(0).normal(0, 0.1, 333)

    def kept() -> int:
        raw = front._raw
        arrays = [raw._left, *raw._waiting, *[slopes._frames for slopes in raw._slopes]]
        return sum(array.nbytes if array.base is None else array.base.nbytes for array in arrays)

    # Less than a window and a hop of samples; two frames that wait, and four of each slope, of 13 features in float64.
    most = 4 * (200 + 80) + 8 * 13 * (3 * 2 + 2 * 4)
    for _ in range(60):
        front.push(piece)
        assert kept() <= most


def test_nothing_pushed_gives_nothing() -> None:
    field = fitted("coefficients, a frame ahead")
    front = field.front()
    assert front.flush().shape == (0, 39)
    assert front.push(np.zeros(0)).shape == (0, 39)
    assert front.flush().shape == (0, 39)


def test_of_bad_samples_nothing_is_taken_and_a_copy_goes_on_by_itself() -> None:
    field = fitted("log-mel")
    samples = np.random.default_rng(0).normal(0, 0.1, 900).astype(np.float32)
    front = field.front()
    begun = front.push(samples[:300])
    with pytest.raises(DataError, match="sample 0 is nan"):
        front.push(np.array([np.nan]))
    other = copy.deepcopy(front)
    assert len(other.push(np.zeros(500))) > 0
    assert np.array_equal(np.concatenate([begun, front.push(samples[300:]), front.flush()]), field.encode(samples))
