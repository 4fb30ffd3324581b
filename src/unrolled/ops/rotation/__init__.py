"""The op `rotation`: h' = decay * h + drive in complex numbers, with one decay for all rows and times.

Complex numbers stand as two real halves of the last dimension, real parts first: drive and y (batch, time, 2 width),
h0 and h (batch, 2 width), decay (2 width,), start_h (1 or batch, 2 width); lengths (batch,) int64, reset (batch, time)
bool and False in the padding. It is the complex form of op `diagonal`: a decay that does not change is never laid out
over time, neither itself nor its gradient. Source: Orvieto et al. 2023, arXiv:2303.06349, eq. 1 with a diagonal A.
"""

from unrolled.ops.rotation.api import rotation

__all__ = ["rotation"]
