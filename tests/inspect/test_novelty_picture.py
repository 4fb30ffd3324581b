from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unrolled.inspect.novelty import NoveltyPicture, draw_novelty

pytest.importorskip("matplotlib")


def picture(channels: int = 2, rows: int = 60, **changes: object) -> NoveltyPicture:
    random = np.random.default_rng(0)
    given = {
        "title": "pump $1_2$",
        "note": "1 event",
        "times": np.datetime64("2024-01-01", "ns") + np.arange(rows) * np.timedelta64(3600 * 10**9, "ns"),
        "values": random.normal(size=(rows, channels)),
        "names": tuple(f"$x_{i}$" for i in range(channels)),
        "scores": random.random(rows),
        "threshold": 0.9,
        "alarms": [(10, 12)],
        "truth": [(9, 14)],
        **changes,
    }
    return NoveltyPicture(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_a_picture_is_written(tmp_path: Path, kind: str) -> None:
    path = draw_novelty([picture()], tmp_path / f"found.{kind}")
    assert path.stat().st_size > 1000


def test_what_is_not_drawn_is_said(tmp_path: Path) -> None:
    import matplotlib as mpl

    with mpl.rc_context({"svg.fonttype": "none"}):
        said = draw_novelty([picture(7) for _ in range(5)], tmp_path / "found.svg").read_text()
        plain = draw_novelty([picture()], tmp_path / "plain.svg").read_text()
    assert "2 more series and 3 more channels are not drawn" in said
    assert "not drawn" not in plain
    assert "pump $1_2$" in plain


@pytest.mark.parametrize("changes", [
    {"threshold": np.inf},
    {"alarms": [], "truth": None},
    {"times": np.arange(60)},
    {"values": np.full((60, 2), np.nan)},
    {"scores": np.zeros(60)},
])  # fmt: skip
def test_odd_series_are_drawn_too(tmp_path: Path, changes: dict[str, object]) -> None:
    assert draw_novelty([picture(**changes)], tmp_path / "found.png").stat().st_size > 1000


def test_one_row_is_drawn(tmp_path: Path) -> None:
    assert draw_novelty([picture(rows=1, alarms=[(0, 1)], truth=None)], tmp_path / "found.png").exists()
