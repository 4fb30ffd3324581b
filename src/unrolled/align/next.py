"""What comes next, from all before it: codes or numbers, of one long run or many short ones, also from a vector."""

from __future__ import annotations

from typing import Generic, NamedTuple, Protocol, TypeVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from unrolled.align.bridge import Bridge
from unrolled.align.pool import check_head_size
from unrolled.errors import DataError, NotStreamable, OptionError
from unrolled.heads.head import Head
from unrolled.nn.build import Rate
from unrolled.nn.recurrent import Recurrent
from unrolled.options import Options
from unrolled.padding import valid_mask, zero_padding

__all__ = ["Next", "NextOptions", "Started", "StepReader", "Successors"]

S = TypeVar("S")


class StepReader(Protocol):
    """Turns what stands at any places (...) into vectors (..., output_size): an `Embedding`, a `NumberReader`."""

    @property
    def output_size(self) -> int: ...

    def __call__(self, x: Tensor, /) -> Tensor: ...


class Successors(Protocol):
    """What stands at each step and what follows it, (batch, time) codes or (batch, time, numbers).

    target: -1 or NaN where it is not known. lengths (batch,). reset (batch, time) bool or None: True at t means that a
    run, such as a text, begins with x_t.
    """

    @property
    def x(self) -> Tensor: ...

    @property
    def target(self) -> Tensor: ...

    @property
    def lengths(self) -> Tensor: ...

    @property
    def reset(self) -> Tensor | None: ...


class Started(NamedTuple):
    """As `Successors`, and the vector (batch, condition_size) that each row starts from."""

    x: Tensor
    target: Tensor
    lengths: Tensor
    vector: Tensor
    reset: Tensor | None = None


class NextOptions(Options):
    """How what comes next is learned.

    input_dropout, output_dropout: rates in [0, 1) on the vectors read and on the encoder's y, one mask a row and call,
    the same at every step. activation_penalty, slowness_penalty: alpha and beta of `Next`. condition_size: features of
    a vector to start from; 0 for none.
    """

    input_dropout: Rate = 0.0
    output_dropout: Rate = 0.0
    activation_penalty: float = Field(default=0.0, ge=0)
    slowness_penalty: float = Field(default=0.0, ge=0)
    condition_size: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _finite(self) -> NextOptions:
        for name in ("activation_penalty", "slowness_penalty"):
            if getattr(self, name) == float("inf"):
                raise ValueError(f"{name} must be finite, got inf; use a number such as 2")
        return self


