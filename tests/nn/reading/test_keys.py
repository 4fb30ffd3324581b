"""Other keys: each row moved as its piece would be, in training alone, by torch's random numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from unrolled.errors import OptionError, ShapeError
from unrolled.fields.notes import MusicPiece, NoteEvents, NoteGrid
from unrolled.nn import OtherKeys, SeriesReader, TransposedReader
from unrolled.padding import Padded

PIECE = MusicPiece.of([(0, 2, 60), (1, 1, 64), (2, 1, 60)], length=4)


def higher(by: int) -> MusicPiece:
    return replace(PIECE, notes=tuple(note._replace(pitch=note.pitch + by) for note in PIECE.notes))


@pytest.mark.parametrize("struck", [False, True])
@pytest.mark.parametrize("by", range(-3, 4))
def test_a_grid_is_moved_as_its_piece_is(by: int, struck: bool) -> None:
    field = NoteGrid.fit([PIECE], struck=struck)
    keys = OtherKeys(torch.from_numpy(field.moves(3)), 0.5, codes=False)
    moved = keys(torch.from_numpy(field.encode(PIECE))[None], torch.tensor([by + 3]))[0]
    np.testing.assert_array_equal(moved.numpy(), field.encode(higher(by)))


@pytest.mark.parametrize("by", range(-3, 4))
def test_events_are_moved_as_their_piece_is(by: int) -> None:
    field = NoteEvents.fit([PIECE], velocities=4)
    keys = OtherKeys(torch.from_numpy(field.moves(3)), 0.5, codes=True)
    # What stands before a piece, its end and the padding stay.
    codes = np.array([1, *field.encode(PIECE), 2, 0])
    moved = keys(torch.from_numpy(codes)[None], torch.tensor([by + 3]))[0]
    np.testing.assert_array_equal(moved.numpy(), [1, *field.encode(higher(by)), 2, 0])


def test_events_of_a_narrow_range_stay_codes_of_notes() -> None:
    field = NoteEvents.fit([PIECE], lowest=60, highest=64)
    maps = field.moves(6)
    first = field.codes
    assert (maps[:, first.on : first.off] < first.off).all()
    assert (maps[:, first.on : first.off] >= first.on).all()
    np.testing.assert_array_equal(maps[:, first.off : first.shift], maps[:, first.on : first.off] + 5)


def test_notes_that_meet_are_one_note_and_what_is_not_known_stays_so() -> None:
    maps = torch.tensor([[0, 1, 2], [0, 1, 2], [1, 1, -1]])
    keys = OtherKeys(maps, 1, codes=False)
    x = torch.tensor([[[1.0, 1, 1], [torch.nan] * 3]])
    moved = keys(x, torch.tensor([2]))
    assert moved[0, 0].tolist() == [0, 1, 0]
    assert bool(moved[0, 1].isnan().all())


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_rows_are_moved_as_often_as_is_said_and_to_every_other_key_alike(rate: float) -> None:
    keys, rows = OtherKeys(torch.arange(4).repeat(5, 1), rate, codes=False), 20_000
    torch.manual_seed(0)
    found = torch.bincount(keys.draw(rows, torch.device("cpu")), minlength=5).double() / rows
    # Five deviations of a share of so many draws.
    limit = 5 * 0.5 / rows**0.5
    assert abs(float(found[2]) - (1 - rate)) <= limit
    assert float((found[[0, 1, 3, 4]] - rate / 4).abs().max()) <= limit


def test_draws_are_a_function_of_the_random_state_of_torch() -> None:
    keys = OtherKeys(torch.arange(4).repeat(5, 1), 0.5, codes=False)
    torch.manual_seed(1)
    one = keys.draw(50, torch.device("cpu"))
    torch.manual_seed(1)
    assert torch.equal(one, keys.draw(50, torch.device("cpu")))
    only = OtherKeys(torch.arange(4)[None], 1, codes=False)
    assert only.draw(9, torch.device("cpu")).tolist() == [0] * 9


def test_a_reader_moves_rows_in_training_alone() -> None:
    field = NoteGrid.fit([PIECE], lowest=50, highest=70)
    reader = TransposedReader(SeriesReader(field.width), OtherKeys(torch.from_numpy(field.moves(2)), 1, codes=False))
    values = torch.from_numpy(field.encode(PIECE))[None].repeat(8, 1, 1)
    dirty = torch.cat([values, torch.full_like(values[:, :2], torch.nan)], 1)
    x = Padded(dirty, torch.full((8,), values.shape[1]))
    assert torch.equal(reader.eval()(x)[:, :-2], values)
    moved = reader.train()(x)[:, :-2]
    wanted = {by: torch.from_numpy(field.encode(higher(by))) for by in (-2, -1, 1, 2)}
    assert all(any(torch.equal(row, piece) for piece in wanted.values()) for row in moved)


def test_what_makes_no_sense_is_told() -> None:
    with pytest.raises(ShapeError, match=r"maps must be \(2 most \+ 1, size\), got \(2, 4\)"):
        OtherKeys(torch.arange(4).repeat(2, 1), 0.5, codes=False)
    with pytest.raises(OptionError, match="rate"):
        OtherKeys(torch.arange(4)[None], 1.5, codes=False)
