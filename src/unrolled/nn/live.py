"""Weights bound to the compiled kernels for live steps: for a `Stepper`, and behind `layer.step` without gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from unrolled.errors import DtypeError, OptionError, UnrolledError
from unrolled.ops import native
from unrolled.ops.gated import CELLS
from unrolled.state import leaves

__all__ = ["DONE", "NOT_FINITE", "STORED", "TYPES", "WEIGHTS_CHANGED", "WRONG_BUFFER"]
__all__ += ["addresses", "advance", "bind", "flatten"]

STORED = ("float32", "bf16", "int8")
"""How weights may be stored, in the order of the kernels' numbers."""

TYPES = {torch.float32: 0, torch.float64: 1}
DONE, WEIGHTS_CHANGED, WRONG_BUFFER, NOT_FINITE = range(4)
"""What a compiled step answers; nothing has happened unless it is done."""

MOST_ROWS = 16
"""`layer.step` keeps packed weights for so many rows at most: with more, torch's own products pay."""

_PARAMETERS = frozenset(
    ("weight_x", "weight_h", "bias", "bias_h", "peephole", "weight_p", "norm_x", "norm_h", "norm_c")
)


class Zoned(NamedTuple):
    """A cell and its rates of zoneout, one for each leaf of its state."""

    cell: Any
    rates: tuple[float, ...]


def flatten(layer: Any) -> list[Zoned]:
    """The cells of a layer, lowest first. Raises OptionError for a layer that cannot be bound."""
    if type(layer) is _kinds().stack:
        return [zoned for held in layer.layers for zoned in flatten(held)]
    zoned = _zoned(layer)
    if zoned is None:
        inner = layer.cell if type(layer) is _kinds().zoneout else layer
        raise OptionError(
            "Stepper: layer must be an RNN, LSTM or GRU, a Zoneout of one, or a Stack of those, "
            f"got {type(inner).__name__}; step it with layer.step()."
        )
    return [zoned]


def bind(cells: Sequence[Zoned], batch: int, dtype: torch.dtype, stored: str) -> Any:
    """The compiled stepper of some cells on top of one another: their weights packed, its state zero.

    Raises OptionError and DtypeError for weights that it cannot take.
    """
    alive: list[Tensor] = []
    layers, watched = [], []
    for zoned in cells:
        for name, parameter in _named(zoned.cell):
            objection = _objection(name, parameter, dtype, stored)
            if objection is not None:
                raise objection
            watched.append((zoned.cell._parameters, name, parameter, parameter.detach()))
        layers.append(_fields(zoned, batch, dtype, stored, alive))
    return native.compiled().Stepper(layers, watched, native.threads)


def addresses(state: Any) -> list[int]:
    """Where the leaves of a state stand in memory; they must be contiguous."""
    return [leaf.data_ptr() for leaf in leaves(state)]


def advance(cell: Any, x: Tensor, state: Any) -> tuple[Tensor, Any] | None:
    """One step in inference mode by bound weights: y and the next state, or None where that cannot be or does not pay.

    Weights are packed at the first step and whenever they have changed.
    """
    if x.shape[0] > MOST_ROWS or x.dtype not in TYPES or _watched_by_torch() or not native.available():
        return None
    zoned = _zoned(cell)
    if zoned is None or (cell.training and cell is not zoned.cell) or zoned.cell.kernel not in ("auto", "cpp"):
        return None
    if not _dense(x, (x.shape[0], zoned.cell.input_size), x.dtype):
        return None
    widths = (zoned.cell.output_size, getattr(zoned.cell, "hidden_size", 0))
    if not all(_dense(leaf, (x.shape[0], width), x.dtype) for leaf, width in zip(state, widths)):
        return None
    answer = WEIGHTS_CHANGED
    while answer == WEIGHTS_CHANGED:
        bound = _bound(zoned, x.shape[0], x.dtype)
        if bound is None:
            return None
        answer, found = _step(bound, x, state)
        if answer == WEIGHTS_CHANGED:
            # Another thread may have been here first.
            _KEPT.pop(zoned.cell, None)
    return found if answer == DONE else None


_Key = tuple[int, torch.dtype, str | None, tuple[float, ...]]
_KEPT: WeakKeyDictionary[nn.Module, dict[_Key, Any]] = WeakKeyDictionary()
"""By cell and outside of it, so that no copy, file or state_dict of the cell ever holds it; then by rows and dtype."""

MOST_KEPT = 4
"""So many numbers of rows have packed weights of their own; the one longest unused goes first."""


def _bound(zoned: Zoned, rows: int, dtype: torch.dtype) -> Any:
    """The compiled stepper of a cell for so many rows, or None where the weights cannot be bound."""
    key = (rows, dtype, native.level(), zoned.rates)
    kept = _KEPT.setdefault(zoned.cell, {})
    found = kept.pop(key, None)
    if found is None:
        if any(_objection(name, weight, dtype, "float32") is not None for name, weight in _named(zoned.cell)):
            return None
        found = bind([zoned], rows, dtype, "float32")
        for old in list(kept)[: max(0, len(kept) - MOST_KEPT + 1)]:
            del kept[old]
    kept[key] = found
    return found


