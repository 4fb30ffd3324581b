"""One kind of source: how it is recognised and read, its fields, its column of batches, its reader; and all kinds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, Self, TypeAlias, TypeVar

import numpy as np

from unrolled.data.batch.examples import PaddedColumn, WordColumn
from unrolled.data.read.files import Places
from unrolled.data.read.folders import read_folders
from unrolled.errors import DataError, NotStreamable, OptionError
from unrolled.fields.ink import Drawing
from unrolled.inputs.columns import LabelColumns
from unrolled.nn.reading.frames import StackedReader
from unrolled.nn.reading.reader import Reader

__all__ = [
    "Fields",
    "Inked",
    "Input",
    "LiveFront",
    "ReadSource",
    "check_kind",
    "input_of",
    "known_inputs",
    "register_input",
    "version_rows",
]

Groups = TypeVar("Groups")
Kind = TypeVar("Kind", bound="type[Input[Any]]")

Fields: TypeAlias = dict[str, Any]
"""The fields of a task by name, each of the kind that was put there."""

_KINDS: list[type[Input[Any]]] = []


class LiveFront(Protocol):
    """One input as it comes, in pieces of any size: any split gives the steps of the whole."""

    def push(self, piece: np.ndarray, /) -> np.ndarray:
        """The steps (n, width) that the next piece completes."""

    def flush(self) -> np.ndarray:
        """The steps that were waiting for the end; what is pushed then begins another input."""


class Inked(NamedTuple):
    """A drawing, and of each of its steps the number of the stroke that it belongs to, (steps,) integers."""

    drawing: Drawing
    owners: np.ndarray


class Input(ABC, Generic[Groups]):
    """n inputs of one kind, and what a network over that kind is usually like; Groups: its options.

    kind: what they are called. field: the name of their field in saved models, and of their column where a folder is
    read. lines: whether an input may come as a line of text. encoder, head_dropout: what is chosen where nothing is
    asked for, by measurement.
    """

    kind: ClassVar[str]
    field: ClassVar[str]
    lines: ClassVar[bool]
    encoder: ClassVar[Mapping[str, object]]
    head_dropout: ClassVar[float]

    @classmethod
    @abstractmethod
    def recognises(cls, source: object, columns: LabelColumns) -> bool:
        """Whether a source is of this kind; columns: those that the user has named."""

    @classmethod
    @abstractmethod
    def read(cls, source: object, columns: LabelColumns, options: Groups, *, labelled: bool) -> ReadSource:
        """A source of this kind. labelled: labels that stand beside the inputs are looked for, too."""

    @classmethod
    def of_folder(cls, source: str | Path, columns: LabelColumns, options: Groups) -> ReadSource:
        """The inputs of a folder with a folder for each class, whose name is their label."""
        found = read_folders(source)
        inputs = cls.of(found.columns[cls.field], options)
        return ReadSource(inputs, found.places, columns, found.columns["label"], filed=True)

    @classmethod
    @abstractmethod
    def of(cls, values: Sequence[Any], options: Groups) -> Self:
        """The inputs of values as a folder's files hold them."""

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    def filled(self) -> np.ndarray:
        """(N,) bool: which inputs hold anything at all."""
        return np.ones(len(self), bool)

    @abstractmethod
    def fit(self, rows: np.ndarray, options: Groups) -> Fields:
        """The fields of these rows."""

    def versions(self, options: Groups) -> Self:
        """What training learns from: these inputs, then all of them again in each other version that is asked for."""
        return self

    @abstractmethod
    def column(self, fields: Fields) -> tuple[PaddedColumn | WordColumn, np.ndarray]:
        """All inputs as a column of examples, and the steps (N,) of each."""

    @abstractmethod
    def width(self, options: Groups) -> int | None:
        """The features of vectors that a file gives, None without one."""

    @classmethod
    @abstractmethod
    def reader(cls, inputs: Self | None, fields: Fields, options: Groups, width: int | None) -> Reader:
        """What turns inputs of these fields into vectors of `width` features; without inputs its weights come later."""

    @classmethod
    def frame_reader(
        cls, inputs: Self | None, fields: Fields, options: Groups, width: int | None, stride: int
    ) -> Reader:
        """As `reader`; so many steps of an input become one vector."""
        reader = cls.reader(inputs, fields, options, width)
        return StackedReader(reader, stride) if stride > 1 else reader

    @classmethod
    @abstractmethod
    def say(cls, fields: Fields) -> list[str]:
        """What the fields hold, in words."""

    @classmethod
    def seconds(cls, fields: Fields) -> float | None:
        """How far apart the steps are, in seconds; None where nobody knows."""
        return None

    @classmethod
    def front(cls, fields: Fields) -> LiveFront:
        """What turns an input that is still coming into steps. Raises NotStreamable."""
        raise NotStreamable(f"{cls.kind} cannot be read while they come; give whole ones.")

    def inked(self, row: int, fields: Fields) -> Inked | None:
        """The strokes of one input, for a picture; None where it has none."""
        return None

    def shown(self, row: int, fields: Fields) -> np.ndarray | None:
        """One input as the network sees it, pixels (height, width) or (height, width, 3) uint8; None: no picture."""
        return None

    @classmethod
    def grid(cls, fields: Fields, options: Groups) -> tuple[int, int] | None:
        """Rows and columns of the places of a picture that the steps are, in reading order; None where they are times.

        What reads places needs no encoder before somebody looks at them.
        """
        return None

    def pictured(self, row: int, fields: Fields) -> np.ndarray | None:
        """What is to be seen of one input, (n, height, width, 1 or 3) in [0, 1]: one picture, or that of each step.

        None where there is nothing.
        """
        return None

    @classmethod
    @abstractmethod
    def made_up(cls, fields: Fields, options: Groups, draw: Sequence[np.random.Generator]) -> Self:
        """An input for each generator, for the laws."""


