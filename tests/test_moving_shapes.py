"""Videos of moving shapes: what is told of them is what they show, and no combination of a test is in the training."""

from __future__ import annotations

import importlib
import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def shapes(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("moving_shapes")


def _said(shapes: Any, caption: str) -> list[tuple[str, str, list[str]]]:
    """Shape, colour and directions of each part of a caption."""
    ways = "|".join(shapes.DIRECTIONS)
    part = rf"a ({'|'.join(shapes.COLOURS)}) ({'|'.join(shapes.SHAPES)}) moves ((?:{ways})(?: then (?:{ways}))?)"
    found = [re.fullmatch(part, one) for one in caption.split(" and ")]
    return [(one[2], one[1], one[3].split(" then ")) for one in found if one] if all(found) else []


def test_videos_are_by_the_seed_alone(shapes: Any) -> None:
    for make in (shapes.captions, shapes.actions):
        (one, told), (other, again) = make(12, 3), make(12, 3)
        assert told == again
        assert told != make(12, 4)[1] or not all(map(np.array_equal, one, make(12, 4)[0]))
        assert all(map(np.array_equal, one, other))
        assert all(video.dtype == np.uint8 and video.shape[1:] == (32, 32, 3) for video in one)
        assert all(8 <= len(video) <= 16 for video in one)


def test_captions_tell_one_to_three_shapes_of_the_folds_alone(shapes: Any) -> None:
    _, told = shapes.captions(200, 0, folds=(2, 3))
    parts = [_said(shapes, caption) for caption in told]
    assert {len(part) for part in parts} == {1, 2, 3}
    for shape, colour, moves in itertools.chain.from_iterable(parts):
        assert {shapes.fold_of(shape, colour, move) for move in moves} <= {2, 3}
    _, told = shapes.captions(50, 0, most=1)
    assert all(len(_said(shapes, caption)) == 1 for caption in told)


def test_every_two_words_of_a_fold_are_together_in_others(shapes: Any) -> None:
    every = set(itertools.product(shapes.SHAPES, shapes.COLOURS, shapes.DIRECTIONS))
    for fold in range(shapes.FOLDS):
        held = {one for one in every if shapes.fold_of(*one) == fold}
        assert 8 <= len(held) <= 12
        for places in itertools.combinations(range(3), 2):
            pairs, others = ({tuple(one[i] for i in places) for one in part} for part in (held, every - held))
            assert pairs <= others


def test_shapes_move_as_it_is_told(shapes: Any) -> None:
    videos, labels = shapes.actions(48, 1)
    assert len(set(labels)) == len(shapes.DIRECTIONS) * len(shapes.SPEEDS)
    for video, label in zip(videos, labels, strict=True):
        direction, speed = label.split()
        # What is brighter than the ground and its noise is the shape.
        weight = np.clip(video.max(-1).astype(float) - np.median(video) - 40, 0, None)
        rows, columns = np.mgrid[:32, :32]
        places = np.stack([(weight * at).sum((1, 2)) / weight.sum((1, 2)) for at in (columns, rows)], 1)
        pace = (places[-1] - places[0]) / (len(video) - 1)
        slowest, fastest = shapes.SPEEDS[speed]
        along = pace @ np.array(shapes.DIRECTIONS[direction])
        # A centre of pixels with noise is told to a fraction of one; over seven frames and more it is less.
        assert slowest - 0.05 <= along <= fastest + 0.05
        assert np.abs(pace - along * np.array(shapes.DIRECTIONS[direction])).max() < 0.05


def test_a_first_shape_is_told_first_from_left_to_right(shapes: Any) -> None:
    figure = shapes.Figure("circle", "red", ("left",), (20.0, 9.0), 3.0, 1.0)
    other = shapes.Figure("square", "blue", ("up", "right"), (8.0, 20.0), 3.0, 1.0)
    assert shapes.say([figure, other]) == "a blue square moves up then right and a red circle moves left"


def test_files_hold_the_frames(shapes: Any, tmp_path: Path) -> None:
    av, image = pytest.importorskip("av"), pytest.importorskip("PIL.Image")
    video = shapes.captions(1, 0)[0][0]
    with av.open(str(shapes.write_video(tmp_path / "a.mp4", video))) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == len(video)
    assert np.abs(np.stack(frames).astype(float) - video).mean() < 8
    with image.open(shapes.write_gif(tmp_path / "a.gif", video)) as gif:
        assert gif.n_frames == len(video)
    pictures = sorted(shapes.write_frames(tmp_path / "a", video).iterdir(), key=lambda path: int(path.stem[6:]))
    assert all(np.array_equal(image.open(path), frame) for path, frame in zip(pictures, video, strict=True))
