"""What the loop asks of a network: a loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from torch import Tensor, nn

from unrolled.errors import OptionError

__all__ = ["Loss", "loss_of"]

Loss = Callable[[object, object], tuple[Tensor, Tensor, object]]
"""A batch and the state carried into it, as a sum of losses, the number of its terms, and the state to carry on."""


def loss_of(module: nn.Module) -> Loss:
    """The module's `loss`. Raises OptionError where it has none."""
    loss: object = getattr(module, "loss", None)
    if not callable(loss):
        raise OptionError(
            f"fit: expected a module with loss(batch, state) -> (total, count, state), but {type(module).__name__} has "
            "none; write one."
        )
    return cast(Loss, loss)
