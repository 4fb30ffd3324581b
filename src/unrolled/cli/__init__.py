"""The command line: `unrolled fit forecast load.csv --time date --target load --horizon 24 -o runs/load`."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """The entry point of the `unrolled` command."""
    from unrolled.cli.app import app

    app()
