"""What a picture of a detector shows of each series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unrolled.errors import how_many
from unrolled.inspect.novelty import NoveltyPicture
from unrolled.score.novelty import events
from unrolled.tasks.anomaly.follow import Judged
from unrolled.tasks.anomaly.learned import Learned
from unrolled.tasks.anomaly.reading import Observed

__all__ = ["novelty_pictures"]


def novelty_pictures(
    rows: Observed, judged: Judged, learned: Learned, alarms: np.ndarray,
    windows: Sequence[Sequence[tuple[int, int]]] | None,
) -> list[NoveltyPicture]:  # fmt: skip
    """One for each series, those with alarms first."""
    found = []
    for i, name in enumerate(rows.ids):
        part = rows.rows(i)
        runs = events(alarms[part])
        count = f"{how_many(len(runs), 'event')} in {part.stop - part.start:,} rows"
        found.append(
            NoveltyPicture(
                title=name or "anomalies",
                note=count,
                times=rows.clocks[part],
                values=rows.values[part],
                names=rows.layout.channels,
                scores=judged.score[part],
                threshold=learned.threshold_of(name),
                alarms=runs,
                truth=None if windows is None else windows[i],
            )
        )
    return sorted(found, key=lambda each: not each.alarms)
