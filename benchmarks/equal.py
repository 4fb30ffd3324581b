"""Every cell on equal terms: one shape of network around it, as many weights, as much time of a processor."""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, median
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.errors import OptionError, TrainingError
from unrolled.nn import CELLS, Recurrent, Stack, make_cell
from unrolled.padding import zero_padding
from unrolled.state import leaves
from unrolled.train import Event

__all__ = ["Contestant", "Deep", "Layer", "Speed", "contestants", "parameters", "race", "state_size", "width_for"]

# Blocks that are published with norms, residual ways and a map of their own for each step; they stand as they are.
BLOCKS = frozenset({"slstm_block", "mlstm_block", "rwkv7"})
# Forms of one cell that differ in what they can do; a form whose options the cell does not have is left out.
FORMS: dict[str, dict[str, dict[str, Any]]] = {
    "rnn": {"rnn": {}, "rnn relu": {"nonlinearity": "relu"}},
    "gated_deltanet": {"gated_deltanet": {}, "gated_deltanet negative": {"negative_eigenvalues": True}},
}


@dataclass(frozen=True)
class Contestant:
    """A cell under the name that the tables show. cell: its word in `CELLS`. options: of its constructor."""

    name: str
    cell: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def published(self) -> bool:
        """Whether it is a whole block, which takes nothing around it."""
        return self.cell in BLOCKS

    def with_heads(self, heads: int) -> Contestant:
        """The same with so many heads, where it has heads."""
        options = {**self.options, "heads": heads} if "heads" in known_options(self.cell) else self.options
        return Contestant(self.name, self.cell, options)


def known_options(cell: str) -> list[str]:
    """The names of a cell's options."""
    return list(inspect.signature(CELLS[cell]).parameters)[2:]


def contestants(heads: int) -> list[Contestant]:
    """Every cell of the table, forms that matter apart, with so many heads where a cell has heads."""
    found = []
    for cell in CELLS:
        known = known_options(cell)
        for name, options in FORMS.get(cell, {cell: {}}).items():
            if all(option in known for option in options):
                found.append(Contestant(name, cell, options).with_heads(heads))
    return found


class Layer(Recurrent[Any]):
    """A cell as a layer of a deep network, the same for all.

        u = x + cell(norm(x))          over time
        y = u + W2 gelu(W1 norm(u))    at each step by itself, 2 x width in the middle

    cell: any Recurrent as wide as its input. The state is the cell's.
    """

    def __init__(self, cell: Recurrent[Any]) -> None:
        super().__init__()
        width = self.input_size = self.output_size = cell.input_size
        self.cell = cell
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def initial_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Any:
        return self.cell.initial_state(batch_size, device=device, dtype=dtype)

    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None, reset: Tensor | None) -> tuple[Tensor, Any]:
        y, state = self.cell.sequence(self.before(x), state, lengths, reset)
        x = x + y
        return zero_padding(x + self.mix(self.between(x)), lengths), state

    def advance(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        y, state = self.cell.advance(self.before(x), state)
        x = x + y
        return x + self.mix(self.between(x)), state


class Deep(Recurrent[Any]):
    """Layers of a contestant, each a block as it was published or a cell within a `Layer`, and a norm at the end.

    The state is that of the layers.
    """

    def __init__(self, contestant: Contestant, width: int, layers: int = 2) -> None:
        super().__init__()
        self.input_size = self.output_size = width
        self.layers = Stack(
            _blocks(contestant, width, layers) if contestant.published else _cells(contestant, width, layers)
        )
        self.norm = nn.LayerNorm(width)

    def initial_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Any:
        return self.layers.initial_state(batch_size, device=device, dtype=dtype)

    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None, reset: Tensor | None) -> tuple[Tensor, Any]:
        y, state = self.layers.sequence(x, state, lengths, reset)
        return zero_padding(self.norm(y), lengths), state

    def advance(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        y, state = self.layers.advance(x, state)
        return self.norm(y), state


def _cells(contestant: Contestant, width: int, layers: int) -> list[Recurrent[Any]]:
    return [Layer(make_cell(contestant.cell, width, width, **contestant.options)) for _ in range(layers)]


def _blocks(contestant: Contestant, width: int, layers: int) -> list[Recurrent[Any]]:
    """Blocks know how many they are: one that holds all layers is made once, others are told how many there will be."""
    known = known_options(contestant.cell)
    if "layers" in known:
        return [make_cell(contestant.cell, width, width, layers=layers, **contestant.options)]
    depth = {"blocks": layers} if "blocks" in known else {}
    return [make_cell(contestant.cell, width, width, **depth, **contestant.options) for _ in range(layers)]


def parameters(module: nn.Module) -> int:
    """Numbers that are learned."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def state_size(layer: Recurrent[Any]) -> int:
    """Numbers that one sequence carries from step to step."""
    return sum(leaf.numel() for leaf in leaves(layer.initial_state(1)))


def width_for(make: Callable[[int], nn.Module], target: int, *, step: int = 1, most: int = 4096) -> int:
    """The width, a multiple of `step`, at which `make(width)` has nearest to `target` parameters.

    Widths that a cell refuses (no multiple of its heads) are passed over; OptionError if it refuses all.
    """
    best: tuple[int, int] | None = None
    with torch.random.fork_rng(devices=[]):
        for width in range(step, most + 1, step):
            try:
                count = parameters(make(width))
            except OptionError:
                continue
            if best is None or abs(count - target) < best[0]:
                best = (abs(count - target), width)
            if count > target:
                break
    if best is None:
        raise OptionError(f"width_for: no width up to {most} is allowed.")
    return best[1]


class Enough(Exception):
    """A run has shown how fast it is."""


class Speed:
    """A callback of a training run that counts the processor seconds of its steps, and may end the run.

    limit: seconds after which `Enough` is raised; None: never. seconds, steps: of the steps counted, which are all but
    the first `skip`; what lies between steps, as an evaluation, is left out. losses: of those steps.
    """

    def __init__(
        self, limit: float | None = None, skip: int = 2, clock: Callable[[], float] = time.process_time
    ) -> None:
        self.limit, self.skip, self.clock = limit, skip, clock
        self.seconds = 0.0
        self.losses: list[float] = []
        self._since = clock()

    def __call__(self, event: Event) -> None:
        if event.kind == "step" and event.step > self.skip:
            self.seconds += self.clock() - self._since
            self.losses.append(math.inf if event.loss is None else event.loss)
            if self.limit is not None and self.seconds >= self.limit:
                raise Enough
        self._since = self.clock()

    @property
    def steps(self) -> int:
        """Steps counted."""
        return len(self.losses)


def race(
    train: Callable[[float, Speed], object],
    rates: Sequence[float],
    seconds: float,
    clock: Callable[[], float] = time.process_time,
) -> tuple[float, float]:
    """The learning rate whose run falls lowest in so many processor seconds, and the seconds of one step.

    train: a run at a rate that calls back. Runs are compared over the last third of the steps that all of them did; a
    run that breaks down is out. TrainingError if all do.
    """
    runs: dict[float, Speed] = {}
    for rate in rates:
        speed = Speed(seconds, clock=clock)
        try:
            train(rate, speed)
        except Enough:
            runs[rate] = speed
        except TrainingError:
            continue
    if not runs:
        raise TrainingError(f"race: the training broke down at each of the rates {', '.join(map(str, rates))}.")
    common = min(speed.steps for speed in runs.values())
    best = min(runs, key=lambda rate: mean(runs[rate].losses[common * 2 // 3 : common]))
    return best, median(speed.seconds / speed.steps for speed in runs.values())
