"""The field of videos: its laws, its frames, the rate at which films are seen, and frames as they come."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from unrolled.errors import DataError, ModelFileError
from unrolled.fields import Film, Image, Video, field_from_json, field_to_json
from unrolled.fields.film import sampled, sampled_count
from unrolled.testing import check_field

pytest.importorskip("PIL")


def videos(count: int = 4, size: tuple[int, int] = (6, 4), channels: int = 3) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (int(n), *size, channels), dtype=np.uint8) for n in random.integers(1, 9, count)]


@pytest.mark.parametrize("options", [
    {}, {"rate": 8.0}, {"size": (5, 7)}, {"colour": "grey", "size": (3, 3)}, {"size": (1, 1), "colour": "colour"},
])  # fmt: skip
def test_the_field_keeps_the_laws_of_fields(options: dict[str, Any]) -> None:
    for channels in (1, 3):
        rows = videos(channels=channels)
        check_field(Video.fit(rows, **options), fit=lambda some, n: Video.fit(some[:n], **options), rows=rows)


def test_a_step_is_a_frame_as_a_picture_has_it() -> None:
    (video,) = videos(1)
    for size in (None, (5, 7)):
        field = Video.fit([video], size=size)
        steps = field.encode(video)
        assert steps.shape == (len(video), field.width)
        assert (field.size, field.channels) == (size or (6, 4), 3)
        for step, frame in zip(steps, video, strict=True):
            assert np.array_equal(step, field.image.encode(frame).ravel())
    assert np.array_equal(field.encode(list(video)), steps)
    assert field.encode(video[:0]).shape == field.encode([]).shape == (0, field.width)


def test_statistics_are_those_of_some_frames_of_each() -> None:
    long = np.random.default_rng(0).integers(0, 256, (30, 6, 4, 3), dtype=np.uint8)
    some = long[[0, 10, 19, 29]]
    assert field_to_json(Video.fit([long])) == field_to_json(Video(Image.fit(some), None))
    # Large frames are made small at once, and the size is that in the middle of the large ones.
    large = long.repeat(40, 1).repeat(40, 2)
    assert Video.fit([large, large, long]).size == (64, 43)


def test_grey_frames_have_one_channel_whatever_their_form() -> None:
    (video,) = videos(1, channels=1)
    field = Video.fit([video[..., 0]])
    assert field.channels == 1
    assert np.array_equal(field.decode(field.encode(video[..., 0])), video)
    coloured = Video.fit([video], colour="colour")
    assert np.array_equal(coloured.decode(coloured.encode(video)), video.repeat(3, -1))


@pytest.mark.parametrize(("own", "rate"), [(8, 8), (8, 4), (4, 8), (10, 4), (3, 10), (29.97, 10), (12.5, 25)])
def test_a_film_is_seen_as_fast_as_it_is(own: float, rate: float) -> None:
    (video,) = videos(1)
    field = Video.fit([video], rate=rate)
    steps, plain = field.encode(Film(video, own)), field.encode(video)
    seconds = len(video) / Fraction(own)
    places = [
        min(int(k / Fraction(rate) * Fraction(own) + Fraction(1, 100)), len(video) - 1) for k in range(len(steps))
    ]
    assert np.array_equal(steps, plain[places])
    assert (len(steps) - 1) / rate < seconds <= len(steps) / rate + 0.001
    assert np.array_equal(Video(field.image, None).encode(Film(video, own)), plain)


def test_what_is_shown_before_the_first_is_the_first() -> None:
    shown = [(Fraction(2), "a"), (Fraction(3), "b"), (Fraction(3), "c"), (Fraction(9), "d")]
    assert list(sampled(shown, map(Fraction, range(1, 6)))) == ["a", "a", "c", "c", "c"]
    assert [sampled_count(Fraction(1, n), Fraction(10)) for n in (1, 5, 10, 100)] == [10, 2, 1, 1]


@pytest.mark.parametrize("seed", range(4))
def test_any_split_of_the_frames_gives_the_steps_of_the_whole(seed: int) -> None:
    random = np.random.default_rng(seed)
    video = random.integers(0, 256, (11, 6, 4, 3), dtype=np.uint8)
    field = Video.fit([video], size=(5, 5))
    front, cuts = field.front(), np.sort(random.integers(0, 12, 3))
    for _ in range(2):
        pieces = [front.push(piece) for piece in np.split(video, cuts)]
        assert np.array_equal(np.concatenate([*pieces, front.flush()]), field.encode(video))


def test_what_is_no_video_is_refused_in_one_sentence() -> None:
    (video,) = videos(1)
    field = Video.fit([video])
    for value, said in (
        (video[0, ..., 0], r"^Video: expected frames as numbers \(frames, height, width\).*got uint8 \(6, 4\): give"),
        (7, r"^Video: expected frames .* got int: give one"),
        (video + 0.5, r"^Image: expected pixels from 0 to 255 as whole numbers"),
        ([video[0], video[0][:0]], r"^Image: expected a picture of at least one pixel"),
        (Film(video, 0), r"^Video: expected a film of a positive rate, got 0: give frames a second"),
        (Film(video, float("nan")), r"^Video: expected a film of a positive rate, got nan"),
    ):
        with pytest.raises(DataError, match=said):
            field.encode(value)
    with pytest.raises(DataError, match=r"^Video: expected at least one frame to fit, got none"):
        Video.fit([video[:0], []])
    with pytest.raises(DataError, match=r"^Video: expected finite numbers \(frames, 72\), got float64 \(2, 71\)"):
        field.decode(np.zeros((2, 71)))


def test_videos_are_named_by_their_frames() -> None:
    (video,) = videos(1)
    field = Video.fit([video])
    assert field.say(video[:1]) == field.say(Film(video[:1], 3)) == "1 frame of 4 x 6 pixels, colour"
    assert field.say(video[[0, 0], ..., 0]) == "2 frames of 4 x 6 pixels, grey"
    assert field.say(video[:0]) == "0 frames"


@pytest.mark.parametrize("change", [{"rate": 0.0}, {"rate": -1.0}, {"rate": float("inf")}, {"rate": "8"}])
def test_a_saved_field_that_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    data = field_to_json(Video.fit(videos()))
    with pytest.raises(ModelFileError):
        field_from_json({**data, **change})
    with pytest.raises(ModelFileError, match="pictures of one size by rows"):
        field_from_json({**data, "image": Image.fit(videos()[0], steps="columns").to_json()})
