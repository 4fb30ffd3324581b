"""Write the measured tables of docs/speed.md from the newest result files of the benchmarks of speed.

    python benchmarks/tables.py             # rewrites what stands between the two marks
    python benchmarks/tables.py --check     # exit code 1 if that would change the page

The newest file of each name is read, and of several results of one row in it the last one counts. Rows that were not
measured stand there too, so that nothing can be left out by not measuring it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from modern_tables import render_modern
from rows import LIVE, RECURRENT, Row

__all__ = ["last_results", "newest", "render", "replace_block", "time_text"]

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "speed.md"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (0.0, "ns"))

Result = Mapping[str, Any]


def newest(folder: Path, name: str) -> Path | None:
    """The result file of the latest day, by the date in its name."""
    return max(folder.glob(f"{name}-????-??-??.jsonl"), default=None)


def last_results(path: Path | None) -> dict[tuple[str, int], Result]:
    """The last result of each row and number of threads."""
    if path is None:
        return {}
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {(line["row"], line["threads"]): line for line in lines}


def time_text(seconds: float) -> str:
    """Three digits and a unit: 1.23 ms."""
    size, unit = next((size, unit) for size, unit in UNITS if seconds >= size)
    return f"{_digits(seconds / (size or 1e-9))} {unit}"


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 99.95 else f"{value:.3g}"


def render(rows: Sequence[Row], found: Mapping[tuple[str, int], Result], threads: int) -> str:
    """All tables for one number of threads: what was reached in one line, where it comes from, a table a group."""
    mine = {row.name: found[row.name, threads] for row in rows if (row.name, threads) in found}
    parts = [_tally(rows, mine, threads), *_sources(mine.values())]
    for group in dict.fromkeys(row.group for row in rows):
        members = [row for row in rows if row.group == group]
        parts.append(f"#### {group}\n\n{_table(members, mine, threads)}")
        parts += _absent(members, mine)
    return "\n\n".join(parts)


def _tally(rows: Sequence[Row], mine: Mapping[str, Result], threads: int) -> str:
    barred = [row for row in rows if row.bars(threads)[0] is not None]
    words = [mine[row.name]["verdict"] for row in barred if row.name in mine]
    reached = sum(word in ("met", "aim met") for word in words)
    return (
        f"Of {len(barred)} rows with a bar, {reached} reach it ({words.count('aim met')} of them the aim too), "
        f"{words.count('not met')} do not, and {len(barred) - len(words)} are not measured."
    )


def _sources(results: Iterable[Result]) -> list[str]:
    """Machine, versions and commits, once for each set that differs."""
    lines = []
    for result in results:
        peers = ", ".join(f"{name} {version}" for name, version in result["peers"].items() if version)
        lines.append(
            f"{result['machine']} ({result['cores']} cores, {result['cpu']}), unrolled {result['unrolled']} at "
            f"{result['commit']} (compiled kernels: {result['level']}), torch {result['torch']}, {peers}."
        )
    return list(dict.fromkeys(lines))


def _table(rows: Sequence[Row], mine: Mapping[str, Result], threads: int) -> str:
    head = ("row", "ours", "peer", "ratio", "at least", "aim", "", "share", "others")
    if rows[0].at_most:
        head = (*head[:4], "at most", *head[5:])
    lines = [head, ("---",) * len(head)]
    for row in rows:
        result = mine.get(row.name)
        lines.append(_missing(row, threads) if result is None else _line(row, result))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _missing(row: Row, threads: int) -> tuple[str, ...]:
    return (_label(row), "not measured", "", "", *map(_bar, row.bars(threads)), "", "", "")


def _line(row: Row, result: Result) -> tuple[str, ...]:
    seconds, peer = result["seconds"], result["peer"]
    ours = time_text(seconds[row.ours][0]) if row.ours in seconds else ""
    theirs = f"{peer} {time_text(seconds[peer][0])}{_distance(result, peer)}" if peer in seconds else ""
    shares = [f"{100 * result['share'][name]:.0f} %" for name in (row.ours, peer) if name in result.get("share", {})]
    return (
        _label(row),
        f"{ours}{_distance(result, row.ours)}{_slow(result)}".strip(),
        theirs,
        _ratio(result["ratio"]),
        _bar(result["least"]),
        _bar(result["aim"]),
        result["verdict"],
        f"{' / '.join(shares)} of {result['share_of']}" if shares else "",
        "; ".join(_others(row, result)),
    )


def _others(row: Row, result: Result) -> list[str]:
    """Who else ran; the limits are known by the shares."""
    counted = (row.ours, result["peer"], "GEMM", "copy")
    others = {name: value for name, value in result["seconds"].items() if name not in counted}
    found = [f"{name} {time_text(value[0])}{_distance(result, name)}" for name, value in others.items()]
    return found + [f"{name} {value:.3g}" for name, value in result.get("growth", {}).items() if name != row.ours]


def _distance(result: Result, name: str) -> str:
    """How far a contestant is from the float64 loop, or coarse weights from float32, where that was measured."""
    distance = result.get("differences", {}).get(name)
    return "" if distance is None else f" (off by {distance:.0e})"


def _slow(result: Result) -> str:
    """A row in which our equations in Python ran must say so."""
    return " (reference kernel)" if "reference" in result.get("kernels", []) else ""


def _ratio(values: Sequence[float] | None) -> str:
    if values is None:
        return "no peer"
    middle, low, high = (f"{value:.3g}" if value < 100 else f"{value:.0f}" for value in values)
    return middle if low == high == middle else f"{middle} ({low} to {high})"


def _label(row: Row) -> str:
    if row.kind == "live" and "cell" in row.options:
        return str(row.options["cell"])
    if row.kind == "live":
        weights = row.options["weights"]
        return f"H = {row.shape[-1]}" + ("" if weights == "float32" else f", {weights}")
    words = [", ".join(map(str, row.shape))] if not row.times else [f"{row.op} {row.mode}"]
    return ", ".join([*row.options, f"({words[0]})"]) if not row.times else words[0]


def _bar(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _absent(rows: Sequence[Row], mine: Mapping[str, Result]) -> list[str]:
    reasons = {
        f"{name} {reason}"
        for row in rows
        if row.name in mine
        for name, reason in mine[row.name].get("absent", {}).items()
    }
    return [f"Absent: {'; '.join(sorted(reasons))}."] if reasons else []


def replace_block(page: str, block: str) -> str:
    """The page with what stands between its two marks replaced; ValueError if it does not have each mark once."""
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(
            f"the page must hold {BEGIN!r} and {END!r} once each; put them around the place of the tables."
        )
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{block}\n\n{END}{rest.split(END)[1]}"


def whole_block(folder: Path) -> str:
    """Both benchmarks, for two threads and for one."""
    parts = []
    for name, rows in (("recurrent_cpu", RECURRENT), ("live_step", LIVE)):
        path = newest(folder, name)
        found = last_results(path)
        source = "There is no result file yet." if path is None else f"From `benchmarks/results/{path.name}`."
        parts.append(f"### {name}.py, 2 threads\n\n{source}\n\n{render(rows, found, 2)}")
        alone = [row for row in rows if (row.name, 1) in found or (row.bars(1)[0] is not None and not row.times)]
        if alone:
            parts.append(f"### {name}.py, 1 thread\n\n{render(alone, found, 1)}")
    parts.append(f"### The modern recurrences\n\n{render_modern(folder, newest, time_text)}")
    return "\n\n".join(parts)


def main() -> int:
    """Rewrite the page, or say that it is out of date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 if the page is out of date")
    asked = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    new = replace_block(page, whole_block(ROOT / "benchmarks" / "results"))
    if asked.check:
        if new != page:
            print("docs/speed.md is out of date: run python benchmarks/tables.py", file=sys.stderr)
        return int(new != page)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
