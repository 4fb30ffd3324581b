"""Weights bound to the compiled kernels for live steps: for a `Stepper`, and behind `layer.step` in inference mode."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeVar, cast
from weakref import WeakKeyDictionary, WeakSet

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from unrolled.errors import DtypeError, OptionError, UnrolledError
from unrolled.ops import native
from unrolled.ops.native.gated import CELLS
from unrolled.state import leaves, map_state

__all__ = ["DONE", "NOT_FINITE", "STORED", "TYPES", "WEIGHTS_CHANGED", "WRONG_BUFFER"]
__all__ += ["Binding", "Written", "Zoned", "addresses", "advance", "bind", "fields", "flatten", "zoned"]

S = TypeVar("S")

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

_PLAIN = (nn.Linear, nn.LayerNorm, nn.ModuleList, nn.ParameterList)
"""What blocks hold of torch."""


class Zoned(NamedTuple):
    """A cell and its rates of zoneout, one for each leaf of its state."""

    cell: Any
    rates: tuple[float, ...]


class Written(NamedTuple):
    """A layer whose steps are a program."""

    layer: Any


def flatten(layer: Any) -> list[Zoned | Written]:
    """What the compiled stepper runs one after another. Raises OptionError for a layer that cannot be bound."""
    if type(layer) is _kinds().stack:
        return [part for held in layer.layers for part in flatten(held)]
    found = zoned(layer)
    if found is not None:
        return [found]
    unknown = _unwritten(layer)
    if unknown is not None:
        raise OptionError(
            "Stepper: layer must be a plain cell or block of unrolled.nn, a Residual or Zoneout of one, "
            f"or a Stack of those, got {unknown}; step it with layer.step()."
        )
    return [Written(layer)]


class Binding(NamedTuple):
    """What the compiled stepper packs: the layers' fields, and the parameters whose changes it must see."""

    layers: list[dict[str, Any]]
    watched: list[tuple[dict[str, Any], str, Any, Tensor | None]]
    """Of each: where it stands, its name there, what it is, and a tensor of the same memory; None for what is none."""
    alive: list[Tensor]
    """What the addresses in the fields point at; packing is done with it."""


def bind(parts: Sequence[Zoned | Written], batch: int, dtype: torch.dtype, stored: str) -> Binding:
    """Some layers on top of one another, for the compiled stepper.

    Raises OptionError and DtypeError for weights that it cannot take.
    """
    found = Binding([], [], [])
    for part in parts:
        for module in _modules(part):
            for name, parameter in _named(module):
                objection = _objection(name, parameter, dtype, stored)
                if objection is not None:
                    raise objection
                found.watched.append((module._parameters, name, parameter, parameter.detach()))
            if isinstance(part, Written):
                found.watched.extend((*place, None) for place in _options(module))
        if isinstance(part, Written):
            found.layers.append(_program(part.layer, batch, dtype, stored, found.alive))
        else:
            found.layers.append(fields(part, batch, dtype, stored, found.alive))
    return found


def addresses(state: Any) -> list[int]:
    """Where the leaves of a state stand in memory; they must be contiguous."""
    return [leaf.data_ptr() for leaf in leaves(state)]


def advance(layer: Any, x: Any, state: Any) -> tuple[Tensor, Any] | None:
    """One step of a layer by bound weights, or None: in inference mode only, and where it can be and pays.

    x and state may be anything; what `layer.step` refuses gives None. Weights are packed at the first step and whenever
    they have changed.
    """
    if not torch.is_inference_mode_enabled() or torch.compiler.is_compiling() or _watched_by_torch():
        return None
    kinds = _kinds()
    owner, rates = layer, _NO_RATES
    if type(layer) is kinds.zoneout and type(layer.cell) in kinds.words:
        owner, rates = layer.cell, tuple(layer.rates)
        if layer.training:
            return None
    known = type(owner) in kinds.words or type(owner) in kinds.writers
    if not known or vars(owner).get("kernel", "auto") not in ("auto", "cpp"):
        return None
    for bound in _KEPT.get(owner, ()):
        if bound.rates == rates and not (bound.only_in_evaluation and layer.training):
            after = bound.step_from(x, state)
            if after:
                return cast(tuple[Tensor, Any], after)
            if after is False:
                # Another thread may have been here first.
                _KEPT.pop(owner, None)
                break
    fresh = _bound(layer, owner, x, state)
    if fresh is None:
        dense = _dense(x, state)
        return None if dense is None else advance(layer, *dense)
    found: tuple[Tensor, Any] | None = fresh.step_from(x, state) or None
    return found


