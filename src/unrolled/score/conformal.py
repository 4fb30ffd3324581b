"""Intervals that hold what they promise, whatever a model gets wrong: split conformal prediction.

Rows that a model has not learned from tell how far off it is. A new row is as likely to be at any place among them, so
that the k-th smallest of n distances holds it with probability k / (n + 1), for any model and any data, as long as the
rows are exchangeable.

Source: Vovk, Gammerman and Shafer 2005, "Algorithmic learning in a random world"; Lei et al. 2018, arXiv:1604.04173.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["conformal_quantile", "rows_needed"]

# Of a product such as 0.95 * 20, which is 19 but for rounding.
ROUNDING = 1e-9


def conformal_quantile(distances: ArrayLike, share: float) -> NDArray[np.float64]:
    """What `share` of the distances of further rows do not exceed: the ceil((n + 1) share)-th smallest of n.

    distances: (n, ...), each column by itself. share: in (0, 1). Infinite where n is below `rows_needed(share)`.

    >>> float(conformal_quantile(range(1, 20), 0.8)), float(conformal_quantile(range(1, 20), 0.99))
    (16.0, inf)
    """
    values = np.sort(np.asarray(distances, np.float64), axis=0)
    place = math.ceil((len(values) + 1) * share - ROUNDING)
    return values[place - 1] if place <= len(values) else np.full(values.shape[1:], np.inf)


def rows_needed(share: float) -> int:
    """The fewest rows by which a share of further ones can be bounded: share / (1 - share).

    >>> rows_needed(0.8), rows_needed(0.95)
    (4, 19)
    """
    return max(1, math.ceil(share / (1 - share) - ROUNDING))
