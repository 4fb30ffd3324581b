"""Runs: pieces of different lengths, one after another in one array."""

from __future__ import annotations

import numpy as np

__all__ = ["offsets_of", "rows_of_runs"]


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """(S+1,) int64: where each of the runs with these lengths begins, and their sum."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def rows_of_runs(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The rows starts[i], starts[i] + 1, ..., lengths[i] of them for each i, one after the other."""
    before = offsets_of(lengths)[:-1]
    rows: np.ndarray = np.arange(int(lengths.sum())) - np.repeat(before - starts, lengths)
    return rows
