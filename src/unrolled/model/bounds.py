"""A network that a file describes is not made larger than the weights that the file holds."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from unrolled.errors import ModelFileError

__all__ = ["bounded_by"]

# A network may hold more than its weights: what is made and dropped again, and modules without any.
TIMES, FREE, MODULES = 2, 1 << 16, 1000


@contextmanager
def bounded_by(weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Raises `ModelFileError` once the modules made inside hold far more numbers, or parts, than these weights.

    A parameter is seen before its first values are drawn, so memory that it claims is never touched.
    """
    there = sum(tensor.numel() for tensor in weights.values())
    most = FREE + TIMES * there
    parts = MODULES + 20 * len(weights)
    thread, held, made = threading.get_ident(), 0, 0

    def count(module: nn.Module, name: str, value: Tensor | nn.Module | None) -> None:
        nonlocal held, made
        if threading.get_ident() != thread:
            return
        made += 1
        held += value.numel() if isinstance(value, Tensor) else 0
        if held > most or made > parts:
            raise ModelFileError(
                f"its options ask for a network of more than {held:,} numbers in {made:,} parts, and it holds "
                f"{there:,} weights in {len(weights):,}; fetch a whole copy"
            )

    hooks = [
        register(count)
        for register in (
            register_module_parameter_registration_hook,
            register_module_buffer_registration_hook,
            register_module_module_registration_hook,
        )
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
