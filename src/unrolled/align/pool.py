"""Many to one: a whole sequence is pooled into one vector, which tells its class."""

from __future__ import annotations

from typing import Generic, Literal, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from unrolled.align.mode import evaluating
from unrolled.check import check_size
from unrolled.nn.build import Rate
from unrolled.nn.reading.embedding import check_codes
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
    """Sequences and a label for each: (batch,) int64 in 0 .. classes - 1, or -1 where it is not known."""

    x: Padded
    label: Tensor


class PoolOptions(Options):
    """How a sequence becomes one vector, and how its class is learned.

    pooling: "last", "mean", "max" or "attention". dropout: rate in [0, 1), on the vector. label_smoothing: the share of
    the target, in [0, 1), that goes to all classes alike; in training only.
    """

    pooling: Literal["last", "mean", "max", "attention"] = "last"
    dropout: Rate = 0.0
    label_smoothing: Rate = 0.0


class Pool(nn.Module, Generic[S]):
    """The class of a whole sequence.

        y      = encoder(reader(x))                          (batch, time, features)
        v      = pooled y over the valid steps t = 1 .. n
        logits = W drop(v) + b

        "last":      v = y_n; of what a backward layer gives, y_1
        "mean":      v = sum_t y_t / n
        "max":       v = max_t y_t, each feature by itself
        "attention": v = sum_t a_t y_t,   a = softmax_t(w tanh(y_t)),   w = 0 at the start

    "last" goes by position in y: the features of a `Bidirectional` on top, whatever wraps it, are taken where each of
    its two layers has read the whole row. A row of length 0 has v = 0.

    reader: turns inputs into vectors. encoder: any Recurrent over them. classes: the number of classes K.

    Source: attention: Zhou et al. 2016 (ACL P16-2034), eq. 9-11.
    """

    def __init__(self, reader: Reader, encoder: Recurrent[S], classes: int, options: PoolOptions) -> None:
        super().__init__()
        check_reader("Pool", reader, encoder)
        self.classes = check_size("Pool", "classes", classes)
        self.options = options
        self.reader = reader
        self.encoder = encoder
        width = encoder.output_size
        self.attention = nn.Parameter(torch.zeros(width)) if options.pooling == "attention" else None
        self.dropout = nn.Dropout(options.dropout)
        self.head = nn.Linear(width, classes)

    def loss(self, batch: Labelled, state: None = None) -> tuple[Tensor, Tensor, None]:
        """Sum of -log p(label) in nats over the rows with a label, the number of them, and no state."""
        check_codes("Pool", "label", batch.label, -1, self.classes)
        logits = self.scores(batch.x)
        smoothing = self.options.label_smoothing if self.training else 0.0
        total = cross_entropy(logits, batch.label, ignore_index=-1, reduction="sum", label_smoothing=smoothing)
        return total, (batch.label >= 0).sum(), None

    def scores(self, x: Padded) -> Tensor:
        """Logits (batch, K), with the gradient, in the mode that the module is in."""
        y, _ = encode(self.reader, self.encoder, x)
        logits: Tensor = self.head(self.dropout(self.pooled(y, x.lengths)))
        # What follows sums exponentials: half precision would lose them.
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def probabilities(self, x: Padded) -> Tensor:
        """(batch, K), dropout off, without gradients."""
        with evaluating(self):
            return self.scores(x).softmax(-1)

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
