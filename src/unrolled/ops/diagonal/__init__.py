"""The op `diagonal`: h' = decay * h + drive, element by element, over a whole padded batch.

decay, drive and y (batch, time, width), h0 and h (batch, width), start_h (1 or batch, width), lengths (batch,) int64,
reset (batch, time) bool and False in the padding. What a step does to h depends on the input alone, so time can be cut
into pieces, and nothing but y is kept for the backward pass. Source of the form: Feng et al. 2024, arXiv:2410.01201.
"""

from unrolled.ops.diagonal.api import diagonal

__all__ = ["diagonal"]
