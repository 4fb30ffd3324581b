"""A network over many rows: batches of similar length, results in the order of the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from unrolled.align.mode import evaluating
from unrolled.data.batch.batching import Rows, plan_batches
from unrolled.data.batch.examples import Examples
from unrolled.state import map_state

__all__ = ["STEPS", "batches", "per_row", "unit_length"]

B = TypeVar("B")

# Time steps of one batch in prediction: enough to keep the processor busy, little memory.
STEPS = 4096


def batches(data: Examples[B], device: torch.device, steps: int = STEPS) -> Iterator[tuple[Rows, B]]:
    """Row numbers and the batch of them, rows of similar length together."""
    budget = max(steps, int(data.lengths.max(initial=1)))
    for rows in plan_batches(data, batch_size=None, token_budget=budget, seed=0, epoch=0, shuffle=False):
        yield rows, map_state(lambda leaf: leaf.to(device), data.batch(rows))


def per_row(data: Examples[B], net: nn.Module, predict: Callable[[B], Tensor], steps: int = STEPS) -> list[np.ndarray]:
    """What `predict` says of each row: it takes a batch and gives a tensor whose first dimension is the rows.

    Without gradients, dropout off.
    """
    if not len(data):
        return []
    found: list[np.ndarray] = [np.empty(0)] * len(data)
    device = next(net.parameters()).device
    with evaluating(net):
        for rows, batch in batches(data, device, steps):
            for row, value in zip(rows.tolist(), predict(batch).cpu().numpy(), strict=True):
                found[row] = value
    return found


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Vectors (N, D), each divided by its length; one of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0))
