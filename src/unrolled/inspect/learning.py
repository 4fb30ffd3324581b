"""The learning curve of a run: loss, score and learning rate over its steps."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from unrolled.errors import DataError
from unrolled.inspect.figure import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    RULE,
    make_figure,
    save_picture,
    tidy,
    write_legend,
    write_title,
)
from unrolled.types import Json

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Curve", "LearningCurves", "EvaluationRow", "curves_of", "draw_learning", "read_curves"]

# Losses that span more than this factor are drawn on a logarithmic scale.
WIDE = 30.0
# The line through the losses of single steps is their mean over this part of the run.
SMOOTHED = 0.02


class EvaluationRow(Protocol):
    """One evaluation, as the history of a run holds it; what was not measured is None."""

    @property
    def step(self) -> int: ...
    @property
    def loss(self) -> float | None: ...
    @property
    def valid_loss(self) -> float | None: ...
    @property
    def score(self) -> float | None: ...
    @property
    def learning_rate(self) -> float | None: ...


@dataclass(frozen=True, eq=False)
class Curve:
    """Values over steps, both (points,)."""

    steps: NDArray[np.float64]
    values: NDArray[np.float64]

    @classmethod
    def of(cls, points: Iterable[tuple[float, float | None]]) -> Curve:
        """The curve through the points that have a finite value."""
        known = [(step, value) for step, value in points if value is not None and math.isfinite(value)]
        table = np.array(known, np.float64).reshape(-1, 2)
        return cls(table[:, 0], table[:, 1])

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True, eq=False)
class LearningCurves:
    """What a run told: training loss, validation loss, score (lower is better) and learning rate."""

    loss: Curve
    valid_loss: Curve
    score: Curve
    rate: Curve


def curves_of(evaluations: Sequence[EvaluationRow]) -> LearningCurves:
    """The curves through the evaluations of a finished run (`History.evaluations`)."""
    return LearningCurves(
        Curve.of((row.step, row.loss) for row in evaluations),
        Curve.of((row.step, row.valid_loss) for row in evaluations),
        Curve.of((row.step, row.score) for row in evaluations),
        Curve.of((row.step, row.learning_rate) for row in evaluations),
    )


def read_curves(path: str | Path) -> LearningCurves:
    """The curves of a run from its metrics.jsonl, or from the run's folder; also while it still goes on.

    Raises:
        DataError: the file cannot be read, or tells of no step.
    """
    file = Path(path) / "metrics.jsonl" if Path(path).is_dir() else Path(path)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"plot: cannot read {file}: {error}; give the metrics.jsonl of a run or its folder.") from error
    steps, evaluations = _events(file, lines)
    if not steps and not evaluations:
        raise DataError(f"plot: expected steps or evaluations in {file}, got {len(lines)} lines without any.")

    def curve(rows: list[Json], name: str) -> Curve:
        return Curve.of((row["step"], row.get(name)) for row in rows)

    valid_loss, score = (curve(evaluations, name) for name in ("valid_loss", "score"))
    return LearningCurves(curve(steps or evaluations, "loss"), valid_loss, score, curve(steps, "learning_rate"))


def draw_learning(curves: LearningCurves, path: str | Path, *, title: str = "") -> Path:
    """Write the picture; the name's ending says which kind (.png, .svg, .pdf).

    Raises:
        DataError: there is nothing to draw.
        OptionError: matplotlib is not installed, or there is no such kind of picture.
        SaveError: the place cannot be written.
    """
    scored = len(curves.score) > 0 and not _same(curves.score, curves.valid_loss)
    changing = len(curves.rate) > 1 and np.ptp(curves.rate.values) > 0
    if not len(curves.loss) and not len(curves.score):
        raise DataError("plot: expected a run with a loss or a score, got neither; train it for a step at least.")
    heights = [3.6, *([2.2] if scored else []), *([1.1] if changing else [])]
    figure = make_figure(10.0, 1.0 + sum(heights))
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    panels = [figure.add_subplot(grid[0])]
    panels += [figure.add_subplot(grid[i], sharex=panels[0]) for i in range(1, len(heights))]
    _losses(panels[0], curves)
    write_title(panels[0], title or "Learning curve", _note(curves))
    if scored:
        _score(panels[1], curves.score)
    if changing:
        panels[-1].plot(curves.rate.steps, curves.rate.values, color=GREY, linewidth=1.4)
        panels[-1].set_ylabel("learning rate", color=GREY, fontsize=10)
        panels[-1].set_ylim(bottom=0)
    for axes in panels:
        axes.grid(axis="y", color=RULE, linewidth=0.7)
        axes.margins(x=0.01)
        tidy(axes)
    figure.align_ylabels(panels)
    for axes in panels[:-1]:
        axes.tick_params(labelbottom=False)
    panels[-1].set_xlabel("step", color=GREY, fontsize=10)
    return save_picture(figure, path)


def _losses(axes: Axes, curves: LearningCurves) -> None:
    loss, valid = curves.loss, curves.valid_loss
    window = max(1, round(SMOOTHED * len(loss)))
    if window > 1:
        axes.plot(loss.steps, loss.values, color=GREY, alpha=0.35, linewidth=0.7, zorder=1)
    axes.plot(loss.steps, _smooth(loss.values, window), color=INK, linewidth=1.5, label="training loss", zorder=2)
    if len(valid):
        axes.plot(valid.steps, valid.values, color=BLUE, linewidth=1.7, marker="o", markersize=_mark(valid), zorder=3,
                  label="validation loss")  # fmt: skip
        if _same(curves.score, valid):
            _best(axes, valid)
    values = np.concatenate([loss.values, valid.values])
    if len(values) and values.min() > 0 and values.max() > WIDE * values.min():
        _logarithmic(axes)
    axes.set_ylabel("loss", color=GREY, fontsize=10)
    write_legend(axes)


def _score(axes: Axes, score: Curve) -> None:
    axes.plot(score.steps, score.values, color=BLUE, linewidth=1.7, marker="o", markersize=_mark(score))
    _best(axes, score)
    axes.set_ylabel("score (lower is better)", color=GREY, fontsize=10)
    axes.locator_params(axis="y", nbins=5)
    write_legend(axes)


def _logarithmic(axes: Axes) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def _best(axes: Axes, curve: Curve) -> None:
    at = int(curve.values.argmin())
    place = ([curve.steps[at]], [curve.values[at]])
    axes.plot(*place, linestyle="", marker="o", markersize=9, markerfacecolor="none", markeredgewidth=1.8, color=ORANGE,
              label=f"best {curve.values[at]:.4g}", zorder=5)  # fmt: skip


def _note(curves: LearningCurves) -> str:
    last = int(max(curve.steps[-1] for curve in (curves.loss, curves.score) if len(curve)))
    if not len(curves.score):
        return f"{last} steps"
    at = int(curves.score.values.argmin())
    return f"{last} steps; best score {curves.score.values[at]:.4g} at step {int(curves.score.steps[at])}"


def _mark(curve: Curve) -> float:
    """Marks that do not touch each other."""
    return 4.0 if len(curve) <= 60 else 0.0


def _same(one: Curve, two: Curve) -> bool:
    return np.array_equal(one.values, two.values) and np.array_equal(one.steps, two.steps)


def _smooth(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Means over the last `window` values, over fewer at the start."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - window)
    return np.asarray((sums[ends] - sums[starts]) / (ends - starts))


def _events(file: Path, lines: Sequence[str]) -> tuple[list[Json], list[Json]]:
    """The steps and the evaluations; the last line of a run that goes on may be torn."""
    found: dict[str, list[Json]] = {"step": [], "evaluate": []}
    for number, line in enumerate(lines, 1):
        try:
            event = json.loads(line)
            if event["event"] in found:
                found[event["event"]].append({**event, "step": int(event["step"])})
        except (ValueError, TypeError, KeyError) as error:
            if number == len(lines):
                break
            raise DataError(f"plot: line {number} of {file} is no event of a run; give its metrics.jsonl.") from error
    return found["step"], found["evaluate"]