@dataclass(frozen=True, eq=False)
class ReadSource:
    """What one kind read of a source: inputs, where each came from, and the labels beside them, as they stand there.

    labels: None where there are none. columns: where inputs and labels stood in a table. filed: whether labels are
    texts of a file, which knows no types. remarks: what was understood without being told.
    """

    inputs: Input[Any]
    places: Places
    columns: LabelColumns
    labels: Sequence[object] | None = None
    filed: bool = False
    remarks: tuple[str, ...] = ()


def register_input(kind: Kind) -> Kind:
    """Make a kind known to every task that takes any kind; a later one is asked first. To be used as a decorator.

    Raises `OptionError` where another kind has its name or the name of its field.
    """
    for other in _KINDS:
        if other is not kind and (other.kind == kind.kind or other.field == kind.field):
            raise OptionError(
                f"register_input: {other.__name__} is called {other.kind!r}, its field {other.field!r}; give "
                f"{kind.__name__} names of its own."
            )
    if kind not in _KINDS:
        _KINDS.insert(0, kind)
    return kind


def known_inputs() -> tuple[type[Input[Any]], ...]:
    """All kinds, in the order in which a source is shown to them."""
    return tuple(_KINDS)


def version_rows(rows: np.ndarray, count: int, versions: int) -> np.ndarray:
    """Where rows of `count` inputs stand among their `versions`, see `Input.versions`: (n,)."""
    starts = np.arange(0, versions, max(1, count))
    every: np.ndarray = (starts[:, None] + rows).reshape(-1)
    return every


def input_of(fields: Fields) -> type[Input[Any]]:
    """The kind whose field is among these."""
    return next(kind for kind in known_inputs() if kind.field in fields)


def check_kind(owner: str, wanted: str, inputs: Input[Any]) -> None:
    """Raises `DataError` where inputs are of another kind than `wanted`."""
    if len(inputs) and inputs.kind != wanted:
        raise DataError(f"{owner}: expected {wanted}, as in training, got {inputs.kind}; give {wanted}.")
