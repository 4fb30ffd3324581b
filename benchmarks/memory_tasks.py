"""The tasks of memory.py: what is read, what must be remembered, and what a score is worth.

Every task draws its sequences from a seed, new ones for every step of training; digits alone has a fixed set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["TASKS", "Batch", "Task"]

SYMBOLS, RECALLED = 8, 10
PAIRS = 16
CLASSES = 10


class Batch(NamedTuple):
    """x: (B, T) int64 codes or (B, T, F) numbers. target: (B, T) codes or numbers. asked: (B, T) bool, what counts."""

    x: Tensor
    target: Tensor
    asked: Tensor


@dataclass(frozen=True)
class Task:
    """One task at growing lengths.

    lengths: what grows, in the unit `grows`. codes: how many codes are read; 0: `features` numbers a step. outputs:
    classes to tell apart; 1: one number. draw: sequences of a length, from a generator, of a part ("train", "valid",
    "test"); those of a fixed set, where rows is None, are all of the part. chance: the score of the best answer that
    reads nothing (accuracy, or the mean squared error of the mean). solved: the skill from which on it is solved.
    """

    name: str
    title: str
    grows: str
    lengths: tuple[int, ...]
    codes: int
    features: int
    outputs: int
    chance: float
    draw: Callable[[np.random.Generator, int, int | None, str], Batch]
    tells: str
    baseline: Callable[[], float] | None = None
    longer: int = 1

    @property
    def fixed(self) -> bool:
        """Whether the sequences are those of a set, of which all are tested."""
        return self.baseline is not None

    @property
    def metric(self) -> str:
        """Accuracy of the answers, or their mean squared error."""
        return "MSE" if self.outputs == 1 else "accuracy"

    def skill(self, score: float) -> float:
        """0 for an answer that reads nothing, 1 for no mistake."""
        if self.outputs == 1:
            return 1 - score / self.chance
        return (score - self.chance) / (1 - self.chance)


def copying(draw: np.random.Generator, gap: int, rows: int | None, part: str) -> Batch:
    """Ten symbols of eight, a gap of blanks, then a mark for each symbol that is to be said again."""
    rows = rows or 0
    symbols = torch.from_numpy(draw.integers(0, SYMBOLS, (rows, RECALLED)))
    blank, mark = SYMBOLS, SYMBOLS + 1
    gaps = torch.full((rows, gap), blank)
    x = torch.cat([symbols, gaps, torch.full((rows, RECALLED), mark)], 1)
    target, asked = torch.zeros_like(x), torch.zeros(x.shape, dtype=torch.bool)
    target[:, -RECALLED:], asked[:, -RECALLED:] = symbols, True
    return Batch(x, target, asked)


def adding(draw: np.random.Generator, length: int, rows: int | None, part: str) -> Batch:
    """Numbers in [0, 1), of which one in each half is marked; their sum, at the end."""
    rows = rows or 0
    numbers = draw.random((rows, length), dtype=np.float32)
    marks = np.zeros_like(numbers)
    half = length // 2
    every = np.arange(rows)
    marks[every, draw.integers(0, half, rows)] = 1
    marks[every, draw.integers(half, length, rows)] = 1
    x = torch.from_numpy(np.stack([numbers, marks], -1))
    target, asked = torch.zeros(rows, length), torch.zeros(rows, length, dtype=torch.bool)
    target[:, -1], asked[:, -1] = (x[..., 0] * x[..., 1]).sum(1), True
    return Batch(x, target, asked)


def parity(draw: np.random.Generator, length: int, rows: int | None, part: str) -> Batch:
    """Bits, and at every step whether the ones so far are odd: all steps are taught, the second half is scored."""
    bits = torch.from_numpy(draw.integers(0, 2, (rows or 0, length)))
    asked = torch.ones(bits.shape, dtype=torch.bool)
    if part != "train":
        asked[:, : length // 2] = False
    return Batch(bits, bits.cumsum(1) % 2, asked)


def recall(draw: np.random.Generator, pairs: int, rows: int | None, part: str) -> Batch:
    """Keys each followed by its value; then, among blanks, every key once more, to which its value is the answer."""
    rows = rows or 0
    blank = 2 * PAIRS
    length = 2 * pairs
    keys = np.argsort(draw.random((rows, PAIRS)), 1)[:, :pairs]
    values = draw.integers(0, PAIRS, (rows, pairs))
    shown = np.stack([keys, PAIRS + values], -1).reshape(rows, length)
    asked_at = np.argsort(draw.random((rows, length)), 1)[:, :pairs]
    later, target = np.full((rows, length), blank), np.zeros((rows, length), np.int64)
    asked = np.zeros((rows, length), bool)
    np.put_along_axis(later, asked_at, keys, 1)
    np.put_along_axis(target, asked_at, values, 1)
    np.put_along_axis(asked, asked_at, True, 1)
    nothing = np.zeros((rows, length), np.int64)
    parts = (np.concatenate(pair, 1) for pair in ((shown, later), (nothing, target), (nothing.astype(bool), asked)))
    return Batch(*map(torch.from_numpy, parts))


@cache
def digit_parts() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pixels in [0, 1] and classes: the second half to test, the last fifth of the first half to choose by."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels, labels = (digits.data / 16).astype(np.float32), digits.target.astype(np.int64)
    half = len(labels) // 2
    cut = half * 4 // 5
    return {
        "train": (pixels[:cut], labels[:cut]),
        "valid": (pixels[cut:half], labels[cut:half]),
        "test": (pixels[half:], labels[half:]),
    }


def digits(draw: np.random.Generator, length: int, rows: int | None, part: str) -> Batch:
    """64 pixels in reading order, four at a step for 16 steps, else one at a step and blank steps after them."""
    pixels, labels = digit_parts()[part]
    if rows is not None:
        some = draw.integers(0, len(labels), rows)
        pixels, labels = pixels[some], labels[some]
    steps = np.zeros((len(labels), length, 4), np.float32)
    if length == 16:
        steps[:] = pixels.reshape(-1, 16, 4)
    else:
        steps[:, :64, 0] = pixels
    target = torch.zeros(len(labels), length, dtype=torch.int64)
    asked = torch.zeros(len(labels), length, dtype=torch.bool)
    target[:, -1], asked[:, -1] = torch.from_numpy(labels), True
    return Batch(torch.from_numpy(steps), target, asked)


@cache
def digits_baseline() -> float:
    """Accuracy of logistic regression on the same pixels, taught on the train and valid parts."""
    from sklearn.linear_model import LogisticRegression

    parts = digit_parts()
    pixels, labels = (np.concatenate([parts["train"][i], parts["valid"][i]]) for i in (0, 1))
    model = LogisticRegression(max_iter=2000).fit(pixels, labels)
    return float(model.score(*parts["test"]))


TASKS = {
    task.name: task
    for task in (
        Task("copying", "Copying", "blank steps", (10, 30, 90), SYMBOLS + 2, 0, SYMBOLS, 1 / SYMBOLS, copying,
             "ten symbols through a gap, in order"),
        Task("adding", "Adding", "steps", (25, 75, 225), 0, 2, 1, 1 / 6, adding,
             "two marked numbers among many, as numbers"),
        Task("parity", "Parity", "bits", (16, 40, 100), 2, 0, 2, 1 / 2, parity,
             "a state that every 1 turns over", longer=4),
        Task("recall", "Associative recall", "pairs", (4, 8, 16), 2 * PAIRS + 1, 0, PAIRS, 1 / PAIRS, recall,
             "which value belongs to which key"),
        Task("digits", "Digits by pixels", "steps", (16, 64, 256), 0, 4, CLASSES, 1 / CLASSES, digits,
             "a picture seen pixel by pixel", baseline=digits_baseline),
    )
}  # fmt: skip
