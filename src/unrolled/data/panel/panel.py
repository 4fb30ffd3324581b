"""A panel: one or many regular series, one after the other, with their covariates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from unrolled.data.batch.runs import offsets_of, rows_of_runs
from unrolled.data.panel.columns import Columns
from unrolled.data.panel.step import Step
from unrolled.data.read.times import TimeForm, instants, wall_times
from unrolled.errors import DataError, OptionError
from unrolled.types import Json

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class TextColumn:
    """One text column: `values` are its distinct texts, `codes` int64 the number of each row's, -1 where missing."""

    values: tuple[str, ...]
    codes: np.ndarray

    def take(self, rows: np.ndarray) -> TextColumn:
        """The column at the rows given; row -1 is missing."""
        return TextColumn(
            self.values, np.where(rows >= 0, self.codes[rows], -1) if len(self.codes) else np.full(len(rows), -1)
        )

    def used(self, rows: np.ndarray | slice = slice(None)) -> list[str]:
        """The distinct texts that occur in the rows given."""
        codes = np.unique(self.codes[rows])
        return [self.values[code] for code in codes if code >= 0]


TextColumns = Mapping[str, TextColumn]


@dataclass(frozen=True, eq=False)
class Panel:
    """S series with N rows together, regular in time, sorted, missing values as NaN.

    Args:
        ids: (S,) the series' names; ("",) for a table without an id column.
        offsets: (S+1,) int64, where each series begins, and N.
        time: (N,) datetime64[ns], or int64 for a counter; where the source had a zone, UTC for steps shorter than a
            day, and what clocks on the spot show for others (see `Step.wall`).
        step: the distance of two rows.
        columns: the parts of the source's columns.
        target: (N, D) float64.
        past, future: (N, P), (N, K) float64, the numeric covariates in the order of `columns`.
        static: (S, Q) float64.
        past_text, future_text, static_text: the text covariates by name, with (N,) or (S,) codes.
        remarks: what was understood of the table without being told, a fact each.
        form: how the source wrote its times.
        ahead: rows after the end of the series, without a target but with what is known of the future; None: none.
    """

    ids: tuple[str, ...]
    offsets: np.ndarray
    time: np.ndarray
    step: Step
    columns: Columns
    target: np.ndarray
    past: np.ndarray
    future: np.ndarray
    static: np.ndarray
    past_text: TextColumns = field(default_factory=dict)
    future_text: TextColumns = field(default_factory=dict)
    static_text: TextColumns = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    form: TimeForm = field(default_factory=TimeForm)
    ahead: Panel | None = None

    @property
    def lengths(self) -> np.ndarray:
        """(S,) int64, the rows of each series."""
        return np.diff(self.offsets)

    def stamps(self, times: np.ndarray) -> pa.Array:
        """Times of this panel as Arrow holds them: in the zone of the source, where it has one."""
        import pyarrow as pa

        zone = self.form.zone
        if times.dtype.kind == "i" or zone is None or not self.form.shown:
            return pa.array(times)
        values = instants(times, zone) if self.step.wall else times
        return pa.array(values.astype("datetime64[ns]")).cast(pa.timestamp("ns", zone))

    def clocks(self, times: np.ndarray) -> np.ndarray:
        """Times of this panel as clocks in the zone of the source show them."""
        shown = times.dtype.kind == "i" or self.step.wall or not self.form.shown
        return times if shown else wall_times(times, self.form.zone)

    def rows(self, series: int) -> slice:
        """The rows of one series: `panel.target[panel.rows(i)]`."""
        return slice(int(self.offsets[series]), int(self.offsets[series + 1]))

    def numeric(self, part: str) -> tuple[str, ...]:
        """The numeric columns of "past", "future" or "static", in the order of the array's columns."""
        names, text = {
            "past": (self.columns.past, self.past_text),
            "future": (self.columns.future, self.future_text),
            "static": (self.columns.static, self.static_text),
        }[part]
        return tuple(name for name in names if name not in text)

    def head(self, ends: np.ndarray) -> Panel:
        """The first `ends[i]` rows of each series, copied; nothing later is kept."""
        return self._between(np.zeros(len(self.ids), np.int64), np.minimum(ends, self.lengths))

    def tail(self, rows: int) -> Panel:
        """The last `rows` rows of each series, copied: the context a saved model needs to forecast."""
        return self._between(np.maximum(self.lengths - rows, 0), self.lengths)

    def after(self, starts: np.ndarray) -> Panel:
        """The rows of each series from `starts[i]` on, copied."""
        return self._between(np.minimum(starts, self.lengths), self.lengths)

    def select(self, series: Sequence[int] | np.ndarray) -> Panel:
        """The series with the numbers given, in that order, copied."""
        picked = np.asarray(series, np.int64)
        lengths = self.lengths[picked]
        rows = rows_of_runs(self.offsets[picked], lengths)
        return replace(
            self.take(rows, lengths),
            ids=tuple(self.ids[i] for i in picked),
            static=self.static[picked],
            static_text={name: text.take(picked) for name, text in self.static_text.items()},
        )

    def _between(self, first: np.ndarray, last: np.ndarray) -> Panel:
        lengths = np.maximum(last - first, 0)
        return self.take(rows_of_runs(self.offsets[:-1] + first, lengths), lengths)

    def take(self, rows: np.ndarray, lengths: np.ndarray) -> Panel:
        """The rows given, `lengths[i]` of them for series i, copied; row -1 is all missing (and its "
        "time has no meaning)."""
        return replace(
            self,
            offsets=offsets_of(lengths),
            time=self.time[rows],
            target=take_rows(self.target, rows),
            past=take_rows(self.past, rows),
            future=take_rows(self.future, rows),
            past_text={name: text.take(rows) for name, text in self.past_text.items()},
            future_text={name: text.take(rows) for name, text in self.future_text.items()},
        )

    def to_parts(self) -> tuple[Json, dict[str, np.ndarray]]:
        """(plain JSON, numeric arrays by name), for a saved model; `Panel.from_parts` gives the panel back."""
        texts = {"past": self.past_text, "future": self.future_text, "static": self.static_text}
        data = {
            "ids": list(self.ids),
            "step": self.step.to_json(),
            "columns": self.columns.to_json(),
            "counter": self.time.dtype.kind == "i",
            "form": self.form.to_json(),
            "text": {
                part: {name: list(text.values) for name, text in columns.items()} for part, columns in texts.items()
            },
        }
        arrays = {name: getattr(self, name) for name in ("offsets", "target", "past", "future", "static")}
        arrays["time"] = self.time.astype(np.int64)
        for part, columns in texts.items():
            arrays |= {f"{part}_text.{i}": text.codes for i, text in enumerate(columns.values())}
        if self.ahead is not None:
            data["ahead"], more = self.ahead.to_parts()
            arrays |= {f"ahead.{name}": values for name, values in more.items()}
        return data, arrays

    @classmethod
    def from_parts(cls, data: Json, arrays: Mapping[str, np.ndarray]) -> Panel:
        """The panel that `to_parts` took apart."""
        texts = {
            part: {
                name: TextColumn(tuple(values), np.asarray(arrays[f"{part}_text.{i}"]))
                for i, (name, values) in enumerate(columns.items())
            }
            for part, columns in data["text"].items()
        }
        time = np.asarray(arrays["time"])
        later = {name.removeprefix("ahead."): values for name, values in arrays.items() if name.startswith("ahead.")}
        return cls(
            ids=tuple(data["ids"]),
            offsets=np.asarray(arrays["offsets"]),
            time=time if data["counter"] else time.astype("datetime64[ns]"),
            step=Step.from_json(data["step"]),
            columns=Columns.from_json(data["columns"]),
            target=np.asarray(arrays["target"]),
            past=np.asarray(arrays["past"]),
            future=np.asarray(arrays["future"]),
            static=np.asarray(arrays["static"]),
            past_text=texts["past"],
            future_text=texts["future"],
            static_text=texts["static"],
            form=TimeForm(**data["form"]) if "form" in data else TimeForm(shown=False),
            ahead=Panel.from_parts(data["ahead"], later) if later else None,
        )


