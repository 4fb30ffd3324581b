"""The op `slstm`: the scalar long short-term memory with exponential gates, over a whole padded batch.

gates (batch, time, 4 * hidden) in the order i, f, z, o; the state's leaves (batch, hidden), those of start one row or
as many; weight_h (heads, 4 * width, width) with hidden = heads * width; lengths (batch,) int64; reset (batch, time)
bool and False in the padding; y (batch, time, hidden). Equations: reference.py; source: Beck et al. 2024,
arXiv:2405.04517.
"""

from unrolled.ops.slstm.api import slstm

__all__ = ["slstm"]
