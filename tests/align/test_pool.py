"""Classes of whole sequences: each pooling against its definition row by row, the loss against its formula."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from unrolled.align.pool import Labelled, Pool, PoolOptions, forward_features
from unrolled.errors import DataError, OptionError
from unrolled.heads.number.head import NumberHead
from unrolled.heads.number.likelihood import make_likelihood
from unrolled.heads.softmax import SoftmaxHead
from unrolled.nn import (
    GRU,
    LSTM,
    Bidirectional,
    DropConnect,
    EncoderOptions,
    Recurrent,
    Residual,
    SeriesReader,
    Stack,
    VariationalDropout,
    make_encoder,
)
from unrolled.padding import Padded

LENGTHS = torch.tensor([6, 3, 1, 0])
# Sums of six float64 products of moderate size.
EXACT = {"rtol": 0.0, "atol": 2**6 * 2.0**-52}


def batch() -> Labelled:
    x = torch.randn(4, 6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return Labelled(Padded(x, LENGTHS), torch.tensor([2, 0, -1, 1]))


def make(encoder: Recurrent[Any] | None = None, smoothing: float = 0.0, **options: Any) -> Pool:
    torch.manual_seed(1)
    encoder = encoder or make_encoder(3, EncoderOptions(cell="gru", hidden_size=5, bidirectional=True))
    head = SoftmaxHead(encoder.output_size, 3, smoothing)
    model = Pool(SeriesReader(3), encoder, head, PoolOptions(**options)).double()
    if model.attention is not None:
        torch.nn.init.normal_(model.attention)
    return model


def classes(model: Pool) -> SoftmaxHead:
    assert isinstance(model.head, SoftmaxHead)
    return model.head


def scores(model: Pool, x: Padded) -> Tensor:
    """The logits, in the mode that the model is in."""
    return classes(model).scores(model.vectors(x))


def attended(y: Tensor, model: Pool) -> Tensor:
    assert model.attention is not None
    return (y.tanh() @ model.attention).softmax(0) @ y


@pytest.mark.parametrize(
    ("pooling", "definition"),
    [
        ("last", lambda y, _: torch.cat([y[-1, :5], y[0, 5:]])),
        ("mean", lambda y, _: y.mean(0)),
        ("max", lambda y, _: y.amax(0)),
        ("attention", attended),
    ],
    ids=["last", "mean", "max", "attention"],
)
def test_a_row_is_pooled_over_its_own_steps(pooling: str, definition: Any) -> None:
    model, x = make(pooling=pooling), batch().x
    y, _ = model.encoder(x.values, lengths=LENGTHS)
    pooled = model.pooled(y, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        expected = definition(y[row, :length], model) if length else torch.zeros(10, dtype=torch.float64)
        torch.testing.assert_close(pooled[row], expected, **EXACT)
    assert torch.equal(model.vectors(x), pooled)


def test_the_last_step_of_both_ways_is_what_their_final_states_hold() -> None:
    model, x = make(), batch().x
    y, final = model.encoder(x.values, lengths=LENGTHS)
    torch.testing.assert_close(model.pooled(y, LENGTHS), torch.cat([final.forward.h, final.backward.h], 1), **EXACT)


def both() -> Bidirectional:
    return Bidirectional(GRU(3, 2), LSTM(3, 1))


@pytest.mark.parametrize(
    ("encoder", "features"),
    [
        (GRU(3, 4), 4),
        (both(), 2),
        (Stack([GRU(3, 3), both()]), 2),
        (Stack([both(), GRU(3, 4)]), 4),
        (VariationalDropout(Stack([GRU(3, 3), DropConnect(Residual(both()), 0.1)]), input=0.1), 2),
    ],
    ids=["one way", "both ways", "both ways above", "both ways below", "wrapped"],
)
def test_the_features_that_end_at_the_last_step_are_found_in_any_wrapper(encoder: Any, features: int) -> None:
    assert forward_features(encoder) == features


def test_attention_starts_as_the_mean() -> None:
    x = batch().x
    models = [make(pooling=pooling).eval() for pooling in ("mean", "attention")]
    models[1].load_state_dict({**models[0].state_dict(), "attention": torch.zeros(10)})
    torch.testing.assert_close(scores(models[0], x), scores(models[1], x), **EXACT)


def test_the_loss_sums_minus_log_probabilities_of_known_labels() -> None:
    model, data = make(), batch()
    total, count, state = model.loss(data)
    chances = scores(model, data.x).softmax(1).detach()
    torch.testing.assert_close(chances.sum(1), torch.ones(4, dtype=torch.float64), **EXACT)
    expected = -sum(chances[row, label].log() for row, label in ((0, 2), (1, 0), (3, 1)))
    torch.testing.assert_close(total.detach(), torch.as_tensor(expected), **EXACT)
    assert (int(count), state) == (3, None)


def test_labels_are_smoothed_in_training_alone() -> None:
    model, data = make(smoothing=0.3), batch()
    logs = scores(model, data.x).log_softmax(1)
    known, labels = [0, 1, 3], [2, 0, 1]
    plain = -logs[known, labels].sum()
    torch.testing.assert_close(model.loss(data)[0], 0.7 * plain - 0.3 * logs[known].mean(1).sum(), **EXACT)
    torch.testing.assert_close(model.eval().loss(data)[0], plain, **EXACT)


def test_a_batch_without_labels_has_no_loss_and_finite_gradients() -> None:
    model, data = make(smoothing=0.1), batch()
    total, count, _ = model.loss(data._replace(label=torch.full((4,), -1)))
    assert (total.item(), int(count)) == (0, 0)
    total.backward()
    assert all(bool((p.grad == 0).all()) for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
def test_empty_rows_alone_have_the_scores_of_the_bias(pooling: str) -> None:
    model = make(pooling=pooling)
    for time in (0, 2):
        x = Padded(torch.full((2, time, 3), float("nan"), dtype=torch.float64), torch.zeros(2, dtype=torch.long))
        found = scores(model, x)
        torch.testing.assert_close(found, classes(model).bias.expand(2, -1), **EXACT)
        found.sum().backward()
        assert all(bool(torch.isfinite(p.grad).all()) for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
def test_mixed_precision_gives_a_finite_loss_in_single_precision(pooling: str) -> None:
    model, data = make(pooling=pooling).float(), batch()
    x = data.x._replace(values=data.x.values.float())
    with torch.autocast("cpu", torch.bfloat16):
        total, _, _ = model.loss(data._replace(x=x))
        assert bool(torch.isfinite(scores(model, x)).all())
    assert total.dtype == torch.float32
    assert bool(torch.isfinite(total))


def test_predictions_drop_nothing_and_keep_the_mode() -> None:
    model, data = make(dropout=0.5), batch()
    found = model.predict(data.x)
    assert model.training
    assert not torch.equal(model.vectors(data.x), model.vectors(data.x))
    model.eval()
    assert torch.equal(found, scores(model, data.x).argmax(1))
    assert torch.equal(model.vectors(data.x), model.vectors(data.x))


def test_numbers_of_a_whole_sequence_are_learned_by_the_same_alignment() -> None:
    encoder = make_encoder(3, EncoderOptions(cell="gru", hidden_size=5))
    head = NumberHead(5, 2, make_likelihood("gaussian"))
    model, data = Pool(SeriesReader(3), encoder, head, PoolOptions(pooling="mean")).double(), batch()
    target = torch.tensor([[0.5, 1.0], [torch.nan, 2.0], [torch.nan, torch.nan], [0.0, 0.0]], dtype=torch.float64)
    total, count, _ = model.loss(Labelled(data.x, target))
    torch.testing.assert_close(total, -head.log_prob(model.vectors(data.x), target).sum(), **EXACT)
    assert int(count) == 5
    assert model.predict(data.x).shape == (4, 2)


def test_mistakes_are_told_in_one_sentence() -> None:
    with pytest.raises(OptionError, match="PoolOptions: pooling='sum': "):
        PoolOptions(pooling="sum")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="Pool: the encoder must take the 3 features"):
        make(GRU(4, 2))
    with pytest.raises(OptionError, match="Pool: the head must take the 2 features that the encoder gives, got inpu"):
        Pool(SeriesReader(3), GRU(3, 2), SoftmaxHead(3, 2), PoolOptions())
    with pytest.raises(DataError, match=r"SoftmaxHead: every code must lie in -1\.\.2, got 3"):
        make().loss(batch()._replace(label=torch.tensor([3, 0, 0, 0])))
