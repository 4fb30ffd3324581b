"""The op `lstm`: every variant of the long short-term memory, over a whole padded batch."""

from unrolled.ops.lstm.api import lstm

__all__ = ["lstm"]
