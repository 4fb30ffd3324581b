"""Pictures seen from elsewhere: against Pillow's own transform, lines that keep their time, nothing when judged."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from unrolled.errors import OptionError
from unrolled.nn import SeriesReader, VariedReader
from unrolled.padding import Padded

EPS = float(np.finfo(np.float32).eps)


def batch(count: int = 6, height: int = 9, width: int = 7, channels: int = 2) -> Padded:
    values = torch.rand(count, height, width * channels, generator=torch.Generator().manual_seed(0))
    return Padded(values, torch.full((count,), height))


def reader(height: int = 9, width: int = 7, channels: int = 2, **options: float | bool) -> VariedReader:
    return VariedReader(SeriesReader(width * channels), height, channels, by="rows", **options)  # type: ignore[arg-type]


EVERY = {"flip": True, "shift": 0.2, "degrees": 20.0, "slant": 0.2, "stretch": 0.3, "light": 0.3}


def test_a_model_that_is_judged_sees_the_picture() -> None:
    x = batch()
    assert torch.equal(reader(**EVERY).eval()(x), x.values)
    assert torch.equal(reader()(x), x.values)


@pytest.mark.parametrize("name", [*EVERY, "all"])
def test_the_state_of_torch_says_what_is_drawn_and_each_row_has_its_own(name: str) -> None:
    options = EVERY if name == "all" else {name: EVERY[name]}
    x = Padded(batch().values[:1].expand(6, -1, -1), torch.full((6,), 9))
    first, second = ((torch.manual_seed(4), reader(**options)(x))[1] for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(second, reader(**options)(x))


@pytest.mark.parametrize("options", [
    {"degrees": 40.0}, {"slant": 0.5}, {"stretch": 0.5}, {"shift": 0.3}, {"flip": True},
    {name: value for name, value in EVERY.items() if name != "light"},
])  # fmt: skip
def test_a_picture_is_moved_as_pillow_moves_it(options: dict[str, float]) -> None:
    """Pillow is told, in its own form, where each pixel comes from; far from the edges, which it treats otherwise."""
    kind = pytest.importorskip("PIL.Image")
    height, width = 24, 30
    # Smooth, so that Pillow's place of a pixel, known to some 1e-4, tells little.
    y, x = np.mgrid[:height, :width].astype(np.float32)
    picture = np.sin(x / 5) + np.cos(y / 4)
    values = torch.from_numpy(picture)[None].expand(5, -1, -1)
    made = VariedReader(SeriesReader(width), height, 1, by="rows", **options)  # type: ignore[arg-type]
    torch.manual_seed(2)
    found = made(Padded(values, torch.full((5,), height))).numpy()
    torch.manual_seed(2)
    draws = (2 * torch.rand(7, 5) - 1).double().numpy()
    for row in range(5):
        angle = math.radians(options.get("degrees", 0)) * draws[0, row]
        f, g = (1 + options.get("stretch", 0)) ** draws[2:4, row]
        f = -f if options.get("flip") and draws[6, row] > 0 else f
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        matrix = turn @ np.array([[1, options.get("slant", 0) * draws[1, row]], [0, 1]]) @ np.diag([f, g])
        middle = np.array([width, height]) / 2
        shift = options.get("shift", 0) * draws[4:6, row] * [width, height]
        back = np.linalg.inv(matrix)
        offset = middle - back @ (middle + shift)
        data = (*back[0], offset[0], *back[1], offset[1])
        expected = np.asarray(kind.fromarray(picture).transform((width, height), kind.Transform.AFFINE, data,
                                                                kind.Resampling.BILINEAR))  # fmt: skip
        places = np.stack([x + 0.5, y + 0.5], -1) @ back.T + offset
        inside = ((places > 1) & (places < np.array([width, height]) - 1)).all(-1)
        assert inside.mean() > 0.2
        np.testing.assert_allclose(found[row][inside], expected[inside], atol=1e-4)


def test_beyond_the_edges_is_nothing() -> None:
    torch.manual_seed(0)
    x = Padded(torch.ones(40, 8, 8), torch.full((40,), 8))
    made = VariedReader(SeriesReader(8), 8, 1, by="rows", shift=0.5)
    y = made(x)
    assert y.min() == 0
    assert y.max() <= 1 + 8 * EPS


def test_light_changes_brightness_and_contrast_of_a_whole_channel() -> None:
    torch.manual_seed(0)
    x = batch(200, 3, 2, 2)
    y = VariedReader(SeriesReader(4), 3, 2, by="rows", light=0.5)(x)
    for row in range(200):
        for channel in range(2):
            before, after = (part[row].reshape(6, 2)[:, channel] for part in (x.values, y))
            slope = (after[1] - after[0]) / (before[1] - before[0])
            offset = after[0] - slope * before[0]
            # Two numbers of some float32, by differences that may be small.
            torch.testing.assert_close(slope * before + offset, after, rtol=0, atol=1e-3)
            assert 1 / 1.5 - 0.01 < slope < 1.51
            assert abs(offset) < 0.51


def test_columns_and_pixels_are_moved_as_rows_are() -> None:
    pictures = torch.rand(4, 9, 7, 2, generator=torch.Generator().manual_seed(0))
    forms = {
        "rows": pictures.flatten(2),
        "columns": pictures.transpose(1, 2).flatten(2),
        "pixels": pictures.flatten(1, 2),
    }
    found = {}
    for by, values in forms.items():
        torch.manual_seed(1)
        made = VariedReader(SeriesReader(values.shape[2]), 9, 2, by=by, **EVERY)  # type: ignore[arg-type]
        found[by] = made(Padded(values, torch.full((4,), values.shape[1])))
    assert torch.equal(found["rows"].reshape(4, 9, 7, 2), found["pixels"].reshape(4, 9, 7, 2))
    assert torch.equal(found["columns"].reshape(4, 7, 9, 2).transpose(1, 2), found["rows"].reshape(4, 9, 7, 2))


def test_lines_keep_their_columns_in_time_and_their_padding() -> None:
    torch.manual_seed(0)
    lengths = torch.tensor([20, 5])
    values = torch.rand(2, 20, 8)
    values[1, 5:] = math.nan
    made = VariedReader(SeriesReader(8), 8, 1, by="columns", lines=True, shift=0.2, stretch=0.3, light=0.2)
    torch.manual_seed(3)
    whole = made(Padded(values, lengths))
    assert not whole[1, 5:].any()
    changed = values.clone()
    changed[0, 7] += 1
    torch.manual_seed(3)
    other = made(Padded(changed, lengths))
    assert ((other != whole)[0].any(-1) == (torch.arange(20) == 7)).all()


def test_wrong_amounts_are_refused() -> None:
    for name in ("shift", "degrees", "slant", "stretch", "light"):
        for wrong in (-1.0, math.inf, math.nan):
            with pytest.raises(OptionError, match=f"VariedReader: {name} must be"):
                reader(**{name: wrong})
    with pytest.raises(OptionError, match="lines are neither mirrored nor turned, got flip=True"):
        VariedReader(SeriesReader(8), 8, 1, by="columns", lines=True, flip=True)


def test_the_frames_of_a_video_change_alike() -> None:
    frames, lengths = torch.rand(2, 9, 14, generator=torch.Generator().manual_seed(1)), torch.tensor([5, 3])
    videos = Padded(frames.reshape(2, 1, -1).repeat(1, 5, 1), lengths)
    made = VariedReader(SeriesReader(9 * 7 * 2), 9, 2, by="frames", **EVERY)  # type: ignore[arg-type]
    torch.manual_seed(3)
    found = made(videos)
    torch.manual_seed(3)
    alone = reader(**EVERY)(Padded(frames, torch.tensor([9, 9])))
    for row, length in enumerate(lengths.tolist()):
        for time in range(length):
            torch.testing.assert_close(found[row, time], alone[row].reshape(-1))
        assert not found[row, length:].any()
        assert not torch.equal(found[row, 0], videos.values[row, 0])
    judged = made.eval()(videos)
    assert torch.equal(judged[0], videos.values[0])
