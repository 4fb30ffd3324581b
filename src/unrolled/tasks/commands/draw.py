"""`unrolled fit draw`, and what is done with a drawer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from unrolled.model.describe import Asked, Call, Command, Description, Finished, Whole, Word
from unrolled.tasks.commands.results import evaluate_next, learning, scored, told
from unrolled.tasks.commands.words import (
    Cell,
    HiddenSize,
    Layers,
    Prompt,
    Test,
    Truth,
    Valid,
    Vectors,
    part_of,
    part_or_file,
)

if TYPE_CHECKING:
    from unrolled.tasks.draw import Drawer

__all__ = ["DESCRIPTION"]

# Kinds of pictures that a result is written as.
PICTURES = (".svg", ".png", ".pdf")

Keyword = Annotated[str | None, Word("What to draw: words of a caption, or a class.")]
Temperature = Annotated[float, Word("Below 1 safer, above 1 wilder; 0: the likeliest.")]
Length = Annotated[int | None, Word("Points at most.  [the longest drawing learned from]", least=1)]
Same = Annotated[int, Word("The same seed gives the same drawing.")]


def fit(
    file: Annotated[
        str,
        Word(
            "Drawings (.ndjson, .npz, .inkml, Omniglot's .txt, .zip), a table of picture files, or a folder of either.",
            "FILE|FOLDER",
            placed=True,
        ),
    ],
    label: Annotated[str | None, Word("Column, key of each line or array that names the drawings.", "NAME")] = None,
    valid: Valid = None,
    test: Test = None,
    cell: Cell = None,
    hidden_size: HiddenSize = None,
    layers: Layers = None,
    vectors: Vectors = None,
) -> Asked:
    """Learn to draw from drawings, and from what they are called where they are: then one draws from a keyword.

    Pictures, of a table with a column of their paths or of a folder, are learned as small ones of few colours.

    \b
      unrolled fit draw sketches.ndjson -o runs/sketches
      unrolled fit draw letters/ --hidden-size 400 --max-minutes 20
      unrolled fit draw icons.csv --label caption --set size=16 --set colours=16
      unrolled fit draw sketches.ndjson --set keywords=none
    """
    part, valid_file = part_or_file(valid)
    return Asked(
        {"source": file, "valid": valid_file, "test": test},
        reading={"label": label},
        options={"cell": cell, "hidden_size": hidden_size, "layers": layers, "vectors": vectors},
        held=part_of(part),
    )


def generate(
    call: Call[Drawer],
    prompt: Prompt = "",
    samples: Annotated[int, Word("Drawings to make.", least=1)] = 1,
    temperature: Temperature = 1.0,
    length: Length = None,
    seed: Same = 0,
) -> Whole:
    """Draw, from a keyword or from nothing: into a picture (-o NAME.svg, .png, .pdf), else as a line of strokes each.

    \b
      unrolled generate runs/sketches cat -o cat.svg --temperature 0.5
      unrolled generate runs/sketches cat -o cats.png --samples 10 --seed 3
    """
    keyword = prompt or None
    made = call.model.generate(keyword, samples=samples, temperature=temperature, length=length, seed=seed)
    return _drawn(made, keyword)


def predict(
    call: Call[Drawer],
    file: Annotated[str, Word("Drawings that have been begun, as for fit.", "FILE", placed=True)],
    keyword: Keyword = None,
    temperature: Temperature = 1.0,
    length: Length = None,
    seed: Same = 0,
) -> Whole:
    """drawings that go on from those that have been begun: into a picture (-o NAME.svg, .png), else a line each

    \b
      unrolled predict runs/sketches begun.ndjson --keyword cat -o ended.svg
    """
    made = call.model.predict(file, keyword=keyword, temperature=temperature, length=length, seed=seed)
    return _drawn(made, keyword)


def evaluate(call: Call[Drawer], file: Truth) -> Whole:
    """nats a point or bits a pixel, and how often a drawing is found by what it is called

    \b
      unrolled evaluate runs/sketches other.ndjson
    """
    return scored(call.model.evaluate(file))


def about(finished: Finished[Drawer]) -> list[str]:
    model = finished.model
    return told(finished, list(model.understood))


def drawings(finished: Finished[Drawer]) -> Path:
    """New drawings of nothing in particular."""
    return finished.model.plot(None, finished.folder / "drawings.png")


def closing(finished: Finished[Drawer]) -> list[str]:
    word = "KEYWORD " if "caption" in finished.model.fields else ""
    return [f"next: unrolled generate {finished.folder} {word}-o drawing.svg", *evaluate_next(finished)]


def _drawn(made: Sequence[Any], keyword: str | None) -> Whole:
    """Drawings as pictures, as lines that can be read again, and as plain JSON."""
    from unrolled.inspect.drawings import save_drawings

    lines = [_plain(one, keyword) for one in made]
    files: Mapping[str, Callable[[Path], object]] = dict.fromkeys(PICTURES, partial(save_drawings, made))
    return Whole((json.dumps(line) + "\n" for line in lines), lambda: lines, files)


def _plain(drawing: Any, keyword: str | None) -> dict[str, object]:
    """A drawing as a line of Quick Draw's, or the rows of a picture, each pixel as "#rrggbb"."""
    named: dict[str, object] = {} if keyword is None else {"word": keyword}
    if isinstance(drawing, list):
        return {**named, "drawing": [stroke.T.round(3).tolist() for stroke in drawing]}
    rows = [["#" + bytes(pixel.tolist()).hex() for pixel in row] for row in drawing]
    return {**named, "pixels": rows}


DESCRIPTION: Description[Drawer] = Description(
    fit=fit,
    commands={"generate": Command(generate), "predict": Command(predict), "evaluate": Command(evaluate)},
    examples=(
        "unrolled fit draw sketches.ndjson -o runs/sketches",
        "unrolled generate runs/sketches cat -o cat.svg",
    ),
    about=about,
    pictures={"learning": learning, "drawings": drawings},
    closing=closing,
)
