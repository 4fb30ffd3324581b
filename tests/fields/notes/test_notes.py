"""The two fields of music: their laws, what they say of notes by hand, what they keep and what they lose."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest

from unrolled.errors import DataError, ModelFileError, OptionError
from unrolled.fields import NoteEvents, NoteGrid
from unrolled.fields.notes import MusicPiece, Note, finest_step, pitch_name
from unrolled.testing import check_field


def pieces(count: int, seed: int = 0, step: float = 0.25) -> list[MusicPiece]:
    """Pieces of one to thirty notes that begin on a grid and last as long as they like."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        size = int(random.integers(1, 31))
        starts = random.integers(0, 40, size) * step
        notes = np.stack([starts, random.uniform(0.05, 3, size), random.integers(40, 80, size)], 1).tolist()
        found.append(MusicPiece.of([(start, last, int(pitch)) for start, last, pitch in notes], 90.0))
    return found


PIECES = pieces(40)
RANGES: list[dict[str, Any]] = [{}, {"lowest": 60, "highest": 60}, {"lowest": 50, "highest": 70, "step": 1 / 3}]


@pytest.mark.parametrize(("options", "struck"), list(itertools.product(RANGES, [False, True])))
def test_the_grid_keeps_the_laws(options: dict[str, Any], struck: bool) -> None:
    field = NoteGrid.fit(PIECES, struck=struck, **options)
    check_field(field, fit=lambda rows, n: NoteGrid.fit(rows[:n], struck=struck, **options))


@pytest.mark.parametrize(("options", "velocities"), list(itertools.product(RANGES, [1, 2, 32, 64])))
def test_the_events_keep_the_laws(options: dict[str, Any], velocities: int) -> None:
    field = NoteEvents.fit(PIECES, velocities=velocities, **options)
    check_field(field, fit=lambda rows, n: NoteEvents.fit(rows[:n], velocities=velocities, **options))


def test_a_grid_says_which_notes_sound() -> None:
    piece = MusicPiece.of([(0, 1, 60), (0.5, 1.0, 62), (1, 0.5, 60)], length=2.5)
    field = NoteGrid.fit([piece], lowest=60, highest=62)
    assert (field.measure.step, field.width) == (0.5, 3)
    assert field.encode(piece).tolist() == [[1, 0, 0], [1, 0, 1], [1, 0, 1], [0, 0, 0], [0, 0, 0]]
    [long, other] = field.decode(field.encode(piece)).notes
    assert (long, other) == (Note(0.0, 1.5, 60), Note(0.5, 1.0, 62))


def test_struck_marks_part_notes_that_are_struck_again() -> None:
    piece = MusicPiece.of([(0, 1, 60), (0.5, 1.0, 61), (1, 0.5, 60)])
    field = NoteGrid.fit([piece], lowest=60, highest=61, struck=True)
    assert field.encode(piece).tolist() == [[1, 0, 1, 0], [1, 1, 0, 1], [1, 1, 1, 0]]
    assert field.decode(field.encode(piece)).notes == piece.notes


def test_a_drawn_grid_may_strike_a_note_that_does_not_sound() -> None:
    field = NoteGrid.fit(PIECES, lowest=60, highest=61, step=1.0, struck=True)
    assert field.decode(np.array([[0, 0, 0, 1]])).notes == (Note(0.0, 1.0, 61),)


def test_events_happen_in_order() -> None:
    piece = MusicPiece.of([(0, 1, 60), (1, 1, 60), (1, 0.5, 61)], length=7)
    field = NoteEvents.fit([piece], lowest=60, highest=61)
    on, off, shift = 3, 5, 7
    assert (field.measure.step, field.shifts, field.size) == (1.0, 4, 11)
    wanted = [on, shift, off, on, on + 1, shift, off, off + 1, shift + 3, shift]
    assert field.encode(piece).tolist() == wanted
    assert field.decode(np.array([1, *wanted[:-2], 2, on])).notes == (Note(0, 1, 60), Note(1, 1, 60), Note(1, 1, 61))


def test_codes_of_no_order_are_some_piece() -> None:
    field = NoteEvents.fit(PIECES, lowest=60, highest=61, step=1.0, velocities=2)
    first = field.codes
    on, off, shift = first.on, first.off, first.shift
    # Off before on, on twice, never off, off at once.
    found = field.decode(np.array([off, on, shift, on, first.velocity, on + 1, off + 1, shift]))
    assert found.notes == (Note(0, 1, 60, 96), Note(1, 1, 60, 96), Note(1, 1, 61, 32))
    random = np.random.default_rng(0)
    for _ in range(50):
        codes = random.integers(0, field.size, 30)
        piece = field.decode(codes)
        assert np.array_equal(field.encode(field.decode(field.encode(piece))), field.encode(piece))


@pytest.mark.parametrize("codes", [np.zeros((2, 2), int), np.array([0.5]), np.array([-1]), np.array([10**6])])
def test_what_is_no_row_of_codes_is_told(codes: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"expected a row of codes in 0\.\."):
        NoteEvents.fit(PIECES).decode(codes)


def test_what_is_no_grid_is_told() -> None:
    field = NoteGrid.fit(PIECES)
    for grid in (np.zeros((3, 5)), np.full((3, 88), np.nan)):
        with pytest.raises(DataError, match=r"expected finite numbers as \(steps, 88\)"):
            field.decode(grid)


