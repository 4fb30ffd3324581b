"""A layer's own step as a program: `advance` run once on values that stand where tensors stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from unrolled.live.program import Program
from unrolled.live.record.functions import call
from unrolled.live.record.gated import NotWhole
from unrolled.live.record.lower import lowered
from unrolled.live.record.steps import GATED, STEPS
from unrolled.live.record.tape import Tape
from unrolled.live.record.values import Call, Recorded, Unrecordable, place_of_class, place_of_error
from unrolled.nn.recurrent import Recurrent
from unrolled.state import leaves, map_state

__all__ = ["record", "undisturbed"]

S = TypeVar("S")

ROWS = 2
"""So many rows the values pretend to have, where the batch has more; enough to see that rows are mixed."""

_THEIR_ERRORS = (TypeError, ValueError, RuntimeError, AttributeError, LookupError, ArithmeticError, AssertionError)
"""What somebody's step may raise when it is given values that are no tensors after all."""


def record(layer: Recurrent[S], batch: int, dtype: torch.dtype) -> Program:
    """The program of a layer's step, in the mode that it is in. Raises Unrecordable."""
    with undisturbed(layer):
        try:
            return _recorded(layer, batch, dtype, {**STEPS, **GATED})
        except NotWhole:
            return _recorded(layer, batch, dtype, STEPS)


def _recorded(
    layer: Recurrent[S], batch: int, dtype: torch.dtype, steps: Mapping[Call, Callable[..., object]]
) -> Program:
    def table(tape: Tape, function: Call, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
        # A reference step goes by the function that it wraps.
        step = steps.get(function)
        found = None if step is None else step(tape, *args, **kwargs)
        if found is not None:
            return found
        own = getattr(function, "equations", None)
        return call(tape, function, args, kwargs) if own is None else own(*args, **kwargs)

    tape = Tape(min(batch, ROWS), dtype, table)
    x = tape.source("x", (layer.input_size,))
    like = layer.initial_state(1, device="meta", dtype=dtype)
    for leaf in leaves(like):
        if leaf.dtype != dtype:
            raise Unrecordable(f"the state must be {dtype}, got a leaf of {leaf.dtype}", place_of_class(layer))
    state = map_state(lambda leaf: tape.source("leaf", tuple(leaf.shape[1:])), like)
    y, after = layer.advance(x, state)
    map_state(_check_leaf, state, after)
    if not isinstance(y, Tensor) or tuple(y.shape[1:]) != (layer.output_size,):
        raise Unrecordable(f"the step gives no tensor (batch, {layer.output_size})", place_of_class(layer))
    return lowered(tape, layer.input_size, y, cast(list[Recorded], leaves(state)), leaves(after))


def _check_leaf(before: Tensor, after: Tensor) -> None:
    if before.shape != after.shape or before.dtype != after.dtype:
        raise Unrecordable(
            f"a leaf {tuple(before.shape)} of {before.dtype}, becomes {tuple(after.shape)} of {after.dtype}",
            "the state after the step",
        )


class _NoRandom(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Random numbers are refused before they are drawn; other threads may draw theirs."""

    def __torch_dispatch__(
        self, func: OpOverload, types: object, args: tuple[object, ...] = (), kwargs: dict[str, object] | None = None
    ) -> object:
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise Unrecordable("the step draws random numbers; if that is in training alone, call layer.eval()")
        return func(*args, **(kwargs or {}))


@contextmanager
def undisturbed(layer: nn.Module) -> Iterator[None]:
    """Run a layer's step for what it does alone: no gradient, no automatic mixed precision.

    Raises Unrecordable for an error of the step, and where it draws random numbers or leaves a trace in the layer.
    """
    kept = [(module, dict(vars(module))) for module in layer.modules()]
    tensors = [one for one in (*layer.parameters(), *layer.buffers()) if not one.is_inference()]
    versions = [one._version for one in tensors]
    with torch.inference_mode(False), torch.no_grad(), torch.autocast("cpu", enabled=False), _NoRandom():  # type: ignore[no-untyped-call]
        try:
            yield
        except (Unrecordable, NotWhole):
            raise
        except _THEIR_ERRORS as error:
            raise Unrecordable(f"the step raises {type(error).__name__}: {error}", place_of_error(error)) from error
    for module, before in kept:
        for name, value in vars(module).items():
            if name not in before or before[name] is not value:
                what = f"the step changes the attribute {name!r}, which no state holds"
                raise Unrecordable(what, place_of_class(module))
    if versions != [one._version for one in tensors]:
        what = "the step writes into a parameter or buffer, which no state holds"
        raise Unrecordable(what, place_of_class(layer))
