"""Vectors of words from their characters, against one word at a time without padding."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv1d

from unrolled.errors import OptionError
from unrolled.nn import SpellingEncoder

WORDS = torch.tensor([[2, 5, 6, 3], [2, 4, 3, 0], [7, 0, 0, 0], [0, 0, 0, 0], [6, 5, 5, 6]])
KINDS = pytest.mark.parametrize("kind", ["cnn", "lstm"])


def make(kind: str) -> SpellingEncoder:
    torch.manual_seed(0)
    encoder = SpellingEncoder(8, 3, 6, kind).double()
    with torch.no_grad():
        # Not zero any more in the row of the padding either.
        encoder.embedding.weight.normal_()
    return encoder


@KINDS
def test_a_word_alone_has_the_vector_it_has_among_others(kind: str) -> None:
    encoder = make(kind)
    together = encoder(WORDS)
    for row, word in enumerate(WORDS):
        alone = encoder(word[word != 0][None])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=2**6 * 2.0**-52)


@KINDS
def test_more_padding_changes_no_vector_and_no_gradient(kind: str) -> None:
    encoder = make(kind)
    weights = torch.randn(5, 6, dtype=torch.float64)
    results = []
    for spellings in (WORDS, torch.nn.functional.pad(WORDS, (0, 3))):
        y = encoder(spellings)
        results.append([y, *torch.autograd.grad((y * weights).sum(), list(encoder.parameters()))])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=2**8 * 2.0**-52)
    assert (results[0][1][0] == 0).all()


@KINDS
def test_a_word_without_characters_is_zero_and_has_gradients(kind: str) -> None:
    y = make(kind)(WORDS)
    assert (y[3] == 0).all()
    assert bool(torch.isfinite(y).all())


def test_the_convolution_is_the_best_of_all_windows() -> None:
    encoder = make("cnn")
    assert encoder.filters is not None
    word = encoder.embedding.weight[torch.tensor([2, 4, 3])].T[None]
    windows = conv1d(word, encoder.filters.weight, encoder.filters.bias, padding=1)
    torch.testing.assert_close(encoder(WORDS)[1], windows.amax(2)[0], rtol=0, atol=2**6 * 2.0**-52)


def test_the_lstm_ends_once_at_each_end_of_the_word() -> None:
    encoder = make("lstm")
    assert encoder.ways is not None
    word = encoder.embedding.weight[torch.tensor([[2, 4, 3]])]
    forwards, _ = encoder.ways.forward_layer(word)
    backwards, _ = encoder.ways.backward_layer(word.flip(1))
    torch.testing.assert_close(
        encoder(WORDS)[1], torch.cat([forwards[0, -1], backwards[0, -1]]), rtol=0, atol=2**6 * 2.0**-52
    )


@KINDS
@pytest.mark.parametrize("shape", [(0, 4), (2, 0), (0, 0)])
def test_no_words_and_no_characters_are_allowed(kind: str, shape: tuple[int, int]) -> None:
    y = make(kind)(torch.zeros(shape, dtype=torch.long))
    assert y.shape == (shape[0], 6)
    assert (y == 0).all()


def test_mistakes_are_told_in_one_sentence() -> None:
    with pytest.raises(OptionError, match=r"kind must be one of cnn, lstm, got 'gru'"):
        SpellingEncoder(8, kind="gru")
    with pytest.raises(OptionError, match="output_size must be even for kind='lstm', got 5"):
        SpellingEncoder(8, output_size=5, kind="lstm")
