"""The door of reading: what may be opened, how much it may become, and one sentence for whatever is broken."""

from __future__ import annotations

import functools
import inspect
import io
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ParamSpec, TypeVar, cast
from zipfile import ZipInfo

from unrolled.errors import DataError, foreign_told, suggest

__all__ = ["Unpacked", "check_grown", "check_members", "reader", "require_file"]

P = ParamSpec("P")
T = TypeVar("T")

# What a packed file may become without a question, and how many times its size it may become beyond that.
FREE, TIMES = 1 << 28, 200
# Where a shell hands over what a command writes.
_HANDED = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")


def reader(function: Callable[P, T]) -> Callable[P, T]:
    """Whatever a reader meets in its source, its first argument, and does not know is told as `DataError`."""

    @functools.wraps(function)
    def whole(*args: P.args, **kwargs: P.kwargs) -> T:
        with _told(args[0] if args else next(iter(kwargs.values()), None)):
            return function(*args, **kwargs)

    @functools.wraps(function)
    def one_by_one(*args: P.args, **kwargs: P.kwargs) -> object:
        with _told(args[0] if args else next(iter(kwargs.values()), None)):
            yield from cast(io.TextIOBase, function(*args, **kwargs))

    return cast(Callable[P, T], one_by_one) if inspect.isgeneratorfunction(function) else whole


def require_file(source: str | Path) -> Path:
    """The path, if a file or folder stands there; else DataError with the nearest name in that folder."""
    path = Path(source)
    with foreign_told(DataError, f"{_short(path)} cannot be opened", "check the path"):
        if not path.exists():
            near = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
            raise DataError(f"There is no file {str(path)!r}.{suggest(path.name, near)} Check the path.")
        mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or str(path).startswith((*_HANDED, os.devnull))):
        raise DataError(
            f"{_short(path)} is {_kind(mode)}, but expected a file: save what it gives as a file, or pass "
            "'-' and give it on standard input."
        )
    return path


def check_grown(size: int, packed: int, name: str) -> None:
    """Raises DataError where a file claims to be far more than can be in it."""
    if size > FREE and size > TIMES * packed:
        raise DataError(
            f"{name} would take {size:,} bytes of memory or more, out of {packed:,} bytes, as broken files do: "
            "if it is meant, unpack it first or cut it into parts."
        )


def check_members(members: Sequence[ZipInfo], size: int, name: str) -> None:
    """Raises DataError where members of a zip of `size` bytes claim to be more than it has, or than can be in it."""
    # So many bytes are asked for at once to unpack one.
    most = max((member.compress_size for member in members), default=0)
    if most > size:
        raise DataError(f"{name} claims to hold {most:,} packed bytes, but has {size:,} in all: get the whole file.")
    check_grown(sum(member.file_size for member in members), size, name)


class Unpacked(io.RawIOBase):
    """What a packed stream gives, as long as it does not grow beyond measure."""

    def __init__(self, stream: io.BufferedIOBase, packed: int, name: str) -> None:
        self._stream, self._packed, self._name, self._size = stream, packed, name, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object, /) -> int:
        count = self._stream.readinto(buffer)  # type: ignore[arg-type]
        self._size += count
        check_grown(self._size, self._packed, self._name)
        return count


def _told(source: object) -> AbstractContextManager[None]:
    what = _short(Path(source)) if isinstance(source, str | Path) else f"The {type(source).__name__}"
    if str(source) == "-":
        what = "Standard input"
    return foreign_told(DataError, f"{what} cannot be read", "check that it is whole and of the kind that it says")


def _short(path: Path) -> str:
    name = path.name or str(path)
    return name if len(name) <= 80 else f"{name[:80]}..."


def _kind(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a named pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"
