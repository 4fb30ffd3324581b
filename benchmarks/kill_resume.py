"""Kill a training run with SIGKILL at random moments, resume it, and compare its weights bit for bit.

    python benchmarks/kill_resume.py --kills 10

Each of the runs is killed once somewhere between its first and its last moment, then resumed to the end. The model has
dropout, truncated BPTT with carried state, early stopping and a schedule, so that every part of a checkpoint matters.
Runs are forked from this process, so that starting Python again is no part of the time in which the kill may fall.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch._dynamo  # the first optimiser step would import it in every fork
from common import Results
from torch import Tensor

from unrolled import nn
from unrolled.train import TrainOptions
from unrolled.train.loop import fit


class Series(NamedTuple):
    """x (B, T, 4) and the target (B, T, 1)."""

    x: Tensor
    target: Tensor


class Data:
    """Random walks; the target is their running mean."""

    carries_state = False

    def __init__(self, items: int, seed: int) -> None:
        self.lengths = np.full(items, 24)
        self.x = torch.from_numpy(np.random.default_rng(seed).standard_normal((items, 24, 4))).float()
        self.target = self.x.cumsum(1).mean(2, keepdim=True) / 4

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, rows: Any) -> Series:
        """The series of these rows."""
        index = torch.from_numpy(rows)
        return Series(self.x[index], self.target[index])

    def chunks(self, batch: Series, steps: int) -> list[Series]:
        """Pieces of at most `steps` time steps."""
        return [Series(*parts) for parts in zip(*(leaf.split(steps, 1) for leaf in batch), strict=True)]


class Model(torch.nn.Module):
    """Two LSTM layers with dropout between them, and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layers = nn.Stack([nn.LSTM(4, 16), nn.LSTM(16, 16)], dropout=0.2)
        self.head = torch.nn.Linear(16, 1)

    def loss(self, batch: Series, state: Any) -> tuple[Tensor, Tensor, Any]:
        """Squared error: sum, number of terms, state."""
        y, state = self.layers(batch.x, state)
        error = self.head(y) - batch.target
        return error.square().sum(), torch.tensor(error.numel()), state


def train(folder: Path, steps: int) -> None:
    """One run into `folder`, new or resumed; its final weights go to a digest at the end."""
    torch.set_num_threads(1)
    options = TrainOptions(
        epochs=None, max_steps=steps, batch_size=16, bptt=8, schedule="cosine", warmup=10, learning_rate=5e-3,
        evaluate_every_steps=20, checkpoint_every_steps=7,
    )  # fmt: skip
    model = Model()
    fit(model, Data(100, seed=1), options, valid=Data(20, seed=2), run=folder, resume=True)
    digest = hashlib.sha256(b"".join(t.numpy().tobytes() for t in model.state_dict().values())).hexdigest()
    (folder / "weights.sha256").write_text(digest)


def forked(folder: Path, steps: int) -> int:
    """Start `train` in a fork; returns its process number."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        train(folder, steps)
        status = 0
    finally:
        if status:
            traceback.print_exc()
        os._exit(status)


def main() -> int:
    """Compare killed and resumed runs with one that was left alone; exit code 1 if any differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10, help="number of runs, each killed once")
    parser.add_argument("--steps", type=int, default=200, help="optimiser steps of a run")
    parser.add_argument("--seed", type=int, default=None, help="of the moments of the kills; default: from the clock")
    parser.add_argument("--dry", action="store_true", help="write no result file, as in the tests")
    chosen = parser.parse_args()
    moments, same, results = random.Random(chosen.seed), 0, Results("kill_resume")
    with tempfile.TemporaryDirectory() as scratch:
        began = time.monotonic()
        reference = Path(scratch) / "reference"
        if os.waitstatus_to_exitcode(os.waitpid(forked(reference, chosen.steps), 0)[1]):
            return 1
        duration = time.monotonic() - began
        expected = (reference / "weights.sha256").read_text()
        for run in range(chosen.kills):
            result = _killed_once(Path(scratch) / f"run-{run}", chosen.steps, moments.uniform(0, duration))
            result["same"] = result.pop("digest") == expected
            same += result["same"]
            if not chosen.dry:
                results.add(run=run, **result)
    print(f"{same} of {chosen.kills} killed and resumed runs have the weights of the uninterrupted one, bit for bit")
    return int(same != chosen.kills)


def _killed_once(folder: Path, steps: int, moment: float) -> dict[str, Any]:
    child = forked(folder, steps)
    time.sleep(moment)
    os.kill(child, signal.SIGKILL)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    metrics = folder / "metrics.jsonl"
    reached = metrics.read_text().count('"event": "step"') if metrics.exists() else 0
    os.waitpid(forked(folder, steps), 0)
    digest = folder / "weights.sha256"
    found = digest.read_text() if digest.exists() else "none"
    return {"killed_after_seconds": round(moment, 3), "steps_done": reached, "killed": ended < 0, "digest": found}


if __name__ == "__main__":
    sys.exit(main())
