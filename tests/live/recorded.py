"""Functions as layers, whose recorded step is run as a program: what the tests of recording share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from unrolled.live.binding import STORED
from unrolled.live.program import Program
from unrolled.live.record.recorder import record
from unrolled.nn import Recurrent
from unrolled.ops import native
from unrolled.state import map_state

Step = Callable[[Tensor, Any], tuple[Tensor, Any]]


class Stepping(Recurrent[Any]):
    """A layer of one function (x, state) -> (y, state); what it holds besides is given."""

    def __init__(self, step: Step, x: Tensor, state: Any = (), **held: Any) -> None:
        super().__init__()
        for name, value in held.items():
            setattr(self, name, value)
        self.input_size = x.shape[1]
        self._like, self._step = map_state(lambda leaf: leaf[:1].to("meta"), state), step
        self.output_size = step(x, state)[0].shape[1]

    def initial_state(self, batch_size: int, *, device: Any = None, dtype: Any = None) -> Any:
        return map_state(
            lambda leaf: torch.zeros(batch_size, *leaf.shape[1:], device=device, dtype=dtype or leaf.dtype), self._like
        )

    def sequence(self, x: Tensor, state: Any, lengths: Any, reset: Any) -> Any:
        raise NotImplementedError

    def advance(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        return self._step(x, state)


def recorded(step: Step, x: Tensor, state: Any = ()) -> Program:
    """The program of a function."""
    return record(Stepping(step, x, state), x.shape[0], x.dtype)


def run(step: Step, x: Tensor, state: Any = (), stored: str = "float32") -> tuple[Tensor, Any]:
    """One step of the program of a function: y and the next state."""
    return ran(recorded(step, x, state), x, state, stored)


def ran(program: Program, x: Tensor, state: Any = (), stored: str = "float32") -> tuple[Tensor, Any]:
    """One step of a program."""
    alive: list[Tensor] = []
    fields = program.fields(x.shape[0], STORED.index(stored), alive)
    stepper = native.compiled().Stepper([fields], [], native.threads)
    stepper.shape_state(state)
    answer: tuple[Tensor, Any] = stepper.step_from(x, state)
    return answer


def plain(function: Callable[..., Tensor]) -> Step:
    """A function of x alone as a step."""
    return lambda x, state: (function(x), state)
