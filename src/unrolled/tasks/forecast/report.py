"""Scores of a model beside the baselines, as a table, as text and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from unrolled.align.forecast.baseline import BASELINES
from unrolled.data.panel.panel import Panel
from unrolled.errors import DataError
from unrolled.options import typed
from unrolled.score import forecast as score
from unrolled.score.table import score_table
from unrolled.tasks.forecast.channels import Channels, truth
from unrolled.tasks.forecast.prediction import level_name, show_times

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["Report", "compare"]

MODEL = "model"


@dataclass(frozen=True)
class Report:
    """How good the forecasts were, on what.

    rows: one for each model (ours is "model"): name, then mae, rmse (in the target's unit), smape (percent), mase
    (below 1: better than the seasonal naive forecast inside the training rows), wql (weighted quantile loss) and
    coverage_80, ... (the share of values inside the band); None where it does not apply. A baseline names one
    number, so its wql is that of a point. basis: what was scored, and what the model had seen of it. windows:
    forecasts scored.
    """

    rows: tuple[dict[str, Any], ...]
    basis: str
    windows: int
    horizon: int
    first: str
    last: str

    @property
    def best(self) -> str:
        """The name with the smallest mean absolute error."""
        return str(min(self.rows, key=lambda row: row["mae"])["name"])

    def __getitem__(self, name: str) -> dict[str, Any]:
        """The row of one model."""
        return next(row for row in self.rows if row["name"] == name)

    def __str__(self) -> str:
        head = f"{self.windows} forecasts of {self.horizon} steps, {self.first} to {self.last}: {self.basis}"
        return f"{head}\n{score_table(self.rows)}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "rows": [dict(row) for row in self.rows]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Report:
        """The report that `to_json` wrote. Raises `ModelFileError` for one of another form."""
        kinds = {"basis": str, "windows": int, "horizon": int, "first": str, "last": str}
        rows = typed(list[dict[str, str | float | None]], data["rows"], "scores")
        return cls(rows=tuple(rows), **{name: typed(kind, data[name], name) for name, kind in kinds.items()})

    def to_arrow(self) -> pa.Table:
        """The rows as a pyarrow table."""
        import pyarrow as pa

        return pa.Table.from_pylist([dict(row) for row in self.rows])

    def to_pandas(self) -> pd.DataFrame:
        """The rows as a pandas frame."""
        frame: pd.DataFrame = self.to_arrow().to_pandas()
        return frame


def compare(
    panel: Panel, channels: Channels, scales: np.ndarray, season: int, levels: tuple[float, ...], basis: str
) -> Report:
    """Score forecasts beside the baselines made from the rows before each cut.

    scales: (S, D) what an error of each series and target is measured in for MASE. levels: of the bands, in percent.
    """
    known = truth(panel, channels)
    # Without a season, the seasonal naive forecast is the last value.
    names = [name for name in BASELINES if season > 1 or name != "seasonal-naive"]
    naive = {name: _baseline(panel, channels, name, season) for name in names}
    # A window before which nothing is known has no baseline, so it is left out for all of them alike.
    known = np.where(np.any([np.isnan(values) for values in naive.values()], axis=0), np.nan, known)
    if np.isnan(known).all():
        raise DataError(
            "Expected values to score the forecasts by, but all are missing: give rows with the target filled in."
        )
    scale = scales[channels.series, channels.column][:, None]
    rows = [_scores(MODEL, known, channels.quantiles, scale, levels)]
    for name, values in naive.items():
        repeated = np.repeat(values[:, :, None], channels.quantiles.shape[2], 2)
        row = _scores(name, known, repeated, scale, levels)
        rows.append({key: None if key.startswith("coverage") else value for key, value in row.items()})
    times = panel.time[channels.rows(panel)]
    ends = show_times(np.array([times.min(), times.max()]))
    return Report(tuple(rows), basis, len(channels.cut), channels.horizon, *ends)


def _scores(
    name: str, known: np.ndarray, quantiles: np.ndarray, scale: np.ndarray, levels: tuple[float, ...]
) -> dict[str, Any]:
    channels = Channels(np.zeros(0), np.zeros(0), np.zeros(0), quantiles)
    middle = channels.median
    ends = sorted(0.5 + side * level / 200 for level in (0.0, *levels) for side in ((1,) if level == 0 else (-1, 1)))
    row: dict[str, Any] = {
        "name": name,
        "mae": score.mae(known, middle),
        "rmse": score.rmse(known, middle),
        "smape": score.smape(known, middle),
        "mase": score.scaled_error(known, middle, scale) if _any_scale(known, scale) else None,
        "wql": score.weighted_quantile_loss(known, quantiles, ends) if np.nansum(np.abs(known)) > 0 else None,
    }
    for i, level in enumerate(levels):
        row[f"coverage_{level_name(level)}"] = score.coverage(known, *channels.band(i))
    return row


def _any_scale(known: np.ndarray, scale: np.ndarray) -> bool:
    return bool((~np.isnan(known) & (np.broadcast_to(scale, known.shape) > 0)).any())


def _baseline(panel: Panel, channels: Channels, name: str, season: int) -> np.ndarray:
    """(n, H) from the whole history before each cut."""
    found = np.empty(channels.median.shape)
    for i, (series, column, cut) in enumerate(zip(channels.series, channels.column, channels.cut, strict=True)):
        history = panel.target[panel.rows(int(series)), column][: int(cut)]
        found[i] = BASELINES[name](history, channels.horizon, season)
    return found
