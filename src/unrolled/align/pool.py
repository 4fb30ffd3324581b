"""Many to one: a whole sequence is pooled into one vector, of which a head predicts: its class, or numbers."""

from __future__ import annotations

from typing import Generic, Literal, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from unrolled.align.mode import evaluating
from unrolled.errors import OptionError
from unrolled.heads.head import Head
from unrolled.nn.build import Rate
from unrolled.nn.reading.reader import Reader, check_reader, encode
from unrolled.nn.recurrent import Recurrent
from unrolled.nn.wrappers.bidirectional import Bidirectional
from unrolled.nn.wrappers.dropout import DropConnect, VariationalDropout
from unrolled.nn.wrappers.residual import Residual
from unrolled.nn.wrappers.stack import Stack
from unrolled.options import Options
from unrolled.padding import Padded, last_step, valid_mask

__all__ = ["Labelled", "Pool", "PoolOptions"]

S = TypeVar("S")


class Labelled(NamedTuple):
    """Sequences and what is to be said of each: codes (batch,), -1 where one is not known, or numbers (batch, values),
    NaN where one is not."""

    x: Padded
    label: Tensor


class PoolOptions(Options):
    """How a sequence becomes one vector: "last", "mean", "max" or "attention". dropout: rate in [0, 1), on that."""

    pooling: Literal["last", "mean", "max", "attention"] = "last"
    dropout: Rate = 0.0


class Pool(nn.Module, Generic[S]):
    """What a head says of a whole sequence.

        y = encoder(reader(x))                               (batch, time, features)
        v = pooled y over the valid steps t = 1 .. n
        p = head(drop(v))

        "last":      v = y_n; of what a backward layer gives, y_1
        "mean":      v = sum_t y_t / n
        "max":       v = max_t y_t, each feature by itself
        "attention": v = sum_t a_t y_t,   a = softmax_t(w tanh(y_t)),   w = 0 at the start

    "last" goes by position in y: the features of a `Bidirectional` on top, whatever wraps it, are taken where each of
    its two layers has read the whole row. A row of length 0 has v = 0.

    reader: turns inputs into vectors. encoder: any Recurrent over them. head: any `Head` over its output_size.

    Source: attention: Zhou et al. 2016 (ACL P16-2034), eq. 9-11.
    """

    def __init__(self, reader: Reader, encoder: Recurrent[S], head: Head, options: PoolOptions) -> None:
        super().__init__()
        check_reader("Pool", reader, encoder)
        check_head_size("Pool", encoder, head)
        self.options = options
        self.reader = reader
        self.encoder = encoder
        pays_attention = options.pooling == "attention"
        self.attention = nn.Parameter(torch.zeros(encoder.output_size)) if pays_attention else None
        self.dropout = nn.Dropout(options.dropout)
        self.head = head

    def loss(self, batch: Labelled, state: None = None) -> tuple[Tensor, Tensor, None]:
        """The head's loss, summed over the rows whose label is known, the number of known ones, and no state."""
        total, count = self.head.loss(self.vectors(batch.x), batch.label)
        return total, count, None

    def vectors(self, x: Padded) -> Tensor:
        """What the head sees of each row, (batch, features), with the gradient, in the mode that the module is in."""
        y, lengths, _ = encode(self.reader, self.encoder, x)
        dropped: Tensor = self.dropout(self.pooled(y, lengths))
        return dropped

    def predict(self, x: Padded) -> Tensor:
        """The head's best value for each row, dropout off, without gradients."""
        with evaluating(self):
            return self.head.best(self.vectors(x))

    def pooled(self, y: Tensor, lengths: Tensor) -> Tensor:
        """y (batch, time, features), zero in the padding, as one vector a row (batch, features)."""
        if not y.shape[1]:
            return y.new_zeros(y.shape[0], y.shape[2])
        valid = valid_mask(lengths, y.shape[1])[..., None]
        if self.options.pooling == "mean":
            return y.sum(1) / lengths.clamp(min=1)[:, None]
        if self.options.pooling == "max":
            best = torch.where(valid, y, torch.finfo(y.dtype).min).amax(1)
            return torch.where(lengths[:, None] > 0, best, 0)
        if self.attention is not None:
            relevance = (y.tanh() @ self.attention)[..., None]
            # A row of length 0 weighs all of its padding alike, which holds zeros.
            weights = torch.where(valid, relevance, torch.finfo(relevance.dtype).min).softmax(1)
            return (weights * y).sum(1)
        forwards = forward_features(self.encoder)
        return torch.cat([last_step(y[..., :forwards], lengths), y[:, 0, forwards:]], -1)


def check_head_size(owner: str, encoder: Recurrent[S], head: Head) -> None:
    """The head must take as many features as the encoder gives."""
    if head.input_size != encoder.output_size:
        raise OptionError(
            f"{owner}: the head must take the {encoder.output_size} features that the encoder gives, got "
            f"input_size={head.input_size}; make the two sizes equal."
        )


def forward_features(encoder: Recurrent[S]) -> int:
    """How many of the features of y, counted from the first, are complete at the last step; the rest at the first."""
    match encoder:
        case Bidirectional():
            return encoder.forward_layer.output_size
        case Stack():
            top = encoder.layers[-1]
            assert isinstance(top, Recurrent)
            return forward_features(top)
        case VariationalDropout() | DropConnect() | Residual():
            return forward_features(encoder.layer)
        case _:
            return encoder.output_size
