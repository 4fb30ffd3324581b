"""Steps that whoever stands in for tensors may take as a whole, by torch's own protocol for functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

__all__ = ["whole_step"]

P = ParamSpec("P")
R = TypeVar("R")


def whole_step(equations: Callable[P, R]) -> Callable[P, R]:
    """A function of tensors, or of operands that begin with one, that other classes of tensors are asked about first.

    `equations` of what it returns is the function itself.
    """

    @wraps(equations)
    def asked(*args: P.args, **kwargs: P.kwargs) -> R:
        given = args[0]
        first = given[0] if isinstance(given, tuple) else given
        if type(first) is Tensor or not has_torch_function_unary(first):
            return equations(*args, **kwargs)
        found: R = handle_torch_function(asked, (first,), *args, **kwargs)
        return found

    asked.equations = equations  # type: ignore[attr-defined]
    return asked
