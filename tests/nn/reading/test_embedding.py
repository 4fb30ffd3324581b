"""Vectors of codes: where they start, which are trained, and dropout of whole words."""

from __future__ import annotations

import pytest
import torch

from unrolled.errors import DataError, OptionError, ShapeError
from unrolled.nn import Embedding


def test_a_look_up_gives_the_rows_of_the_weight() -> None:
    layer = Embedding(7, 3)
    codes = torch.tensor([[1, 6], [0, 1]])
    assert torch.equal(layer(codes), layer.weight[codes])
    assert layer.output_size == 3


def test_rows_start_with_variance_one_over_width_and_the_padding_at_zero() -> None:
    torch.manual_seed(0)
    weight = Embedding(2000, 50).weight
    assert (weight[0] == 0).all()
    # The variance of 100 000 uniform numbers is known to within a per cent or so.
    assert weight[1:].var().item() == pytest.approx(1 / 50, rel=0.02)


def test_vectors_that_were_found_are_kept_and_the_others_drawn_as_wide() -> None:
    torch.manual_seed(0)
    vectors, found = 5 * torch.randn(4000, 20), torch.arange(4000) % 2 == 1
    vectors[~found] = 0
    weight = Embedding(4000, 20, vectors=vectors, found=found).weight
    assert torch.equal(weight[found], vectors[found])
    assert weight[~found][1:].std().item() == pytest.approx(5, rel=0.03)


def test_the_row_of_the_padding_is_zero_and_a_look_up_does_not_train_it() -> None:
    layer = Embedding(4, 2, vectors=torch.ones(4, 2))
    assert layer.weight.tolist() == [[0, 0], [1, 1], [1, 1], [1, 1]]
    layer(torch.tensor([0, 2])).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad[:, 0].tolist() == [0, 0, 1, 0]


def test_frozen_rows_take_no_gradient_and_are_saved() -> None:
    layer = Embedding(4, 2, vectors=torch.ones(4, 2), frozen=True)
    assert not layer.weight.requires_grad
    assert list(layer.state_dict()) == ["table.weight"]


def test_a_dropped_word_is_gone_wherever_it_stands_and_the_others_make_up_for_it() -> None:
    torch.manual_seed(0)
    layer = Embedding(1000, 2, dropout=0.25, vectors=torch.ones(1000, 2))
    codes = torch.arange(1, 1000).repeat(3, 1)
    y = layer(codes)
    assert torch.equal(y, y[:1].expand_as(y))
    assert sorted(set(y.flatten().tolist())) == pytest.approx([0, 1 / 0.75])
    # Four standard deviations of the share among 999 draws.
    assert (y[0, :, 0] == 0).float().mean().item() == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / 999) ** 0.5)
    assert not torch.equal(layer(codes), y)
    assert torch.equal(layer.eval()(codes), torch.ones(3, 999, 2))


def test_training_knows_the_table_for_an_embedding() -> None:
    kinds = [type(part) for part in Embedding(4, 2).modules()]
    assert torch.nn.Embedding in kinds


@pytest.mark.parametrize("bad", [-1, 7])
def test_a_code_outside_of_the_vocabulary_is_named(bad: int) -> None:
    with pytest.raises(DataError, match=rf"Embedding: every code must lie in 0\.\.6, got {bad}; encode"):
        Embedding(7, 3)(torch.tensor([1, bad]))


def test_mistakes_are_told_in_one_sentence() -> None:
    with pytest.raises(DataError, match=r"every code must be an integer, got torch\.float32"):
        Embedding(7, 3)(torch.tensor([1.0]))
    with pytest.raises(OptionError, match="vectors is None; give both"):
        Embedding(7, 3, found=torch.ones(7, dtype=torch.bool))
    with pytest.raises(ShapeError, match=r"vectors must be \(7, 3\) and found \(7,\), got \(6, 3\)"):
        Embedding(7, 3, vectors=torch.zeros(6, 3))
