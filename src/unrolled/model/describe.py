"""How a task describes its commands: plain functions, whose signatures are what the command line takes.

Light to import, so that a command's help needs neither torch nor numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from unrolled.model.base import Model

__all__ = [
    "TRAINED_ON",
    "Answer",
    "Asked",
    "Call",
    "Command",
    "Described",
    "Description",
    "Finished",
    "ScoreReport",
    "Request",
    "Whole",
    "Word",
    "about",
    "report_on",
    "held_files",
    "size_of",
    "sources",
]

M = TypeVar("M", bound="Model")

TRAINED_ON = ("source", "target")


@dataclass(frozen=True)
class Word:
    """How the command line gives an argument of a function: `Annotated[str, Word("New texts.", "FILE")]`.

    metavar: what stands for the value in the help. flags: how the option is spelled, left out --like-its-name. placed:
    no option, but known by its place. least: the smallest number allowed.
    """

    help: str
    metavar: str | None = None
    flags: tuple[str, ...] = ()
    placed: bool = False
    least: int | None = None


@dataclass(frozen=True)
class Asked:
    """What the words of a `fit` mean; what is None was not given.

    files: paths, or "-", by what they are for: source, target, valid, valid_target, test, test_target. reading: how
    they are read. options: of the task. held: the parts of the data that are held out, by name. All are plain JSON.
    """

    files: Mapping[str, str | None]
    reading: Mapping[str, object] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)
    held: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """What a run was asked for, as its folder keeps it.

    task: the word after `fit`. files: absolute paths (or "-") by what they are for, as in `Asked`, and vectors. sha256:
    of those files. reading, options, held: as in `Asked`.
    """

    task: str
    files: dict[str, str]
    sha256: dict[str, str]
    reading: dict[str, object]
    options: dict[str, object]
    held: dict[str, object]

    def paths(self, role: str) -> list[str]:
        """The file for "valid" or "test", or the two parallel ones; empty where there is none."""
        names = TRAINED_ON if role == "source" else (role, f"{role}_target")
        return [self.files[name] for name in names if name in self.files]

    def given(self) -> dict[str, object]:
        """What was said of how the files are read."""
        return {name: value for name, value in self.reading.items() if value is not None}


class ScoreReport(Protocol):
    """Scores: readable as text, and plain JSON."""

    def to_json(self) -> dict[str, object]: ...


class Answer(NamedTuple):
    """One of the answers of a command, its line ends included, and the same for a machine; None: it is no answer."""

    text: str
    data: object


class Whole(NamedTuple):
    """All that a command says, piece by piece as it comes, and the same for a machine.

    files: what writes it into a file that is no text, by how the file's name ends: ".png", ".mid", "" for a folder.
    """

    text: Iterable[str]
    data: Callable[[], object]
    files: Mapping[str, Callable[[Path], object]] = MappingProxyType({})


@dataclass(frozen=True)
class Call(Generic[M]):
    """What a command is about. run: the word after it; request: what that run was asked for, None where the word is a
    saved model or a file. raw: whether CSV holds texts that are like formulas as they are."""

    run: str
    model: M
    request: Callable[[], Request | None]
    raw: bool = False


@dataclass(frozen=True)
class Command:
    """What a verb such as `predict` means for a task.

    run: called with a `Call`, and by name with what was given on the command line; its other parameters are annotated
    with a `Word` each. starts: for a command that fits models of its own, what it takes in place of a run; its `Call`
    has no model.
    """

    run: Callable[..., Iterator[Answer] | Whole]
    starts: Word | None = None


@dataclass(frozen=True)
class Finished(Generic[M]):
    """A run that has been trained. held: the test data, or else what decided when to stop, as `evaluate` takes them."""

    model: M
    request: Request
    folder: Path
    held: tuple[Any, ...]
    report: ScoreReport | None
    plot: bool


def sources(request: Request) -> tuple[list[object], dict[str, object]]:
    """The files in their order, and by name how they are read and what is held out."""
    return list(request.paths("source")), {**request.given(), **request.held}


def held_files(request: Request, role: str) -> tuple[object, ...]:
    """The paths for "valid" or "test". Raises `DataError` where there is no such file."""
    from unrolled.data.read.door import require_file

    paths = request.paths(role)
    for path in paths:
        require_file(path)
    return tuple(paths)


def report_on(model: Any, test: tuple[Any, ...]) -> ScoreReport | None:
    """The model's own report on the test data."""
    return model.evaluate(*test) if test else None


def size_of(model: Model) -> str:
    """How many weights the network has."""
    return f"{sum(parameter.numel() for parameter in model.fitted().parameters()):,} weights"


def about(finished: Finished[Any]) -> list[str]:
    """The kind of the model and its size."""
    return [f"{type(finished.model).__name__}: {size_of(finished.model)}"]


@dataclass(frozen=True)
class Description(Generic[M]):
    """A task as the command line shows it.

    fit: what `unrolled fit TASK` takes; its parameters are annotated with a `Word` each and its docstring is the help.
    commands: what may be done with a fitted model, by verb. examples: command lines that show the task, the first of
    them a fit.

    sources: what the model's `fit` is called with, in order and by name. held: the files for "valid" or "test" as
    `evaluate` takes them, read before the training so that a mistake in them is told before hours have passed. score:
    the report on the test data, if there is one.

    After the training: leaves and pictures, what is written into the run's folder, by name (None: nothing); about: the
    first lines; closing: the last ones, such as what to type next.
    """

    fit: Callable[..., Asked]
    commands: Mapping[str, Command] = field(default_factory=dict)
    examples: tuple[str, ...] = ()
    sources: Callable[[Request], tuple[Sequence[object], Mapping[str, object]]] = sources
    held: Callable[[Request, str], tuple[object, ...]] = held_files
    score: Callable[[M, tuple[Any, ...]], ScoreReport | None] = report_on
    leaves: Mapping[str, Callable[[Finished[M]], Path | None]] = field(default_factory=dict)
    pictures: Mapping[str, Callable[[Finished[M]], Path | None]] = field(default_factory=dict)
    about: Callable[[Finished[M]], list[str]] = about
    closing: Callable[[Finished[M]], list[str]] = lambda finished: []


Described: TypeAlias = Description[Any]
"""The description of any task."""
