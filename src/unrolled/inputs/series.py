"""Series of numbers as inputs: files of them, tables of a folder, arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from pathlib import Path
from typing import ClassVar, Literal, Protocol, Self

import numpy as np
from pydantic import Field

from unrolled.data.batch.examples import PaddedColumn, WordColumn
from unrolled.data.batch.ragged import Ragged
from unrolled.data.panel.steps import StepTable, is_table, names_series, read_steps
from unrolled.data.read.files import Places, suffix
from unrolled.data.read.folders import SERIES
from unrolled.data.read.label_first import is_label_first, read_label_first
from unrolled.data.read.lines import visible_files
from unrolled.data.read.series import read_series, read_several
from unrolled.data.read.sources import holds_columns, holds_texts, is_delimited, is_path, is_several
from unrolled.errors import DataError, OptionError, how_many
from unrolled.fields.levelled import Levelled
from unrolled.fields.numbers import Numbers
from unrolled.inputs.augment import AugmentOptions, masked
from unrolled.inputs.columns import TEXT_NAMES, LabelColumns
from unrolled.inputs.input import Fields, Input, LiveFront, ReadSource
from unrolled.nn.reading.reader import Reader, SeriesReader
from unrolled.options import Options

__all__ = ["RowFront", "SeriesInput", "SeriesOptions"]

FILES = (".ts", ".arff", ".npy", ".npz")


class SeriesOptions(Options):
    """How a task reads series. scaling: a kind of `Number`, or what a `Levelled` is over."""

    scaling: Literal["standard", "robust", "log", "scale", "none", "recording", "running"] = Field(
        default="standard", description="How the numbers of series are scaled."
    )


class SeriesGroups(Protocol):
    """The options of a task that series need."""

    @property
    def series(self) -> SeriesOptions: ...
    @property
    def augment(self) -> AugmentOptions: ...
    @property
    def reading_dropout(self) -> float | None: ...


class RowFront:
    """Rows of a series as they come: each is a step of its own. push takes (n, channels), of one channel also (n,)."""

    def __init__(self, field: Numbers) -> None:
        self._field = field

    def push(self, piece: np.ndarray) -> np.ndarray:
        rows = np.asarray(piece, np.float64)
        return self._field.encode(rows[:, None] if rows.ndim == 1 and self._field.channels == 1 else rows)

    def flush(self) -> np.ndarray:
        return np.zeros((0, self._field.width), np.float32)


class SeriesInput(Input[SeriesGroups]):
    """Series of numbers, (T, D) each, T of any length."""

    kind, field, lines, head_dropout = "series", "series", False, 0.3
    encoder: ClassVar[Mapping[str, object]] = {
        "cell": "gru", "hidden_size": 64, "bidirectional": True, "layers": 2, "dropout": 0.2,
    }  # fmt: skip

    def __init__(self, values: Sequence[np.ndarray]) -> None:
        self.values = list(values)

    @classmethod
    def recognises(cls, source: object, columns: LabelColumns) -> bool:
        """Files of series, folders of tables and arrays of numbers; a table with the label first where no columns are
        named, and one with a row for each step where a column names the series.
        """
        if is_path(source) and Path(source).is_dir():
            return any(suffix(file) in SERIES for file in visible_files(Path(source)))
        if is_path(source):
            first = columns == LabelColumns() and is_label_first(source)
            return suffix(source) in FILES or first or _holds_steps(source, columns)
        if holds_columns(source):
            return _holds_steps(source, columns)
        return is_several(source) and not holds_texts(source)

    @classmethod
    def read(cls, source: object, columns: LabelColumns, options: SeriesGroups, *, labelled: bool) -> ReadSource:
        if is_path(source) and Path(source).is_dir():
            return cls.of_folder(source, columns, options)
        if _holds_steps(source, columns):
            return cls._of_steps(source, columns, labelled)
        if is_path(source) and suffix(source) not in FILES and (rows := read_label_first(source)) is not None:
            said = f"{rows.source}: a series a row, its label first, and no header, as in the UCR archive"
            return ReadSource(cls(rows.values), rows.places, columns, rows.labels, filed=True, remarks=(said,))
        if isinstance(source, Sized) and not is_path(source) and not len(source):
            return ReadSource(cls(()), Places("the inputs", "row", np.arange(0)), columns)
        names = (columns.label,) if columns.label and is_path(source) else (("text", "y") if columns.said else ("y",))
        several = None
        if labelled and is_path(source) and suffix(source) == ".npz":
            several = read_several(source, (*names[:1], *columns.more))
        series = read_series(source, names=names if several is None else ())
        labels: Sequence[object] | None = series.labels if several is None else several
        if labels is not None and len(labels) != len(series):
            raise DataError(
                f"Expected numbers for each of the {len(series)} series of {series.source}, but got them for "
                f"{len(labels)}: give one row of them for each."
            )
        return ReadSource(cls(series.values), series.places, columns, labels, filed=is_path(source))

    @classmethod
    def _of_steps(cls, source: object, columns: LabelColumns, labelled: bool) -> ReadSource:
        """A table with a row for each step; a label belongs to all rows of a series."""
        found = read_steps(
            source, columns.steps, columns.label, columns.usual, option="label", labelled=labelled, names=columns.names,
            more=columns.more,
        )  # fmt: skip
        labels = None if found.labels is None else [_one_label(found, i) for i in range(len(found.ids))]
        settled = LabelColumns(None, found.label or columns.label, columns.names, found.columns, more=columns.more)
        filed = is_delimited(source)
        return ReadSource(cls(found.values), found.places, settled, labels, filed=filed, remarks=found.remarks)

    @classmethod
    def of(cls, values: Sequence[np.ndarray], options: SeriesGroups) -> Self:
        return cls(values)

    def __len__(self) -> int:
        return len(self.values)

    def fit(self, rows: np.ndarray, options: SeriesGroups) -> Fields:
        scaling, chosen = options.series.scaling, (self.values[i] for i in rows.tolist())
        if scaling == "recording" or scaling == "running":
            return {"series": Levelled.fit(chosen, scaling)}
        return {"series": Numbers.fit(chosen, scaling)}

    def versions(self, options: SeriesGroups) -> Self:
        speeds = options.augment.speeds
        faster = [_at_speed(values, speed) for speed in speeds for values in self.values]
        return type(self)([*self.values, *faster]) if speeds else self

    def column(self, fields: Fields) -> tuple[PaddedColumn | WordColumn, np.ndarray]:
        column = PaddedColumn(Ragged.from_list(fields["series"].encode(values) for values in self.values))
        return column, column.ragged.lengths

    def width(self, options: SeriesGroups) -> int | None:
        return None

    @classmethod
    def reader(cls, inputs: Self | None, fields: Fields, options: SeriesGroups, width: int | None) -> Reader:
        if options.augment.perturbs:
            raise OptionError(
                "Warping, channel, gain and noise in decibels are of sounds, got series of numbers; leave out "
                "frequency_warp, channel_decibels, gain_decibels and noise_decibels, or choose feature_noise."
            )
        return masked(SeriesReader(fields["series"].width, options.reading_dropout or 0.0), options.augment)

    @classmethod
    def say(cls, fields: Fields) -> list[str]:
        channels = fields["series"].channels
        return [f"series of {how_many(channels, 'channel')}"]

    @classmethod
    def front(cls, fields: Fields) -> LiveFront:
        field: Numbers | Levelled = fields["series"]
        return field.front() if isinstance(field, Levelled) else RowFront(field)

    @classmethod
    def made_up(cls, fields: Fields, options: SeriesGroups, draw: Sequence[np.random.Generator]) -> Self:
        return cls([fields["series"].draw(random) for random in draw])


def _at_speed(values: np.ndarray, speed: float) -> np.ndarray:
    """A series (T, D) as many times faster: (T / speed, D), straight lines between steps."""
    series = np.asarray(values, np.float64)
    if speed == 1 or not len(series):
        return series
    places = np.linspace(0, len(series) - 1, max(1, round(len(series) / speed)))
    before = places.astype(np.int64)
    share = (places - before).reshape(-1, *[1] * (series.ndim - 1))
    between = (1 - share) * series[before] + share * series[np.minimum(before + 1, len(series) - 1)]
    # A step that is there is not lost to a missing neighbour of which nothing is taken.
    return np.asarray(np.where(share == 0, series[before], between))


def _holds_steps(source: object, columns: LabelColumns) -> bool:
    """Whether a table has a row for each step of series, by the columns named or the names of the columns."""
    if columns.text is not None:
        return False
    named = columns.steps.id is not None and is_table(source)
    return named or names_series(source, columns.names, TEXT_NAMES)


def _one_label(found: StepTable, series: int) -> object:
    """The label that the rows of a series have in common; None where none has any."""
    told = [(step, label) for step, label in enumerate((found.labels or [])[series]) if label is not None]
    for step, label in told:
        if label != told[0][1]:
            raise DataError(
                f"Column {found.label!r} changes within series {found.ids[series]!r}, from {told[0][1]!r} to {label!r} "
                f"in {found.row(series, step)}, but one label is learned for each series: choose another column with "
                "label=, or learn a label for each row with a Tagger ('unrolled fit tag')."
            )
    return told[0][1] if told else None
