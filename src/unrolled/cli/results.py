"""What a finished run leaves behind: files beside the model, and lines that say what was done and what to type next."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from unrolled.cli.inputs import opened, pairs_of
from unrolled.cli.runs import Request
from unrolled.cli.values import write_text

__all__ = ["Results", "forecast_results", "sequence_results"]

# A picture of attention shows a sentence of so many words, where one of the first ones has as few.
WORDS, SEEN = 20, 200
# So many classes are named.
NAMED = 6


class Results(NamedTuple):
    """files: where things are, by what they are. scores: JSON, or None. lines: what is told."""

    files: dict[str, str]
    scores: Any
    lines: list[str]


def forecast_results(model: Any, request: Request, folder: Path, test: tuple[Any, ...], plot: bool) -> Results:
    """Scores beside the baselines, the forecast and its picture."""
    files = {"model": str(folder / "model.unrolled")}
    scores = None if model.scores is None else model.scores.to_json()
    if scores is not None:
        files["scores"] = _write_scores(folder, scores)
    columns = ", ".join(model.state.columns.future)
    # A forecast that needs covariates of the future waits for them.
    if not columns:
        model.predict().to_csv(folder / "forecast.csv")
        files["forecast"] = str(folder / "forecast.csv")
        if plot:
            files["plot"] = str(model.plot(folder / "forecast.png"))
    net = model.state.net
    lines = [f"{net.cell} with {net.hidden_size} units: {net.horizon} steps ahead from the last {net.lookback}"]
    if model.scores is not None:
        lines.append(f"\n{model.scores}\n")
    else:
        lines.append("not scored: the series are too short to hold rows out; see 'unrolled backtest'")
    lines.append("wrote " + ", ".join(files.values()))
    if columns:
        picture = f" --plot {folder / 'forecast.png'}" if plot else ""
        lines.append(
            f"next: unrolled predict {folder} --future FILE{picture}   (a table with {columns} for the steps ahead)"
        )
    return Results(files, scores, lines)


def sequence_results(model: Any, request: Request, folder: Path, test: tuple[Any, ...], plot: bool) -> Results:
    """Scores on the test data, and pictures of the training and of what the model does."""
    files = {"model": str(folder / "model.unrolled")}
    report = model.evaluate(*test) if test else None
    scores = None if report is None else report.to_json()
    if scores is not None:
        files["scores"] = _write_scores(folder, scores)
    if plot:
        files |= _pictures(model, request, folder, test)
    lines = [_about(model), *_validation(folder, model.score_name)]
    if report is not None:
        lines.append(f"\n{report}\n")
    lines.append("wrote " + ", ".join(files.values()))
    if plot and request.task == "classify" and "confusion" not in files:
        lines.append(
            "no confusion.png: it needs labelled data that the model has not learned from, --test or --valid FILE"
        )
    return Results(files, scores, [*lines, *_next(model, request, folder, report is not None)])


def _write_scores(folder: Path, scores: Any) -> str:
    return str(write_text(folder / "scores.json", json.dumps(scores, indent=1)))


def _pictures(model: Any, request: Request, folder: Path, test: tuple[Any, ...]) -> dict[str, str]:
    from unrolled.inspect.learning import draw_learning, read_curves

    drawn = {"learning": draw_learning(read_curves(folder), folder / "learning.png")}
    held = test or opened(request, "valid")
    if request.task == "classify" and held:
        drawn["confusion"] = model.plot(held[0], folder / "confusion.png")
        drawn["reliability"] = model.plot_reliability(held[0], folder / "reliability.png")
    if request.task == "translate" and model.options.head.attention != "none":
        sentence = _sentence(model, request, held)
        if sentence:
            drawn["attention"] = model.plot(sentence, folder / "attention.png")
    return {name: str(path) for name, path in drawn.items()}


def _sentence(model: Any, request: Request, held: tuple[Any, ...]) -> str:
    """A source text to look at: the longest of the first held-out ones that is short enough to be read."""
    first = [source for source, _ in islice(pairs_of(request, held), SEEN)]
    short = [text for text in first if 0 < len(text.split()) <= WORDS]
    return max(short, key=len, default=min((text for text in first if text.strip()), key=len, default=""))


def _about(model: Any) -> str:
    weights = sum(parameter.numel() for parameter in model.fitted().parameters())
    # Two fields of one kind, as those of both languages, are told apart by their names.
    kinds = [type(field) for field in model.fields.values()]
    parts = [
        (f"{name} " if kinds.count(type(field)) > 1 else "") + _held(field) for name, field in model.fields.items()
    ]
    return f"{type(model).__name__}: {'; '.join([*parts, f'{weights:,} weights'])}"


def _held(field: Any) -> str:
    """What one field holds, in words."""
    kind = type(field).__name__
    if kind == "Category":
        values = list(field.values)
        more = ", ..." if len(values) > NAMED else ""
        return f"{len(values)} classes ({', '.join(values[:NAMED])}{more})"
    if kind == "Numbers":
        return f"series of {field.channels} channel{'' if field.channels == 1 else 's'}"
    if kind == "Spelling":
        return f"{field.size} characters that spell"
    return f"{field.size} tags" if kind == "Tags" else f"{field.size:,} {_tokens(field.level)}"


def _tokens(level: str) -> str:
    return {"word": "words", "char": "characters", "subword": "pieces of words"}[level]


def _validation(folder: Path, name: str) -> list[str]:
    """How the training went, by the data that decided when to stop."""
    from unrolled.inspect.learning import read_curves

    curves = read_curves(folder)
    if not len(curves.score):
        return []
    best, last = int(curves.score.values.argmin()), int(curves.loss.steps[-1])
    value, step = curves.score.values[best], int(curves.score.steps[best])
    return [f"validation: {name} {value:.4g} (lower is better) at step {step} of {last}"]


def _next(model: Any, request: Request, folder: Path, scored: bool) -> list[str]:
    """The commands that make sense now."""
    if request.task == "language":
        lines = [f"next: unrolled generate {folder} 'Once upon'", f"      unrolled complete {folder} 'Once up' -k 5"]
    elif request.task == "classify" and "text" not in model.fields:
        lines = [f"next: unrolled predict {folder} FILE"]
    else:
        lines = [f"next: unrolled predict {folder} -   (a text a line; or FILE)"]
    several = len(request.paths("source")) > 1
    return lines if scored else [*lines, f"      unrolled evaluate {folder} {'SOURCE TARGET' if several else 'FILE'}"]
