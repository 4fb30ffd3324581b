"""What is seen of a picture that is painted: each neighbour by a table of its own, and where the next pixel is."""

from __future__ import annotations

import pytest
import torch

from unrolled.errors import OptionError, ShapeError
from unrolled.nn import PixelReader
from unrolled.nn.reading.pixels import NEAR


def test_each_neighbour_and_each_place_has_a_table_of_its_own() -> None:
    reader = PixelReader(3, 4, near=2, width=5, place_width=2)
    y = reader(torch.tensor([[1, 3, 2, 0]]))[0]
    around, places = reader.around.weight, reader.places.weight
    # Colours 0 to 2 and the border, then the same again for the second neighbour; rows, then columns.
    assert torch.equal(y, torch.cat([around[1], around[4 + 3], places[2], places[4 + 0]]))
    assert len(y) == reader.output_size


def test_all_that_is_seen_was_painted_before() -> None:
    assert len(set(NEAR)) == len(NEAR)
    assert all(down < 0 or (down == 0 and right < 0) for down, right in NEAR)


def test_what_does_not_fit_is_told() -> None:
    with pytest.raises(ShapeError, match="expected 2 neighbours, a row and a column at each pixel, got 6 codes"):
        PixelReader(3, 4, near=2)(torch.zeros(1, 6, dtype=torch.long))
    with pytest.raises(OptionError, match="near"):
        PixelReader(3, 4, near=0)
