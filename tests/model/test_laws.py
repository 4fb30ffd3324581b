from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from unrolled.model import BrokenLaw, Law
from unrolled.model.laws import recurrent_laws, run_laws
from unrolled.nn import GRU, LSTM
from unrolled.testing.book import difference


class TwoParts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2)
        self.first, self.second = GRU(3, 4), LSTM(4, 5)


def test_every_recurrent_part_of_a_network_is_tried() -> None:
    report = run_laws(recurrent_laws(TwoParts()))
    names = [verdict.name for verdict in report.verdicts]
    assert names == [
        f"{law} of {part}" for part in ("first", "second") for law in ("padding", "batch", "reset", "chunk")
    ]
    assert "BROKEN" not in str(report)


def test_a_layer_that_mixes_the_rows_of_a_batch_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = GRU.sequence

    def mixed(self: GRU, x: Tensor, state: object, *rest: object) -> object:
        return plain(self, x - x.mean(0, keepdim=True), state, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(GRU, "sequence", mixed)
    with pytest.raises(BrokenLaw, match="batch of GRU"):
        run_laws(recurrent_laws(GRU(3, 4)))


def test_a_broken_law_is_named_with_its_size() -> None:
    with pytest.raises(BrokenLaw, match=r"1 of 2 laws are broken: leak: nothing may leak, but it is off by 0\.5"):
        run_laws([Law("leak", "nothing may leak", lambda: 0.5), Law("batch", "rows are rows", lambda: 0.0)])


def test_a_difference_is_relative_and_nan_is_the_largest() -> None:
    assert difference(torch.tensor([1.0, 101.0]), torch.tensor([1.0, 100.0])) == pytest.approx(0.01)
    assert difference(torch.tensor([float("nan")]), torch.tensor([1.0])) == float("inf")
    assert difference(torch.zeros(2), torch.zeros(3)) == float("inf")
