"""Random states of torch, numpy and Python: seeded, taken and put back as plain tensors, by one thread at a time.

torch's generator is one for all threads: whoever draws from it by a seed must be alone with it, or two fits in two
threads would each take numbers from the other.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["apart", "kept", "restore", "seed_all", "take"]

_turn = threading.RLock()


def seed_all(seed: int, process: int) -> None:
    """Seed all generators; processes differ, so that dropout masks of their shares of a batch are independent."""
    mixed = int(np.random.SeedSequence([seed, process]).generate_state(1)[0])
    random.seed(mixed)
    np.random.seed(mixed)  # noqa: NPY002, a user's dataset or score may draw from the global generator
    torch.manual_seed(mixed)


def take() -> dict[str, Tensor]:
    """All random states of this process as tensors."""
    version, words, gauss = random.getstate()
    numpy_state: Any = np.random.get_state(legacy=True)  # noqa: NPY002
    _, keys, place, has_gauss, cached = numpy_state
    states = {
        "torch": torch.get_rng_state(),
        "python": torch.tensor([version, *words], dtype=torch.int64),
        "python_gauss": torch.tensor([] if gauss is None else [gauss], dtype=torch.float64),
        "numpy": torch.tensor([*keys.tolist(), place, has_gauss], dtype=torch.int64),
        "numpy_gauss": torch.tensor([cached], dtype=torch.float64),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def restore(states: dict[str, Tensor]) -> None:
    """Put back what `take` took."""
    torch.set_rng_state(states["torch"].clone())
    version, *words = states["python"].tolist()
    gauss = states["python_gauss"].tolist()
    random.setstate((version, tuple(words), gauss[0] if gauss else None))
    *keys, place, has_gauss = states["numpy"].tolist()
    words_of_numpy = np.array(keys, dtype=np.uint32)
    legacy = ("MT19937", words_of_numpy, place, has_gauss, states["numpy_gauss"].item())
    np.random.set_state(legacy)  # noqa: NPY002
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"].clone())


@contextmanager
def kept() -> Iterator[None]:
    """Whatever happens inside, the caller's random states are as before; another thread waits for its turn."""
    with _turn:
        before = take()
        try:
            yield
        finally:
            restore(before)


@contextmanager
def apart() -> Iterator[None]:
    """`kept` for torch's generator on the CPU alone: what draws fresh weights and no more."""
    with _turn, torch.random.fork_rng(devices=[]):
        yield


def _take_turns_anew() -> None:
    """In a forked child: nobody there will give back a turn that another thread of the parent has."""
    global _turn
    _turn = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_take_turns_anew)