def _dense(x: Any, state: S) -> tuple[Tensor, S] | None:
    """x and the state in the layout that compiled code reads; None where they are in it, or are no tensors."""
    if type(x) is not Tensor or any(type(leaf) is not Tensor for leaf in leaves(state)):
        return None
    if all(leaf.is_contiguous() and not leaf.is_neg() for leaf in (x, *leaves(state))):
        return None
    return x.resolve_neg().contiguous(), map_state(lambda leaf: leaf.resolve_neg().contiguous(), state)


_NO_RATES = (0.0, 0.0)


class _Bound(NamedTuple):
    """The compiled stepper of a layer for some number of rows, and what else must be as it was."""

    step_from: Callable[[Any, Any], Any]
    rates: tuple[float, ...]
    rows: int
    dtype: torch.dtype
    only_in_evaluation: bool


_KEPT: WeakKeyDictionary[nn.Module, tuple[_Bound, ...]] = WeakKeyDictionary()
"""By cell or block and outside of it, so that no copy, file or state_dict of it ever holds it."""

_NEVER: WeakSet[nn.Module] = WeakSet()
"""Layers that hold something without a program."""

MOST_KEPT = 4
"""So many numbers of rows have packed weights of their own; the oldest goes first."""


def _bound(layer: Any, owner: Any, x: Any, state: Any) -> _Bound | None:
    """The weights of a layer bound for such an x, and kept; None where they cannot be or are already."""
    if type(x) is not Tensor or x.ndim != 2 or not 0 < x.shape[0] <= MOST_ROWS or x.dtype not in TYPES:
        return None
    if not native.available() or owner in _NEVER:
        return None
    part = zoned(layer)
    if part is None and not _pays(layer):
        _NEVER.add(owner)
        return None
    rates, rows, kept = _NO_RATES if part is None else part.rates, x.shape[0], _KEPT.get(owner, ())
    if any((one.rows, one.dtype, one.rates) == (rows, x.dtype, rates) for one in kept):
        return None
    like = layer.initial_state(rows, device="meta", dtype=x.dtype)
    if type(state) is not type(like):
        return None
    found = Written(layer) if part is None else part
    named = [item for module in _modules(found) for item in _named(module)]
    if any(_objection(name, weight, x.dtype, "float32") is not None for name, weight in named):
        return None
    binding = bind([found], rows, x.dtype, "float32")
    compiled = native.compiled().Stepper(binding.layers, binding.watched, native.threads)
    compiled.shape_state(like)
    only_in_evaluation = part is None and bool(binding.layers[0]["only_in_evaluation"])
    fresh = _Bound(compiled.step_from, rates, rows, x.dtype, only_in_evaluation)
    _KEPT[owner] = (*kept[max(0, len(kept) - MOST_KEPT + 1) :], fresh)
    return None if only_in_evaluation and layer.training else fresh


def _pays(layer: Any) -> bool:
    """Is a program of the whole layer possible, and better than what its cells do by themselves?"""
    if _unwritten(layer) is not None:
        return False
    if type(layer) is _kinds().stack and all(zoned(held) is not None for held in layer.layers):
        return False
    return all(vars(module).get("kernel", "auto") in ("auto", "cpp") for module in layer.modules())


def _watched_by_torch() -> bool:
    """Is anything at work that must see torch's own operators: tracing, transforms, forward mode, autocast?"""
    return (
        torch._C._get_tracing_state() is not None
        or torch.is_autocast_enabled("cpu")
        or forward_ad._current_level >= 0
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._functorch.peek_interpreter_stack() is not None
    )


