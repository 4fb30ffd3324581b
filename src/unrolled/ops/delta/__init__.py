"""The op `delta`: S <- S (diag(exp w) + a b^T) + v k^T, over a whole padded batch."""

from unrolled.ops.delta.api import delta

__all__ = ["delta"]
