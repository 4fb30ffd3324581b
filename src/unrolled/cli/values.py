"""What commands put out."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from unrolled.errors import SaveError

__all__ = ["print_json", "print_table", "write_text"]


def print_json(value: object) -> None:
    """JSON on standard output."""
    typer.echo(json.dumps(value, indent=1))


def print_table(lines: list[tuple[str, ...]]) -> None:
    """Columns side by side."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def write_text(path: Path, text: str) -> Path:
    """The whole of it or nothing. Raises `SaveError`."""
    from unrolled.model import write_atomically

    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise SaveError(
            f"cannot write {path}: {error.strerror or error}; make room or choose another place."
        ) from error
    return path
