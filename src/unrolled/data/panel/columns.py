"""Which column plays which part in a forecasting table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from unrolled.data.panel.wide import not_long
from unrolled.data.read.table import require_columns, source_name
from unrolled.data.read.table_layout import NO_HEADER, is_datum
from unrolled.data.read.times import TimeForm, read_times
from unrolled.data.read.usual import TIME_NAMES, usual_columns
from unrolled.data.read.values import is_text
from unrolled.errors import DataError, listed
from unrolled.types import Json

if TYPE_CHECKING:
    import pyarrow as pa

_NIXTLA = {"time": "ds", "target": "y", "id": "unique_id"}
# Often covariates beside a real time column, so they come last.
_UNIT_NAMES = ("year", "month", "week", "day", "hour")

Names = str | Sequence[str] | None


@dataclass(frozen=True)
class Columns:
    """The parts of the columns; columns with no part are left alone.

    Args:
        time: the timestamps, or whole numbers that count.
        target: what is forecast, one or several.
        id: which series a row belongs to; None: the table is one series.
        future: covariates known in advance for the horizon (a holiday, a price plan).
        past: covariates known only up to now (a measured temperature).
        static: covariates constant in each series (a region).
    """

    time: str
    target: tuple[str, ...]
    id: str | None = None
    future: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    static: tuple[str, ...] = ()

    @classmethod
    def resolve(
        cls,
        table: pa.Table,
        time: str | None = None,
        target: Names = None,
        id: str | None = None,
        future: Names = (),
        past: Names = (),
        static: Names = (),
    ) -> Columns:
        """The columns as named, the rest seen from the table where only one choice makes sense.

        Nixtla's `unique_id`, `ds` and `y` are recognised. Time may be left out where one column has dates or is called
        date, time, timestamp or alike; the target where one column of numbers is left over.

        Raises:
            DataError: a column is not in the table (with the nearest one it has), has two parts, or must be named.
        """
        names = {"future": _tuple(future), "past": _tuple(past), "static": _tuple(static)}
        given = [
            name for name in (time, id, *_tuple(target), *names["future"], *names["past"], *names["static"]) if name
        ]
        require_columns(table, given)
        _distinct(given)
        if time is None or not _tuple(target):
            # A guess looks at every column.
            require_columns(table, table.column_names)
        if id is None and _NIXTLA["id"] in table.column_names and _NIXTLA["id"] not in given:
            id = _NIXTLA["id"]
        time = time or _guess_time(table, given)
        targets = _tuple(target) or _guess_target(table, [*given, time, id or ""])
        return cls(time, targets, id, **names)

    @property
    def all(self) -> tuple[str, ...]:
        """Every column that has a part."""
        return (self.time, *([self.id] if self.id else []), *self.target, *self.future, *self.past, *self.static)

    def to_json(self) -> Json:
        """Plain JSON; `Columns.from_json` gives the columns back."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Json) -> Columns:
        """The columns that `to_json` wrote."""
        lists = {name: tuple(data[name]) for name in ("target", "future", "past", "static")}
        return cls(time=data["time"], id=data["id"], **lists)


def _tuple(names: Names) -> tuple[str, ...]:
    if names is None:
        return ()
    return (names,) if isinstance(names, str) else tuple(names)


def _distinct(given: Sequence[str]) -> None:
    for name in given:
        if given.count(name) > 1:
            raise DataError(
                f"Column {name!r} is given two parts: each column has one (time, target, id, future, past or static)."
            )


def _guess_time(table: pa.Table, given: Sequence[str]) -> str:
    import pyarrow as pa

    free = [name for name in table.column_names if name not in given]
    if _NIXTLA["time"] in free:
        return _NIXTLA["time"]
    named = usual_columns((*TIME_NAMES, "period"), free)
    typed = [
        name
        for name in free
        if pa.types.is_timestamp(table.schema.field(name).type) or pa.types.is_date(table.schema.field(name).type)
    ]
    dated = [name for name in free if is_text(table, name) and _reads_as_time(table, name)]
    units = usual_columns(_UNIT_NAMES, free)
    for candidates in (typed, named, dated, units):
        if len(candidates) == 1:
            _refuse_a_row_of_data(table, candidates[0])
            return str(candidates[0])
    raise DataError(
        f"Expected one time column in {source_name(table)}, which has {listed(table.column_names)}: "
        f"{not_long(table.column_names) or 'name it with time=.'}"
    )


def _refuse_a_row_of_data(table: pa.Table, name: str) -> None:
    """Raises DataError where the name of a column of dates is a date itself."""
    if is_datum(name):
        raise DataError(
            f"{source_name(table)} has {name!r} where the name of its time column is expected: "
            f"{not_long(table.column_names) or NO_HEADER}"
        )


def _reads_as_time(table: pa.Table, name: str) -> bool:
    # Dates whose day and month cannot be told apart are dates: which they are is asked when they are read.
    return any(_reads_with(table, name, TimeForm(day_first=order)) for order in (None, True))


def _reads_with(table: pa.Table, name: str, form: TimeForm) -> bool:
    try:
        read_times(table, name, form)
    except DataError:
        return False
    return True


def _guess_target(table: pa.Table, taken: Sequence[str]) -> tuple[str, ...]:
    free = [name for name in table.column_names if name not in taken]
    if _NIXTLA["target"] in free:
        return (_NIXTLA["target"],)
    numbers = [name for name in free if not is_text(table, name)]
    if len(numbers) == 1:
        return (numbers[0],)
    raise DataError(
        f"Expected the column to forecast, but {source_name(table)} has several or none that could be it "
        f"({listed(free) or 'no column is left'}): name it with target=, or several of them."
    )
