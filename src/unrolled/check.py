"""The door: what comes into a recurrent layer is checked here, once, and refused in one sentence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from unrolled.errors import DtypeError, LengthsError, NonFiniteError, OptionError, ShapeError, listed, suggest
from unrolled.padding import valid_mask
from unrolled.state import leaves, map_state

__all__ = [
    "check_choice",
    "check_dtype",
    "check_finite",
    "check_heads",
    "check_lengths",
    "check_rate",
    "check_reset_mask",
    "check_sequence",
    "check_size",
    "check_state_dtype",
    "check_step",
    "fitting_state",
    "state_dtype",
    "written_for_onnx",
]

S = TypeVar("S")

HALVES = (torch.float16, torch.bfloat16)


def check_size(owner: str, name: str, value: object) -> int:
    """A width, depth or count: an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise OptionError(f"{owner}: {name} must be an integer of at least 1, got {value!r}.")
    return value


def check_heads(owner: str, width: int, heads: object) -> int:
    """A number of heads that share `width` features equally."""
    heads = check_size(owner, "heads", heads)
    if width % heads:
        raise OptionError(
            f"{owner}: hidden_size must be divisible by heads, got hidden_size={width} and heads={heads}; "
            f"{_fitting(width, heads)} heads would fit."
        )
    return heads


def _fitting(width: int, heads: int) -> int:
    """The number of heads that divides the width and is nearest to the one asked for."""
    return min((n for n in range(1, width + 1) if width % n == 0), key=lambda n: abs(n - heads))


def check_state_dtype(owner: str, dtype: torch.dtype | None) -> torch.dtype | None:
    """The dtype of a state that half precision would spoil: float32 under automatic mixed precision, else as asked."""
    if dtype not in HALVES:
        return dtype
    if any(torch.is_autocast_enabled(kind) for kind in ("cpu", "cuda")):
        return torch.float32
    raise DtypeError(
        f"{owner}: its state must be float32 or float64, got {dtype}; keep the layer in float32 and use automatic "
        "mixed precision for speed (precision='bf16')."
    )


def check_rate(owner: str, name: str, value: object) -> float:
    """A dropout rate: a number in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise OptionError(f"{owner}: {name} must be a probability in [0, 1), got {value!r}.")
    return float(value)


def check_choice(owner: str, name: str, value: object, choices: Iterable[str]) -> str:
    """One of a few words."""
    words = list(choices)
    if value not in words:
        raise OptionError(f"{owner}: {name} must be one of {listed(words)}, got {value!r}.{suggest(value, words)}")
    return str(value)


def state_dtype(x: Tensor, weight: Tensor | None) -> torch.dtype:
    """What a state beside x is kept in: the dtype of x, but where automatic mixed precision halved x, the weights'."""
    if x.dtype not in HALVES or not torch.is_autocast_enabled(x.device.type):
        return x.dtype
    return torch.float32 if weight is None else weight.dtype


def check_dtype(owner: str, x: Tensor, weight: Tensor | None) -> None:
    """x must have the dtype and device of the layer's weights, unless automatic mixed precision converts it."""
    if weight is None:
        return
    if x.dtype != weight.dtype and not (torch.is_autocast_enabled(x.device.type) and _cast_alike(x, weight)):
        raise DtypeError(
            f"{owner}: x must be {weight.dtype} like the layer's weights, got {x.dtype}; convert one of them."
        )
    if x.device != weight.device:
        raise DtypeError(
            f"{owner}: x must be on {weight.device} like the layer's weights, got {x.device}; move one with .to()."
        )


def _cast_alike(x: Tensor, weight: Tensor) -> bool:
    """Does automatic mixed precision convert both? It leaves float64 as it is."""
    return torch.float64 not in (x.dtype, weight.dtype)


def check_sequence(owner: str, x: object, input_size: int) -> None:
    """x must be a floating tensor (batch, time, input_size) with at least one row and one step."""
    x = _checked_floating(owner, x)
    if x.ndim != 3 or x.shape[2] != input_size:
        raise ShapeError(f"{owner}: x must be (batch, time, {input_size}), got {tuple(x.shape)}.{_hint(x, input_size)}")
    if x.shape[1] == 0:
        raise ShapeError(
            f"{owner}: x must hold at least one time step, got {tuple(x.shape)}; leave the call out for T = 0."
        )
    if x.shape[0] == 0:
        raise ShapeError(f"{owner}: x must hold at least one row, got {tuple(x.shape)}.")


def check_step(owner: str, x: object, input_size: int) -> None:
    """x of a single step must be a floating tensor (batch, input_size)."""
    x = _checked_floating(owner, x)
    if x.ndim != 2 or x.shape[1] != input_size:
        raise ShapeError(f"{owner}: one step's x must be (batch, {input_size}), got {tuple(x.shape)}.")
    if x.shape[0] == 0:
        raise ShapeError(f"{owner}: one step's x must hold at least one row, got {tuple(x.shape)}.")


def check_lengths(owner: str, lengths: Tensor | Sequence[int] | None, x: Tensor) -> Tensor | None:
    """`lengths` as an int64 tensor (batch,) on the device of x; None stays None (all rows full)."""
    if lengths is None:
        return None
    counts = lengths if isinstance(lengths, Tensor) else _as_counts(owner, lengths)
    if counts.dtype.is_floating_point or counts.dtype.is_complex or counts.dtype == torch.bool:
        raise LengthsError(f"{owner}: lengths must be integers, got {counts.dtype}.")
    if counts.ndim != 1 or counts.shape[0] != x.shape[0]:
        raise LengthsError(f"{owner}: lengths must be one integer a row, ({x.shape[0]},), got {tuple(counts.shape)}.")
    # A copy: what the caller does to them later must not reach the backward pass.
    counts = counts.to(torch.long) if counts.dtype != torch.long else counts.clone()
    if not _traced():
        low, high = int(counts.min()), int(counts.max())
        if low < 0 or high > x.shape[1]:
            bad = low if low < 0 else high
            row = int((counts == bad).nonzero()[0])
            raise LengthsError(
                f"{owner}: lengths must lie in 0..{x.shape[1]} (the time steps of x), got {bad} in row {row}."
            )
    return counts.to(x.device)


