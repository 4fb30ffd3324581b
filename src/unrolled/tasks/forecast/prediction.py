"""A forecast as a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unrolled.data.panel.panel import Panel
from unrolled.data.read.times import offset_name, wall_times
from unrolled.errors import SaveError
from unrolled.model import write_atomically
from unrolled.tasks.forecast.channels import Channels
from unrolled.tasks.spreadsheet import csv_text

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["Prediction", "level_name", "prediction", "show_times"]

# Digits of a number in text: those that float32 can tell, and those of float64.
DIGITS, MOST_DIGITS = 6, 15


@dataclass(frozen=True, eq=False)
class Prediction:
    """The forecast of every series and target: a row for each step ahead.

    Columns: the id (where the data have one), the time, `target` (its name), `forecast` (the median, the one number to
    name), and `lower_80`, `upper_80`, ... for each level. All in the user's units.
    """

    table: pa.Table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __str__(self) -> str:
        return self.to_csv()

    def to_arrow(self) -> pa.Table:
        """The table as pyarrow holds it."""
        return self.table

    def to_pandas(self) -> pd.DataFrame:
        """The table as a pandas frame."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame

    def to_csv(self, path: str | Path | None = None, *, raw: bool = False) -> str:
        """The table as CSV text, also written to `path` if given (whole or not at all). Raises `SaveError`.

        A name that a spreadsheet would run as a formula has an apostrophe before it, unless `raw`.
        """
        readable = _readable(self.table)
        rows = zip(*(column.to_pylist() for column in readable.columns), strict=True)
        text = csv_text([readable.column_names, *rows], raw=raw)
        if path is not None:
            try:
                write_atomically(Path(path), text.encode())
            except OSError as error:
                raise SaveError(
                    f"to_csv: cannot write {path}: {error.strerror or error}; choose another place."
                ) from error
        return text

    def to_json(self) -> list[dict[str, Any]]:
        """One plain JSON object a row."""
        return list(_readable(self.table).to_pylist())


def prediction(extended: Panel, channels: Channels, levels: tuple[float, ...]) -> Prediction:
    """The table of the forecasts; `levels` of the bands in percent, narrow to wide."""
    import pyarrow as pa

    horizon, names = channels.horizon, extended.columns
    columns: dict[str, pa.Array] = {}
    if names.id is not None:
        columns[names.id] = pa.array([extended.ids[i] for i in np.repeat(channels.series, horizon)])
    columns[names.time] = extended.stamps(extended.time[channels.rows(extended)].ravel())
    columns["target"] = pa.array([names.target[i] for i in np.repeat(channels.column, horizon)])
    columns["forecast"] = pa.array(channels.median.ravel())
    for i, level in enumerate(levels):
        for side, values in zip(("lower", "upper"), channels.band(i), strict=True):
            columns[f"{side}_{level_name(level)}"] = pa.array(values.ravel())
    return Prediction(pa.table(list(columns.values()), names=list(columns)))


def level_name(level: float) -> str:
    """80.0 -> "80", 99.5 -> "99.5"."""
    return f"{level:g}"


def show_times(times: np.ndarray) -> list[str]:
    """Dates where all are midnights, else date and time; a counter as it is."""
    if times.dtype.kind == "i":
        return [str(time) for time in times]
    whole = bool((times == times.astype("datetime64[D]")).all())
    text = np.datetime_as_string(times.astype("datetime64[ns]"), unit="D" if whole else "s")
    return [str(value).replace("T", " ") for value in text]


def _readable(table: pa.Table) -> pa.Table:
    """Timestamps as text; numbers with the digits that a float32 network can mean."""
    import pyarrow as pa

    floating = [name for name in table.column_names if pa.types.is_floating(table.schema.field(name).type)]
    rounded = dict(zip(floating, _rounded(table, floating), strict=True))
    columns = []
    for name in table.column_names:
        column = table[name]
        if pa.types.is_timestamp(column.type):
            columns.append(pa.array(_times(column)))
        else:
            columns.append(pa.array(rounded[name]) if name in rounded else column)
    return pa.table(columns, names=table.column_names)


def _times(column: pa.ChunkedArray) -> list[str]:
    """As clocks in the column's zone show them, followed by the offset unless all are whole days."""
    values, zone = column.to_numpy().astype("datetime64[ns]"), column.type.tz
    walls = wall_times(values, zone)
    text = show_times(walls)
    if zone is None or (walls == walls.astype("datetime64[D]")).all():
        return text
    minutes = (walls - values).astype(np.int64) // 60_000_000_000
    return [f"{clock}{offset_name(int(offset))}" for clock, offset in zip(text, minutes, strict=True)]


def _rounded(table: pa.Table, names: list[str]) -> list[list[float]]:
    """Six digits, and as many more as show the spread of a series' own forecasts and bands with six."""
    values = np.column_stack([table[name].to_numpy() for name in names])
    found: dict[tuple[object, ...], list[int]] = {}
    for row, key in enumerate(zip(*(column.to_pylist() for column in _owners(table)), strict=True)):
        found.setdefault(key, []).append(row)
    digits = np.full(len(values), DIGITS)
    for rows in found.values():
        own = values[rows]
        largest, spread = np.abs(own).max(), np.ptp(own)
        if spread > 0:
            digits[rows] = np.clip(DIGITS + np.floor(np.log10(largest / spread)), DIGITS, MOST_DIGITS)
        elif np.isfinite(largest):
            digits[rows] = MOST_DIGITS
    return [[float(f"{value:.{count}g}") for value, count in zip(column, digits, strict=True)] for column in values.T]


def _owners(table: pa.Table) -> list[pa.ChunkedArray]:
    """The columns that tell whose forecast a row is: the target's name, and the series' where there are several."""
    before = table.column_names.index("forecast")
    # The id, if any, the time, and "target" stand before the forecast.
    return [table.column(before - 1), *(table.column(i) for i in range(before - 2))]
