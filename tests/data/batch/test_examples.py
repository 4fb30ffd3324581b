"""Examples: columns become batches that depend on the rows asked for and on nothing else."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from unrolled.data import CodeColumn, Examples, PaddedColumn, Ragged, TagColumn, WordColumn
from unrolled.data.batch.batching import fingerprint, plan_batches
from unrolled.data.batch.examples import PickedColumn
from unrolled.errors import DataError
from unrolled.padding import Padded

LENGTHS = [3, 0, 5, 1, 2, 5]
WORDS = ["a", "house", "of", "recurrent", "nets"]


class Item(NamedTuple):
    x: Padded
    tags: Tensor
    label: Tensor
    copies: Tensor | None


def ragged(seed: int, low: int, high: int, dtype: type = np.int32) -> Ragged:
    random = np.random.default_rng(seed)
    return Ragged.from_list([random.integers(low, high, length).astype(dtype) for length in LENGTHS])


def spellings() -> np.ndarray:
    table = np.zeros((len(WORDS), 12), np.uint8)
    for i, word in enumerate(WORDS):
        table[i, : len(word)] = list(word.encode())
    return table


CODES, FORMS, TAGS = ragged(0, 4, 9), ragged(1, 0, len(WORDS)), ragged(2, 0, 3, np.int8)


def examples() -> Examples[Item]:
    columns = [WordColumn(CODES, FORMS, spellings()), TagColumn(TAGS), CodeColumn(np.arange(6) * 10), None]
    return Examples(Item, columns, CODES.lengths)


@pytest.mark.parametrize("rows", [[0, 2, 4], [5], [3, 1], [1], [2, 2]], ids=str)
def test_a_batch_holds_the_examples_asked_for(rows: list[int]) -> None:
    batch = examples().batch(np.array(rows))
    assert isinstance(batch, Item)
    assert batch.copies is None
    assert batch.label.tolist() == [10 * row for row in rows]
    time = max(1, *(LENGTHS[row] for row in rows), 1)
    assert batch.x.forms is not None
    assert batch.x.spellings is not None
    for part in (batch.x.values, batch.x.forms, batch.tags):
        assert part.shape == (len(rows), time)
        assert part.dtype == torch.int64
    for b, row in enumerate(rows):
        length = int(batch.x.lengths[b])
        assert length == LENGTHS[row]
        assert batch.x.values[b].tolist() == [*CODES[row].tolist(), *[0] * (time - length)]
        assert batch.tags[b].tolist() == [*TAGS[row].tolist(), *[-1] * (time - length)]
        spelled = ["".join(map(chr, word)).rstrip("\0") for word in batch.x.spellings[batch.x.forms[b, :length]]]
        assert spelled == [WORDS[i] for i in FORMS[row]]
        assert not batch.x.forms[b, length:].any()


@pytest.mark.parametrize("rows", [[0, 2, 4], [5], [2, 2]], ids=str)
def test_each_distinct_word_is_spelled_once_and_no_wider_than_needed(rows: list[int]) -> None:
    found = examples().batch(rows).x.spellings
    used = {WORDS[i] for row in rows for i in FORMS[row]}
    assert found is not None
    assert found.dtype == torch.int64
    assert found.shape == (len(used), max(map(len, used)))


def test_words_of_empty_sentences_are_spelled_by_padding() -> None:
    x = examples().batch([1]).x
    assert x.spellings is not None
    assert x.spellings.tolist() == [[0]]
    assert (x.values.tolist(), x.lengths.tolist()) == ([[0]], [0])


def test_numbers_keep_their_dtype_and_channels() -> None:
    values = Ragged.from_list([np.full((n, 2), n + 0.5, np.float32) for n in (2, 0, 3)])
    batch = PaddedColumn(values).take(np.array([0, 2]))
    assert (batch.values.dtype, batch.forms, batch.spellings) == (torch.float32, None, None)
    assert batch.values[:, :, 1].tolist() == [[2.5, 2.5, 0], [3.5, 3.5, 3.5]]
    assert batch.lengths.tolist() == [2, 3]
    assert PaddedColumn(values).take(np.array([1])).values.shape == (1, 1, 2)
    assert CodeColumn(np.array([1.5, 2.5], np.float32)).take(np.array([1])).dtype == torch.float32


def test_a_batch_of_codes_is_a_copy() -> None:
    codes = np.arange(6)
    CodeColumn(codes).take(np.array([1, 2]))[:] = -1
    assert codes.tolist() == [0, 1, 2, 3, 4, 5]


def test_selected_examples_are_those_of_the_whole() -> None:
    whole = examples()
    part = whole.select([5, 3, 0, 2]).select([3, 0])
    assert part.lengths.tolist() == [LENGTHS[2], LENGTHS[5]]
    assert len(part) == 2
    assert fingerprint(part) == fingerprint(whole.select([2, 5])) != fingerprint(whole.select([5, 2]))


def test_the_training_loop_can_plan_them() -> None:
    data = examples()
    assert data.carries_state is False
    rows = np.concatenate(plan_batches(data, batch_size=None, token_budget=6, seed=0, epoch=0))
    assert sorted(rows.tolist()) == list(range(6))
    batch = data.batch(rows[:2])
    assert data.chunks(batch, 2) == [batch]


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(DataError, match=r"columns of 6 examples.*but got columns of 6, 5"):
        Examples(Item, [PaddedColumn(CODES), CodeColumn(np.arange(5))], CODES.lengths)
    with pytest.raises(DataError, match="a form for each code"):
        WordColumn(CODES, FORMS.select([1, 0, 2, 3, 4, 5]), spellings())


def test_values_that_are_picked_come_as_often_as_they_are_picked() -> None:
    column = PaddedColumn(Ragged.from_list([np.arange(3), np.arange(5), np.zeros(0, np.int64)], np.int64))
    picked = PickedColumn(column, np.array([1, 1, 2, 0]))
    assert len(picked) == 4
    found, wanted = picked.take(np.array([3, 0, 1, 2])), column.take(np.array([0, 1, 1, 2]))
    assert torch.equal(found.values, wanted.values)
    assert torch.equal(found.lengths, wanted.lengths)
