"""Write the measured part of docs/choosing-a-cell.md and its picture from the newest results.

    python benchmarks/memory_tables.py             # rewrites what stands between the two marks, and the picture
    python benchmarks/memory_tables.py --check     # exit code 1 if that would change the page or the picture

The results are those of memory.py, modern_language.py and modern_forecast.py. The picture carries a fingerprint of the
numbers in it, by which it is told whether it is theirs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from memory_picture import draw, fingerprint_of
from memory_tasks import TASKS, Task
from tables import newest

__all__ = ["cells_of", "fingerprint", "level", "page_block", "read", "with_block"]

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "choosing-a-cell.md"
PICTURE = ROOT / "docs" / "choosing-a-cell.png"
BEGIN, END = "<!-- memory: begin -->", "<!-- memory: end -->"
NOTHING = "Nothing is measured yet."
SOLVED, PARTLY = 0.98, 0.5
FEW = 3

Result = Mapping[str, Any]
Results = dict[str, Result]


def read(folder: Path, name: str) -> Results:
    """The last result of each row in the newest file."""
    path = newest(folder, name)
    if path is None:
        return {}
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {line["row"]: line for line in lines}


def level(task: Task, result: Result | None) -> str:
    """ "solved", "by heart", "partly" (at least half way from chance to no mistake), "not", or "?" if not measured.

    Solved is a skill of at least 0.98, and where there is a baseline, a score that is no worse. By heart is what is
    solved at the length taught and not on sequences that go on beyond it.
    """
    if result is None:
        return "?"
    skill = task.skill(result["score"])
    if not (result["score"] >= result["baseline"] if "baseline" in result else skill >= SOLVED):
        return "partly" if skill >= PARTLY else "not"
    return "by heart" if task.longer > 1 and task.skill(result["longer"]) < SOLVED else "solved"


def cells_of(results: Results) -> list[str]:
    """The cells, in the order in which they were measured."""
    return list(dict.fromkeys(result["cell"] for result in results.values()))


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ("---",) * len(head), *lines))


def listed(words: Sequence[str]) -> str:
    """a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def source(folder: Path, name: str, results: Results) -> str:
    """Where numbers come from: file, commits, machine."""
    file, rows = newest(folder, name), results.values()
    commits = listed(list(dict.fromkeys(row["commit"] for row in rows)))
    machines = listed(list(dict.fromkeys(f"{row['cores']} cores, {row['cpu']}, torch {row['torch']}" for row in rows)))
    where = "results" if file is None else f"`benchmarks/results/{file.name}`"
    return f"From {where}; unrolled at {commits}; {machines}."


def overview(memory: Results) -> str:
    """Cells by tasks, one word for each length."""
    tasks = (f"{task.title}: {', '.join(map(str, task.lengths))} {task.grows}" for task in TASKS.values())
    head = ("cell", "width", "numbers carried", *tasks)
    lines = []
    for cell in cells_of(memory):
        words = [
            ", ".join(_strong(level(task, memory.get(f"{cell}/{task.name}/{length}"))) for length in task.lengths)
            for task in TASKS.values()
        ]
        mine = [row for row in memory.values() if row["cell"] == cell and row["task"] in TASKS]
        lines.append((cell, _range(row["width"] for row in mine), _range(row["state"] for row in mine), *words))
    return table(head, lines)


def _range(values: Iterable[int]) -> str:
    kept = sorted(set(values))
    return f"{kept[0]:,}" if len(kept) == 1 else f"{kept[0]:,} to {kept[-1]:,}" if kept else ""


def _strong(word: str) -> str:
    return f"**{word}**" if word == "solved" else word


