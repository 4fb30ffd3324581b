"""Lists of files of one kind, such as sounds or pictures, and what belongs to each: tables and folders that name them.

A kind says what its files are called and end in; `manifests` and `pictures` are the kinds there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
from narwhals.dependencies import is_into_dataframe

from unrolled.data.read.door import require_file
from unrolled.data.read.files import Places, iterate_text, require_names
from unrolled.data.read.lines import visible_files
from unrolled.data.read.records import Records, Values, iterate_records, read_records
from unrolled.errors import DataError, OptionError, listed

__all__ = [
    "FileKind",
    "checked_folder",
    "files_of_folder",
    "files_of_table",
    "first_path",
    "names_files",
    "path_column",
    "there",
]

_TRANSCRIPTS = ("text", "sentence", "transcript")


@dataclass(frozen=True)
class FileKind:
    """What files of one kind are called, and how they are known.

    column: of the values that are read, and the option that names the column of paths. noun: of one file; short: of
    what it holds; plural: of all of them. endings: of files. paths: the usual names of a column of paths. texts: the
    endings of a text that stands beside a file, the usual one first. inner: endings before the last one that the name
    of its text may lack. or_else: what a folder may hold instead, in words.
    """

    column: str
    noun: str
    short: str
    plural: str
    endings: tuple[str, ...]
    paths: tuple[str, ...]
    texts: tuple[str, ...] = (".txt",)
    inner: tuple[str, ...] = ()
    or_else: str = ""

    def text_beside(self, file: Path) -> Path | None:
        """The file of the text that belongs to a file, if there is one."""
        stem = file.with_suffix("")
        stems = [stem, stem.with_suffix("")] if stem.suffix.lower() in self.inner else [stem]
        names = (Path(f"{one}{ending}") for one in stems for ending in self.texts)
        return next((name for name in names if name.is_file()), None)


def files_of_table(
    source: object,
    kind: FileKind,
    named: str | None,
    text: str | None,
    make: Callable[[Records, int, Path, str], object],
    more: Sequence[str] = (),
) -> Records:
    """The files that a table names, as its first column, "text" where it has transcripts, and its other columns.

    named, text: the columns of paths and of transcripts; None: those of the usual names. make: the value of a row, of
    the table, the row, the file that is there, and where it is named. more: columns that `make` has used.
    """
    records = read_records(source)
    names = list(records.columns)
    path = _column(named, kind.paths, names, records.source, kind.column)
    if path is None:
        usual = f"{listed(kind.paths[:-1])} or {kind.paths[-1]}"
        raise DataError(
            f"{records.source}: expected a column {usual}; it has: {listed(names)}. Name it with {kind.column}=."
        )
    said = _column(text, _TRANSCRIPTS, names, records.source, "text")
    folder = Path(source).parent if isinstance(source, str | Path) and str(source) != "-" else Path()
    values: Values = []
    for index, value in enumerate(records.columns[path]):
        place = records.place(index)
        if not isinstance(value, str | Path) or not str(value).strip():
            raise DataError(f"Expected the path of a {kind.noun} as {path!r} in {place}, got {value!r}: write it.")
        values.append(make(records, index, folder / value, place))
    columns: dict[str, Values] = {kind.column: values}
    if said is not None:
        columns["text"] = list(records.texts(said))
    taken = {path, said, *more, kind.column, "text"}
    columns |= {name: rest for name, rest in records.columns.items() if name not in taken}
    return Records(columns, records.source, records.places)


def checked_folder(source: object, kind: FileKind, named: str | None, text: str | None) -> Path | None:
    """The folder that a source is, None for a table. Raises OptionError for columns that are named of a folder."""
    if not (isinstance(source, str | Path) and str(source) != "-" and require_file(source).is_dir()):
        return None
    if named is not None or text is not None:
        raise OptionError(
            f"{kind.column}= and text= name columns of a table, but the {kind.plural} are a folder: leave them out."
        )
    return Path(source)


def files_of_folder(folder: Path, kind: FileKind, make: Callable[[Path, str], object]) -> Records:
    """The files of a folder with the texts beside them, or in a folder for each class.

    make: the value of a file and its place.
    """
    files = [file for file in visible_files(folder) if file.suffix.lower() in kind.endings]
    if not files:
        raise DataError(
            f"The folder {folder.name!r} holds no {kind.noun}s{kind.or_else}: put {listed(kind.endings)} files there, "
            "or pass the list that names them."
        )
    beside = [kind.text_beside(file) for file in files]
    if any(beside):
        return _of_files(folder, files, kind, make, {"text": _texts(folder, files, beside, kind)})
    return _of_files(folder, files, kind, make, {"label": _classes(folder, files, kind)})


def names_files(source: object, kind: FileKind, named: str | None = None) -> bool:
    """Whether a table's first row names a file of that kind, in the column named or in one of a usual name."""
    path = first_path(source, kind, named)
    return path is not None and path.suffix.lower() in kind.endings


