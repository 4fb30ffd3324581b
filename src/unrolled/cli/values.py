"""Words of the command line as values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from unrolled.errors import OptionError, SaveError

__all__ = ["names", "numbers", "print_json", "settings", "write_text"]


def names(words: Sequence[str] | None) -> tuple[str, ...]:
    """Repeated options and commas alike: ["a,b", "c"] -> ("a", "b", "c")."""
    return tuple(part.strip() for word in words or () for part in word.split(",") if part.strip())


def numbers(option: str, word: str | None) -> tuple[float, ...] | None:
    """ "80,95" or "80 95" -> (80.0, 95.0)."""
    if word is None:
        return None
    try:
        return tuple(float(part) for part in word.replace(",", " ").split())
    except ValueError as error:
        raise OptionError(f"{option}: expected numbers with commas, for instance 80,95, got {word!r}.") from error


def settings(words: Sequence[str] | None) -> dict[str, Any]:
    """name=value, the value read as JSON where it is JSON: ["learning_rate=0.001", "level=mean"]."""
    found: dict[str, Any] = {}
    for word in words or ():
        name, equals, value = word.partition("=")
        if not equals or not name.strip():
            raise OptionError(f"--set: expected name=value, for instance hidden_size=128, got {word!r}.")
        try:
            found[name.strip()] = json.loads(value)
        except ValueError:
            found[name.strip()] = value
    return found


def print_json(value: Any) -> None:
    """JSON on standard output."""
    typer.echo(json.dumps(value, indent=1))


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