def detail(task: Task, memory: Results) -> str:
    """One task: the score at each length, and after how many seconds it was solved."""
    heads = [f"{length} {task.grows}" for length in task.lengths]
    if task.longer > 1:
        heads += [f"{length} taught, {task.longer * length} read" for length in task.lengths]
    lines = []
    for cell in cells_of(memory):
        found = [memory.get(f"{cell}/{task.name}/{length}") for length in task.lengths]
        words = [_score(result) for result in found]
        if task.longer > 1:
            words += ["" if result is None else f"{result['longer']:.3f}" for result in found]
        lines.append((cell, *words))
    return table(("cell", *heads), lines)


def _score(result: Result | None) -> str:
    if result is None:
        return ""
    after = result["solved_after"]
    digits = 4 if result["metric"] == "MSE" else 3
    text = f"{result['score']:.{digits}f}" + ("" if after is None else f" ({after:.1f} s)")
    return text + (" (diverged)" if result["diverged"] else "")


def chance(task: Task, memory: Results) -> str:
    """What a score stands beside."""
    words = f"Scored by {task.metric}; an answer that reads nothing has {task.chance:.4g}"
    baseline = {row["baseline"] for row in memory.values() if row["task"] == task.name and "baseline" in row}
    return words + "".join(f", logistic regression on the same pixels {value:.3f}" for value in sorted(baseline)) + "."


def advice(memory: Results) -> list[str]:
    """For each task, the cells that solve the longest length that any solves; else the best there are."""
    lines = []
    for task in TASKS.values():
        rows = [row for row in memory.values() if row["task"] == task.name]
        if not rows:
            continue
        solved = {row["length"] for row in rows if level(task, row) == "solved"}
        length = max(solved) if solved else min(row["length"] for row in rows)
        there = sorted((row for row in rows if row["length"] == length), key=lambda row: -task.skill(row["score"]))
        best = [row["cell"] for row in there if level(task, row) == "solved"]
        did = "solved by"
        if not best:
            best = [f"{row['cell']} ({_score(row)})" for row in there[:FEW]]
            did = "solved by none within the budget; nearest come"
        lines.append(f"- **{task.title}** ({task.tells}), {length} {task.grows}: {did} {listed(best)}.")
        learned = [row["cell"] for row in there if level(task, row) == "by heart"]
        if learned:
            lines.append(f"  By heart, for no longer ones: {listed(learned)}.")
    return lines


def costs(memory: Results) -> str:
    """What a step costs in training and live, and what is carried."""
    rows = sorted((row for row in memory.values() if row["task"] == "cost"), key=lambda row: row["live_us_a_step"])
    if not rows:
        return NOTHING
    head = ("cell", "live step, µs", "training, µs a step and row", "numbers carried", "parameters", "parallel in time")
    return table(
        head,
        [
            (
                row["cell"], f"{row['live_us_a_step']:.3g}", f"{row['train_us_a_step']:.3g}", f"{row['state']:,}",
                f"{row['parameters']:,}", "yes" if row["parallel_in_time"] else "no",
            )
            for row in rows
        ],
    )  # fmt: skip


def language(results: Results) -> str:
    """The language models, the best first."""
    rows = sorted((row for row in results.values() if "cell" in row), key=lambda row: row["score"])
    head = ("cell", "nats per character", "training loss", "width", "parameters", "numbers carried", "rate", "steps",
            "processor seconds")  # fmt: skip
    lines = [
        (
            row["cell"], f"{row['score']:.4f}", f"{row['train_loss']:.4f}", str(row["width"]),
            f"{row['parameters']:,}", f"{row['state']:,}", f"{row['rate']:g}", f"{row['steps']:,}",
            f"{row['core_seconds']:.0f}",
        )
        for row in rows
    ]  # fmt: skip
    simple = [row for row in results.values() if "cell" not in row]
    return table(head, lines + [("Kneser-Ney 7", f"{row['score']:.4f}", *[""] * 7) for row in simple])


