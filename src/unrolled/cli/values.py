"""What commands put out."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from unrolled.errors import SaveError, printable

__all__ = ["print_json", "print_table", "say", "write_text"]


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """The door to the terminal: control characters, of names and of generated text too, are shown as their escapes."""
    typer.echo(printable(text), err=err, nl=nl)


def print_json(value: object) -> None:
    """JSON on standard output."""
    say(json.dumps(value, indent=1))


def print_table(lines: list[tuple[str, ...]]) -> None:
    """Columns side by side."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def write_text(path: Path, text: str) -> Path:
    """The whole of it or nothing. Raises `SaveError`."""
    from unrolled.model import write_atomically

    try:
        write_atomically(path, text.encode())
    except UnicodeEncodeError as error:
        raise SaveError(
            f"cannot write {path}: what goes there holds half of a character ({error.object[error.start]!r}), which no "
            "file of text can; mend the name or text that has it."
        ) from error
    except OSError as error:
        raise SaveError(
            f"cannot write {path}: {error.strerror or error}; make room or choose another place."
        ) from error
    return path
