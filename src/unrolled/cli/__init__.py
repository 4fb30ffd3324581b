"""The command line: `unrolled fit forecast load.csv --time date --target load --horizon 24 -o runs/load`.

It is made of what the registered tasks say of themselves, and knows none of them by name.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """The entry point of the `unrolled` command, and of a file that registers a task of its own."""
    import warnings

    from unrolled.cli.app import make_app
    from unrolled.errors import printable

    plain = warnings.formatwarning
    warnings.formatwarning = lambda *parts, **named: printable(plain(*parts, **named))
    make_app()()
