"""Ctrl-C during a run: the first asks it to stop after the step in hand, the second stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

__all__ = ["Interrupt"]


# What may be said of a signal: a function, or one of the numbers that stand for none.
Handler = Callable[[int, FrameType | None], object] | int | None


class Interrupt:
    """While entered, `requested` becomes True at the first SIGINT; the handler that was there before comes back after.

    Only the main thread can listen; elsewhere, or if `listen` is False, KeyboardInterrupt is raised as always.
    """

    def __init__(self, listen: bool) -> None:
        self.requested = False
        self._listen = listen and threading.current_thread() is threading.main_thread()
        self._before: Handler = None

    def __enter__(self) -> Self:
        if self._listen:
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._listen:
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
