"""Rows rebuilt from a narrow vector: the laws, what each step rebuilds, and what does not go together."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from unrolled.align.reconstruct import Reconstruct
from unrolled.data.batch.stream import Stretch
from unrolled.errors import NotStreamable, OptionError
from unrolled.heads.number.likelihood import make_likelihood
from unrolled.nn import GRU, EncoderOptions, make_encoder
from unrolled.nn.reading.reader import NumberReader
from unrolled.testing import check_alignment

LENGTHS, TIME = torch.tensor([9, 3, 1, 0, 6]), 9
WINDOW = 4
# Sums of some hundred terms of size ten in float64.
EXACT = {"rtol": 0.0, "atol": 2**12 * 2.0**-52}


def make(likelihood: str = "student-t", window: int = WINDOW, **encoder: Any) -> Reconstruct:
    reader = NumberReader(2)
    inner = make_encoder(reader.output_size, EncoderOptions(**{"cell": "gru", "hidden_size": 6, **encoder}))
    return Reconstruct(reader, inner, 2, make_likelihood(likelihood), window=window, code_size=3)


def batch() -> Stretch:
    """Numbers, some of them missing, of rows in which series begin."""
    generator = torch.Generator().manual_seed(3)
    rows = torch.randn(len(LENGTHS), TIME, 2, generator=generator)
    rows = torch.where(rows > 1, torch.nan, rows)
    reset = torch.zeros(len(LENGTHS), TIME, dtype=torch.bool)
    reset[0, [2, 6]] = reset[1, 0] = reset[4, 1] = reset[4, 2] = True
    return Stretch(rows, rows.clone(), LENGTHS, reset)


@pytest.mark.parametrize("likelihood", ["student-t", "quantile"])
@pytest.mark.parametrize("window", [2, 4, 15])
def test_it_keeps_the_laws_of_alignments(likelihood: str, window: int) -> None:
    check_alignment(
        lambda: make(likelihood, window),
        batch,
        aligned=lambda given: dict.fromkeys(("x", "target", "reset"), given.lengths),
        carries=True,
    )


def test_each_step_rebuilds_the_last_rows_of_its_series() -> None:
    model, given = make().double().eval(), batch()
    given = Stretch(given.x.double(), given.target.double(), LENGTHS, given.reset)
    y, _ = model.vectors(given.x, LENGTHS, given.reset)
    total, count, _ = model.loss(given)
    expected, terms = 0.0, 0
    for row in range(len(LENGTHS)):
        for t in range(int(LENGTHS[row])):
            said = model.head.distribution(y[row, t]).view(WINDOW, 2, -1)
            for lag in range(min(WINDOW, t + 1)):
                if given.reset is not None and bool(given.reset[row, t - lag + 1 : t + 1].any()):
                    break
                value = given.target[row, t - lag]
                known = ~value.isnan()
                losses = model.head.likelihood.terms(said[lag], value.nan_to_num())
                expected, terms = expected + losses[known].sum(), terms + int(known.sum())
    torch.testing.assert_close(total, torch.as_tensor(expected), **EXACT)
    assert count == terms > 60


def test_a_narrow_vector_holds_what_is_usual_and_not_what_is_strange() -> None:
    torch.manual_seed(0)
    values = torch.sin(torch.arange(600) / 4)[:, None].repeat(1, 2)
    strange = values.clone()
    strange[300:310, 1] = -strange[300:310, 1]
    model = make("gaussian", 12, hidden_size=16)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    whole = Stretch(*[values.view(6, 100, 2)] * 2, torch.full((6,), 100), None)
    for _ in range(150):
        total, count, _ = model.loss(whole)
        optimizer.zero_grad()
        (total / count).backward()
        optimizer.step()
    model.eval()

    def surprise(rows: Tensor) -> Tensor:
        with torch.no_grad():
            said = model.head.distribution(model.vectors(rows[None])[0])[0, :, :2]
            return model.head.likelihood.terms(said, rows)

    usual, found = surprise(values), surprise(strange)
    assert usual[20:].mean() < 0
    assert found[300:310, 1].mean() > usual[20:, 1].max() + 1


def test_what_does_not_go_together_is_refused() -> None:
    likelihood = make_likelihood("gaussian")
    both = make_encoder(4, EncoderOptions(bidirectional=True, hidden_size=3))
    for encoder, window, code, error, said in (
        (both, 4, 3, NotStreamable, "bidirectional=False"),
        (GRU(5, 3), 4, 3, OptionError, "take the 4 features that the reader gives, got input_size=5"),
        (GRU(4, 3), 1, 1, OptionError, "at least 2 rows .* got window=1"),
        (GRU(4, 3), 4, 8, OptionError, "narrower than its 8 values, got window=4 and code_size=8"),
    ):
        with pytest.raises(error, match=said):
            Reconstruct(NumberReader(2), encoder, 2, likelihood, window=window, code_size=code)


def test_it_begins_with_rows_that_are_not_known() -> None:
    state = make().begin(3)
    assert state.recent.shape == (3, WINDOW - 1, 2)
    assert not bool(state.known.any())
    nothing = torch.full((1, 1, 2), torch.nan)
    total, count, _ = make().eval().loss(Stretch(nothing, nothing, torch.tensor([1])))
    assert (total, count) == (0, 0)