def zoned(layer: Any) -> Zoned | None:
    """The gated cell and rates of a layer that is no stack, or None where it cannot be bound."""
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


def _modules(part: Zoned | Written) -> list[Any]:
    """The modules whose parameters a step reads; those of initial states are none of them."""
    if isinstance(part, Zoned):
        return [part.cell]
    return [module for module in part.layer.modules() if type(module) is not nn.ParameterList]


def _options(module: Any) -> list[tuple[dict[str, Any], str, Any]]:
    """What else a program is made of, with where it stands: the modules inside, and the options of layers and norms."""
    found = [(module._modules, name, held) for name, held in module._modules.items()]
    if type(module) is nn.Linear:
        return found
    own = vars(module)
    return found + [(own, name, value) for name, value in own.items() if name[0] != "_" and name != "training"]


def _unwritten(layer: Any) -> str | None:
    """What a program cannot hold, by its name, or None: another class, torch's wrappers of weights, anything hooked."""
    kinds, package = _kinds(), "unrolled.nn."
    for module in layer.modules():
        if type(module) in kinds.words:
            if zoned(module) is None:
                return type(module).__name__
        elif isinstance(module, kinds.layer):
            if type(module) not in kinds.writers:
                return type(module).__name__
        elif type(module) not in _PLAIN and not type(module).__module__.startswith(package):
            return type(module).__name__
        if module is not layer and (module._forward_hooks or module._forward_pre_hooks):
            return f"a {type(module).__name__} with hooks"
    return None


def _program(layer: Any, batch: int, dtype: torch.dtype, stored: str, alive: list[Tensor]) -> dict[str, Any]:
    """The fields of a layer's program; what their addresses point at is added to `alive`."""
    from unrolled.live import writers
    from unrolled.live.program import Program

    state = layer.initial_state(1, device="meta", dtype=dtype)
    program = Program(layer.input_size, state, batch, dtype, STORED.index(stored))
    with torch.no_grad():
        y = writers.write(program, layer, program.x, program.state)
    alive += program.alive
    return program.fields(y, TYPES[dtype])


class _Kinds(NamedTuple):
    words: Mapping[type, Callable[[Any], str]]
    zoneout: type[Any]
    stack: type[Any]
    writers: Mapping[type, Any]
    layer: type[Any]


@cache
def _kinds() -> _Kinds:
    """The classes that can be bound; a gated cell's word is its name in `CELLS`."""
    # Late, since the cells themselves import this module.
    from unrolled.live import writers
    from unrolled.nn.cells import GRU, LSTM, RNN
    from unrolled.nn.recurrent import Recurrent
    from unrolled.nn.wrappers.stack import Stack
    from unrolled.nn.wrappers.zoneout import Zoneout

    words: dict[type, Callable[[Any], str]] = {
        RNN: lambda cell: f"rnn {cell.nonlinearity}",
        LSTM: lambda cell: "lstm coupled" if cell.coupled else "lstm",
        GRU: lambda cell: f"gru {cell.reset}",
    }
    return _Kinds(words, Zoneout, Stack, writers.WRITERS, Recurrent)


def fields(part: Zoned, batch: int, dtype: torch.dtype, stored: str, alive: list[Tensor]) -> dict[str, Any]:
    """The fields of one gated cell by name; what their addresses point at is added to `alive`."""
    cell, rates = part
    found: dict[str, Any] = {
        "cell": CELLS.index(_kinds().words[type(cell)](cell)), "type": TYPES[dtype], "stored": STORED.index(stored),
        "threads": native.threads(), "batch": batch, "input": cell.input_size, "output": cell.output_size,
        "hidden": getattr(cell, "hidden_size", cell.output_size), "rate_h": rates[0], "rate_c": rates[-1],
    }  # fmt: skip
    for name, parameter in _named(cell):
        dense = parameter.detach().contiguous()
        alive.append(dense)
        found[name] = dense.data_ptr()
    return found


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
