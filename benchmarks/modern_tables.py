"""The tables of the modern recurrences on the page of speed, from the newest results of their own benchmarks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["BENCHMARKS", "render_modern"]

BENCHMARKS = {
    "diagonal_cpu": "minGRU and minLSTM from their pre-activations (`gates`) or as layers, LRU: at least 7 times the "
    "best torch form, `torch.compile` included",
    "slstm_cpu": "sLSTM: at most 1.5 times our LSTM of the same width",
    "mlstm_cpu": "mLSTM: at least 5 times the step loop, at least 2 times the best peer",
    "delta_cpu": "The delta rule as RWKV-7, DeltaNet and Gated DeltaNet use it: at least 5 times the step loop, at "
    "least 2 times the best peer",
}
"""Result files, and what their rows were to show."""

Result = Mapping[str, Any]


def render_modern(folder: Path, newest: Any, time_text: Any) -> str:
    """A table for each benchmark; rows without a comparison, which measure memory, in a table of their own."""
    parts = []
    for name, aim in BENCHMARKS.items():
        path = newest(folder, name)
        if path is None:
            parts.append(f"#### {name}.py\n\n{aim}. Not measured yet.")
            continue
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        rows = {line["row"]: line for line in lines}
        source = f"From `benchmarks/results/{path.name}`, {_commits(rows.values())}."
        parts.append(f"#### {name}.py\n\n{aim}. {source}")
        timed = [_timed(row, time_text) for row in rows.values() if row.get("seconds") and row.get("peer")]
        if timed:
            parts.append(_table(("row", "ours", "peer", "ratio", "bar", "", "others"), timed))
        memory = [_memory(row) for row in rows.values() if "extra_bytes" in row or "bytes" in row]
        if memory:
            parts.append(_table(("row", "steps", "bytes beside arguments and results"), memory))
    return "\n\n".join(parts)


def _commits(rows: Any) -> str:
    return ", ".join(sorted({f"{row['threads']} threads at {row['commit']}" for row in rows}))


def _timed(row: Result, time_text: Any) -> tuple[str, ...]:
    seconds, peer = row["seconds"], row["peer"]
    others = "; ".join(f"{n} {time_text(v[0])}" for n, v in seconds.items() if n not in ("unrolled", peer))
    middle, low, high = (f"{value:.3g}" for value in row["ratio"])
    return (
        row["row"],
        time_text(seconds["unrolled"][0]),
        f"{peer} {time_text(seconds[peer][0])}",
        f"{middle} ({low} to {high})",
        "" if row["least"] is None else f"{row['least']:g}",
        row["verdict"],
        others,
    )


def _memory(row: Result) -> tuple[str, ...]:
    counts = row.get("extra_bytes") or row["bytes"]
    if isinstance(counts, Mapping):
        return row["row"], str(row["shape"][1]), "; ".join(f"{key}: {value:,}" for key, value in counts.items())
    return row["row"], " / ".join(map(str, row["times"])), " / ".join(f"{count:,}" for count in counts)


def _table(head: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ("---",) * len(head), *lines])
