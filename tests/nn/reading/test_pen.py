"""Pens of other hands: what the fields of drawings say of drawings that were varied, and nothing when judged."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from unrolled.errors import OptionError, ShapeError
from unrolled.fields.ink import Ink
from unrolled.nn import Hands, MoveReader, PenReader, SeriesReader
from unrolled.padding import Padded

EPS = float(np.finfo(np.float32).eps)
FIELD = Ink("training", 8.0, 0.125, None, None, True, True)


def drawings(count: int = 6) -> list[list[np.ndarray]]:
    random = np.random.default_rng(0)
    return [
        [np.cumsum(random.normal(size=(int(random.integers(1, 9)), 2)), axis=0) for _ in "ab"] for _ in range(count)
    ]


def batch(values: list[np.ndarray]) -> Padded:
    steps = [torch.from_numpy(value) for value in values]
    lengths = torch.tensor([len(value) for value in values])
    return Padded(torch.nn.utils.rnn.pad_sequence(steps, batch_first=True, padding_value=math.nan), lengths)


def reader(**options: float) -> PenReader:
    return PenReader(SeriesReader(FIELD.width), size=(1 / FIELD.spread, 4.0), places=4, turns=3, **options)


def test_a_model_that_is_judged_sees_the_drawing() -> None:
    x = batch([FIELD.encode(drawing) for drawing in drawings()])
    found = reader(degrees=20, slant=0.5, stretch=0.5, jitter=0.1).eval()(x)
    assert torch.equal(found, SeriesReader(FIELD.width)(x))
    assert torch.equal(reader()(x), SeriesReader(FIELD.width)(x))


@pytest.mark.parametrize("options", [
    {"degrees": 30.0}, {"slant": 0.5}, {"stretch": 0.5}, {"degrees": 30.0, "slant": 0.5, "stretch": 0.5},
])  # fmt: skip
def test_features_are_those_of_the_drawing_that_the_hand_makes(options: dict[str, float]) -> None:
    known = drawings()
    x = batch([FIELD.encode(drawing) for drawing in known])
    torch.manual_seed(3)
    found = reader(**options)(x)
    # The same numbers drawn again say what each hand does to x and y.
    torch.manual_seed(3)
    draws = (2 * torch.rand(4, len(known)) - 1).double().numpy()
    for row, drawing in enumerate(known):
        angle = math.radians(options.get("degrees", 0)) * draws[0, row]
        slant = options.get("slant", 0) * draws[1, row]
        factors = (1 + options.get("stretch", 0)) ** draws[2:, row]
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        hand = turn @ np.array([[1, slant], [0, 1]]) @ np.diag(factors)
        expected = FIELD.encode([stroke @ hand.T for stroke in drawing])
        length = len(expected)
        # Products of float32 numbers of at most 20; an angle where the moves are short is as sure as they are long.
        np.testing.assert_allclose(found[row, :length, [0, 1, 2, 4, 5]], expected[:, [0, 1, 2, 4, 5]], atol=64 * EPS)
        off = np.abs(found[row, :length, 3].numpy() - expected[:, 3])
        assert np.minimum(off, 2 - off).max() < 1e-4
        assert not found[row, length:].any()


def test_a_shaken_pen_stays_near_and_its_moves_lead_to_its_places() -> None:
    x = batch([np.zeros((4000, 6), np.float32)])
    torch.manual_seed(0)
    y = reader(jitter=0.01)(x)[0]
    places, moves = y[:, 4:] / 4, y[:, :2] * FIELD.spread
    assert not moves[0].any()
    torch.testing.assert_close(places - places[0], moves.cumsum(0), rtol=0, atol=1e-5)
    # The deviation of 8,000 draws is known to one part in a hundred or so; five times that.
    assert abs(float(places.std()) / 0.01 - 1) < 0.05


def test_the_state_of_torch_says_what_is_drawn_and_each_row_has_its_own() -> None:
    x = batch([FIELD.encode(drawings()[0])] * 3)
    first, second = ((torch.manual_seed(3), reader(degrees=9, jitter=0.1)(x))[1] for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(second, reader(degrees=9, jitter=0.1)(x))


@pytest.mark.parametrize("name", ["degrees", "slant", "stretch", "jitter"])
def test_a_wrong_amount_is_refused(name: str) -> None:
    for wrong in (-1.0, math.inf, math.nan):
        with pytest.raises(OptionError, match=f"PenReader: {name} must be"):
            reader(**{name: wrong})


def test_what_is_read_and_what_comes_are_of_one_hand_and_each_row_has_its_own() -> None:
    torch.manual_seed(0)
    moves = torch.randn(5, 7, 3, dtype=torch.float64)
    placed = torch.cat([moves, moves[..., :2].cumsum(1)], -1)
    whole, come = Hands(degrees=30, slant=0.4, stretch=0.5)(placed, 2 * moves)
    read, places = whole[..., :3], whole[..., 3:]
    # Places are sums of seven moves.
    torch.testing.assert_close(places, read[..., :2].cumsum(1), rtol=0, atol=2**8 * 2.0**-52)
    # Twice the moves by the same matrix; twice is exact.
    assert torch.equal(come[..., :2], 2 * read[..., :2])
    assert torch.equal(read[..., 2:], moves[..., 2:])
    matrices = torch.linalg.lstsq(moves[..., :2], read[..., :2]).solution
    assert len({tuple(matrix.flatten().tolist()) for matrix in matrices}) == 5
    # What a matrix with these limits does at most to lengths: a stretch, and a slant on top.
    assert float(torch.linalg.matrix_norm(matrices, 2).max()) <= 1.5 * 1.5


def test_a_hand_that_varies_nothing_changes_nothing() -> None:
    moves = torch.randn(2, 3, 3, dtype=torch.float64)
    assert torch.equal(Hands()(moves)[0], moves)
    with pytest.raises(OptionError, match="slant must be a number of at least 0, got -1"):
        Hands(slant=-1)


def test_moves_are_read_with_what_the_pen_does_and_where_it_is() -> None:
    moves = torch.tensor([[1.0, 2, 0, 8, 9], [3.0, 4, 1, 7, 6], [0.0, 0, 2, 0, 0]])
    states = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    whole = [[*move[:2].tolist(), *state, *move[3:].tolist()] for move, state in zip(moves, states, strict=True)]
    assert MoveReader()(moves).tolist() == whole
    assert MoveReader(places=False)(moves).tolist() == [row[:5] for row in whole]
    with pytest.raises(ShapeError, match="what the pen does, x and y, got 3 numbers"):
        MoveReader()(torch.zeros(3))
