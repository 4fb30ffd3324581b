"""Training that is stopped, repeated, or done in half the precision."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from unrolled.errors import OptionError
from unrolled.tasks import Recognizer

# What is dropped, masked and added is drawn: a resumed run must draw on.
DRAWN: dict[str, Any] = {"epochs": 2, "checkpoint_every_steps": 1, "head_dropout": 0.2, "feature_noise": 0.3,
                         "time_masks": 1, "time_mask": 4, "band_masks": 1, "band_mask": 1}  # fmt: skip


def same(one: Recognizer, two: Recognizer) -> bool:
    """The same weights bit for bit, the same fields, the same notes."""
    first, second = (model.fitted().state_dict() for model in (one, two))
    return all(torch.equal(first[name], second[name]) for name in first) and one.pack()[0] == two.pack()[0]


@pytest.mark.parametrize("at", [2, 5])
def test_a_stopped_training_goes_on_as_if_it_had_not_been(at: int, letters: SimpleNamespace, tmp_path: Path) -> None:
    def press(event: Any) -> None:
        if event.kind == "step" and event.step == at:
            raise KeyboardInterrupt

    options, data = {**letters.quick, **DRAWN}, letters.spelled(24)
    whole = Recognizer(**options).fit(*data, refit=True, run=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        Recognizer(**options).fit(*data, refit=True, run=tmp_path / "run", callbacks=[press])
    resumed = Recognizer(**options).fit(*data, refit=True, run=tmp_path / "run", resume=True)
    assert same(resumed, whole)
    assert not same(Recognizer(**options, seed=1).fit(*data, refit=True), whole)


@pytest.mark.parametrize("cell", ["gru", "lstm", "mlstm"])
def test_it_trains_in_bf16_and_hears_inside_autocast(cell: str, letters: SimpleNamespace) -> None:
    series, texts = letters.spelled(12)
    options = {**letters.quick, "epochs": 1, "precision": "bf16", "cell": cell}
    model = Recognizer(**options).fit(series, texts)
    plain = model.evaluate(series, texts).characters.rate
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert abs(model.evaluate(series, texts).characters.rate - plain) < 0.3


def test_a_mistake_in_a_new_fit_leaves_the_model_as_it_was(letters: SimpleNamespace) -> None:
    series, texts = letters.spelled(8)
    model = Recognizer(**{**letters.quick, "epochs": 1}).fit(series, texts)
    before = model.pack()[0]
    with pytest.raises(OptionError, match=r"valid must be a part in \[0, 1\)"):
        model.fit(series, texts, valid=2)
    assert model.pack()[0] == before
    assert len(model.predict(series)) == 8
