"""The op `minimal`: minGRU and minLSTM from their pre-activations, over a whole padded batch.

gates (batch, time, 2 hidden) in the order z, candidate, or with lstm (batch, time, 3 hidden) in the order f, i,
candidate; y (batch, time, hidden), h0 and h (batch, hidden), start_h (1 or batch, hidden), lengths (batch,) int64,
reset (batch, time) bool and False in the padding. positive: the candidate goes through the paper's g. A compiled kernel
makes the gates inside the walk and keeps nothing but y. Source: Feng et al. 2024, arXiv:2410.01201.
"""

from unrolled.ops.minimal.api import minimal

__all__ = ["minimal"]