def first_path(source: object, kind: FileKind, named: str | None = None) -> Path | None:
    """What the first row of a table names, in the column named or in one of a usual name; None: there is none."""
    if isinstance(source, Mapping) and named is None and path_column(list(map(str, source)), kind) is None:
        return None
    if is_into_dataframe(source):
        # The rest of a large table is not to be converted for it.
        frame: Any = nw.from_native(source)
        source = frame.head(1).to_native()
    try:
        first = next(iter(iterate_records(source)), {})
    except DataError:
        return None
    path = path_column(list(first), kind) if named is None else named
    folder = Path(source).parent if isinstance(source, str | Path) and str(source) != "-" else Path()
    return folder / str(first[path]) if path in first else None


def path_column(present: Sequence[str], kind: FileKind) -> str | None:
    """The usual column of paths among those present, None if there is none or more than one."""
    found = [name for name in kind.paths if name in present]
    return found[0] if len(found) == 1 else None


def there(path: Path, place: str, kind: FileKind) -> Path:
    """The path, if a file stands there; else DataError with the place that names it."""
    try:
        file = require_file(path)
    except DataError as error:
        raise DataError(f"{place[:1].upper()}{place[1:]}: {error}") from error
    if file.is_dir():
        raise DataError(f"Expected a {kind.noun} in {place}, but {path.name!r} is a folder: name one of its files.")
    return file


def _column(named: str | None, usual: Sequence[str], present: Sequence[str], source: str, option: str) -> str | None:
    """The column named, else the one of the usual names that is there; None: there is none of them."""
    if named is not None:
        require_names([named], present, source)
        return named
    found = [name for name in usual if name in present]
    if len(found) > 1:
        raise DataError(f"{source} has the columns {listed(found)}, and one is expected: name it with {option}=.")
    return found[0] if found else None


def _texts(folder: Path, files: Sequence[Path], beside: Sequence[Path | None], kind: FileKind) -> Values:
    """The text that stands beside each file."""
    texts: Values = []
    for file, text in zip(files, beside, strict=True):
        if text is None:
            raise DataError(
                f"Expected a transcript beside each {kind.noun} of {folder.name!r}, but {file.name} has no "
                f"{file.with_suffix('').name}{kind.texts[0]}: write it, or remove the {kind.short}."
            )
        texts.append(" ".join(line for line in map(str.strip, iterate_text(text)) if line))
    return texts


def _classes(folder: Path, files: Sequence[Path], kind: FileKind) -> Values:
    """The name of the folder of each file."""
    for file in files:
        if file.parent.parent != folder:
            raise DataError(
                f"{file.relative_to(folder)}: expected a folder of {kind.noun}s for each class in {folder.name!r}, or "
                f"a {kind.texts[0]} beside each {kind.short}: sort the files so, or pass a list of them (.csv or "
                ".jsonl)."
            )
    held = {file.parent for file in files}
    for other in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        strange = [file.name for file in visible_files(other) if file.suffix.lower() not in kind.endings]
        if strange or other not in held:
            holds = listed(strange) if strange else "nothing"
            raise DataError(
                f"Expected {kind.noun}s in the class folder {other.name!r}, but it holds {holds}: remove it."
            )
    return [file.parent.name for file in files]


def _of_files(
    folder: Path, files: Sequence[Path], kind: FileKind, make: Callable[[Path, str], object], columns: dict[str, Values]
) -> Records:
    names = tuple(file.relative_to(folder).as_posix() for file in files)
    made = [make(file, name) for file, name in zip(files, names, strict=True)]
    places = Places(folder.name, "file", np.arange(len(files)), names)
    return Records({kind.column: made, **columns}, folder.name, places)
