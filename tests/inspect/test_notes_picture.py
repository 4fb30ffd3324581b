"""The piano roll: a bar for each note where and as long as it sounds, what was given told apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from unrolled.errors import DataError, OptionError
from unrolled.fields.notes import MusicPiece
from unrolled.inspect.figure import BLUE, GREY
from unrolled.inspect.notes import draw_notes

pytest.importorskip("matplotlib")

PIECE = MusicPiece.of([(0, 1, 60), (1, 2, 67), (4, 1, 55)], 90, 6)


def texts(path: Path) -> list[str]:
    """What is written in an SVG, which keeps each text as a comment."""
    return [line.split("<!--")[1].split("-->")[0].strip() for line in path.read_text().splitlines() if "<!--" in line]


def test_each_note_has_a_bar_in_the_colour_of_who_made_it(tmp_path: Path) -> None:
    text = draw_notes(replace(PIECE, given=4.0), tmp_path / "a.svg").read_text()
    bars = [line for line in text.splitlines() if "fill: #" in line and "stroke-width: 0.3" in line]
    # One more of each colour stands in the legend.
    assert sum(GREY in line for line in bars) == 2 + 1
    assert sum(BLUE in line for line in bars) == 1 + 1
    assert {"given", "composed", "beats", "Piano roll"} <= set(texts(tmp_path / "a.svg"))
    assert "3 notes, G3 to G4, 90 beats a minute" in texts(tmp_path / "a.svg")


def test_a_note_that_sounds_on_is_given_and_composed(tmp_path: Path) -> None:
    text = draw_notes(replace(PIECE, given=2.0), tmp_path / "a.svg").read_text()
    bars = [line for line in text.splitlines() if "fill: #" in line and "stroke-width: 0.3" in line]
    assert sum(GREY in line for line in bars) == 2 + 1
    assert sum(BLUE in line for line in bars) == 2 + 1


@pytest.mark.parametrize("given", [0.0, 6.0])
def test_a_piece_of_one_origin_has_one_colour_and_no_legend(tmp_path: Path, given: float) -> None:
    path = draw_notes(replace(PIECE, given=given), tmp_path / "a.svg")
    assert "given" not in texts(path)
    assert GREY not in [line for line in path.read_text().splitlines() if "stroke-width: 0.3" in line]


def test_long_pieces_and_single_notes_are_drawn(tmp_path: Path) -> None:
    for number, piece in enumerate(
        [
            MusicPiece.of([(0, 0.01, 21)]),
            MusicPiece.of([(0, 1, 0), (5000, 1, 127)]),
            MusicPiece.of([(3, 1, 60)], length=900),
        ]
    ):
        assert draw_notes(piece, tmp_path / f"{number}.png").stat().st_size > 1000


def test_what_cannot_be_drawn_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a piece with notes, got silence"):
        draw_notes(MusicPiece((), length=4.0), tmp_path / "a.png")
    with pytest.raises(OptionError, match=r"ends in \.png, \.svg or \.pdf"):
        draw_notes(PIECE, tmp_path / "a.mid")
