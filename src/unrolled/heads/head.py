"""What is predicted at a place: the contract."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from unrolled.padding import valid_mask

__all__ = ["Head", "marked"]


class Head(nn.Module, ABC):
    """What is predicted from a vector y (..., input_size) at each place, knowing nothing of when it is predicted.

    Places are the rows of a batch (batch, input_size), or the steps of rows (batch, time, input_size) with the lengths
    (batch,) of those; lengths None: all steps are there. What stands in the padding reaches nothing. Values have the
    shape of the places, or one more dimension where a place holds several.

    `unrolled.testing.check_head` proves that a head keeps this contract; `Pool` and `Each` take any that does.

    input_size: features of y.
    """

    input_size: int

    @abstractmethod
    def loss(self, y: Tensor, target: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(sum of the losses of the known targets, how many they are), the sum with its gradient.

        A target that is not known is -1 where values are codes, NaN where they are numbers.
        """

    @abstractmethod
    def best(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The value to name when only one may be named; -1 or NaN in the padding."""

    @abstractmethod
    def draw(self, y: Tensor, generator: torch.Generator | None = None, lengths: Tensor | None = None) -> Tensor:
        """A value drawn at each place; -1 or NaN in the padding. generator: None for torch's own.

        Raises `OptionError` where the head describes no distribution.
        """

    @abstractmethod
    def log_prob(self, y: Tensor, value: Tensor, lengths: Tensor | None = None) -> Tensor:
        """log p, or log density, of the values: of each place, or of each row where its places hang together.

        0 where a value is not known. Raises `OptionError` where the head describes no distribution.
        """


def marked(values: Tensor, lengths: Tensor | None, mark: float) -> Tensor:
    """values (batch, time, ...) with `mark` in the padding; as they are where every step is there."""
    if lengths is None:
        return values
    valid = valid_mask(lengths, values.shape[1])
    return torch.where(valid.view(*valid.shape, *[1] * (values.ndim - 2)), values, mark)