class Next(nn.Module, Generic[S]):
    """What a head says of the next step, given all steps so far.

        y_t      = encoder step of drop_in(reader(x_t))
        p_t      = head(drop_out(y_t))                           of what follows x_t
        loss     = the head's, summed over known targets         nats, where it tells probabilities

    In training alone, with M valid steps and C known targets, the loss also holds

        alpha C mean(drop_out(y_t)^2)                            activation penalty, over the M steps
        beta C mean((y_t - y_(t-1))^2)                           slowness penalty, over neighbours in one run

    reader: vectors of what stands at a step: an `Embedding` of codes, a `NumberReader`. encoder: a forward-only
    Recurrent over them. head: any `Head` over its output_size; for codes an `OutputLayer`, which may be tied to the
    embedding. Dropout masks are drawn for every call, also where the state is carried on; the state is the encoder's
    alone.

    With condition_size D, a row starts from a vector: one linear map for each part of the encoder's state adds to its
    initial state, and batches are `Started`. A reset returns to the initial state without the vector.

    Source: penalties, dropout and tied weights as in AWD-LSTM, Merity et al. 2017, arXiv:1708.02182. Differences: the
    slowness penalty leaves out pairs that a reset or the padding parts.
    """

    def __init__(self, reader: StepReader, encoder: Recurrent[S], head: Head, options: NextOptions) -> None:
        super().__init__()
        if encoder.input_size != reader.output_size:
            raise OptionError(
                f"Next: the encoder must take the {reader.output_size} features that the reader gives, "
                f"got input_size={encoder.input_size}; make the two sizes equal."
            )
        if not encoder.streamable:
            raise NotStreamable(
                "Next: the encoder must not see what follows, but this one needs the whole sequence; "
                "use bidirectional=False."
            )
        check_head_size("Next", encoder, head)
        self.options = options
        self.reader = reader
        self.encoder = encoder
        self.head = head
        conditioned = options.condition_size > 0
        self.bridge = Bridge(options.condition_size, encoder, bounded=False) if conditioned else None

    def begin(self, rows: int, vector: Tensor | None = None) -> S:
        """The state before the first step of `rows` rows; vector (rows, condition_size) where they start from one."""
        if self.bridge is not None:
            if vector is None or len(vector) != rows:
                found = "none" if vector is None else f"{len(vector)}"
                raise DataError(f"Next: expected a vector for each of {rows} rows to start from, got {found}.")
            state: S = self.bridge(self.encoder, vector)
            return state
        if vector is not None:
            raise OptionError(
                "Next: got a vector to start from, but condition_size is 0; make the model with its number of features."
            )
        weight = next(self.head.parameters())
        return self.encoder.initial_state(rows, device=weight.device, dtype=weight.dtype)

    def loss(self, batch: Successors, state: S | None = None) -> tuple[Tensor, Tensor, S]:
        """The head's loss (penalties added in training), the number of known targets, and the state after.

        state: as an earlier call returned it, None to start afresh.
        """
        y, state = self._encode(batch.x, batch.lengths, batch.reset, self._start(batch, state))
        dropped = self._locked(y, self.options.output_dropout)
        total, count = self.head.loss(dropped, batch.target, batch.lengths)
        if self.training:
            total = total + count * self._penalty(y, dropped, batch)
        return total, count, state

    def vectors(
        self, x: Tensor, lengths: Tensor | None = None, reset: Tensor | None = None, state: S | None = None
    ) -> tuple[Tensor, S]:
        """What the head sees after each of x (batch, time, ...): (batch, time, features), and the state after."""
        y, state = self._encode(x, lengths, reset, state)
        return self._locked(y, self.options.output_dropout), state

    def forward(self, x: Tensor, lengths: Tensor | None = None, state: S | None = None) -> tuple[Tensor, S]:
        """What the head says of what follows each of x (batch, time, ...), and the state after.

        For codes log p of each, (batch, time, size); for numbers their parameters (batch, time, numbers, width).
        """
        y, state = self.vectors(x, lengths, None, state)
        return self.head(y), state

    def score(self, batch: Successors, state: S | None = None) -> Tensor:
        """log p of each target, (batch, time); 0 where there is none. All log p of codes at once are never held."""
        y, _ = self._encode(batch.x, batch.lengths, batch.reset, self._start(batch, state))
        return self.head.log_prob(self._locked(y, self.options.output_dropout), batch.target, batch.lengths)

    def step(self, x: Tensor, state: S) -> tuple[Tensor, S]:
        """What the head says of what follows x (batch, ...), and the next state; masks over time are not drawn."""
        y, state = self.encoder.step(self.reader(x), state)
        return self.head(y), state

    def generate(
        self, x: Tensor, state: S, steps: int, generator: torch.Generator | None = None, known: Tensor | None = None
    ) -> tuple[Tensor, S]:
        """Draws `steps` values one after another, each fed back, and gives them with the state before the last.

        x: what came last, (batch,) codes or (batch, numbers). known: (batch, steps, K), what is known of each step to
        come and is read beside the numbers; None where nothing is. Returns (batch, steps) or (batch, steps, numbers).
        """
        drawn = list[Tensor]()
        for at in range(steps):
            y, state = self.encoder.step(self.reader(x if known is None else torch.cat([x, known[:, at]], -1)), state)
            x = self.head.draw(y, generator)
            drawn.append(x)
        return torch.stack(drawn, 1) if drawn else x[:, None][:, :0], state

    def _start(self, batch: Successors, state: S | None) -> S | None:
        if state is not None or self.bridge is None:
            return state
        if not isinstance(batch, Started):
            raise DataError(
                f"Next: with condition_size={self.options.condition_size} a batch must be a Started with its vectors, "
                f"got {type(batch).__name__}; give Started batches or the state of begin()."
            )
        return self.begin(len(batch.x), batch.vector)

    def _encode(self, x: Tensor, lengths: Tensor | None, reset: Tensor | None, state: S | None) -> tuple[Tensor, S]:
        u = self._locked(self.reader(zero_padding(x, lengths)), self.options.input_dropout)
        y, state = self.encoder(u, state, lengths=lengths, reset=reset)
        return y, state

    def _locked(self, x: Tensor, rate: float) -> Tensor:
        """x (batch, time, features) with one dropout mask a row."""
        if not self.training or not rate:
            return x
        mask = x.new_empty(x.shape[0], 1, x.shape[2]).bernoulli_(1 - rate) / (1 - rate)
        return x * mask

    def _penalty(self, y: Tensor, dropped: Tensor, batch: Successors) -> Tensor:
        """The two penalties for one target."""
        alpha, beta = self.options.activation_penalty, self.options.slowness_penalty
        valid, penalty = valid_mask(batch.lengths, y.shape[1]), y.new_zeros(())
        if alpha:
            penalty = penalty + alpha * _mean_square(dropped, valid)
        if beta:
            together = valid[:, 1:] if batch.reset is None else valid[:, 1:] & ~batch.reset[:, 1:]
            penalty = penalty + beta * _mean_square(y[:, 1:] - y[:, :-1], together)
        return penalty


def _mean_square(x: Tensor, chosen: Tensor) -> Tensor:
    """Mean over the features of the chosen steps of x (batch, time, features); 0 where there is none."""
    squares = torch.where(chosen[..., None], x, 0).square().sum()
    return squares / (chosen.sum() * x.shape[2]).clamp(min=1)