def _step(bound: Any, x: Tensor, state: Any) -> tuple[int, tuple[Tensor, Any]]:
    after = [torch.empty_like(leaf) for leaf in state]
    outputs = [leaf.data_ptr() for leaf in after]
    # y is h: both addresses may be the same.
    answer = bound.step_from(x.data_ptr(), outputs[0], native.threads(), addresses(state), outputs)
    return answer, (after[0], state._make(after))


def _watched_by_torch() -> bool:
    """Is anything at work that must see torch's own operators: tracing, transforms, forward mode, autocast?"""
    return (
        torch._C._get_tracing_state() is not None
        or torch.is_autocast_enabled("cpu")
        or forward_ad._current_level >= 0
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._functorch.peek_interpreter_stack() is not None
    )


def _dense(tensor: Any, shape: tuple[int, int], dtype: torch.dtype) -> bool:
    """Can the tensor's address be handed over?"""
    if type(tensor) is not Tensor or tensor.dtype is not dtype or tensor.shape != shape or not tensor.is_cpu:
        return False
    return tensor.layout is torch.strided and tensor.is_contiguous() and not tensor.is_neg()


def _zoned(layer: Any) -> Zoned | None:
    """The cell and rates of a layer that is no stack, or None where it cannot be bound."""
    inner, rates = layer, (0.0, 0.0)
    if type(layer) is _kinds().zoneout:
        inner, rates = layer.cell, tuple(layer.rates)
    if type(inner) not in _kinds().words:
        return None
    # Other names are those of torch's own wrappers around a weight, which is then made at every call.
    names = {name for name, parameter in inner._parameters.items() if parameter is not None}
    return Zoned(inner, rates) if {"weight_x", "weight_h"} <= names <= _PARAMETERS else None


def _named(cell: Any) -> list[tuple[str, Tensor]]:
    return [(name, parameter) for name, parameter in cell._parameters.items() if parameter is not None]


class _Kinds(NamedTuple):
    words: Mapping[type, Callable[[Any], str]]
    zoneout: type[Any]
    stack: type[Any]


@cache
def _kinds() -> _Kinds:
    """The classes that can be bound; a cell's word is its name in `CELLS`."""
    # Late, since the cells themselves import this module.
    from unrolled.nn.cells import GRU, LSTM, RNN
    from unrolled.nn.stack import Stack
    from unrolled.nn.zoneout import Zoneout

    words: dict[type, Callable[[Any], str]] = {
        RNN: lambda cell: f"rnn {cell.nonlinearity}",
        LSTM: lambda cell: "lstm coupled" if cell.coupled else "lstm",
        GRU: lambda cell: f"gru {cell.reset}",
    }
    return _Kinds(words, Zoneout, Stack)


def _fields(zoned: Zoned, batch: int, dtype: torch.dtype, stored: str, alive: list[Tensor]) -> dict[str, float]:
    """The fields of one layer by name; what their addresses point at is added to `alive`."""
    cell, rates = zoned
    fields: dict[str, float] = {
        "cell": CELLS.index(_kinds().words[type(cell)](cell)), "type": TYPES[dtype], "stored": STORED.index(stored),
        "threads": native.threads(), "batch": batch, "input": cell.input_size, "output": cell.output_size,
        "hidden": getattr(cell, "hidden_size", cell.output_size), "rate_h": rates[0], "rate_c": rates[-1],
    }  # fmt: skip
    for name, parameter in _named(cell):
        dense = parameter.detach().contiguous()
        alive.append(dense)
        fields[name] = dense.data_ptr()
    return fields


def _objection(name: str, parameter: Tensor, dtype: torch.dtype, stored: str) -> UnrolledError | None:
    """Why a weight cannot be packed."""
    if parameter.device.type != "cpu":
        return OptionError(f"Stepper: layer must be on the CPU, but {name} is on {parameter.device}; move it there.")
    if parameter.dtype not in TYPES or parameter.dtype != dtype:
        return DtypeError(
            f"Stepper: layer must be all float32 or all float64 and stay so, but {name} is {parameter.dtype} "
            f"beside {dtype}; convert the layer and make a new Stepper."
        )
    if parameter.dtype != torch.float32 and stored != "float32":
        return OptionError(
            f"Stepper: weights={stored!r} needs a layer in float32, but {name} is {parameter.dtype}; "
            "call layer.float() or leave weights out."
        )
    if parameter.is_inference():
        return OptionError(
            f"Stepper: {name} was made in torch.inference_mode(), where changes are not counted; "
            "make the layer outside of it."
        )
    if stored == "int8" and not bool(torch.isfinite(parameter).all()):
        return OptionError(f"Stepper: weights='int8' needs finite weights, but {name} holds NaN or infinity.")
    return None
