"""The picture of docs/choosing-a-cell.md: how well each cell does each task at each length, as a map of shades."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from memory_tasks import TASKS, Task

from unrolled.inspect.figure import GREY, INK, make_figure

__all__ = ["draw", "fingerprint_of"]

LABEL = "Numbers"


def panels() -> list[tuple[Task, str, str, list[str]]]:
    """Task, which of its scores, title and names of the columns."""
    found = []
    for task in TASKS.values():
        lengths = [str(length) for length in task.lengths]
        found.append((task, "score", f"{task.title}\n{task.metric}, by {task.grows}", lengths))
        if task.longer > 1:
            title = f"{task.title} read on\n{task.metric}, {task.longer} times longer"
            found.append((task, "longer", title, [str(task.longer * length) for length in task.lengths]))
    return found


def draw(memory: Mapping[str, Mapping[str, Any]], cells: Sequence[str], fingerprint: str, path: Path) -> None:
    """One line a cell, one column a task and length; the fingerprint of the numbers goes into the file."""
    figure = make_figure(12, 1.7 + 0.3 * len(cells))
    parts = figure.subplots(1, len(panels()), sharey=True, squeeze=False)[0]
    shown = None
    for axes, (task, which, title, names) in zip(parts, panels(), strict=True):
        found = [[memory.get(f"{cell}/{task.name}/{length}") for length in task.lengths] for cell in cells]
        skill = np.array([[np.nan if row is None else task.skill(row[which]) for row in line] for line in found])
        shown = axes.imshow(skill.clip(0, 1), cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for (i, j), value in np.ndenumerate(skill):
            row = found[i][j]
            if row is not None:
                digits = 3 if task.outputs == 1 else 2
                text = f"{row[which]:.{digits}f}".removeprefix("0")
                color = "white" if value > 0.6 else INK
                axes.text(j, i, text, ha="center", va="center", fontsize=8, color=color)
        axes.set_title(title, fontsize=9, color=INK)
        axes.set_xticks(range(len(names)), names, fontsize=8, color=GREY)
        axes.set_yticks(range(len(cells)), cells, fontsize=9, color=INK)
        axes.set_xticks(np.arange(len(task.lengths) + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(cells) + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.5)
        axes.tick_params(which="both", length=0)
        for side in axes.spines.values():
            side.set_visible(False)
    bar = figure.colorbar(shown, ax=list(parts), shrink=0.6, pad=0.015)
    bar.set_label("skill: 0 reads nothing, 1 no mistake", fontsize=8, color=GREY)
    bar.ax.tick_params(labelsize=7, color=GREY)
    bar.outline.set_visible(False)
    figure.savefig(path, dpi=130, metadata={LABEL: fingerprint, "Software": None})


def fingerprint_of(path: Path) -> str | None:
    """The fingerprint that a picture carries; None if there is no picture, or none of ours."""
    if not path.is_file():
        return None
    data, at = path.read_bytes(), 8
    while at + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        if kind == b"tEXt":
            label, _, value = data[at + 8 : at + 8 + length].partition(b"\0")
            if label.decode("latin-1") == LABEL:
                return value.decode("latin-1")
        at += length + 12
    return None
