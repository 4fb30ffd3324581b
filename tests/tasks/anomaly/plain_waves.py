"""Rows to detect anomalies in."""

from __future__ import annotations

import numpy as np


def waves(rows: int = 500, seed: int = 0) -> np.ndarray:
    """Two waves with noise, and a channel that never changes."""
    random, t = np.random.default_rng(seed), np.arange(rows)
    noise = random.normal(0, 0.05, (2, rows))
    return np.stack([np.sin(t / 7) + noise[0], np.cos(t / 11) + noise[1], np.full(rows, 3.0)], 1)