@dataclass(frozen=True, eq=False)
class Ends:
    """Where the parts of each series end, (S,) int64 rows: training [0, train), then valid, then test."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray


def split_ends(panel: Panel | np.ndarray, valid: int | float, test: int | float = 0, smallest: int = 1) -> Ends:
    """Cuts each series in time: its last `test` rows, the `valid` rows before them, and training rows before those.

    Args:
        panel: a panel, or the lengths (S,).
        valid, test: a number of rows (int), or the fraction of each series (float below 1).
        smallest: the training rows that each series must keep.

    Raises:
        OptionError: a part is negative or a fraction of 1 or more.
        DataError: a series is too short; it is named.
    """
    lengths = panel.lengths if isinstance(panel, Panel) else np.asarray(panel, np.int64)
    last = lengths - _part("test", test, lengths)
    middle = last - _part("valid", valid, lengths)
    short = np.flatnonzero(middle < smallest)
    if len(short):
        i = int(short[0])
        name = panel.ids[i] if isinstance(panel, Panel) else str(i)
        raise DataError(
            f"Series {name!r} has {lengths[i]} rows, which leaves {max(middle[i], 0)} to train on "
            f"where {smallest} are needed: "
            "give it more rows or hold out fewer."
        )
    return Ends(middle, last, lengths)


def _part(name: str, part: int | float, lengths: np.ndarray) -> np.ndarray:
    if part < 0 or (isinstance(part, float) and part >= 1):
        raise OptionError(
            f"Expected {name}= as a number of rows or a fraction below 1, but got {part}: choose one of these."
        )
    return (
        np.ceil(lengths * part).astype(np.int64) if isinstance(part, float) else np.full(len(lengths), part, np.int64)
    )


def take_rows(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The rows of a float array (N, C), all NaN for row -1."""
    if len(values) == 0:
        return np.full((len(rows), values.shape[1]), np.nan)
    taken: np.ndarray = values[rows]
    taken[rows < 0] = np.nan
    return taken
