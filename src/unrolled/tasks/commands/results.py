"""What runs of several tasks leave behind, and the lines that say so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unrolled.model.describe import Finished, ScoreReport, Whole, size_of

if TYPE_CHECKING:
    from unrolled.fields.category import Category

__all__ = ["classes", "evaluate_next", "learning", "not_drawn", "scored", "told"]

# So many classes are named.
NAMED = 6


def told(finished: Finished[Any], parts: Sequence[str]) -> list[str]:
    """What the fields hold and how big the network is; how the training went."""
    model = finished.model
    return [f"{type(model).__name__}: {'; '.join([*parts, size_of(model)])}", *_validation(finished)]


def _validation(finished: Finished[Any]) -> list[str]:
    """How the training went, by the data that decided when to stop."""
    from unrolled.inspect.learning import read_curves

    curves = read_curves(finished.folder)
    if not len(curves.score):
        return []
    best, last = int(curves.score.values.argmin()), int(curves.loss.steps[-1])
    value, step = curves.score.values[best], int(curves.score.steps[best])
    return [f"validation: {finished.model.score_name} {value:.4g} (lower is better) at step {step} of {last}"]


def classes(field: Category) -> str:
    """How many classes there are, and some of them by name."""
    from unrolled.fields.spoken import in_order

    values = in_order(field.values)
    more = ", ..." if len(values) > NAMED else ""
    return f"{len(values)} classes ({', '.join(values[:NAMED])}{more})"


def learning(finished: Finished[Any]) -> Path:
    """The curves of the training."""
    from unrolled.inspect.learning import draw_learning, read_curves

    return draw_learning(read_curves(finished.folder), finished.folder / "learning.png")


def not_drawn(finished: Finished[Any], picture: str, data: str) -> list[str]:
    """Why a picture that was asked for is missing: it is of data that nothing was learned from."""
    line = f"no {picture}: it needs {data} that the model has not learned from, --test or --valid FILE"
    return [line] if finished.plot and not finished.held else []


def evaluate_next(finished: Finished[Any]) -> list[str]:
    """How to score the model, where it has not been."""
    several = len(finished.request.paths("source")) > 1
    line = f"      unrolled evaluate {finished.folder} {'SOURCE TARGET' if several else 'FILE'}"
    return [] if finished.report is not None else [line]


def scored(report: ScoreReport) -> Whole:
    """A report as a command says it."""
    return Whole((f"{report}\n",), report.to_json)
