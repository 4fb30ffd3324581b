"""Weights bound to the compiled kernels for live steps: for a `Stepper`, and behind `layer.step` in inference mode."""

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
__all__ += ["Binding", "addresses", "advance", "bind", "flatten"]

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


class Binding(NamedTuple):
    """What the compiled stepper packs: the layers' fields, and the parameters whose changes it must see."""

    layers: list[dict[str, float]]
    watched: list[tuple[Any, str, Tensor, Tensor]]
    alive: list[Tensor]
    """What the addresses in the fields point at; packing is done with it."""


def bind(cells: Sequence[Zoned], batch: int, dtype: torch.dtype, stored: str) -> Binding:
    """Some cells on top of one another, for the compiled stepper.

    Raises OptionError and DtypeError for weights that it cannot take.
    """
    found = Binding([], [], [])
    for zoned in cells:
        for name, parameter in _named(zoned.cell):
            objection = _objection(name, parameter, dtype, stored)
            if objection is not None:
                raise objection
            found.watched.append((zoned.cell._parameters, name, parameter, parameter.detach()))
        found.layers.append(_fields(zoned, batch, dtype, stored, found.alive))
    return found


def addresses(state: Any) -> list[int]:
    """Where the leaves of a state stand in memory; they must be contiguous."""
    return [leaf.data_ptr() for leaf in leaves(state)]


def advance(layer: Any, x: Any, state: Any) -> tuple[Tensor, Any] | None:
    """One step of a cell or Zoneout by bound weights, or None: in inference mode only, and where it can be and pays.

    x and state may be anything; what `layer.step` refuses gives None. Weights are packed at the first step and whenever
    they have changed.
    """
    if not torch.is_inference_mode_enabled() or torch.compiler.is_compiling() or _watched_by_torch():
        return None
    kinds = _kinds()
    cell, rates = layer, _NO_RATES
    if type(layer) is kinds.zoneout:
        cell, rates = layer.cell, tuple(layer.rates)
        if layer.training:
            return None
    if type(cell) not in kinds.words or cell.kernel not in ("auto", "cpp"):
        return None
    for bound in _KEPT.get(cell, ()):
        if type(state) is bound.state and bound.rates == rates:
            after = bound.step_from(x, state)
            if after:
                return after[0], bound.make(after)
            if after is False:
                # Another thread may have been here first.
                _KEPT.pop(cell, None)
                break
    fresh = _bound(layer, x, state)
    if fresh is None:
        return None
    after = fresh.step_from(x, state)
    return (after[0], fresh.make(after)) if after else None


_NO_RATES = (0.0, 0.0)


class _Bound(NamedTuple):
    """The compiled stepper of a cell for some number of rows, and what else must be as it was."""

    step_from: Callable[[Any, Any], Any]
    state: type[Any]
    make: Callable[[Any], Any]
    rates: tuple[float, ...]
    rows: int
    dtype: torch.dtype


_KEPT: WeakKeyDictionary[nn.Module, tuple[_Bound, ...]] = WeakKeyDictionary()
"""By cell and outside of it, so that no copy, file or state_dict of the cell ever holds it."""

MOST_KEPT = 4
"""So many numbers of rows have packed weights of their own; the oldest goes first."""


def _bound(layer: Any, x: Any, state: Any) -> _Bound | None:
    """The weights of a layer bound for such an x, and kept; None where they cannot be or are already."""
    if type(x) is not Tensor or x.ndim != 2 or not 0 < x.shape[0] <= MOST_ROWS or x.dtype not in TYPES:
        return None
    zoned = _zoned(layer)
    if zoned is None or not native.available():
        return None
    kind, rows = type(zoned.cell.zero_state(1, "meta", x.dtype)), x.shape[0]
    kept = _KEPT.get(zoned.cell, ())
    if type(state) is not kind or any((one.rows, one.dtype, one.rates) == (rows, x.dtype, zoned.rates) for one in kept):
        return None
    if any(_objection(name, weight, x.dtype, "float32") is not None for name, weight in _named(zoned.cell)):
        return None
    binding = bind([zoned], rows, x.dtype, "float32")
    compiled = native.compiled().Stepper(binding.layers, binding.watched, native.threads)
    fresh = _Bound(compiled.step_from, kind, kind._make, zoned.rates, rows, x.dtype)
    _KEPT[zoned.cell] = (*kept[max(0, len(kept) - MOST_KEPT + 1) :], fresh)
    return fresh


def _watched_by_torch() -> bool:
    """Is anything at work that must see torch's own operators: tracing, transforms, forward mode, autocast?"""
    return (
        torch._C._get_tracing_state() is not None
        or torch.is_autocast_enabled("cpu")
        or forward_ad._current_level >= 0
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._functorch.peek_interpreter_stack() is not None
    )


def _zoned(layer: Any) -> Zoned | None:
    """The cell and rates of a layer that is no stack, or None where it cannot be bound."""
    inner, rates = layer, _NO_RATES
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
