"""The next code from those before it: language models over one long text or many short ones, also from a vector."""

from __future__ import annotations

from typing import Generic, NamedTuple, Protocol, TypeVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from unrolled.align.bridge import Bridge
from unrolled.check import check_size
from unrolled.errors import DataError, NotStreamable, OptionError
from unrolled.heads.softmax import OutputLayer, SampledSoftmax
from unrolled.nn.build import Rate
from unrolled.nn.reading.embedding import Embedding
from unrolled.nn.recurrent import Recurrent
from unrolled.options import Options
from unrolled.padding import valid_mask, zero_padding

__all__ = ["Next", "NextOptions", "Started", "Successors"]

S = TypeVar("S")


class Successors(Protocol):
    """Codes and what follows each: x, target (batch, time) int64, target -1 where unknown; lengths (batch,).

    reset (batch, time) bool or None: True at t means that a text begins with x_t.
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
    """Codes, what follows each, and the vector (batch, condition_size) that each row starts from."""

    x: Tensor
    target: Tensor
    lengths: Tensor
    vector: Tensor
    reset: Tensor | None = None


class NextOptions(Options):
    """How the next code is predicted and learned.

    tied: the output layer's rows are those of the embedding. input_dropout, output_dropout: rates in [0, 1) on embedded
    codes and on the encoder's y, one mask a row and call, the same at every step. samples: codes drawn for a sampled
    softmax, in training only; None takes the full one. activation_penalty, slowness_penalty: alpha and beta of `Next`.
    condition_size: features of a vector to start from; 0 for none.
    """

    tied: bool = True
    input_dropout: Rate = 0.0
    output_dropout: Rate = 0.0
    samples: int | None = Field(default=None, ge=1)
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
    """The distribution of the next code, given all codes so far.

        y_t      = encoder step of drop_in(E[x_t])
        log p_t  = log softmax(W P drop_out(y_t) + b)            P only where tied rows are not as wide as y
        loss     = sum over targets of -log p_t[target_t]        nats

    In training alone, with M valid steps and C targets, the loss also holds

        alpha C mean(drop_out(y_t)^2)                            activation penalty, over the M steps
        beta C mean((y_t - y_(t-1))^2)                           slowness penalty, over neighbours in one text

    embedding: vectors of the codes. encoder: a forward-only Recurrent over them. size: the number of codes. Dropout
    masks are drawn for every call, also where the state is carried on; the state is the encoder's alone.

    With condition_size D, a row starts from a vector: one linear map for each part of the encoder's state adds to its
    initial state, and batches are `Started`. A reset returns to the initial state without the vector.

    Source: penalties, dropout and tied weights as in AWD-LSTM, Merity et al. 2017, arXiv:1708.02182. Differences: the
    slowness penalty leaves out pairs that a reset or the padding parts.
    """

    def __init__(self, embedding: Embedding, encoder: Recurrent[S], size: int, options: NextOptions) -> None:
        super().__init__()
        check_size("Next", "size", size)
        if encoder.input_size != embedding.output_size:
            raise OptionError(
                f"Next: the encoder must take the {embedding.output_size} features that the embedding gives, "
                f"got input_size={encoder.input_size}; make the two sizes equal."
            )
        if not encoder.streamable:
            raise NotStreamable(
                "Next: the encoder must not see what follows, but this one needs the whole sequence; "
                "use bidirectional=False."
            )
        self.size, self.options = size, options
        self.embedding = embedding
        self.encoder = encoder
        self.output = OutputLayer(encoder.output_size, size, embedding if options.tied else None)
        self.sampled = SampledSoftmax(size, options.samples) if options.samples else None
        conditioned = options.condition_size > 0
        self.bridge = Bridge(options.condition_size, encoder, bounded=False) if conditioned else None

    def begin(self, rows: int, vector: Tensor | None = None) -> S:
        """The state before the first code of `rows` texts; vector (rows, condition_size) where they start from one."""
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
        weight = self.output.bias
        return self.encoder.initial_state(rows, device=weight.device, dtype=weight.dtype)

    def loss(self, batch: Successors, state: S | None = None) -> tuple[Tensor, Tensor, S]:
        """Sum of -log p(target) in nats (penalties added in training), the number of targets, and the state after.

        state: as an earlier call returned it, None to start afresh.
        """
        y, state = self._encode(batch.x, batch.lengths, batch.reset, self._start(batch, state))
        dropped = self._locked(y, self.options.output_dropout)
        target = _known(batch)
        given, count = target >= 0, (target >= 0).sum()
        hidden, wanted = dropped[given], target[given]
        if self.training and self.sampled is not None:
            total = self.output.sampled_loss(hidden, wanted, self.sampled)
        else:
            total, _ = self.output.loss(hidden, wanted)
        if self.training:
            total = total + count * self._penalty(y, dropped, batch)
        return total, count, state

    def log_probs(self, x: Tensor, lengths: Tensor | None = None, state: S | None = None) -> tuple[Tensor, S]:
        """log p of every code after each of x (batch, time): (batch, time, size), and the state after."""
        y, state = self._encode(x, lengths, None, state)
        return self.output(self._locked(y, self.options.output_dropout)), state

    def score(self, batch: Successors, state: S | None = None) -> Tensor:
        """log p of each target, (batch, time); 0 where there is none. All log p at once are never held."""
        y, _ = self._encode(batch.x, batch.lengths, batch.reset, self._start(batch, state))
        target = _known(batch)
        given = target >= 0
        hidden = self._locked(y, self.options.output_dropout)[given]
        found = self.output.log_prob(hidden, target[given])
        return found.new_zeros(given.shape).masked_scatter(given, found)

    def step(self, codes: Tensor, state: S) -> tuple[Tensor, S]:
        """log p of what follows codes (batch,), as (batch, size), and the next state; masks over time are not drawn."""
        y, state = self.encoder.step(self.embedding(codes), state)
        return self.output(y), state

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
        u = self._locked(self.embedding(zero_padding(x, lengths)), self.options.input_dropout)
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


def _known(batch: Successors) -> Tensor:
    """The targets, -1 in the padding."""
    return torch.where(valid_mask(batch.lengths, batch.target.shape[1]), batch.target, -1)


def _mean_square(x: Tensor, chosen: Tensor) -> Tensor:
    """Mean over the features of the chosen steps of x (batch, time, features); 0 where there is none."""
    squares = torch.where(chosen[..., None], x, 0).square().sum()
    return squares / (chosen.sum() * x.shape[2]).clamp(min=1)
