"""What a picture of a forecast shows of each series."""

from __future__ import annotations

import numpy as np

from unrolled.data.panel.panel import Panel
from unrolled.inspect.forecast import Band, ForecastPicture
from unrolled.tasks.forecast.channels import Channels
from unrolled.tasks.forecast.prediction import level_name, show_times

__all__ = ["pictures"]

# Horizons and seasons of history beside the forecast: enough to see the rhythm, few enough to see the forecast.
HORIZONS, SEASONS = 5, 3


def pictures(extended: Panel, channels: Channels, levels: tuple[float, ...], season: int) -> list[ForecastPicture]:
    """One for each series and target, in the order of the table; the channels' cuts are rows of `extended`."""
    shown = max(HORIZONS * channels.horizon, SEASONS * season, 24)
    rows = channels.rows(extended)
    found = []
    for i, (series, column, cut) in enumerate(zip(channels.series, channels.column, channels.cut, strict=True)):
        begin = int(extended.offsets[series])
        past = slice(begin + max(0, int(cut) - shown), begin + int(cut))
        bands = [
            Band(f"{level_name(level)} %", *(edge[i] for edge in channels.band(j))) for j, level in enumerate(levels)
        ]
        target, name = extended.columns.target[column], extended.ids[series]
        ends = show_times(extended.time[rows[i][[0, -1]]])
        found.append(
            ForecastPicture(
                title=f"{target} · {name}" if name else target,
                time=extended.time[past],
                values=extended.target[past, column].astype(np.float64),
                future=extended.time[rows[i]],
                forecast=channels.median[i],
                bands=tuple(bands),
                note=f"forecast of {channels.horizon} steps, {ends[0]} to {ends[1]}",
            )
        )
    return found
