"""All laws of a recurrent layer in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from unrolled.testing.graphs import check_compile, check_export
from unrolled.testing.laws import check_batch, check_chunk, check_gradient, check_padding, check_reset
from unrolled.testing.promises import (
    check_bytes,
    check_copy,
    check_parallel,
    check_pure,
    check_rows,
    check_save,
    check_state,
    check_stream,
)
from unrolled.testing.proof import Make

__all__ = ["LAWS", "check_recurrent"]

LAWS: Mapping[str, Callable[[Make], None]] = {
    "state": check_state,
    "pure": check_pure,
    "padding": check_padding,
    "batch": check_batch,
    "chunk": check_chunk,
    "reset": check_reset,
    "gradient": check_gradient,
    "stream": check_stream,
    "parallel": check_parallel,
    "rows": check_rows,
    "bytes": check_bytes,
    "save": check_save,
    "copy": check_copy,
}
"""Every law that needs no tracing, by name, in the order that finds the plainest fault first."""


def check_recurrent(
    make: Make, *, laws: Iterable[str] | None = None, graphs: bool = True, dynamic_time: bool | None = None
) -> None:
    """Prove all laws for the layers that `make` builds; raises LawBroken, which names the law, at the first that fails.

    make: returns a fresh Recurrent at every call; small widths (3 to 6) keep it fast. It is run in float64 and in
    evaluation mode, its parameters moved by random numbers.
    laws: names out of LAWS; None means all of them.
    graphs: compile and export too (some seconds). dynamic_time: False lets both fix the number of time steps, for a
    layer that walks time in Python; None does so where a cell inside leaves the walk as `Cell` has it.

    >>> from unrolled.nn import GRU
    >>> check_recurrent(lambda: GRU(3, 5), graphs=False)
    """
    for name in LAWS if laws is None else laws:
        LAWS[name](make)
    if graphs:
        check_compile(make, dynamic_time=dynamic_time)
        check_export(make, dynamic_time=dynamic_time)
