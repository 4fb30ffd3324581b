"""The op `rnn`: h' = tanh or relu of W_x x + b + W_h h, over a whole padded batch."""

from unrolled.ops.rnn.api import rnn

__all__ = ["rnn"]
