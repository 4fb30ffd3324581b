"""A layer bound to the compiled stepper: its recorded programs, checked against its own step, and what to watch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from unrolled.errors import DtypeError, NotStreamable, OptionError, UnrolledError
from unrolled.live.program import Fields, Program
from unrolled.live.record.recorder import record, undisturbed
from unrolled.live.record.values import Unrecordable, place_of_class
from unrolled.nn.cell import Cell
from unrolled.nn.cells import GRU, LSTM, RNN
from unrolled.nn.recurrent import Recurrent
from unrolled.nn.wrappers.evaluated import in_evaluation
from unrolled.nn.wrappers.stack import Stack
from unrolled.ops import native
from unrolled.ops.native.calls import address
from unrolled.state import leaves, map_state

__all__ = ["DONE", "NOT_FINITE", "STORED", "TYPES", "WEIGHTS_CHANGED", "WRONG_BUFFER"]
__all__ += ["Binding", "Watched", "addresses", "bind", "objections", "parts", "programs", "refusal"]

S = TypeVar("S")

STORED = ("float32", "bf16", "int8")
"""How weights may be stored, in the order of the kernels' numbers."""

TYPES = {torch.float32: 0, torch.float64: 1}
_GROWING = (nn.ModuleList, nn.ModuleDict, nn.Sequential)
"""What may come to hold more than it did."""

DONE, WEIGHTS_CHANGED, WRONG_BUFFER, NOT_FINITE = range(4)
"""What a compiled step answers; nothing has happened unless it is done."""

_SETTLED = {RNN: ("nonlinearity",), LSTM: ("coupled",), GRU: ("reset",), nn.Linear: ()}
"""Layers with the options that their weights do not settle."""

Watched = tuple[dict[str, object], str | None, object, Tensor | None]
"""Where something stands, its name there, what it is, and a tensor of the same memory; None for what is no tensor.

Without a name: how many things stand there.
"""


class Binding(NamedTuple):
    """What the compiled stepper packs: the layers' fields, and the parameters and options whose changes it must see."""

    layers: list[Fields]
    watched: list[Watched]
    alive: list[Tensor]
    """What the addresses in the fields point at; packing is done with it."""


def parts(layer: nn.Module) -> list[Recurrent[object]]:
    """What the compiled stepper runs one after another: the layers of a Stack, or the layer itself."""
    if type(layer) is Stack:
        return [part for held in layer.layers for part in parts(held)]
    assert isinstance(layer, Recurrent)
    return [layer]


def programs(layer: Recurrent[S], batch: int, dtype: torch.dtype, *, evaluate: bool = True) -> list[Program]:
    """The programs of a layer's parts, recorded as in evaluation, or in the mode it is in, and checked.

    Raises OptionError, NotStreamable and DtypeError for a layer that cannot be stepped live, in words.
    """
    whole: list[Recurrent[object]] = parts(layer) if evaluate else [layer]  # type: ignore[list-item]
    for part in whole:
        reason = refusal(part)
        if reason is not None:
            raise reason
    found = []
    for part in whole:
        used = in_evaluation(part) if evaluate else part
        try:
            program = record(used, batch, dtype)
            _check(part, used, program, batch)
        except Unrecordable as error:
            message = (
                f"Stepper: the step of {type(part).__name__} cannot be recorded: {error.what} ({error.where}); "
                "change that or step it with layer.step()."
            )
            raise Unrecordable(error.what, error.where, message) from error
        found.append(program)
    return found


def refusal(layer: Recurrent[S]) -> UnrolledError | None:
    """Why a layer is left to torch, whatever its step does."""
    owner = type(layer).__name__
    if not layer.streamable:
        return NotStreamable(f"Stepper: {owner} cannot step, it needs the whole sequence; use a forward-only layer.")
    for module in layer.modules():
        name = type(module).__name__
        if parametrize.is_parametrized(module):
            word = f"a {name}"
        elif module is not layer and (module._forward_hooks or module._forward_pre_hooks):
            word = f"a {name} with hooks"
        else:
            continue
        return OptionError(
            f"Stepper: layer must hold nothing that acts at every call of a module, got {word}; step it with "
            "layer.step()."
        )
    return None


def bind(layer: Recurrent[S], batch: int, dtype: torch.dtype, stored: str) -> Binding:
    """A layer for the compiled stepper. Raises OptionError, NotStreamable and DtypeError where it cannot be taken."""
    for objection in objections(layer, dtype, stored):
        raise objection
    found = Binding([], _watched_order(layer), [])
    for part, program in zip(parts(layer), programs(layer, batch, dtype), strict=True):
        found.layers.append(program.fields(batch, STORED.index(stored), found.alive))
        found.watched.extend(watched(part, training=False))
    return found


def addresses(state: S) -> list[int]:
    """Where the leaves of a state stand in memory; they must be contiguous."""
    return [address(leaf) for leaf in leaves(state)]


def _read(layer: nn.Module) -> Iterator[nn.Module]:
    """The modules whose tensors a step reads; those of initial states are none of them."""
    initial = {id(module.initial) for module in layer.modules() if isinstance(module, Cell)}
    return (module for module in layer.modules() if id(module) not in initial)


def _watched_order(layer: nn.Module) -> list[Watched]:
    """What says which parts a Stack has."""
    if type(layer) is not Stack:
        return []
    inner = [one for held in layer.layers for one in _watched_order(held)]
    return [(layer._modules, "layers", layer.layers, None), *_watched_modules(layer.layers), *inner]  # type: ignore[list-item]


