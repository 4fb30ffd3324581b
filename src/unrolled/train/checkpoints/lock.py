"""One training a run folder: a lock that the system takes back when the process ends, however it ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unrolled.errors import OptionError

__all__ = ["locked"]


@contextmanager
def locked(run: str | Path | None) -> Iterator[None]:
    """Nobody else trains into this folder meanwhile. Raises `OptionError` where somebody does.

    Where a system or its file system knows no locks, nothing is locked.
    """
    # Of several processes that train one network, the first one writes.
    handle = None if run is None or os.environ.get("RANK", "0") != "0" else _lock(Path(run))
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _lock(run: Path) -> int | None:
    try:
        import fcntl
    except ImportError:
        return None
    with contextlib.suppress(OSError):
        # What cannot be made is told by what is written there first.
        run.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(run, os.O_RDONLY)
    except OSError:
        return None
    try:
        # The folder itself is locked, so that no file of a lock is left behind.
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise OptionError(
            f"fit: expected a run folder of its own, but another training writes into {run} now; wait for its "
            "end or choose another folder."
        ) from error
    except OSError:
        os.close(handle)
        return None
    return handle
