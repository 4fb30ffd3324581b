"""A recurrence as one step of equations, and the walk over time that comes with it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from unrolled.errors import OptionError
from unrolled.nn import slot
from unrolled.nn.recurrent import Recurrent
from unrolled.ops import native
from unrolled.ops.core.scan import outside_autocast, scan
from unrolled.ops.core.zone import zone_state
from unrolled.padding import fill_padding, resets_from_the_right
from unrolled.state import leaves, map_state

__all__ = ["Cell", "projected_inside"]

S = TypeVar("S")

PROJECTED, LEAST_STEPS = 1 << 21, 16
"""Bytes of projected input that inference makes at once, and the fewest steps."""


class Cell(Recurrent[S]):
    """One recurrence: `project` does all work that needs no state, `recur` is the step.

    A subclass writes `zero_state`, `project` and `recur`, calls `learn_initial_state` at the end of its constructor if
    its users may ask for that, and overrides `run` and `run_zoned` where an op takes the walk over time.
    """

    emits_state: ClassVar[bool] = False
    """True where y is the state's first leaf, so that whoever changes the one must change the other (Zoneout)."""

    def __init__(self, input_size: int, output_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.output_size = output_size
        self.initial: nn.ParameterList | None = None

    @abstractmethod
    def zero_state(self, batch_size: int, device: torch.device | str | None, dtype: torch.dtype | None) -> S:
        """The state before the first step where it is not learned."""

    @abstractmethod
    def project(self, x: Tensor) -> Any:
        """All state-free work, for one time (batch, input_size) or all (batch, time, input_size): a NamedTuple."""

    def op_projects(self, x: Tensor) -> bool:
        """Does the op of `run` project x (batch, time, input_size) itself, a part at a time?"""
        return False

    def operands(self, x: Tensor) -> Any:
        """What `run` takes for x (batch, time, input_size): projected, unless the op does that itself."""
        return self.project(x)

    def walks(self) -> bool:
        """Is the walk over time that of Python, as `run` has it here?"""
        return type(self).run is Cell.run

    def read(self, x: Tensor, lengths: Tensor | None) -> Any:
        """`operands` of x; a walk in Python, whose equations nobody here knows, has no made-up steps projected."""
        return self.operands(fill_padding(x, lengths) if lengths is not None and self.walks() else x)

    @abstractmethod
    def recur(self, operands: Any, state: S) -> tuple[Tensor, S]:
        """One step: operands of one time and the state -> y (batch, output_size) and the next state."""

    def run(
        self, operands: Any, state: S, lengths: Tensor | None, reset: Tensor | None, reverse: bool = False
    ) -> tuple[Tensor, S]:
        """The walk over time: operands (batch, time, ...); reverse: from each row's last valid step to its first."""
        start = self.start(state, reset)
        return scan(self.recur, operands, state, lengths=lengths, reset=reset, start=start, reverse=reverse)

    def run_zoned(
        self,
        operands: Any,
        state: S,
        lengths: Tensor | None,
        reset: Tensor | None,
        masks: S | None,
        rates: S,
        reverse: bool = False,
    ) -> tuple[Tensor, S]:
        """`run` with zoneout after every step, for a cell with `emits_state`: y is the first leaf of the zoned state.

        masks: a state of bool masks (batch, time, ...), True where the new value is taken; None mixes old and new by
        `rates`, a state of numbers in [0, 1).
        """

        def step(given: tuple[Any, S | None], old: S) -> tuple[Tensor, S]:
            _, new = self.recur(given[0], old)
            zoned = zone_state(new, old, given[1], rates)
            return leaves(zoned)[0], zoned

        start = self.start(state, reset)
        return scan(step, (operands, masks), state, lengths=lengths, reset=reset, start=start, reverse=reverse)

    def mask_recurrent(self, operands: Any, mask: Tensor) -> Any:
        """The operands with `mask` (batch, time, output_size), or without time, laid on the h that the weights see."""
        raise OptionError(f"{type(self).__name__}: has no recurrent mask; use dropout on its input or output instead.")

    def learn_initial_state(self, learn: bool) -> None:
        """Turn the initial state into parameters, one a leaf, shared by all rows and starting from `zero_state`."""
        if learn:
            zero = leaves(self.zero_state(1, None, None))
            self.initial = nn.ParameterList(nn.Parameter(leaf[0].clone()) for leaf in zero)

    def initial_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> S:
        if self.initial is None:
            return self.zero_state(batch_size, device, dtype)
        learned = iter(self.initial)
        like = self.zero_state(1, "meta", dtype)
        return map_state(lambda _: _expand(next(learned), batch_size, device, dtype), like)

    def start(self, state: S, reset: Tensor | None) -> S | None:
        """The initial state (one row) that resets return to, like `state` in dtype and device; None without resets."""
        if reset is None:
            return None
        first = leaves(state)[0]
        return self.initial_state(1, device=first.device, dtype=first.dtype)

    def sequence(self, x: Tensor, state: S, lengths: Tensor | None, reset: Tensor | None) -> tuple[Tensor, S]:
        elsewhere = x.device.type != "cpu" or torch.is_grad_enabled() or torch.compiler.is_compiling()
        if elsewhere or self.op_projects(x):
            return self.run(self.read(x, lengths), state, lengths, reset)
        return self._in_parts(x, state, lengths, reset)

    def sequence_backwards(self, x: Tensor, state: S, lengths: Tensor | None, reset: Tensor | None) -> tuple[Tensor, S]:
        if not self.op_projects(x):
            return super().sequence_backwards(x, state, lengths, reset)
        back = None if reset is None else resets_from_the_right(reset)
        return self.run(self.operands(x), state, lengths, back, reverse=True)

    def _in_parts(self, x: Tensor, state: S, lengths: Tensor | None, reset: Tensor | None) -> tuple[Tensor, S]:
        """The sequence in parts whose projected input the cache holds: besides x and y no memory grows with time."""
        batch, time = x.shape[:2]
        widest = max((weight.shape[0] for weight in self.parameters()), default=1)
        steps = max(LEAST_STEPS, PROJECTED // max(1, batch * widest * x.element_size()))
        if steps >= time:
            return self.run(self.project(x), state, lengths, reset)
        whole = None
        for begin in range(0, time, steps):
            part = slice(begin, min(begin + steps, time))
            left = None if lengths is None else (lengths - begin).clamp(0, part.stop - begin)
            resets = None if reset is None else reset[:, part]
            y, state = self.run(self.project(x[:, part]), state, left, resets)
            if whole is None:
                whole = y.new_empty(batch, time, y.shape[2])
            whole[:, part] = y
        assert whole is not None
        return whole, state

    def advance(self, x: Tensor, state: S) -> tuple[Tensor, S]:
        found = slot.advance(self, x, state)
        return found if found is not None else outside_autocast(self.recur, self.project(x), state)


def projected_inside(x: Tensor, kernel: str) -> bool:
    """Would a fast kernel of a gated op run on x? The compiled one and cuDNN make the gates of an x as it is."""
    if x.device.type == "cuda":
        return kernel in ("auto", "cudnn")
    if x.device.type != "cpu" or kernel not in ("auto", "cpp") or not native.available():
        return False
    # Automatic mixed precision has a say in products outside of the op alone.
    return not torch.is_autocast_enabled("cpu")


def _expand(leaf: Tensor, batch_size: int, device: torch.device | str | None, dtype: torch.dtype | None) -> Tensor:
    return leaf.to(device=device, dtype=dtype).expand(batch_size, *leaf.shape)
