"""Readers: inputs as vectors, whatever stands in the padding."""

from __future__ import annotations

import pytest
import torch

from unrolled.errors import DataError, OptionError, ShapeError
from unrolled.nn import GRU, Bidirectional, Embedding, SeriesReader, SpellingEncoder, WordReader
from unrolled.nn.reading.reader import check_reader, encode
from unrolled.padding import Padded

LENGTHS = torch.tensor([3, 1, 0])
CODES = torch.tensor([[4, 2, 4], [3, -9, 99], [99, 99, 99]])
FORMS = torch.tensor([[0, 1, 0], [2, 99, -1], [99, 99, 99]])
SPELLINGS = torch.tensor([[2, 5, 3], [2, 3, 0], [4, 4, 4]])


def test_words_are_vectors_of_code_and_spelling_side_by_side() -> None:
    embedding, spelling = Embedding(5, 2), SpellingEncoder(6, 3, 4)
    reader = WordReader(embedding, spelling)
    y = reader(Padded(CODES, LENGTHS, FORMS, SPELLINGS))
    assert y.shape == (3, 3, reader.output_size) == (3, 3, 6)
    assert torch.equal(y[0, :, :2], embedding.weight[torch.tensor([4, 2, 4])])
    assert torch.equal(y[0, :, 2:], spelling(SPELLINGS)[torch.tensor([0, 1, 0])])
    assert torch.equal(y[1, 0, 2:], spelling(SPELLINGS)[2])


def test_without_a_spelling_encoder_forms_are_not_looked_at() -> None:
    reader = WordReader(Embedding(5, 2))
    assert torch.equal(reader(Padded(CODES, LENGTHS, FORMS, SPELLINGS)), reader(Padded(CODES, LENGTHS)))


def test_a_batch_without_any_word_has_no_spelling_to_read() -> None:
    reader = WordReader(Embedding(5, 2), SpellingEncoder(6, 3, 4))
    empty = Padded(CODES, torch.zeros(3).long(), FORMS, torch.zeros(0, 3).long())
    assert reader(empty).shape == (3, 3, 6)


def test_numbers_pass_as_they_are_and_the_padding_as_zero() -> None:
    values = torch.randn(3, 3, 2)
    values[1, 1:] = float("nan")
    y = SeriesReader(2)(Padded(values, LENGTHS))
    assert torch.equal(y[0], values[0])
    assert torch.equal(y[1, 0], values[1, 0])
    assert (y[1, 1:] == 0).all()
    assert (y[2] == 0).all()


@pytest.mark.parametrize("reader", [WordReader(Embedding(5, 2), dropout=0.5), SeriesReader(2, dropout=0.5)])
def test_dropout_acts_in_training_alone(reader: torch.nn.Module) -> None:
    words = isinstance(reader, WordReader)
    x = Padded(torch.full((1, 400), 3) if words else torch.ones(1, 400, 2), torch.tensor([400]))
    # Among 800 features none being dropped has the chance 2**-800.
    assert (reader.train()(x) == 0).any()
    assert not (reader.eval()(x) == 0).any()


def test_a_batch_of_empty_rows_may_have_no_step_at_all() -> None:
    encoder = Bidirectional(GRU(2, 3), GRU(2, 4))
    nothing = Padded(torch.zeros(2, 0).long(), torch.zeros(2).long())
    y, lengths, state = encode(WordReader(Embedding(5, 2)), encoder, nothing)
    assert y.shape == (2, 0, 7)
    assert lengths.tolist() == [0, 0]
    assert state.backward.h.shape == (2, 4)


def test_mistakes_are_told_in_one_sentence() -> None:
    with pytest.raises(DataError, match="expected words with forms and spellings, got codes alone"):
        WordReader(Embedding(5, 2), SpellingEncoder(6))(Padded(CODES, LENGTHS))
    with pytest.raises(ShapeError, match=r"values must be \(batch, time, 2\), got \(3, 3, 4\)"):
        SeriesReader(2)(Padded(torch.zeros(3, 3, 4), LENGTHS))
    with pytest.raises(
        OptionError, match="Pool: the encoder must take the 2 features that the reader gives, got input_"
    ):
        check_reader("Pool", SeriesReader(2), GRU(3, 4))