def check_reset_mask(owner: str, reset: Tensor | None, x: Tensor, lengths: Tensor | None) -> Tensor | None:
    """`reset` as a bool tensor (batch, time) on the device of x, False in the padding; None stays None."""
    if reset is None:
        return None
    if not isinstance(reset, Tensor) or reset.dtype != torch.bool:
        raise DtypeError(f"{owner}: reset must be a bool tensor, got {_kind(reset)}.")
    if reset.shape != x.shape[:2]:
        raise ShapeError(f"{owner}: reset must be (batch, time) = {tuple(x.shape[:2])}, got {tuple(reset.shape)}.")
    reset = reset.to(x.device)
    return reset if lengths is None else reset & valid_mask(lengths, x.shape[1])


def fitting_state(owner: str, state: S, expected: S, x: Tensor) -> S:
    """The state in the dtypes of `expected`, whose structure and shapes it must have (not its device), beside x.

    A number with a fraction may come in any precision; a whole number is no state.
    """
    _check_structure(owner, state, expected)
    alike = True
    for leaf, want in zip(leaves(state), leaves(expected), strict=True):
        if leaf.shape != want.shape:
            raise ShapeError(
                f"{owner}: a state leaf must be {tuple(want.shape)}, got {tuple(leaf.shape)}; "
                "pass the state of the same layer with one row for each row of x."
            )
        if leaf.dtype != want.dtype:
            if not (leaf.dtype.is_floating_point and want.dtype.is_floating_point):
                raise DtypeError(
                    f"{owner}: a state leaf must be {want.dtype}, got {leaf.dtype}; convert it with .to()."
                )
            alike = False
        if leaf.device != x.device:
            raise DtypeError(f"{owner}: a state leaf must be on {x.device} like x, got {leaf.device}.")
    return state if alike else map_state(_converted, state, expected)


def _converted(leaf: Tensor, want: Tensor) -> Tensor:
    return leaf.to(want.dtype)


def check_finite(owner: str, x: Tensor) -> None:
    """Every value of x must be finite. Padding has been set to zero before; skipped on accelerators and in tracing."""
    # One sum is finite only if every value is, and far cheaper than a look at each; where it overflows, each is seen.
    if x.device.type != "cpu" or _traced() or math.isfinite(x.detach().sum()):
        return
    if bool(torch.isfinite(x.detach()).all()):
        return
    where = (~torch.isfinite(x.detach())).nonzero()[0].tolist()
    place = (
        f"row {where[0]}, step {where[1]}, feature {where[2]}" if x.ndim == 3 else f"row {where[0]}, feature {where[1]}"
    )
    raise NonFiniteError(
        f"{owner}: x must be finite, got {x[tuple(where)].item()} at {place}; "
        "mask missing values (for instance zero and a flag feature) before the layer."
    )


def _as_counts(owner: str, lengths: Sequence[int]) -> Tensor:
    try:
        return torch.as_tensor(lengths)
    except (TypeError, ValueError, RuntimeError) as error:
        raise LengthsError(f"{owner}: lengths must be integers, one a row, got {lengths!r}.") from error


def _checked_floating(owner: str, x: object) -> Tensor:
    if not isinstance(x, Tensor):
        raise DtypeError(f"{owner}: x must be a torch tensor, got {_kind(x)}; wrap it in torch.as_tensor().")
    if not x.dtype.is_floating_point:
        raise DtypeError(f"{owner}: x must be a floating tensor, got {x.dtype}; embed categories or call .float().")
    return x


def _check_structure(owner: str, state: object, expected: object) -> None:
    same = type(state) is type(expected) or (isinstance(state, Tensor) and isinstance(expected, Tensor))
    if same and isinstance(expected, tuple):
        same = len(cast("tuple[object, ...]", state)) == len(expected)
    if not same:
        raise ShapeError(
            f"{owner}: state must be a {type(expected).__name__} as initial_state() gives it, got {_kind(state)}."
        )
    if isinstance(expected, tuple):
        for part, want in zip(cast("tuple[object, ...]", state), expected, strict=True):
            _check_structure(owner, part, want)


def _hint(x: Tensor, input_size: int) -> str:
    if x.ndim == 2 and x.shape[1] == input_size:
        return " For one time step call step(); for one sequence add the batch dimension with x[None]."
    return ""


def _kind(value: object) -> str:
    return f"a tensor of {value.dtype}" if isinstance(value, Tensor) else type(value).__name__


def written_for_onnx() -> bool:
    """Does torch.onnx.export trace what is called? The first question is answered sooner than the second."""
    jit: Any = torch.jit
    return bool(jit.is_tracing()) and torch.onnx.is_in_onnx_export()


def _traced() -> bool:
    """Is a graph made, or a function of torch.func at work? Then values cannot be looked at."""
    functorch: Any = torch._C._functorch
    return (
        torch.compiler.is_compiling()
        or functorch.peek_interpreter_stack() is not None
        or torch._C._get_tracing_state() is not None
    )
