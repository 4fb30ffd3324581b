"""Speakers verified by vectors: all pairs of recordings are scored by the cosine of theirs; the equal error rate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unrolled.score.speech import equal_error_rate

__all__ = ["error_rate", "moments", "moments_error_rate"]


def error_rate(vectors: np.ndarray, speakers: Sequence[str]) -> float:
    """Equal error rate in percent over all pairs of rows (N, D); higher cosine: taken for the same speaker."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(lengths, np.finfo(np.float64).tiny)
    first, second = np.triu_indices(len(unit), 1)
    names = np.asarray(speakers)
    return 100 * equal_error_rate((unit @ unit.T)[first, second], names[first] == names[second]).rate


def moments(values: np.ndarray) -> np.ndarray:
    """values (T, D) -> (2 D,): the mean and the deviation of each channel."""
    return np.concatenate([values.mean(0), values.std(0)])


def moments_error_rate(train: Sequence[np.ndarray], test: Sequence[np.ndarray], speakers: Sequence[str]) -> float:
    """`error_rate` of the `moments` of the test recordings, each scaled by its mean and deviation in training."""
    known, asked = (np.stack([moments(one) for one in part]) for part in (train, test))
    return error_rate((asked - known.mean(0)) / known.std(0), speakers)
