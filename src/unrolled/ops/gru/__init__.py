"""The op `gru`: the gated recurrent unit with either reset, over a whole padded batch."""

from unrolled.ops.gru.api import gru

__all__ = ["gru"]
