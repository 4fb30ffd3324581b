"""The picture of a piece of music: its piano roll, what was given and what was composed told apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unrolled.errors import DataError, how_many
from unrolled.fields.notes import MusicPiece, Note, pitch_name
from unrolled.inspect.figure import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    RULE,
    make_figure,
    save_picture,
    tidy,
    write_legend,
    write_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_notes"]

# Inches: a beat and a semitone, and the least and most of the picture.
BEAT, SEMITONE = 0.17, 0.085
NARROWEST, WIDEST, LOWEST, HIGHEST = 5.0, 14.0, 2.2, 7.0
# Of the height of a semitone, and of the length of a note, so that notes beside each other are told apart.
THICK, GAP = 0.82, 0.06
# The black keys, C being 0.
BLACK = (1, 3, 6, 8, 10)
# Bars that are longer than what a picture has room for are not drawn.
BAR, BARS = 4, 64


def draw_notes(piece: MusicPiece, path: str | Path, *, title: str = "Piano roll") -> Path:
    """Write the piano roll of a piece; the name's ending says which kind (.png, .svg, .pdf).

    Time in beats goes right, pitch up; the rows of black keys are shaded. Notes that were given are grey, composed ones
    blue, with a line where the composing begins.

    Raises:
        DataError: the piece has no notes.
        OptionError: matplotlib is not installed, or there is no such kind of picture.
        SaveError: the place cannot be written.
    """
    if not piece.notes:
        raise DataError("plot: expected a piece with notes, got silence; draw another, or compose more.")
    low = min(note.pitch for note in piece.notes) - 2
    high = max(note.pitch for note in piece.notes) + 2
    width = min(max(NARROWEST, piece.length * BEAT), WIDEST)
    height = min(max(LOWEST, (high - low) * SEMITONE), HIGHEST)
    figure = make_figure(width + 0.9, height + 0.9)
    axes = figure.add_subplot()
    _draw_keys(axes, low, high, piece.length)
    if 0 < piece.given < piece.length:
        before, after = _parted(piece)
        _draw_bars(axes, before, GREY, "given")
        _draw_bars(axes, after, BLUE, "composed")
        axes.axvline(piece.given, color=ORANGE, linewidth=1.4)
        write_legend(axes)
    else:
        _draw_bars(axes, piece.notes, BLUE, "")
    axes.set_xlim(0, piece.length)
    axes.set_ylim(low - 0.5, high + 0.5)
    axes.set_xlabel("beats", fontsize=9, color=GREY)
    tidy(axes)
    said = f"{how_many(len(piece.notes), 'note')}, {pitch_name(low + 2)} to {pitch_name(high - 2)}"
    write_title(axes, title, f"{said}, {piece.tempo:.0f} beats a minute")
    return save_picture(figure, path)


def _parted(piece: MusicPiece) -> tuple[list[Note], list[Note]]:
    """What sounds up to the end of what was given, and after it; a note that sounds on is in both."""
    given, before, after = piece.given, list[Note](), list[Note]()
    for note in piece.notes:
        end = note.start + note.duration
        if note.start < given:
            before.append(note._replace(duration=min(end, given) - note.start))
        if end > given:
            begin = max(note.start, given)
            after.append(note._replace(start=begin, duration=end - begin))
    return before, after


def _draw_keys(axes: Axes, low: int, high: int, length: float) -> None:
    """The rows of black keys, the names of the Cs and Gs, lines at bars of four beats."""
    for pitch in range(low, high + 1):
        if pitch % 12 in BLACK:
            axes.axhspan(pitch - 0.5, pitch + 0.5, color=RULE, alpha=0.35, linewidth=0)
    named = [pitch for pitch in range(low, high + 1) if pitch % 12 in (0, 7)]
    axes.set_yticks(named, labels=[pitch_name(pitch) for pitch in named])
    bars = int(length // BAR)
    if bars <= BARS:
        for bar in range(1, bars + 1):
            axes.axvline(bar * BAR, color=RULE, linewidth=0.6, zorder=0)


def _draw_bars(axes: Axes, notes: Sequence[Note], colour: str, name: str) -> None:
    axes.barh(
        [note.pitch for note in notes],
        [max(note.duration - GAP, note.duration / 2) for note in notes],
        left=[note.start for note in notes],
        height=THICK,
        color=colour,
        edgecolor=INK,
        linewidth=0.3,
        label=name or None,
    )
