"""Write the measured table of docs/tasks.md from the result files of tasks.py, of each row the newest results.

python benchmarks/score_tables.py             # rewrites what stands between the two marks
python benchmarks/score_tables.py --check     # exit code 1 if that would change the page
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["render", "with_table"]

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "tasks.md"
BEGIN, END = "<!-- scores: begin -->", "<!-- scores: end -->"
LOWER_IS_BETTER = ("perplexity", "nats per character", "nats a step", "nats a point", "equal error rate", "WER", "CER")

Result = Mapping[str, Any]


def render(results: Sequence[Result]) -> str:
    """One line a row and its options, in the order of the results: score and spread, bars, time, memory, baseline."""
    lines = [
        "| row | metric | score | at least | aim | verdict | baseline | minutes | peak memory | options | commit |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in dict.fromkeys(map(_named, results)):
        lines.append(_line([result for result in results if _named(result) == row]))
    return "\n".join(lines)


def _named(result: Result) -> tuple[str, str]:
    """What makes a row of the table: several seeds of one row with the same options."""
    return result["row"], json.dumps(result["options"], sort_keys=True)


def _line(several: Sequence[Result]) -> str:
    several = sorted(several, key=lambda result: result["score"])
    middle, first = several[len(several) // 2], several[0]
    score = _digits(middle["score"])
    if len(several) > 1:
        score += f" ({_digits(first['score'])} to {_digits(several[-1]['score'])})"
    baseline = next((result["baseline"] for result in several if result.get("baseline")), None) or {}
    cells = (
        middle["row"],
        middle["metric"],
        score,
        f"{middle['least']:g}",
        f"{middle['aim']:g}",
        verdict(middle),
        ", ".join(f"{_digits(value)} ({name})" for name, value in baseline.items()),
        f"{middle['seconds'] / 60:.1f}",
        f"{middle['peak_megabytes']} MB",
        ", ".join(f"{name}={value}" for name, value in middle["options"].items()) or "defaults",
        middle["commit"],
    )
    return f"| {' | '.join(cells)} |"


def verdict(result: Result) -> str:
    """Which of the two bars the score reaches: "aim met", "met" or "not met"."""
    sign = -1 if result["metric"] in LOWER_IS_BETTER else 1
    reached = [sign * result["score"] >= sign * result[bar] for bar in ("least", "aim")]
    return "aim met" if reached[1] else "met" if reached[0] else "**not met**"


def _digits(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 2 else f"{value:.2f}" if abs(value) < 100 else f"{value:.1f}"


def with_table(page: str, folder: Path) -> str:
    """The page with the table of the newest results of each row between its marks."""
    found: dict[tuple[str, str], list[Result]] = {}
    paths = sorted(folder.glob("tasks-*.jsonl"))
    for path in paths:
        results = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        # What is measured again stands where it stood.
        found |= {row: [result for result in results if _named(result) == row] for row in map(_named, results)}
    names = ", ".join(f"`benchmarks/results/{path.name}`" for path in paths)
    every = [result for several in found.values() for result in several]
    text = f"From {names}.\n\n{render(every)}" if paths else "Nothing is measured yet."
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}"


def main() -> int:
    """Rewrite the page, or say that it is out of date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 if the page is out of date")
    asked = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    new = with_table(page, ROOT / "benchmarks" / "results")
    if asked.check:
        if new != page:
            print("docs/tasks.md is out of date: run python benchmarks/score_tables.py", file=sys.stderr)
        return int(new != page)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
