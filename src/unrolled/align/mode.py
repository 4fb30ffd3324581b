"""Prediction mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import nn

from unrolled.errors import NonFiniteError

__all__ = ["evaluating", "require_finite"]


def require_finite(module: nn.Module) -> None:
    """Raises `NonFiniteError` where a weight is NaN or infinite."""
    for name, weight in module.named_parameters():
        # A finite sum says that all are; one that is not may have overflowed.
        if not weight.detach().sum().isfinite() and not weight.detach().isfinite().all():
            raise NonFiniteError(
                f"The network cannot answer: its weights {name!r} hold NaN or infinite values; fit it anew, or load a "
                "copy that is whole."
            )


# Within a prediction the weights have been looked at.
_inside: ContextVar[bool] = ContextVar("_inside", default=False)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """No gradients, dropout off; the mode of every part is restored afterwards, also after an error.

    Raises:
        NonFiniteError: a weight is NaN or infinite, so that answers would be made up.
    """
    if not _inside.get():
        require_finite(module)
    token = _inside.set(True)
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        _inside.reset(token)
        for part, training in modes:
            part.training = training
