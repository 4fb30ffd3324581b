"""Train the same model with one process and with two (torchrun, gloo) and compare the losses step by step.

    python benchmarks/two_processes.py

Both see the same global batches; with two, each computes half of the rows. Prints the largest relative difference of
the losses over all steps for float32 and float64; exit code 1 if one exceeds 1e-6.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from common import Results
from torch import Tensor

from unrolled import nn
from unrolled.train import TrainOptions, fit

LIMIT = 1e-6


class Series(NamedTuple):
    """x (B, T, 4), lengths (B,) and the target (B, T, 1)."""

    x: Tensor
    lengths: Tensor
    target: Tensor


class Data:
    """Random series of different lengths, so that the two shares of a batch have different numbers of terms."""

    carries_state = False

    def __init__(self, items: int, dtype: torch.dtype) -> None:
        random = np.random.default_rng(0)
        self.lengths = random.integers(4, 25, items)
        self.x = torch.from_numpy(random.standard_normal((items, 24, 4))).to(dtype)
        self.target = self.x.cumsum(1).mean(2, keepdim=True) / 4

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, rows: Any) -> Series:
        """The series of these rows."""
        index = torch.from_numpy(rows)
        return Series(self.x[index], torch.from_numpy(self.lengths[rows]), self.target[index])

    def chunks(self, batch: Series, steps: int) -> list[Series]:
        """The whole batch: this benchmark trains without truncation."""
        return [batch]


class Model(torch.nn.Module):
    """An LSTM and a linear head."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layer = nn.LSTM(4, 24).to(dtype)
        self.head = torch.nn.Linear(24, 1, dtype=dtype)

    def loss(self, batch: Series, state: Any) -> tuple[Tensor, Tensor, None]:
        """Squared error over valid steps: sum and number of terms."""
        y, _ = self.layer(batch.x, state, lengths=batch.lengths)
        valid = torch.arange(batch.x.shape[1]) < batch.lengths[:, None]
        error = torch.where(valid[..., None], self.head(y) - batch.target, 0)
        return error.square().sum(), valid.sum(), None


def train(folder: Path, dtype: torch.dtype, steps: int) -> None:
    """One run; the losses of its steps are left in metrics.jsonl."""
    torch.set_num_threads(1)
    options = TrainOptions(
        epochs=None, max_steps=steps, batch_size=17, learning_rate=3e-3, device="cpu", checkpoint_every_minutes=None
    )
    fit(Model(dtype), Data(101, dtype), options, run=folder)


def losses(folder: Path) -> list[float]:
    """The loss of each step."""
    events = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [event["loss"] for event in events if event["event"] == "step"]


def launch(folder: Path, dtype: str, steps: int, processes: int) -> list[float]:
    """Run this script as one process or under torchrun."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    command = [sys.executable, *launcher, __file__, "--train", str(folder), "--dtype", dtype, "--steps", str(steps)]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return losses(folder)


def main() -> int:
    """Compare one process with two in both dtypes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=50, help="optimiser steps of a run")
    parser.add_argument("--dtype", choices=["float32", "float64"], default=None, help="one dtype instead of both")
    parser.add_argument("--train", type=Path, default=None, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.train is not None:
        train(chosen.train, getattr(torch, chosen.dtype), chosen.steps)
        return 0
    worst, results = 0.0, Results("two_processes")
    with tempfile.TemporaryDirectory() as scratch:
        for dtype in [chosen.dtype] if chosen.dtype else ["float32", "float64"]:
            one, two = (launch(Path(scratch) / f"{dtype}-{n}", dtype, chosen.steps, n) for n in (1, 2))
            largest = max(abs(a - b) / abs(a) for a, b in zip(one, two, strict=True))
            worst = max(worst, largest)
            results.add(dtype=dtype, steps=len(one), largest_relative_difference=largest)
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
