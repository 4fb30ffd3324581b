"""Interleaved timing in one process, A B A B ..., and what is read off it: medians, quartiles, ratios, verdicts."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median, quantiles
from typing import Any, NamedTuple

__all__ = ["Summary", "Times", "fastest", "interleave", "ratio", "spread", "summary", "verdict"]

Times = Mapping[str, Sequence[float]]
"""Seconds of one call, by contestant, one number a round."""


class Summary(NamedTuple):
    """Median and quartiles."""

    median: float
    low: float
    high: float


def summary(values: Sequence[float]) -> Summary:
    """Median and quartiles of at least one value."""
    if len(values) == 1:
        return Summary(values[0], values[0], values[0])
    low, _, high = quantiles(values, n=4, method="inclusive")
    return Summary(median(values), low, high)


def ratio(over: Sequence[float], under: Sequence[float]) -> Summary:
    """How many times longer `over` took than `under`, round by round: what slows a whole round down cancels."""
    return summary([a / b for a, b in zip(over, under, strict=True)])


def spread(values: Iterable[float]) -> float:
    """The largest value over the smallest."""
    kept = list(values)
    return max(kept) / min(kept)


def fastest(times: Times, names: Iterable[str]) -> str | None:
    """The name, among those that ran, with the least median; None if none of them ran."""
    present = [name for name in names if name in times]
    return min(present, key=lambda name: median(times[name])) if present else None


def verdict(value: float, least: float | None, aim: float | None, *, at_most: bool = False) -> str:
    """ "aim met", "met" or "not met"; "" where the row has no bar. at_most: the bars are limits from above."""

    def reaches(bar: float | None) -> bool:
        return bar is not None and (value <= bar if at_most else value >= bar)

    if least is None and aim is None:
        return ""
    if reaches(aim):
        return "aim met"
    return "met" if reaches(least) else "not met"


def interleave(
    runs: Mapping[str, Callable[[], Any]], *, rounds: int = 7, seconds: float = 0.02, settle: float = 0.01
) -> dict[str, list[float]]:
    """Time every contestant once a round, in turn, after a warm-up.

    runs: what is timed, by name. seconds: a contestant is called as often as fills this time, and the mean is kept.
    settle: a pause before each, in which the threads of the one before stop spinning.
    """
    calls = {name: _calls(run, seconds) for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            gc.collect()
            for name, run in runs.items():
                time.sleep(settle)
                times[name].append(_mean_time(run, calls[name]))
    finally:
        if collecting:
            gc.enable()
    return times


def _calls(run: Callable[[], Any], seconds: float) -> int:
    """Warm up, and find how many calls fill the time."""
    run()
    once = _mean_time(run, 1)
    if once < seconds:
        # One call alone is dearer than one of many; a few show the true price.
        once = _mean_time(run, max(1, int(seconds / 4 / once)))
    return max(1, round(seconds / once))


def _mean_time(run: Callable[[], Any], calls: int) -> float:
    begin = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - begin) / calls
