"""What a finished run leaves behind: files beside the model, and lines that say what was done and what to type next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from unrolled.cli.options import as_options
from unrolled.cli.runs import MODEL
from unrolled.cli.values import write_text
from unrolled.cli.words import words_of
from unrolled.model.describe import Described, Finished, Request

if TYPE_CHECKING:
    from unrolled.model import Model

__all__ = ["Results", "finish"]


class Results(NamedTuple):
    """files: where things are, by what they are. scores: JSON, or None. lines: what is told."""

    files: dict[str, str]
    scores: dict[str, object] | None
    lines: list[str]


def finish(
    description: Described, model: Model, request: Request, folder: Path, test: tuple[object, ...], plot: bool
) -> Results:
    """Scores on the test data, whatever else the task leaves, and pictures."""
    files = {"model": str(folder / MODEL)}
    report = description.score(model, test)
    scores = None if report is None else report.to_json()
    if scores is not None:
        files["scores"] = str(write_text(folder / "scores.json", json.dumps(scores, indent=1)))
    held = description.held(request, "valid") if plot and not test else test
    finished = Finished(model, request, folder, held, report, plot)
    makers = {**description.leaves, **(description.pictures if plot else {})}
    written = {name: make(finished) for name, make in makers.items()}
    files |= {name: str(path) for name, path in written.items() if path is not None}
    known = {name: word.spelled for name, word in words_of(description.fit).items() if not word.word.placed}
    remarks = [f"understood: {as_options(remark, known)}" for remark in model.understood]
    told = [*remarks, *description.about(finished), *([] if report is None else [f"\n{report}\n"])]
    return Results(files, scores, [*told, "wrote " + ", ".join(files.values()), *description.closing(finished)])
