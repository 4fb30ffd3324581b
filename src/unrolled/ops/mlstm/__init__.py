"""The op `mlstm`: the matrix long short-term memory, over a whole padded batch."""

from unrolled.ops.mlstm.api import mlstm

__all__ = ["mlstm"]
