"""A panel made ready for a model: fields fitted on the training rows, and the arrays they encode to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import DTypeLike

from unrolled.data.batch.runs import rows_of_runs
from unrolled.data.panel.calendar import Calendar
from unrolled.data.panel.columns import Columns
from unrolled.data.panel.panel import Panel, TextColumn
from unrolled.data.panel.step import Step
from unrolled.errors import DataError, listed
from unrolled.fields.category import Category
from unrolled.fields.number import Number
from unrolled.types import Json


@dataclass(frozen=True)
class Sizes:
    """The widths of the arrays; for codes, the vocabulary size of each column, unknown included."""

    target: int
    past: int
    future: int
    static: int
    past_codes: tuple[int, ...]
    future_codes: tuple[int, ...]
    static_codes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class SeriesArrays:
    """Model-ready arrays of S series; a window is a run of rows of each.

    Args:
        lengths: (S,) int64, rows of each series.
        target_starts, covariate_starts: (S,) int64, where each series begins in the arrays of targets, of covariates.
        target: (N, D) scaled, 0 where missing.
        mask: (N, D) 1 where the target is present, else 0; same dtype.
        covariates: (M, Kp + Kf): past-only numbers, their masks, numbers known in the future, their masks, calendar.
        codes: (M, Cp + Cf) int64: past-only categories, then those known in the future.
        static: (S, Q) numbers and their masks.
        static_codes: (S, C) int64.
        sizes: the widths above.
        scaler: the target's field, group i for series i: `scaler.decode(forecast (B, H, D), series (B,))`.
        parent: (S,) int64, the series of the panel.
        column: (S,) int64, the one target column a series holds, or -1 for all of them.
    """

    lengths: np.ndarray
    target_starts: np.ndarray
    covariate_starts: np.ndarray
    target: np.ndarray
    mask: np.ndarray
    covariates: np.ndarray
    codes: np.ndarray
    static: np.ndarray
    static_codes: np.ndarray
    sizes: Sizes
    scaler: Number
    parent: np.ndarray
    column: np.ndarray
    ids: tuple[str, ...]
    step: Step


def separate_targets(arrays: SeriesArrays) -> SeriesArrays:
    """Each target of each series as a series of its own, number s * D + d, for models that share weights over channels.

    The number of the target (from 1) becomes the last static code. The targets are copied once, column after column;
    the covariates are shared, not copied.
    """
    count, width = len(arrays.lengths), arrays.sizes.target
    column = np.tile(np.arange(width), count)
    owner = np.repeat(np.arange(count), width)
    sizes = replace(arrays.sizes, target=1, static_codes=(*arrays.sizes.static_codes, width + 1))
    scaler = Number(arrays.scaler.scaling, arrays.scaler.center.reshape(-1, 1), arrays.scaler.scale.reshape(-1, 1))
    return replace(
        arrays,
        lengths=arrays.lengths[owner],
        target_starts=arrays.target_starts[owner] + column * len(arrays.target),
        covariate_starts=arrays.covariate_starts[owner],
        target=np.ascontiguousarray(arrays.target.T).reshape(-1, 1),
        mask=np.ascontiguousarray(arrays.mask.T).reshape(-1, 1),
        static=arrays.static[owner],
        static_codes=np.column_stack([arrays.static_codes[owner], column + 1]),
        sizes=sizes,
        scaler=scaler,
        parent=arrays.parent[owner],
        column=column,
        ids=tuple(arrays.ids[i] for i in owner),
    )


@dataclass(frozen=True, eq=False)
class PanelFields:
    """Every field of a panel, fitted on its training rows alone.

    Targets are scaled per series, covariates and static numbers over all series together. A column without a value in
    the training rows keeps its values as they are.
    """

    columns: Columns
    step: Step
    ids: Category
    target: Number
    past: Number
    future: Number
    static: Number
    calendar: Calendar
    categories: Mapping[str, Category]
    series_code: bool

    @classmethod
    def fit(
        cls,
        panel: Panel,
        ends: np.ndarray | None = None,
        *,
        scaling: str = "standard",
        calendar: bool = True,
        series_code: bool = False,
    ) -> PanelFields:
        """The fields as the first `ends[i]` rows of each series give them; later rows are not looked at.

        Args:
            panel: the series.
            ends: (S,) training rows of each; None: all rows.
            scaling: of the target: "standard", "robust", "log", "scale" or "none" (see `Number`).
            calendar: add cyclic features of the timestamps to what is known in the future.
            series_code: give the model the number of the series as its first static code.
        """
        ends = panel.lengths if ends is None else np.minimum(ends, panel.lengths)
        rows = rows_of_runs(panel.offsets[:-1], ends)
        trained = np.flatnonzero(ends > 0)
        categories = {
            name: Category.fit(text.used(rows)) for name, text in (*panel.past_text.items(), *panel.future_text.items())
        }
        categories |= {name: Category.fit(text.used(trained)) for name, text in panel.static_text.items()}
        return cls(
            columns=panel.columns,
            step=panel.step,
            ids=Category(panel.ids),
            target=Number.fit(panel.target, panel.offsets, ends, scaling),
            past=Number.fit(panel.past[rows]),
            future=Number.fit(panel.future[rows]),
            static=Number.fit(panel.static[trained]),
            calendar=Calendar.for_step(panel.step) if calendar else Calendar(()),
            categories=categories,
            series_code=series_code,
        )

    def encode(self, panel: Panel, *, dtype: DTypeLike = np.float32, ends: np.ndarray | None = None) -> SeriesArrays:
        """The panel as arrays.

        A series that was not there at the fit is scaled by its own first `ends[i]` rows (all of them by default), for
        it has no training rows; missing rows, such as a horizon to forecast, do not count.
        """
        _same_columns(self, panel)
        scaler = self._scaler(panel, ends)
        owner = np.repeat(np.arange(len(panel.ids)), panel.lengths)
        target, mask = _masked(scaler.encode(panel.target, owner), dtype)
        parts = [*_masked(self.past.encode(panel.past), dtype), *_masked(self.future.encode(panel.future), dtype)]
        parts.append(self.calendar.encode(panel.time).astype(dtype))
        static_codes = [self.ids.encode_all(panel.ids)[:, None]] if self.series_code else []
        static_codes.append(self._codes(panel.static_text, len(panel.ids)))
        codes = [self._codes(text, len(panel.time)) for text in (panel.past_text, panel.future_text)]
        return SeriesArrays(
            lengths=panel.lengths,
            target_starts=panel.offsets[:-1],
            covariate_starts=panel.offsets[:-1],
            target=target,
            mask=mask,
            covariates=np.concatenate(parts, axis=1),
            codes=np.concatenate(codes, axis=1),
            static=np.concatenate(_masked(self.static.encode(panel.static), dtype), axis=1),
            static_codes=np.concatenate(static_codes, axis=1),
            sizes=self._sizes(panel),
            scaler=scaler,
            parent=np.arange(len(panel.ids)),
            column=np.full(len(panel.ids), -1),
            ids=panel.ids,
            step=panel.step,
        )

    def _scaler(self, panel: Panel, ends: np.ndarray | None) -> Number:
        number = self.ids.encode_all(panel.ids) - 1
        known = number >= 0
        if known.all():
            return self.target.select(number)
        # Only the new series' rows are fitted: statistics of a known one never come from rows after its training part.
        new = panel.select(np.flatnonzero(~known))
        own = Number.fit(new.target, new.offsets, None if ends is None else ends[~known], self.target.scaling)
        center, scale = self.target.center[number], self.target.scale[number]
        center[~known], scale[~known] = own.center, own.scale
        return Number(self.target.scaling, center, scale)

    def _codes(self, columns: Mapping[str, TextColumn], rows: int) -> np.ndarray:
        encoded = [
            np.append(self.categories[name].encode_all(text.values), 0)[text.codes] for name, text in columns.items()
        ]
        return np.stack(encoded, axis=1) if encoded else np.zeros((rows, 0), np.int64)

    def _sizes(self, panel: Panel) -> Sizes:
        number = [self.ids.size] if self.series_code else []
        return Sizes(
            target=panel.target.shape[1],
            past=2 * panel.past.shape[1],
            future=2 * panel.future.shape[1] + self.calendar.width,
            static=2 * panel.static.shape[1],
            past_codes=self._vocabularies(panel.past_text),
            future_codes=self._vocabularies(panel.future_text),
            static_codes=(*number, *self._vocabularies(panel.static_text)),
        )

    def _vocabularies(self, columns: Mapping[str, TextColumn]) -> tuple[int, ...]:
        return tuple(self.categories[name].size for name in columns)

    def to_json(self) -> Json:
        """Plain JSON; `PanelFields.from_json` gives the fields back."""
        return {
            "columns": self.columns.to_json(),
            "step": self.step.to_json(),
            "ids": self.ids.to_json(),
            "target": self.target.to_json(),
            "past": self.past.to_json(),
            "future": self.future.to_json(),
            "static": self.static.to_json(),
            "calendar": self.calendar.to_json(),
            "categories": {name: field.to_json() for name, field in self.categories.items()},
            "series_code": self.series_code,
        }

    @classmethod
    def from_json(cls, data: Json) -> PanelFields:
        """The fields that `to_json` wrote."""
        return cls(
            columns=Columns.from_json(data["columns"]),
            step=Step.from_json(data["step"]),
            ids=Category.from_json(data["ids"]),
            target=Number.from_json(data["target"]),
            past=Number.from_json(data["past"]),
            future=Number.from_json(data["future"]),
            static=Number.from_json(data["static"]),
            calendar=Calendar.from_json(data["calendar"]),
            categories={name: Category.from_json(field) for name, field in data["categories"].items()},
            series_code=data["series_code"],
        )


def _masked(values: np.ndarray, dtype: DTypeLike) -> Sequence[np.ndarray]:
    """(values with 0 where missing, 1 where present), both of the dtype."""
    present = ~np.isnan(values)
    return np.where(present, values, 0).astype(dtype), present.astype(dtype)


def _same_columns(fields: PanelFields, panel: Panel) -> None:
    """Raises DataError where the columns, their kind (numbers or text) or the step are not those of the fit."""
    text = {**panel.past_text, **panel.future_text, **panel.static_text}
    for name in (*panel.columns.past, *panel.columns.future, *panel.columns.static):
        was, now = name in fields.categories, name in text
        if was != now:
            kinds = ("numbers", "text")
            raise DataError(
                f"Column {name!r} held {kinds[was]} when the model was fitted, but holds {kinds[now]} now: "
                f"give it as {kinds[was]}."
            )
    if panel.columns != fields.columns:
        raise DataError(
            f"Expected the columns the model was fitted on ({listed(fields.columns.all)}), but got "
            f"{listed(panel.columns.all)}: give the columns the same parts."
        )
    if panel.step != fields.step:
        raise DataError(
            f"Expected steps of {fields.step} as in the fit, but the series has steps of {panel.step}: resample it."
        )
