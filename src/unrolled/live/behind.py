"""Bound weights behind `layer.step` in inference mode: packed at the first step, and whenever they have changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from unrolled.errors import OptionError
from unrolled.live.binding import TYPES, objections, programs, refusal, watched
from unrolled.live.program import Fields
from unrolled.nn.recurrent import Recurrent
from unrolled.ops import native
from unrolled.ops.native.calls import dense
from unrolled.state import leaves, map_state

__all__ = ["MOST_KEPT", "MOST_ROWS", "advance"]

S = TypeVar("S")

MOST_ROWS = 16
"""Packed weights are kept for so many rows at most: with more, torch's own products pay."""

MOST_KEPT = 4
"""So many numbers of rows have packed weights of their own; the oldest goes first."""


class _Bound(NamedTuple):
    """The compiled stepper of a layer for some number of rows, and the mode in which its step was recorded."""

    step_from: Callable[[object, object], object]
    rows: int
    dtype: torch.dtype
    training: bool


_KEPT: WeakKeyDictionary[nn.Module, tuple[_Bound, ...]] = WeakKeyDictionary()
"""By layer and outside of it, so that no copy, file or state_dict of it ever holds it."""

_NEVER: WeakKeyDictionary[nn.Module, set[bool]] = WeakKeyDictionary()
"""Layers whose step has no program, by the mode they were in."""


def advance(layer: Recurrent[S], x: object, state: object) -> tuple[Tensor, S] | None:
    """One step of a layer by bound weights, or None: in inference mode only, and where it can be and pays.

    x and state may be anything; what `layer.step` refuses gives None.
    """
    if not torch.is_inference_mode_enabled() or torch.compiler.is_compiling() or _watched_by_torch():
        return None
    if not _may_be_compiled(layer):
        return None
    training = layer.training
    for bound in _KEPT.get(layer, ()):
        if bound.training == training:
            after = bound.step_from(x, state)
            if after:
                return cast(tuple[Tensor, S], after)
            if after is False:
                # Another thread may have been here first.
                _KEPT.pop(layer, None)
                break
    if training in _NEVER.get(layer, ()):
        return None
    # Before weights are looked at: most of what no kept program takes is a slice of a longer x.
    in_order = _dense(x)
    if in_order is not None:
        return advance(layer, in_order, state)
    in_order = _dense(state)
    if in_order is not None:
        return advance(layer, x, in_order)
    fresh = _bound(layer, x, state)
    return None if fresh is None else cast(tuple[Tensor, S] | None, fresh.step_from(x, state) or None)


def _may_be_compiled(module: nn.Module) -> bool:
    """False where the module names another kernel than a compiled one."""
    kernel = vars(module).get("kernel", "auto")
    return kernel in ("auto", "cpp") or not isinstance(kernel, str)


def _bound(layer: Recurrent[S], x: object, state: object) -> _Bound | None:
    """The weights of a layer bound for such an x, and kept; None where they cannot be or are already."""
    if type(x) is not Tensor or x.ndim != 2 or not 0 < x.shape[0] <= MOST_ROWS or x.dtype not in TYPES:
        return None
    if not native.available():
        return None
    training = layer.training
    rows, kept = x.shape[0], _KEPT.get(layer, ())
    if any((one.rows, one.dtype, one.training) == (rows, x.dtype, training) for one in kept):
        return None
    if x.shape[1] != layer.input_size or next(objections(layer, x.dtype, "float32"), None) is not None:
        return None
    fields: Fields | None = None
    alive: list[Tensor] = []
    like = layer.initial_state(rows, device="meta", dtype=x.dtype)
    if type(state) is not type(like):
        return None
    try:
        if _compiles(layer):
            (program,) = programs(layer, rows, x.dtype, evaluate=False)
            fields = program.fields(rows, 0, alive)
    except OptionError:
        # What cannot be recorded, and weights of shapes that do not fit together, is left to torch's own words.
        pass
    if fields is None:
        _NEVER.setdefault(layer, set()).add(training)
        return None
    compiled = native.compiled().Stepper([fields], watched(layer, training=True), native.threads)
    compiled.shape_state(like)
    fresh = _Bound(compiled.step_from, rows, x.dtype, training)
    _KEPT[layer] = (*kept[max(0, len(kept) - MOST_KEPT + 1) :], fresh)
    return fresh


def _compiles(layer: Recurrent[S]) -> bool:
    """Is nothing in the layer that torch alone may run?"""
    return refusal(layer) is None and all(map(_may_be_compiled, layer.modules()))


def _watched_by_torch() -> bool:
    """Is anything at work that must see torch's own operators: tracing, transforms, forward mode, autocast?"""
    return (
        torch._C._get_tracing_state() is not None
        or torch.is_autocast_enabled("cpu")
        or forward_ad._current_level >= 0
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._functorch.peek_interpreter_stack() is not None
    )


def _dense(given: object) -> object | None:
    """x or a state in the layout that compiled code reads; None where it is in it, or holds no plain tensors."""
    if not _plain(given) or all(leaf.is_contiguous() and not leaf.is_neg() for leaf in leaves(given)):
        return None
    return map_state(dense, given)


def _plain(given: object) -> bool:
    if type(given) is Tensor:
        return given.layout is torch.strided and given.device.type == "cpu"
    return given is None or (isinstance(given, tuple) and all(map(_plain, given)))
