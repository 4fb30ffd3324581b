"""Tables of one history whose times have zones: read like the first, or refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from unrolled.data.panel.step import Step
from unrolled.data.read.codes import COUNT
from unrolled.data.read.table import source_name
from unrolled.data.read.times import TimeForm, Times, instants, read_times, wall_times
from unrolled.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["read_later", "settled_form"]


def read_later(table: pa.Table, name: str, form: TimeForm, step: Step) -> Times:
    """The time column of a later table, comparable with a history of this form and step.

    Times without a zone are understood in the zone of the history. For steps of a day or longer it is the dates that
    count, which need no zone.

    Raises:
        DataError: the table has a zone and the history none, so that hours cannot be compared.
    """
    counts = step.unit == "count"
    times = read_times(table, name, replace(form, code=COUNT) if counts else form)
    if not form.shown:
        return replace(times, local=times.values, form=form)
    if times.form.zone is None:
        values = times.values if times.values.dtype.kind == "i" else instants(times.local, form.zone)
        return replace(times, values=values, form=form)
    if form.zone is None and not step.wall:
        raise DataError(
            f"Time column {name!r} of {source_name(table)} has a zone ({times.form.zone}), but the history has none: "
            "write both with the zone, or both in local time without it."
        )
    # Dates written with an offset are meant as written; instants of a named zone are dates of the history's zone.
    written = form.zone is None or times.form.zone[0] in "+-"
    return replace(times, local=times.local if written else wall_times(times.values, form.zone), form=form)


def settled_form(times: Times, step: Step) -> TimeForm:
    """The form that is kept: offsets that change with summer time name no zone that dates could be given back in."""
    offsets = np.unique(times.local - times.values) if times.values.dtype.kind == "M" else np.zeros(1)
    zone = times.form.zone
    unnamed = zone is not None and zone[0] in "+-" and len(offsets) > 1
    return replace(times.form, zone=None) if unnamed and step.wall else times.form
