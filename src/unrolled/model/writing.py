"""Results are written whole or not at all, and only regular files are ever replaced.

A symbolic link stays: the file that it points to is replaced, as by a shell's ">". A device or a pipe with a reader is
written to as it stands. A file that is replaced keeps its mode and, where that is allowed, its owner.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
import time
from pathlib import Path

__all__ = ["write_atomically"]

# How long a pipe may wait for its reader.
PATIENCE = 5.0


def write_atomically(path: Path, data: bytes, *, follow: bool = True) -> None:
    """The whole of `data` or nothing appears at `path`. Raises OSError; the draft is removed.

    follow: a link at `path` stays, and what it points to is written; else the link itself is replaced.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if follow:
        path = Path(os.path.realpath(path))
    there = _there(path)
    if there is None or stat.S_ISREG(there.st_mode) or stat.S_ISLNK(there.st_mode):
        _replace(path, data, there)
    else:
        _pour(path, data, there.st_mode)


def _there(path: Path) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _replace(path: Path, data: bytes, there: os.stat_result | None) -> None:
    # A long name leaves no room for the draft's own letters.
    handle, draft = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if there is None or stat.S_ISLNK(there.st_mode):
            # mkstemp makes a file for its owner alone; a result is as readable as any other new file.
            os.chmod(draft, 0o666 & ~_umask())
        else:
            if hasattr(os, "chown"):
                with contextlib.suppress(OSError):
                    os.chown(draft, there.st_uid, there.st_gid)
            os.chmod(draft, stat.S_IMODE(there.st_mode))
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise


def _pour(path: Path, data: bytes, mode: int) -> None:
    """Into a device or pipe that stands there. Raises OSError for what cannot be written to as a stream."""
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if not (stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)):
        raise OSError(
            errno.EINVAL, f"it is a {'socket' if stat.S_ISSOCK(mode) else 'disk'}, which is never written over"
        )
    handle = _opened(path)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)


def _opened(path: Path) -> int:
    """The open pipe or device; a pipe that nobody reads is not waited for without an end."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() > until:
                raise OSError(errno.ENXIO, "it is a pipe that nobody reads") from error
            time.sleep(0.05)
            continue
        os.set_blocking(handle, True)
        return handle


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
