"""The contract that every cell, stack, wrapper and block keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar, final

import torch
from torch import Tensor, nn

from unrolled.check import (
    check_dtype,
    check_finite,
    check_lengths,
    check_reset_mask,
    check_sequence,
    check_step,
    fitting_state,
    state_dtype,
    written_for_onnx,
)
from unrolled.errors import NotStreamable, OptionError
from unrolled.nn import slot
from unrolled.padding import resets_from_the_right, reverse_padded, zero_padding
from unrolled.state import name_states

__all__ = ["Recurrent"]

S = TypeVar("S")


class Recurrent(nn.Module, ABC, Generic[S]):
    """Anything that maps a padded batch and a state to outputs and a state: a cell, a stack, a bidirectional pair.

    The whole sequence, the sequence in chunks with the state carried, and single steps give the same values, final
    state and gradients. `unrolled.testing.check_recurrent` proves it for any subclass.

    A subclass sets `input_size` and `output_size` and writes `initial_state` and `sequence`; what comes in there has
    been checked, is on one device, and is zero in the padding. Its NamedTuple of states stands in square brackets
    behind the class it is made of, as in `Cell[MyState]`: by that an exported program knows it.
    """

    input_size: int
    output_size: int
    parallel_in_time: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for base in vars(cls).get("__orig_bases__", ()):
            name_states(base)

    @property
    def streamable(self) -> bool:
        """False for anything that needs the whole sequence before its first output."""
        return True

    @abstractmethod
    def initial_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> S:
        """The state before the first step: a (nested) NamedTuple of tensors, every leaf (batch_size, ...)."""

    @abstractmethod
    def sequence(self, x: Tensor, state: S, lengths: Tensor | None, reset: Tensor | None) -> tuple[Tensor, S]:
        """The hook behind `forward`, unchecked: wrappers call it on what they hold. None means all full, no reset."""

    def sequence_backwards(self, x: Tensor, state: S, lengths: Tensor | None, reset: Tensor | None) -> tuple[Tensor, S]:
        """`sequence` from right to left: every row from its last valid step, every segment between resets by itself.

        x, lengths and reset are those of the walk from left to right, and y stands beside x. `state` enters each row at
        its right end; the one returned leaves at its left end.
        """
        back = None if reset is None else reverse_padded(resets_from_the_right(reset), lengths)
        y, state = self.sequence(reverse_padded(x, lengths), state, lengths, back)
        return reverse_padded(y, lengths), state

    def advance(self, x: Tensor, state: S) -> tuple[Tensor, S]:
        """The hook behind `step`, unchecked: x (batch, input_size)."""
        y, state = self.sequence(x[:, None], state, None, None)
        return y[:, 0], state

    @final  # type: ignore[misc]
    def forward(
        self,
        x: Tensor,
        state: S | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | None = None,
    ) -> tuple[Tensor, S]:
        """Run whole sequences.

        x: (batch, time, input_size), floating, right padded; what stands in the padding is never read.
        state: as returned by an earlier call or by `initial_state`, in any floating dtype; None starts afresh.
        lengths: (batch,), valid steps a row, any integer dtype and device, or a list; 0 is allowed; None = all full.
        reset: (batch, time) bool; True at t means that the state is the initial state before x_t.

        Returns y (batch, time, output_size), zero in the padding, and the state after each row's last valid step.
        Raises ShapeError, DtypeError, LengthsError, NonFiniteError; OptionError inside of torch.onnx.export.
        """
        owner = type(self).__name__
        if written_for_onnx():
            raise OptionError(
                f"{owner}: torch.onnx.export would write the example's number of steps alone; give it "
                "unrolled.nn.to_torch(layer), which it writes for every length, or export single steps of layer.step()."
            )
        check_sequence(owner, x, self.input_size)
        weight = next(self.parameters(), None)
        check_dtype(owner, x, weight)
        counts = check_lengths(owner, lengths, x)
        resets = check_reset_mask(owner, reset, x, counts)
        x = zero_padding(x, counts)
        check_finite(owner, x)
        return self.sequence(x, self._state_for(x, state, weight), counts, resets)

    @final
    def step(self, x: Tensor, state: S | None = None) -> tuple[Tensor, S]:
        """Run one step: x (batch, input_size) -> y (batch, output_size) and the next state.

        Raises NotStreamable if the layer needs the whole sequence, and what `forward` raises.
        """
        # It checks as much as is checked below, and leaves to that whatever it does not take.
        found = slot.advance(self, x, state)
        if found is not None:
            return found
        owner = type(self).__name__
        if not self.streamable:
            raise NotStreamable(
                f"{owner}: cannot step, it needs the whole sequence. Use a forward-only encoder to stream."
            )
        check_step(owner, x, self.input_size)
        weight = next(self.parameters(), None)
        check_dtype(owner, x, weight)
        check_finite(owner, x)
        return self.advance(x, self._state_for(x, state, weight))

    def _state_for(self, x: Tensor, state: S | None, weight: Tensor | None) -> S:
        dtype = state_dtype(x, weight)
        if state is None:
            return self.initial_state(x.shape[0], device=x.device, dtype=dtype)
        if torch.compiler.is_compiling():
            return state
        # On the meta device nothing is allocated and no random number is drawn.
        like = self.initial_state(x.shape[0], device="meta", dtype=dtype)
        return fitting_state(type(self).__name__, state, like, x)
