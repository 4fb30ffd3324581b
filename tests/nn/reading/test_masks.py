"""Masks and noise of training: within a row and its features, drawn anew, and nothing when a model is judged."""

from __future__ import annotations

import pytest
import torch

from unrolled.errors import OptionError
from unrolled.nn.reading.masks import MaskedReader
from unrolled.nn.reading.reader import SeriesReader
from unrolled.padding import Padded

LENGTHS = torch.tensor([50, 1, 0, 7])


def ones() -> Padded:
    return Padded(torch.ones(4, 50, 6), LENGTHS)


def test_a_model_that_is_judged_sees_all() -> None:
    reader = MaskedReader(SeriesReader(6), times=3, bands=3, noise=1.0).eval()
    torch.testing.assert_close(reader(ones()), SeriesReader(6)(ones()), rtol=0, atol=0)


@pytest.mark.parametrize("seed", range(20))
def test_stretches_and_bands_keep_their_bounds(seed: int) -> None:
    torch.manual_seed(seed)
    y = MaskedReader(SeriesReader(6), times=1, longest=9, share=0.5)(ones())
    hidden = (y == 0).all(2) & (torch.arange(50) < LENGTHS[:, None])
    assert bool((hidden.sum(1) <= torch.tensor([9, 0, 0, 3])).all())
    # One stretch is a run.
    assert bool((hidden.int().diff(dim=1).abs().sum(1) <= 2).all())
    y = MaskedReader(SeriesReader(6), bands=1, widest=2)(ones())
    bands = (y[0] == 0).all(0)
    assert int(bands.sum()) <= 2
    assert bool(((y[0] == 0).any(0) == bands).all())


def test_every_length_and_place_comes() -> None:
    torch.manual_seed(0)
    reader = MaskedReader(SeriesReader(6), times=1, longest=2, share=0.9)
    seen = {tuple((reader(Padded(torch.ones(1, 3, 6), torch.tensor([3])))[0, :, 0] == 0).tolist()) for _ in range(300)}
    assert {sum(mask) for mask in seen} == {0, 1, 2}
    assert len(seen) == 1 + 3 + 2


def test_the_state_of_torch_says_what_is_drawn() -> None:
    reader = MaskedReader(SeriesReader(6), times=2, bands=2, noise=0.5)
    first, second = ((torch.manual_seed(3), reader(ones()))[1] for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert not torch.equal(second, reader(ones()))


@pytest.mark.parametrize(("name", "value"), [("times", -1), ("bands", 1.5), ("noise", -0.1), ("share", 1.0)])
def test_a_wrong_option_is_refused(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=name):
        MaskedReader(SeriesReader(6), **{name: value})  # type: ignore[arg-type]
