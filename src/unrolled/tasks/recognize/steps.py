"""Steps of inputs as a recogniser takes them: with time after the end."""

from __future__ import annotations

import numpy as np

from unrolled.data.batch.ragged import Ragged

__all__ = ["lingering"]


def lingering(steps: Ragged, count: int) -> Ragged:
    """Each input with `count` steps of zeros behind it; one without steps stays so."""
    if not count:
        return steps
    return Ragged.from_list(
        np.pad(values, ((0, count if len(values) else 0), (0, 0)))
        for values in map(steps.__getitem__, range(len(steps)))
    )
