"""Cells by name: a stranger's cell is registered in one line and is then made like any other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from unrolled.errors import OptionError
from unrolled.nn import CELLS, GRU, EncoderOptions, make_cell, make_encoder, register_cell
from unrolled.nn import cells as table


class Own(GRU):
    """Somebody's own cell."""


@pytest.fixture
def registered() -> Iterator[None]:
    before = dict(CELLS)
    register_cell("own", Own)
    yield
    table._CELLS.clear()
    table._CELLS.update(before)


def test_a_registered_cell_is_made_by_its_name(registered: None) -> None:
    assert type(make_cell("own", 3, 5, reset="before")) is Own
    assert CELLS["own"] is Own
    encoder = make_encoder(3, EncoderOptions(cell="own", hidden_size=4, layers=2, zoneout=0.1))
    y, _ = encoder(torch.zeros(2, 7, 3))
    assert y.shape == (2, 7, 4)


def test_the_table_is_to_be_read() -> None:
    with pytest.raises(TypeError):
        CELLS["own"] = Own  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "cell", "message"),
    [
        ("lstm", Own, "the name 'lstm' is taken by LSTM; choose another, the names are rnn, lstm"),
        ("own", Own(3, 4), "cell must be a subclass of unrolled.nn.Recurrent, got Own"),
        ("own", torch.nn.GRU, "cell must be a subclass of unrolled.nn.Recurrent, got <class"),
        ("my cell", Own, "name must be of letters, digits and underscores, got 'my cell'"),
        ("", Own, "name must be of letters, digits and underscores, got ''"),
    ],
)
def test_what_is_no_new_name_of_a_cell_is_refused(name: str, cell: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        register_cell(name, cell)
    assert "own" not in CELLS


def test_the_same_cell_may_be_registered_again(registered: None) -> None:
    register_cell("own", Own)
    assert CELLS["own"] is Own
