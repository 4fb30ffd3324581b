"""Tags of every step: losses and predictions with and without a chain, against torch and the chain itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from unrolled.align.each import Each, EachOptions, Tagged
from unrolled.errors import DataError, OptionError, ShapeError
from unrolled.nn import Embedding, EncoderOptions, WordReader, make_encoder
from unrolled.padding import Padded, valid_mask

LENGTHS = torch.tensor([5, 2, 0])
VALID = valid_mask(LENGTHS, 5)
# Sums of some ten float64 terms of moderate size.
EXACT = {"rtol": 0.0, "atol": 2**7 * 2.0**-52}


def batch(unknown: bool = True) -> Tagged:
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(1, 9, (3, 5), generator=generator)
    tags = torch.randint(0, 4, (3, 5), generator=generator)
    if unknown:
        tags[0, 2] = tags[1, 0] = -1
    return Tagged(Padded(torch.where(VALID, codes, 0), LENGTHS), torch.where(VALID, tags, -1))


def make(crf: bool, legal: Any = None, dropout: float = 0.0) -> Each:
    torch.manual_seed(1)
    encoder = make_encoder(6, EncoderOptions(hidden_size=4, bidirectional=True))
    model = Each(WordReader(Embedding(9, 6)), encoder, 4, EachOptions(crf=crf, dropout=dropout), legal).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model


def test_without_a_chain_the_loss_is_cross_entropy_over_known_tags() -> None:
    model, data = make(False), batch()
    total, count, state = model.loss(data)
    known = data.tags >= 0
    expected = cross_entropy(model.scores(data.x)[known], data.tags[known], reduction="sum")
    torch.testing.assert_close(total, expected, **EXACT)
    assert (int(count), state) == (5, None)


def test_with_a_chain_the_loss_is_that_of_whole_rows_counted_by_known_tags() -> None:
    model, data = make(True), batch()
    assert model.crf is not None
    total, count, _ = model.loss(data)
    expected = -model.crf.log_likelihood(model.scores(data.x), data.tags, LENGTHS).sum()
    torch.testing.assert_close(total, expected, **EXACT)
    assert int(count) == 5


def test_a_chain_without_moves_is_cross_entropy() -> None:
    model, data = make(True), batch()
    assert model.crf is not None
    with torch.no_grad():
        for parameter in model.crf.parameters():
            parameter.zero_()
    plain = make(False)
    plain.load_state_dict({name: value for name, value in model.state_dict().items() if not name.startswith("crf.")})
    torch.testing.assert_close(model.loss(data)[0], plain.loss(data)[0], **EXACT)
    torch.testing.assert_close(model.probabilities(data.x), plain.probabilities(data.x), **EXACT)
    assert torch.equal(model.predict(data.x), plain.predict(data.x))


@pytest.mark.parametrize("crf", [False, True], ids=["softmax", "chain"])
def test_predictions_stand_at_valid_steps_alone(crf: bool) -> None:
    model, data = make(crf), batch()
    tags, chances = model.predict(data.x), model.probabilities(data.x)
    assert torch.equal(tags >= 0, VALID)
    assert (tags[~VALID] == -1).all()
    torch.testing.assert_close(chances.sum(-1), VALID.double(), **EXACT)
    assert not chances.requires_grad


def test_each_step_by_itself_takes_its_most_probable_tag() -> None:
    model, data = make(False), batch()
    assert torch.equal(model.predict(data.x)[VALID], model.probabilities(data.x).argmax(-1)[VALID])


def test_a_chain_predicts_legal_tags_only() -> None:
    follow = np.eye(4, dtype=bool)
    begin = end = np.array([False, True, True, False])
    tags = make(True, (begin, follow, end)).predict(batch().x)
    assert len(set(tags[0].tolist())) == 1
    assert set(tags[VALID].tolist()) <= {1, 2}


@pytest.mark.parametrize("crf", [False, True], ids=["softmax", "chain"])
def test_a_batch_without_a_step_has_no_loss(crf: bool) -> None:
    model = make(crf)
    data = Tagged(Padded(torch.zeros(2, 0).long(), torch.zeros(2).long()), torch.zeros(2, 0).long())
    total, count, _ = model.loss(data)
    assert (total.item(), int(count)) == (0, 0)
    assert model.predict(data.x).shape == (2, 0)
    assert model.probabilities(data.x).shape == (2, 0, 4)


@pytest.mark.parametrize("crf", [False, True], ids=["softmax", "chain"])
def test_dropout_acts_in_training_alone(crf: bool) -> None:
    model, data = make(crf, dropout=0.5), batch()
    assert not torch.equal(model.loss(data)[0], model.loss(data)[0])
    assert torch.equal(model.probabilities(data.x), model.probabilities(data.x))
    assert model.training
    model.eval()
    assert torch.equal(model.loss(data)[0], model.loss(data)[0])


@pytest.mark.parametrize("crf", [False, True], ids=["softmax", "chain"])
def test_mixed_precision_gives_a_finite_loss_in_single_precision(crf: bool) -> None:
    model, data = make(crf).float(), batch()
    with torch.autocast("cpu", torch.bfloat16):
        total, _, _ = model.loss(data)
        assert torch.equal(model.predict(data.x) >= 0, VALID)
        assert model.probabilities(data.x).dtype == torch.float32
    assert total.dtype == torch.float32
    assert bool(torch.isfinite(total))


@pytest.mark.parametrize("crf", [False, True], ids=["softmax", "chain"])
def test_a_few_steps_of_training_learn_the_tags(crf: bool) -> None:
    torch.manual_seed(0)
    model, data = make(crf).float(), batch(unknown=False)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(40):
        optimizer.zero_grad()
        total, count, _ = model.loss(data)
        (total / count).backward()
        optimizer.step()
    assert torch.equal(model.predict(data.x), data.tags)


def test_mistakes_are_told_in_one_sentence() -> None:
    legal = (np.ones(4, bool), np.ones((4, 4), bool), np.ones(4, bool))
    with pytest.raises(OptionError, match="Each: legal tags need crf=True, got crf=False"):
        make(False, legal)
    with pytest.raises(ShapeError, match=r"Each: tags must be \(batch, time\) = \(3, 5\), got \(3, 4\)"):
        make(False).loss(batch()._replace(tags=torch.zeros(3, 4).long()))
    with pytest.raises(DataError, match=r"Each: every tag must lie in -1\.\.3, got 4"):
        make(True).loss(batch()._replace(tags=torch.full((3, 5), 4)))
