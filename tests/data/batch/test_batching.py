"""Batches: every item once, budgets kept, and a plan that depends on its arguments alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from unrolled.data.batch.batching import fingerprint, plan_batches, slice_rows
from unrolled.errors import DataError, OptionError
from unrolled.state import HState


class Items:
    """Items of the given lengths whose content is their number plus `offset`."""

    def __init__(self, lengths: Any, *, carries_state: bool = False, offset: float = 0.0) -> None:
        self.lengths = np.asarray(lengths)
        self.carries_state = carries_state
        self.offset = offset

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, rows: Any) -> HState:
        return HState(torch.from_numpy(rows).double() + self.offset)

    def chunks(self, batch: HState, steps: int) -> list[HState]:
        return [batch]


def plan(data: Items, size: int | None = None, budget: int | None = None, **rest: Any) -> list[Any]:
    arguments = SimpleNamespace(seed=3, epoch=0, shuffle=True)
    arguments.__dict__.update(rest)
    return plan_batches(data, batch_size=size, token_budget=budget, **arguments.__dict__)


LENGTHS = np.random.default_rng(0).integers(0, 60, 211)


@pytest.mark.parametrize("arguments", [{"size": 1}, {"size": 10}, {"size": 500}, {"budget": 60}, {"budget": 300}])
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_item_comes_exactly_once(arguments: dict[str, int], shuffle: bool) -> None:
    batches = plan(Items(LENGTHS), **arguments, shuffle=shuffle)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(LENGTHS)))
    assert all(len(rows) for rows in batches)


@pytest.mark.parametrize("budget", [60, 137, 1000])
def test_a_padded_batch_stays_within_the_token_budget(budget: int) -> None:
    batches = plan(Items(LENGTHS), budget=budget)
    assert max(len(rows) * LENGTHS[rows].max() for rows in batches) <= budget


def test_buckets_waste_little_padding() -> None:
    batches = plan(Items(LENGTHS), budget=600)
    padded = sum(len(rows) * LENGTHS[rows].max() for rows in batches)
    random = sum(len(rows) * LENGTHS[rows].max() for rows in plan(Items(LENGTHS), size=12))
    assert padded < 1.25 * LENGTHS.sum() < random


def test_a_plan_repeats_by_seed_and_epoch_and_changes_with_either() -> None:
    for arguments in ({"size": 10}, {"budget": 300}):
        first = np.concatenate(plan(Items(LENGTHS), **arguments))
        assert np.array_equal(first, np.concatenate(plan(Items(LENGTHS), **arguments)))
        assert not np.array_equal(first, np.concatenate(plan(Items(LENGTHS), **arguments, epoch=1)))
        assert not np.array_equal(first, np.concatenate(plan(Items(LENGTHS), **arguments, seed=4)))


def test_streams_are_never_shuffled() -> None:
    batches = plan(Items([5] * 12, carries_state=True), size=4)
    assert [rows.tolist() for rows in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


@pytest.mark.parametrize("arguments", [{"size": 5}, {"budget": 100}])
def test_streams_need_the_batch_size_they_were_laid_out_for(arguments: dict[str, int]) -> None:
    with pytest.raises(OptionError, match="must divide its 12 items"):
        plan(Items([5] * 12, carries_state=True), **arguments)


def test_an_item_longer_than_the_budget_is_named() -> None:
    with pytest.raises(OptionError, match="item 2 is 90 steps long, more than token_budget=60"):
        plan(Items([5, 6, 90]), budget=60)


def test_an_empty_dataset_is_refused() -> None:
    with pytest.raises(DataError, match="empty"):
        plan(Items([]), size=4)


@pytest.mark.parametrize(("rows", "parts"), [(10, 3), (2, 4), (0, 2), (7, 1)])
def test_slices_are_contiguous_and_cover_the_batch(rows: int, parts: int) -> None:
    everything = np.arange(rows) * 7
    slices = [slice_rows(everything, i, parts) for i in range(parts)]
    assert np.array_equal(np.concatenate(slices), everything)
    assert max(map(len, slices)) - min(map(len, slices)) <= 1


def test_the_fingerprint_knows_other_data() -> None:
    same = fingerprint(Items([3, 4, 5]))
    assert same == fingerprint(Items([3, 4, 5]))
    others = [Items([3, 4]), Items([3, 5, 4]), Items([3, 4, 5], carries_state=True), Items([3, 4, 5], offset=1.0)]
    assert same not in {fingerprint(other) for other in others}