def test_notes_of_one_pitch_that_overlap_are_parted() -> None:
    piece = MusicPiece.of([(0, 4, 60, 50), (1, 1, 60, 90), (1, 2, 60, 70)])
    events = NoteEvents.fit([piece], velocities=64)
    assert [note[:3] for note in events.decode(events.encode(piece)).notes] == [(0, 1, 60), (1, 3, 60)]
    grid = NoteGrid.fit([piece], struck=True)
    assert [note[:3] for note in grid.decode(grid.encode(piece)).notes] == [(0, 1, 60), (1, 3, 60)]


@pytest.mark.parametrize("step", [1.0, 1 / 2, 1 / 3, 1 / 4, 1 / 6, 1 / 8, 1 / 12, 1 / 16, 1 / 24])
def test_the_step_is_the_coarsest_on_which_notes_begin(step: float) -> None:
    found, off = finest_step(pieces(20, step=step))
    assert found == step
    assert off == pytest.approx(0, abs=1e-9)


def test_a_played_piece_has_sixteenths_and_says_how_far_off_they_are() -> None:
    random = np.random.default_rng(0)
    played = MusicPiece.of([(start, 0.1, 60) for start in random.uniform(0, 100, 400).tolist()])
    step, off = finest_step([played])
    # Starts that stand anywhere are a quarter of a step off on average: as many draws as these differ by a tenth.
    assert step == 1 / 4
    assert off == pytest.approx(1 / 16, rel=0.15)


def test_a_piece_that_came_on_a_grid_has_its_step() -> None:
    assert finest_step([MusicPiece.of_steps([[60], [60], [62], [62]], 0.25)])[0] == 0.25
    assert (
        NoteGrid.fit([MusicPiece.of_steps([[60], [60]], 0.25)]).encode(MusicPiece.of_steps([[60], []], 0.25)).sum() == 1
    )


@pytest.mark.parametrize(
    ("notes", "said"),
    [
        ([(0, 1)], "expected a note as start, duration, pitch and velocity"),
        ([(0, 1, None)], "expected a note as start"),
        ([(-1, 1, 60)], "from beat 0 on that lasts, got -1 and 1"),
        ([(0, 0, 60)], "that lasts, got 0 and 0"),
        ([(float("nan"), 1, 60)], "got nan and 1"),
        ([(0, 1, 128)], r"a pitch in 0\.\.127 and a velocity in 1\.\.127, got 128 and 80"),
        ([(0, 1, 60.5)], "got 60.5 and 80"),
        ([(0, 1, 60, 0)], "got 60 and 0"),
        ([(0, 1, float("nan"))], "got nan and 80"),
        ([(0, 1, float("inf"))], "got inf and 80"),
        ([(0, {"a": 1}, 60)], "expected a note as start"),
        ([(0, 1, [60])], "expected a note as start"),
        ([(0, 1, 60, 80, 1)], "expected a note as start"),
        ([(10**6, 1, 60)], "a piece of at most 250,000 beats, got 1e"),
    ],
)
def test_what_is_no_note_is_told(notes: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        MusicPiece.of(notes)


def test_a_piece_of_too_many_steps_is_refused_before_it_takes_memory() -> None:
    field = NoteGrid.fit(PIECES, step=1 / 24)
    with pytest.raises(DataError, match="at most 524,288 steps of 1/24 of a quarter note, got 4,800,000"):
        field.encode(MusicPiece.of([(0, 1, 60)], length=200_000))


def test_a_range_or_step_that_is_none_is_told() -> None:
    for options, said in (
        ({"lowest": 70, "highest": 60}, "a range of pitches in"),
        ({"highest": 128}, "got 21 to 128"),
        ({"step": 0.0}, "a step must be above 0"),
    ):
        with pytest.raises(OptionError, match=said):
            NoteGrid.fit(PIECES, **options)
    with pytest.raises(OptionError, match=r"velocities must lie in 1\.\.64, got 65"):
        NoteEvents.fit(PIECES, velocities=65)
    with pytest.raises(DataError, match="at least one piece to fit, got none"):
        NoteGrid.fit([])


def test_fields_of_impossible_numbers_are_not_loaded() -> None:
    grid, events = NoteGrid.fit(PIECES).to_json(), NoteEvents.fit(PIECES).to_json()
    for change in ({"lowest": 90, "highest": 50}, {"step": 0.0}, {"tempo": -1.0}, {"struck": 1}):
        with pytest.raises(ModelFileError):
            NoteGrid.from_json({**grid, **change})
    for change in ({"shifts": 0}, {"velocities": 65}):
        with pytest.raises(ModelFileError):
            NoteEvents.from_json({**events, **change})


def test_pieces_come_back_from_json() -> None:
    for piece in PIECES:
        assert MusicPiece.from_json(json.loads(json.dumps(piece.to_json()))) == piece
    for data in ({}, {"notes": [1]}, {"notes": [[0, 1, 60]], "tempo": "fast"}):
        with pytest.raises(DataError):
            MusicPiece.from_json(data)


def test_moved_pitches_stay_in_the_range_by_octaves() -> None:
    measure = NoteGrid.fit(PIECES, lowest=60, highest=75).measure
    assert measure.moved(0).tolist() == list(range(16))
    assert measure.moved(3).tolist() == [*range(3, 16), 4, 5, 6]
    assert measure.moved(-2).tolist() == [10, 11, *range(14)]
    # A range of less than an octave has no room for them.
    assert NoteGrid.fit(PIECES, lowest=60, highest=62).measure.moved(2).tolist() == [2, -1, -1]


def test_pitches_have_the_names_of_musicians() -> None:
    assert [pitch_name(pitch) for pitch in (21, 60, 61, 108)] == ["A0", "C4", "C#4", "C8"]