def _watched_modules(module: nn.Module) -> list[Watched]:
    held = module._modules
    entries: list[Watched] = [(held, name, one, None) for name, one in held.items()]  # type: ignore[misc]
    return [*entries, (held, None, len(held), None)] if isinstance(module, _GROWING) else entries  # type: ignore[list-item]


def watched(layer: nn.Module, *, training: bool) -> list[Watched]:
    """What a program was made of. training: the modes of the modules inside too."""
    found: list[Watched] = []
    for module in _read(layer):
        own = vars(module)
        for place in (module._parameters, module._buffers):
            found += [(place, name, one, None if one is None else one.detach()) for name, one in place.items()]  # type: ignore[misc]
        # What was None at first is no entry there.
        found.append((module._parameters, None, len(module._parameters), None))  # type: ignore[arg-type]
        found += _watched_modules(module)
        names = [name for name in own if name[0] != "_" and name != "training"]
        if type(module) in _SETTLED:
            names = ["kernel"] if "kernel" in own and module is not layer else []
            names += _SETTLED[type(module)]
        elif training and module is not layer:
            names.append("training")
        for name in names:
            value = own[name]
            found.append((own, name, value, value.detach() if isinstance(value, Tensor) else None))
    return found


def objections(layer: nn.Module, dtype: torch.dtype, stored: str) -> Iterator[UnrolledError]:
    """Why weights cannot be packed."""
    for module in _read(layer):
        for name, parameter in module._parameters.items():
            if parameter is not None:
                yield from _objection(name, parameter, dtype, stored)
        for name, buffer in module._buffers.items():
            if buffer is not None and buffer.is_floating_point():
                yield from _objection(name, buffer, dtype, stored)


def _objection(name: str, parameter: Tensor, dtype: torch.dtype, stored: str) -> Iterator[UnrolledError]:
    if parameter.device.type != "cpu":
        yield OptionError(f"Stepper: layer must be on the CPU, but {name} is on {parameter.device}; move it there.")
    elif parameter.dtype not in TYPES or parameter.dtype != dtype:
        yield DtypeError(
            f"Stepper: layer must be all float32 or all float64 and stay so, but {name} is {parameter.dtype} "
            f"beside {dtype}; convert the layer and make a new Stepper."
        )
    elif parameter.dtype != torch.float32 and stored != "float32":
        yield OptionError(
            f"Stepper: weights={stored!r} needs a layer in float32, but {name} is {parameter.dtype}; "
            "call layer.float() or leave weights out."
        )
    elif parameter.is_inference():
        yield OptionError(
            f"Stepper: {name} was made in torch.inference_mode(), where changes are not counted; "
            "make the layer outside of it."
        )
    elif stored == "int8" and not bool(torch.isfinite(parameter).all()):
        yield OptionError(f"Stepper: weights='int8' needs finite weights, but {name} holds NaN or infinity.")


_CHECKED: WeakKeyDictionary[nn.Module, set[int]] = WeakKeyDictionary()
"""Programs that were found to do what the layer does, by their signatures."""

ROWS = 2
"""So many rows of a program are compared."""


def _check(layer: nn.Module, used: Recurrent[S], program: Program, batch: int) -> None:
    """One step of a program must be that of the layer, on numbers drawn; another program of it is checked anew."""
    signature = program.signature()
    if signature in _CHECKED.get(layer, ()):
        return
    first, second = _draw(program, min(batch, ROWS))
    with undisturbed(used):
        # A state that occurs: not every number can stand in every state.
        _, state = used.advance(first, used.initial_state(len(first), dtype=program.dtype))
        state = map_state(lambda leaf: leaf.contiguous().clone(), state)
        want, after = used.advance(second, state)
        got, reached = _stepped(program, batch, second, state)
    pairs = [(got, want), *zip(leaves(reached), leaves(after), strict=True)]
    if not all(_near(ours, theirs) for ours, theirs in pairs):
        raise Unrecordable(
            "what was recorded is not what the step does, which must see more than x and state",
            place_of_class(used),
        )
    _CHECKED.setdefault(layer, set()).add(signature)


def _draw(program: Program, rows: int) -> Tensor:
    """Two x of so many rows: normal numbers, and codes where a table is asked for its rows."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, rows, program.input_size, generator=generator, dtype=torch.float64).to(program.dtype)
    for one in program.instructions:
        if one.op == "gather" and one.places[0] == 0:
            x[:, :, one.places[1]] = torch.randint(one.sizes[2], (2, rows), generator=generator).to(x.dtype)
    return x


def _stepped(program: Program, batch: int, x: Tensor, state: S) -> tuple[Tensor, S]:
    """One step of the first rows of a program."""
    alive: list[Tensor] = []
    compiled = native.compiled().Stepper([program.fields(batch, 0, alive)], [], native.threads)
    whole, y = torch.zeros(batch, x.shape[1], dtype=x.dtype), torch.empty(batch, program.output_size, dtype=x.dtype)
    whole[: len(x)] = x
    compiled.move(False, addresses(state), 0, len(x))
    compiled.step_at(whole.data_ptr(), y.data_ptr(), 1, 1)
    reached = map_state(torch.empty_like, state)
    compiled.move(True, addresses(reached), 0, len(x))
    return y[: len(x)], reached


def _near(got: Tensor, want: Tensor) -> bool:
    """Half of the digits are alike: rounding leaves more, another function fewer. Only finite numbers count."""
    finite = torch.isfinite(want)
    size = want[finite].abs().max().item() if finite.any() else 0.0
    allowed = torch.finfo(want.dtype).eps ** 0.5 * max(1.0, size)
    return bool(((got - want).abs()[finite] <= allowed).all())
