"""How a table was read for a fit, so that later tables are read the same way and joined to what the model remembers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from unrolled.data.panel.build import build_panel, panel_table
from unrolled.data.panel.columns import Columns
from unrolled.data.panel.panel import Panel
from unrolled.data.panel.step import Step
from unrolled.data.read.table import as_read, read_table
from unrolled.data.read.times import TimeForm

__all__ = ["Names", "Reading", "merge", "read_again"]

Names = str | Sequence[str] | None


@dataclass(frozen=True)
class Reading:
    """The parts of the columns and the step, as the user gave them."""

    time: str | None = None
    target: Names = None
    id: str | None = None
    future: Names = ()
    past: Names = ()
    static: Names = ()
    step: str | None = None
    resample: str | None = None
    day_first: bool | None = None

    def panel(self, source: object) -> Panel:
        """The table as regular series."""
        table = read_table(source, text=[self.id] if self.id else [])
        columns = Columns.resolve(table, self.time, self.target, self.id, self.future, self.past, self.static)
        return build_panel(table, columns, step=self.step, resample=self.resample, day_first=self.day_first)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; `Reading(**data)` gives it back."""
        return asdict(self)


def read_again(source: object, columns: Columns, step: Step, resample: str | None, form: TimeForm) -> Panel:
    """Another table with the same columns, its times written as in the first."""
    table = read_table(source, text=[columns.id] if columns.id else [])
    return build_panel(table, columns, step=step, resample=resample, form=form)


def merge(earlier: Panel, later: Panel) -> Panel:
    """`later` with those rows of `earlier` that its series had before; rows missing in between are missing values."""
    import pyarrow as pa

    number = {name: i for i, name in enumerate(earlier.ids)}
    before = np.zeros(len(earlier.ids), np.int64)
    for i, name in enumerate(later.ids):
        if name in number:
            j = number[name]
            before[j] = int((earlier.time[earlier.rows(j)] < later.time[later.offsets[i]]).sum())
    kept = earlier.head(before)
    if not before.any():
        return later
    tables = [panel_table(part) for part in (kept, later)]
    whole = as_read(pa.concat_tables(tables, promote_options="permissive"))
    merged = build_panel(whole, later.columns, step=later.step, form=later.form)
    order = {name: i for i, name in enumerate(merged.ids)}
    return merged.select([order[name] for name in later.ids])