def forecasts(results: Results) -> str:
    """The forecasters, the best first, then the simple forecasts."""
    rows = sorted((row for row in results.values() if "cell" in row), key=lambda row: row["mse"])
    head = ("cell", "MSE", "MAE", "width", "parameters", "numbers carried", "rate", "steps", "processor seconds")
    lines = [
        (
            row["cell"], f"{row['mse']:.4f}", f"{row['mae']:.4f}", str(row["width"]), f"{row['parameters']:,}",
            f"{row['state']:,}", f"{row['rate']:g}", f"{row['steps']:,}", f"{row['core_seconds']:.0f}",
        )
        for row in rows
    ]  # fmt: skip
    simple = [(name, row) for name, row in results.items() if "cell" not in row]
    return table(head, lines + [(name, f"{row['mse']:.4f}", f"{row['mae']:.4f}", *[""] * 6) for name, row in simple])


def budget(memory: Results) -> str:
    """What every row was given, as it was measured."""
    rows = [row for row in memory.values() if row["task"] in TASKS]
    low, high = (pick(row["parameters"] for row in rows) for pick in (min, max))
    seconds = listed([f"{value:g}" for value in sorted({row["seconds"] for row in rows})])
    most = max(row["core_seconds"] for row in rows)
    return (
        f"Every row had {seconds} seconds of one processor (the longest took {most:.1f}) and {low:,} to {high:,} "
        "parameters, and was trained once, from one seed."
    )


def page_block(folder: Path) -> str:
    """All that is measured, as Markdown."""
    memory, text, numbers = (read(folder, name) for name in ("memory", "modern_language", "modern_forecast"))
    parts = ["## What was remembered"]
    if any(row["task"] in TASKS for row in memory.values()):
        parts += [
            f"{source(folder, 'memory', memory)} {budget(memory)}",
            f"![Skill of every cell on every task at every length]({PICTURE.name})",
            overview(memory),
            f"*Solved*: a skill of at least {SOLVED:g}, where 0 is an answer that reads nothing and 1 is no mistake; "
            f"for the digits, at least what logistic regression reaches. *By heart*: so at the length taught, and not "
            f"beyond it. *Partly*: a skill of at least {PARTLY:g}.",
            "### Which cell for which need",
            "\n".join(advice(memory)),
            "### The scores",
        ]
        for task in TASKS.values():
            parts += [f"#### {task.title}: {task.tells}", chance(task, memory), detail(task, memory)]
    else:
        parts.append(NOTHING)
    parts += ["### What a cell costs", costs(memory)]
    recipes: tuple[tuple[str, str, Results, Callable[[Results], str]], ...] = (
        ("As a language model: tinyshakespeare", "modern_language", text, language),
        ("As a forecaster: ETTh1, 96 hours ahead", "modern_forecast", numbers, forecasts),
    )
    for title, name, results, render in recipes:
        parts.append(f"## {title}")
        parts += [source(folder, name, results), render(results)] if results else [NOTHING]
    return "\n\n".join(parts)


def with_block(page: str, block: str) -> str:
    """The page with what stands between its marks replaced."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{block}\n\n{END}{rest.split(END)[1]}"


def fingerprint(memory: Results) -> str:
    """Of the numbers that the picture shows."""
    shown = sorted((name, row["score"], row.get("longer")) for name, row in memory.items() if row["task"] in TASKS)
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()


def main() -> int:
    """Rewrite page and picture, or say that they are out of date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 if something is out of date")
    asked = parser.parse_args()
    folder = ROOT / "benchmarks" / "results"
    page, memory = PAGE.read_text(encoding="utf-8"), read(folder, "memory")
    new, mark = with_block(page, page_block(folder)), fingerprint(memory)
    stale = new != page or (bool(memory) and fingerprint_of(PICTURE) != mark)
    if asked.check:
        if stale:
            print("docs/choosing-a-cell.md is out of date: run python benchmarks/memory_tables.py", file=sys.stderr)
        return int(stale)
    PAGE.write_text(new, encoding="utf-8")
    if stale and memory:
        draw(memory, cells_of(memory), mark, PICTURE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
