"""Tags of every step: losses and predictions with and without a chain, against torch and the chain itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from unrolled.align.each import Each, EachOptions, Tagged
from unrolled.align.mode import evaluating
from unrolled.errors import DataError, OptionError, ShapeError
from unrolled.heads.codes import CodeHead
from unrolled.heads.crf import CRFHead, LinearChainCRF
from unrolled.heads.softmax import SoftmaxHead
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
    head = CRFHead(8, 4, legal) if crf else SoftmaxHead(8, 4)
    model = Each(WordReader(Embedding(9, 6)), encoder, head, EachOptions(dropout=dropout)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model


def coded(model: Each) -> CodeHead:
    assert isinstance(model.head, CodeHead)
    return model.head


def probabilities(model: Each, x: Padded) -> Tensor:
    """Of each tag at each step, dropout off."""
    with evaluating(model):
        return coded(model).probabilities(model.vectors(x), x.lengths)


def chain(model: Each) -> LinearChainCRF:
    assert isinstance(model.head, CRFHead)
    return model.head.chain


def scores(model: Each, x: Padded) -> Tensor:
    assert isinstance(model.head, CRFHead | SoftmaxHead)
    return model.head.scores(model.vectors(x))


def test_without_a_chain_the_loss_is_cross_entropy_over_known_tags() -> None:
    model, data = make(False), batch()
    total, count, state = model.loss(data)
    known = data.tags >= 0
    expected = cross_entropy(scores(model, data.x)[known], data.tags[known], reduction="sum")
    torch.testing.assert_close(total, expected, **EXACT)
    assert (int(count), state) == (5, None)


def test_with_a_chain_the_loss_is_that_of_whole_rows_counted_by_known_tags() -> None:
    model, data = make(True), batch()
    total, count, _ = model.loss(data)
    expected = -chain(model).log_likelihood(scores(model, data.x), data.tags, LENGTHS).sum()
    torch.testing.assert_close(total, expected, **EXACT)
    assert int(count) == 5


def test_a_chain_without_moves_is_cross_entropy() -> None:
    model, data = make(True), batch()
    with torch.no_grad():
        for parameter in chain(model).parameters():
            parameter.zero_()
    plain = make(False)
    plain.load_state_dict({name: value for name, value in model.state_dict().items() if ".chain." not in name})
    torch.testing.assert_close(model.loss(data)[0], plain.loss(data)[0], **EXACT)
    torch.testing.assert_close(probabilities(model, data.x), probabilities(plain, data.x), **EXACT)
    assert torch.equal(model.predict(data.x), plain.predict(data.x))


@pytest.mark.parametrize("crf", [False, True], ids=["softmax", "chain"])
def test_predictions_stand_at_valid_steps_alone(crf: bool) -> None:
    model, data = make(crf), batch()
    tags, chances = model.predict(data.x), probabilities(model, data.x)
    assert torch.equal(tags >= 0, VALID)
    assert (tags[~VALID] == -1).all()
    torch.testing.assert_close(chances.sum(-1), VALID.double(), **EXACT)
    assert not chances.requires_grad


def test_each_step_by_itself_takes_its_most_probable_tag() -> None:
    model, data = make(False), batch()
    assert torch.equal(model.predict(data.x)[VALID], probabilities(model, data.x).argmax(-1)[VALID])


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
    assert probabilities(model, data.x).shape == (2, 0, 4)


@pytest.mark.parametrize("crf", [False, True], ids=["softmax", "chain"])
def test_dropout_acts_in_training_alone(crf: bool) -> None:
    model, data = make(crf, dropout=0.5), batch()
    assert not torch.equal(model.loss(data)[0], model.loss(data)[0])
    assert torch.equal(probabilities(model, data.x), probabilities(model, data.x))
    assert model.training
    model.eval()
    assert torch.equal(model.loss(data)[0], model.loss(data)[0])


@pytest.mark.parametrize("crf", [False, True], ids=["softmax", "chain"])
def test_mixed_precision_gives_a_finite_loss_in_single_precision(crf: bool) -> None:
    model, data = make(crf).float(), batch()
    with torch.autocast("cpu", torch.bfloat16):
        total, _, _ = model.loss(data)
        assert torch.equal(model.predict(data.x) >= 0, VALID)
        assert probabilities(model, data.x).dtype == torch.float32
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
    with pytest.raises(OptionError, match="Each: the head must take the 8 features that the encoder gives, got input_"):
        Each(make(True).reader, make(True).encoder, CRFHead(3, 4), EachOptions())
    with pytest.raises(ShapeError, match=r"Each: tags must be \(batch, time\) = \(3, 5\), got \(3, 4\)"):
        make(False).loss(batch()._replace(tags=torch.zeros(3, 4).long()))
    with pytest.raises(DataError, match=r"CRFHead: every code must lie in -1\.\.3, got 4"):
        make(True).loss(batch()._replace(tags=torch.full((3, 5), 4)))
