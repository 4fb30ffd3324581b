"""Bags of words: the mean by hand, words that say nothing, silence in training, and no gradient from the padding."""

from __future__ import annotations

import math

import pytest
import torch

from unrolled.errors import OptionError
from unrolled.nn import BagOfWords, Embedding
from unrolled.padding import Padded

# Sums of a few terms of size one in float64.
EXACT = {"rtol": 0.0, "atol": 2**6 * 2.0**-52}
WORDS = Padded(torch.tensor([[5, 7, 5], [6, 1, 0], [1, 0, 0], [0, 0, 0]]), torch.tensor([3, 2, 1, 0]))


def make(**options: float) -> BagOfWords:
    torch.manual_seed(0)
    return BagOfWords(Embedding(9, 4), 3, first=4, **options).double()  # type: ignore[arg-type]


def test_a_bag_is_the_mean_of_the_words_that_say_something() -> None:
    bag = make()
    rows, found = bag.embedding.weight, bag(WORDS)
    for row, codes in enumerate(([5, 7, 5], [6])):
        wanted = bag.map(rows[codes].mean(0)).tanh()
        torch.testing.assert_close(found[row], wanted, **EXACT)
    assert not found[2:].any()


def test_the_order_of_words_and_the_width_of_the_batch_change_nothing() -> None:
    bag = make()
    turned = WORDS._replace(values=torch.tensor([[7, 5, 5], [1, 6, 0], [1, 0, 0], [0, 0, 0]]))
    torch.testing.assert_close(bag(turned), bag(WORDS), **EXACT)
    torch.testing.assert_close(bag(Padded(torch.tensor([[6]]), torch.tensor([1])))[0], bag(WORDS)[1], **EXACT)


@pytest.mark.parametrize("rubbish", [8, 10**9])
def test_the_padding_reaches_no_value_and_no_gradient(rubbish: int) -> None:
    results = []
    for filling in (0, rubbish):
        bag, steps = make(), torch.arange(3) < WORDS.lengths[:, None]
        found = bag(WORDS._replace(values=torch.where(steps, WORDS.values, filling)))
        found.sum().backward()
        results.append([found, *(each.grad for each in bag.parameters())])
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)


def test_silence_falls_on_its_part_of_the_rows_in_training_alone() -> None:
    bag, count, part = make(silence=0.3), 4000, 0.3
    many = Padded(torch.full((count, 1), 5), torch.ones(count, dtype=torch.long))
    silent = int((bag(many) == 0).all(1).sum())
    # Five deviations of a binomial count.
    assert abs(silent - part * count) < 5 * math.sqrt(count * part * (1 - part))
    assert bool(bag.eval()(many).any(1).all())


def test_a_first_word_that_there_is_not_is_told() -> None:
    with pytest.raises(OptionError, match=r"first must lie in 0\.\.8, got 9"):
        BagOfWords(Embedding(9, 4), 3, first=9)
