"""What a run shows when asked: a progress bar and a table on a terminal, plain lines, metrics as JSON lines."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import IO, Literal, TextIO

from unrolled.errors import SaveError
from unrolled.model.writing import write_atomically
from unrolled.train.monitor.events import Callback, Event

__all__ = ["JsonLines", "Lines", "ProgressBar", "announce", "reporter"]

Progress = bool | Literal["plain"]


class JsonLines:
    """Writes every event as one JSON object a line; fields without a value are left out.

    After a resume, lines of steps beyond the checkpoint are dropped, so that no step stands there twice.
    """

    def __init__(self, path: Path, *, resumed_at: int | None, every: int = 1) -> None:
        self._path, self._every = path, every
        try:
            lines = _lines_until(path, resumed_at) if resumed_at is not None and path.is_file() else []
            # Links in a run folder are not followed: whoever planted one would choose what is written over.
            write_atomically(path, "".join(lines).encode(), follow=False)
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0))
            self._file: IO[str] = os.fdopen(handle, "a", encoding="utf-8", buffering=1)
        except OSError as error:
            raise self._problem(error) from error

    def __call__(self, event: Event) -> None:
        if event.kind == "step" and event.step % self._every:
            return
        values = {"event": event.kind, **{k: v for k, v in event._asdict().items() if v is not None and k != "kind"}}
        finite = {k: v for k, v in values.items() if not isinstance(v, float) or math.isfinite(v)}
        try:
            self._file.write(json.dumps(finite) + "\n")
            if event.kind == "stop":
                self._file.close()
        except OSError as error:
            raise self._problem(error) from error

    def _problem(self, error: OSError) -> SaveError:
        return SaveError(
            f"fit: cannot write {self._path}: {error.strerror or error}; make room or choose another run folder, "
            "the checkpoints are intact."
        )


class ProgressBar:
    """A bar with loss, rate and score while the run goes on, and a table of its evaluations at the end."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._console = Console(file=stream, highlight=False)
        text = TextColumn("{task.percentage:>3.0f}% {task.description}")
        times = (TextColumn("elapsed"), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
        columns = (BarColumn(), text, *times)
        self._bar = Progress(*columns, console=self._console, transient=True)
        self._task = self._bar.add_task("starting", total=1.0)
        self._score = ""
        self._evaluations: list[Event] = []

    def __call__(self, event: Event) -> None:
        if event.kind == "start":
            self._bar.start()
        elif event.kind == "step":
            text = f"epoch {event.epoch} step {event.step} loss {_number(event.loss)}{self._score}"
            self._bar.update(self._task, completed=event.fraction, description=text)
        elif event.kind == "evaluate":
            self._evaluations.append(event)
            self._score = "" if event.score is None else f" score {_number(event.score)}"
        elif event.kind == "stop":
            self._bar.stop()
            self._console.print(self._table())
            self._console.print(f"stopped at step {event.step}: {event.message}")

    def _table(self) -> object:
        from rich.table import Table

        table = Table("epoch", "step", "loss", "score", "best", "learning rate", "seconds")
        for event in self._evaluations:
            place, mark = (str(event.epoch), str(event.step)), "*" if event.best else ""
            numbers = (_number(event.loss), _number(event.score), mark, _number(event.learning_rate))
            table.add_row(*place, *numbers, f"{event.seconds:.1f}")
        return table


class Lines:
    """One plain line for each evaluation and the end: for logs and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        if event.kind == "evaluate":
            score = "" if event.score is None else f" score {_number(event.score)}{' (best)' if event.best else ''}"
            line = f"epoch {event.epoch} step {event.step} loss {_number(event.loss)}{score} {event.seconds:.1f} s"
        elif event.kind == "stop":
            line = f"stopped at step {event.step}: {event.message}"
        else:
            return
        print(line, file=self._stream, flush=True)


def reporter(progress: Progress, stream: TextIO | None = None) -> Callback | None:
    """The bar on a terminal; plain lines if asked for by "plain"; otherwise nothing."""
    stream = sys.stderr if stream is None else stream
    if progress == "plain":
        return Lines(stream)
    return ProgressBar(stream) if progress and stream.isatty() else None


def announce(progress: Progress, text: str, stream: TextIO | None = None) -> None:
    """Say something between two runs, wherever `reporter` would show one."""
    stream = sys.stderr if stream is None else stream
    if progress == "plain" or (progress and stream.isatty()):
        print(text, file=stream, flush=True)


def _lines_until(path: Path, step: int) -> list[str]:
    """The lines of steps up to `step`; the last line of a killed run may be torn."""
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(event, dict) or not isinstance(event.get("step"), int):
            break
        if event["step"] <= step and event.get("event") != "stop":
            kept.append(line)
    return kept


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"
