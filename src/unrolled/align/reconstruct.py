"""Each row rebuilt, with those before it, from a state too narrow to hold them as they are: what is usual fits in."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from unrolled.align.next import StepReader, Successors
from unrolled.check import check_size
from unrolled.errors import NotStreamable, OptionError
from unrolled.heads.number.head import NumberHead
from unrolled.heads.number.likelihood import Likelihood
from unrolled.nn.recurrent import Recurrent
from unrolled.padding import valid_mask, zero_padding

__all__ = ["Reconstruct", "Rebuilding"]

S = TypeVar("S")


class Rebuilding(NamedTuple, Generic[S]):
    """What `Reconstruct` carries: the encoder's state; the rows before, (batch, window - 1, values), 0 where a value is
    not known, and bool whether it is."""

    encoder: S
    recent: Tensor
    known: Tensor


class Reconstruct(nn.Module, Generic[S]):
    """The last rows, each rebuilt from one narrow vector that has seen them all.

        y_t  = encoder step of reader(x_t)                       x_t holds row t itself
        z_t  = W y_t + b                                         narrow: code_size numbers
        p_t  = head(tanh(V z_t + c))                             of rows t, t - 1, ... t - window + 1
        loss = the head's, summed over the known values of all those rows

    Rows before the beginning of a series are unknown. A row counts once for each of the windows that hold it.

    reader: vectors of what stands at a step. encoder: a forward-only Recurrent over them. values: numbers of a row.
    likelihood: how each is described. window: rows that are rebuilt at each step. code_size: numbers of z, fewer than
    the values of a window.

    Source: Malhotra et al. 2016, arXiv:1607.00148. Differences: windows run on with the state in place of one sequence
    at a time, all rows of one are rebuilt at once in place of step by step, and the narrow vector is a layer of its
    own.
    """

    def __init__(
        self,
        reader: StepReader,
        encoder: Recurrent[S],
        values: int,
        likelihood: Likelihood,
        *,
        window: int,
        code_size: int,
    ) -> None:
        super().__init__()
        if encoder.input_size != reader.output_size:
            raise OptionError(
                f"Reconstruct: the encoder must take the {reader.output_size} features that the reader gives, "
                f"got input_size={encoder.input_size}; make the two sizes equal."
            )
        if not encoder.streamable:
            raise NotStreamable(
                "Reconstruct: the encoder must not see what follows, but this one needs the whole sequence; use "
                "bidirectional=False."
            )
        if window < 2 or not 1 <= code_size < window * values:
            raise OptionError(
                f"Reconstruct: expected a window of at least 2 rows and a code narrower than its {window * values} "
                f"values, got window={window} and code_size={code_size}; give a smaller code_size or a larger window."
            )
        self.values, self.window = check_size("Reconstruct", "values", values), window
        self.reader = reader
        self.encoder = encoder
        self.narrow = nn.Linear(encoder.output_size, code_size)
        self.widen = nn.Linear(code_size, encoder.output_size)
        self.head = NumberHead(encoder.output_size, window * values, likelihood)

    def begin(self, rows: int) -> Rebuilding[S]:
        """The state before the first step of `rows` rows."""
        weight = self.head.weight
        inner = self.encoder.initial_state(rows, device=weight.device, dtype=weight.dtype)
        recent = weight.new_zeros(rows, self.window - 1, self.values)
        return Rebuilding(inner, recent, torch.zeros_like(recent, dtype=torch.bool))

    def loss(self, batch: Successors, state: Rebuilding[S] | None = None) -> tuple[Tensor, Tensor, Rebuilding[S]]:
        """The head's loss, how many values were rebuilt, and the state after.

        batch: as for `Next`, but x holds what target holds. state: as an earlier call returned it.
        """
        inner, recent, known = self.begin(len(batch.x)) if state is None else state
        y, inner = self.vectors(batch.x, batch.lengths, batch.reset, inner)
        before = torch.where(known, recent.to(batch.target), torch.nan)
        wanted, after = self._windows(batch, before)
        total, count = self.head.loss(y, wanted, batch.lengths)
        return total, count, Rebuilding(inner, after.nan_to_num(), ~after.isnan())

    def vectors(
        self, x: Tensor, lengths: Tensor | None = None, reset: Tensor | None = None, state: S | None = None
    ) -> tuple[Tensor, S]:
        """What the head sees after each of x (batch, time, ...), and the encoder's state after; state: such a one."""
        y, state = self.encoder(self.reader(zero_padding(x, lengths)), state, lengths=lengths, reset=reset)
        return self.widen(self.narrow(y)).tanh(), state

    def _windows(self, batch: Successors, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The values to rebuild at each step (batch, time, window * values), the newest row first, NaN where not known;
        and the rows before the next piece. rows: those before this one."""
        target, lengths, before = batch.target, batch.lengths, self.window - 1
        time = target.shape[1]
        inside = torch.where(valid_mask(lengths, time)[..., None], target, torch.nan)
        rows = torch.cat([rows, inside], 1)
        # A row belongs to the window of another only where no series begins between the two.
        run = torch.zeros(rows.shape[:2], dtype=torch.long, device=rows.device)
        if batch.reset is not None:
            run[:, before:] = batch.reset.cumsum(1)
        steps = torch.arange(time, device=rows.device)
        places = steps[:, None] + torch.arange(before, -1, -1, device=rows.device)
        same = run[:, places] == run[:, before:, None]
        wanted = torch.where(same[..., None], rows[:, places], torch.nan).flatten(2)
        last = lengths.to(rows.device)[:, None] + torch.arange(before, device=rows.device)
        ending = run.gather(1, last) == run.gather(1, last[:, -1:])
        kept = rows.gather(1, last[..., None].expand(-1, -1, self.values))
        return wanted, torch.where(ending[..., None], kept, torch.nan)

    def extra_repr(self) -> str:
        return f"values={self.values}, window={self.window}"
