"""Batches: which rows of a dataset go together in which order, as a pure function of the seed and the epoch.

Because a plan depends on nothing but its arguments, the place where a killed run stood is two numbers (epoch, batch).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from unrolled.errors import DataError, OptionError
from unrolled.state import leaves

__all__ = ["Dataset", "Rows", "fingerprint", "plan_batches", "slice_rows"]

Rows = NDArray[np.int64]

# Rows whose content enters the fingerprint, beside every length: enough to notice another file, cheap to read.
SAMPLED_ROWS = 8
# How far a length may be blurred before sorting, so that the same rows do not meet in every epoch.
BLUR = 0.1


class Dataset(Protocol):
    """What the training loop asks of data: items with a length, batches of them, and batches cut along time."""

    @property
    def lengths(self) -> Rows:
        """The cost of each item in time steps: (items,), integers."""

    @property
    def carries_state(self) -> bool:
        """True where row b of a batch continues row b of the batch before, so the state is carried over.

        The rows are then laid out for one batch size B: item k * B + b continues item (k - 1) * B + b.
        """

    def __len__(self) -> int: ...

    def batch(self, rows: Rows) -> Any:
        """The items as a NamedTuple of tensors, batch first; a function of `rows` alone, so that resume is exact."""

    def chunks(self, batch: Any, steps: int) -> Sequence[Any]:
        """The batch cut along time into pieces of at most `steps` steps; `[batch]` where that has no meaning."""


def plan_batches(
    data: Dataset, *, batch_size: int | None, token_budget: int | None, seed: int, epoch: int, shuffle: bool = True
) -> list[Rows]:
    """The batches of one epoch: a list of row numbers for each, every item exactly once.

    batch_size: rows in a batch (the last may hold fewer). token_budget: items of similar length share a batch, as many
    as keep rows x longest <= token_budget. Exactly one of the two is given. A dataset that carries state is never
    shuffled. Raises `DataError` for an empty dataset and `OptionError` for an option this dataset cannot be cut by.
    """
    if len(data) == 0:
        raise DataError("fit: the dataset is empty; expected at least one item to train on.")
    if data.carries_state:
        return _streams(data, batch_size)
    random = np.random.default_rng(np.random.SeedSequence([seed, epoch])) if shuffle else None
    if token_budget is None:
        order = np.arange(len(data)) if random is None else random.permutation(len(data))
        return _cut(order, batch_size)
    return _buckets(np.asarray(data.lengths, dtype=np.int64), token_budget, random)


def slice_rows(rows: Rows, index: int, parts: int) -> Rows:
    """Part `index` of `parts` nearly equal contiguous parts; empty where there are more parts than rows."""
    return np.array_split(rows, parts)[index]


def fingerprint(data: Dataset) -> str:
    """A digest of the number of items, their lengths and the content of a few: the same data gives the same digest."""
    lengths = np.ascontiguousarray(data.lengths, dtype=np.int64)
    digest = hashlib.sha256(f"{len(data)} {data.carries_state}".encode())
    digest.update(lengths.tobytes())
    sampled = np.unique(np.linspace(0, len(data) - 1, min(SAMPLED_ROWS, len(data))).astype(np.int64))
    for leaf in leaves(data.batch(sampled)):
        digest.update(f"{leaf.dtype} {tuple(leaf.shape)}".encode())
        digest.update(leaf.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _streams(data: Dataset, batch_size: int | None) -> list[Rows]:
    if batch_size is None or len(data) % batch_size:
        raise OptionError(
            f"fit: this dataset carries its state over batches, so batch_size must divide its {len(data)} items, "
            f"got batch_size={batch_size}; use the number of parallel streams the dataset was laid out for."
        )
    return _cut(np.arange(len(data)), batch_size)


def _cut(order: Rows, batch_size: int | None) -> list[Rows]:
    if batch_size is None:
        raise OptionError("fit: expected batch_size or token_budget, got neither; give one of them.")
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def _buckets(lengths: Rows, budget: int, random: np.random.Generator | None) -> list[Rows]:
    costs = np.maximum(lengths, 1)
    longest = int(costs.argmax())
    if costs[longest] > budget:
        raise OptionError(
            f"fit: item {longest} is {costs[longest]} steps long, more than token_budget={budget}; "
            "raise token_budget or shorten the item."
        )
    if random is None:
        return _fill(np.argsort(costs, kind="stable"), costs, budget)
    blurred = costs * (1 + BLUR * random.random(len(costs)))
    batches = _fill(np.lexsort((random.random(len(costs)), blurred)), costs, budget)
    return [batches[i] for i in random.permutation(len(batches))]


def _fill(order: Rows, costs: Rows, budget: int) -> list[Rows]:
    """Cut the order greedily: a batch takes rows while rows x longest stays within the budget."""
    batches, start, longest = [], 0, 0
    for position, cost in enumerate(costs[order].tolist()):
        longest = max(longest, cost)
        if longest * (position - start + 1) > budget:
            batches.append(order[start:position])
            start, longest = position, cost
    batches.append(order[start:])
    return batches
