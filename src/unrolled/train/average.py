"""Averaged weights beside those in training: what is scored, kept as the best, and left in the module at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from unrolled.train.options import TrainOptions

__all__ = ["Average", "averaging_begins"]


class Average:
    """The average of a module's trainable weights; buffers and frozen weights are as in the module.

        ema     average <- d average + (1 - d) weights,   d = min(average_decay, (1 + n) / (10 + n)) after step n
        asgd    the mean of the weights after each step since averaging began, the step where it began included

    The exponential average begins with the weights that the module has at first. weights: by name; empty as long as
    there is no average. count: steps in it.
    """

    def __init__(self, module: nn.Module, options: TrainOptions, wide: torch.dtype) -> None:
        self._kind, self._decay, self._after = options.average, options.average_decay, options.average_after
        self._trained = {} if self._kind == "none" else _trained(module)
        # A step changes a mean over n steps by 1/n: in float32 that is lost to rounding long before a million steps.
        self._wide = wide if self._kind == "asgd" else None
        self.weights: dict[str, Tensor] = {}
        self.count = 0
        if self._kind == "ema":
            self.weights = self.copies()

    def update(self) -> None:
        """Take in the weights after an optimiser step."""
        if not self.weights:
            if self._kind == "asgd" and self._after is None:
                self._begin()
            return
        self.count += 1
        n = self.count
        share = 1 / n if self._kind == "asgd" else 1 - min(self._decay, (1 + n) / (10 + n))
        with torch.no_grad():
            for name, average in self.weights.items():
                average.lerp_(self._trained[name].detach().to(average.dtype), share)

    def watch(self, scores: Sequence[float]) -> bool:
        """Begin to average ("asgd") if the scores so far, the last one included, call for it; True if it begins."""
        if self._kind != "asgd" or self.weights or self._after is None or not averaging_begins(scores, self._after):
            return False
        self._begin()
        return True

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, the module has the averaged weights; afterwards its own again, bit for bit."""
        own = {name: self._trained[name].detach().clone() for name in self.weights}
        self.settle()
        try:
            yield
        finally:
            self._put(own)

    def settle(self) -> None:
        """Put the averaged weights, if there are any, into the module."""
        self._put(self.weights)

    def copies(self) -> dict[str, Tensor]:
        """Copies of the trained weights in the dtype of their average."""
        return {name: p.detach().to(self._wide or p.dtype, copy=True) for name, p in self._trained.items()}

    def restore(self, weights: dict[str, Tensor] | None, count: int) -> None:
        """Go on from an average that stood in a checkpoint."""
        self.weights, self.count = weights or {}, count

    def _begin(self) -> None:
        self.weights, self.count = self.copies(), 1

    def _put(self, weights: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, tensor in weights.items():
                self._trained[name].copy_(tensor)


def averaging_begins(scores: Sequence[float], after: int) -> bool:
    """Whether the last score is worse than the best of those more than `after` evaluations before it.

    Source: Merity et al. 2017, arXiv:1708.02182, algorithm 1 (its non-monotone interval n is `after`).
    """
    earlier = scores[: max(0, len(scores) - 1 - after)]
    return bool(earlier) and scores[-1] > min(earlier)


def _trained(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in module.named_parameters() if p.requires_grad}
