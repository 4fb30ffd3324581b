"""`unrolled fit regress`, and what is done with a regressor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from unrolled.errors import how_many
from unrolled.model.describe import Answer, Asked, Call, Command, Description, Finished, Whole, Word
from unrolled.tasks.commands.classify import Source, arguments, held
from unrolled.tasks.commands.reading import csv_row, files_of, header_of, inputs_of, under_names
from unrolled.tasks.commands.results import evaluate_next, learning, not_drawn, scored, told
from unrolled.tasks.commands.words import (
    At,
    Cell,
    File,
    HiddenSize,
    Layers,
    Names,
    Series,
    Test,
    Truth,
    Valid,
    Vectors,
    column_names,
    numbers,
    one_or_all,
    part_of,
    part_or_file,
)

if TYPE_CHECKING:
    from unrolled.tasks.regress import Regressor

__all__ = ["DESCRIPTION"]


def fit(
    file: Source,
    text: Annotated[str | None, Word("Column of the texts.", "COLUMN")] = None,
    label: Annotated[list[str] | None, Word("Column of numbers to learn; several: once for each.", "COLUMN")] = None,
    id: Series = None,
    time: At = None,
    names: Names = None,
    levels: Annotated[str | None, Word("Levels of the intervals, in percent.  [default: 80,95]", "A,B,...")] = None,
    valid: Valid = None,
    test: Test = None,
    cell: Cell = None,
    hidden_size: HiddenSize = None,
    layers: Layers = None,
    vectors: Vectors = None,
) -> Asked:
    """Learn which number a text, a series, a sound, a drawing, a picture or a video has: a rating, a dose, an age.

    Data are as for 'fit classify', with a number in the place of the class: a table with a column of texts, or of paths
    of sounds, pictures or videos, and one of numbers; series in a .ts file with @targetLabel true; an .npz file with
    the arrays x (series, steps, features) and y.

    Intervals are calibrated by the part that is held out: of new data a level of 80 holds 80 %.

    \b
      unrolled fit regress reviews.csv --text review --label stars --plot
      unrolled fit regress heart_TRAIN.ts --test heart_TEST.ts --levels 50,90 -o runs/heart
      unrolled fit regress motors.npz --set likelihood=quantile --set pooling=attention
    """
    part, valid_file = part_or_file(valid)
    return Asked(
        {"source": file, "valid": valid_file, "test": test},
        reading={
            "text": text,
            "label": one_or_all(label),
            "id": id,
            "time": time,
            "names": column_names(names) or None,
        },
        options={
            "levels": numbers("--levels", levels),
            "cell": cell,
            "hidden_size": hidden_size,
            "layers": layers,
            "vectors": vectors,
        },
        held=part_of(part),
    )


def predict(call: Call[Regressor], file: File, names: Names = None) -> Iterator[Answer]:
    """CSV with the number of each input and the ends of its intervals, of a folder with the names of its files;
    --json: the same by names

    \b
      unrolled predict runs/heart new.ts
    """
    model = call.model
    levels = model.options.head.levels if model.has_intervals else ()
    first = True
    for source in inputs_of(call, file, names):
        found = model.predict(source)
        ends = model.predict_interval(source) if levels else None
        files = files_of(source, len(found))
        if first:
            # Only now, so that a mistake in the file leaves no output behind.
            yield Answer(csv_row(call, *next(iter(files), {}), *_header(model, levels)), None)
            first = False
        for row, number in enumerate(found):
            own = [] if ends is None else ends[row].reshape(-1, len(levels), 2).tolist()
            yield _answer(call, files[row], number.reshape(-1).tolist(), own, levels)


def _header(model: Regressor, levels: tuple[float, ...]) -> list[str]:
    names = []
    for target in model.target_names:
        which = f"_{target}" if model.notes.several else ""
        names += [f"prediction{which}", *(f"{end}_{level:g}{which}" for level in levels for end in ("lower", "upper"))]
    return names


def _answer(
    call: Call[Regressor], file: dict[str, str], found: list[float], ends: list[list[list[float]]],
    levels: tuple[float, ...],
) -> Answer:  # fmt: skip
    cells: list[float] = []
    for value, number in enumerate(found):
        cells += [number, *(end for pair in (ends[value] if ends else []) for end in pair)]
    each = [
        {
            "prediction": number,
            "intervals": {f"{level:g}": pair for level, pair in zip(levels, ends[value] if ends else [], strict=True)},
        }
        for value, number in enumerate(found)
    ]
    several = [{"target": name, **one} for name, one in zip(call.model.target_names, each, strict=True)]
    data = {"targets": several} if call.model.notes.several else each[0]
    return Answer(csv_row(call, *file.values(), *(f"{cell:.6g}" for cell in cells)), {**file, **data})


def evaluate(call: Call[Regressor], file: Truth, names: Names = None) -> Whole:
    """mean absolute error, its root mean square, R^2, and how many the intervals hold, beside constants

    \b
      unrolled evaluate runs/heart heart_TEST.ts
    """
    return scored(call.model.evaluate(under_names(file, header_of(call, file, names))))


def about(finished: Finished[Regressor]) -> list[str]:
    model = finished.model
    field, needed = model.fields["target"], model.options.head.rows_needed
    count = how_many(field.width, "number")
    lines = told(finished, [count, *model.kind.say(model.fields)])
    if not model.options.head.levels or not model.has_intervals:
        return lines
    if not model.notes.held:
        return [*lines, "intervals: as they were learned, for nothing was held out to calibrate them"]
    few = f", too few for the widest, which needs {needed}" if model.notes.held < needed else ""
    return [*lines, f"intervals: calibrated by {model.notes.held:,} rows that were held out{few}"]


def picture(finished: Finished[Regressor]) -> Path | None:
    if not finished.held:
        return None
    return finished.model.plot(finished.held[0], finished.folder / "regression.png")


def closing(finished: Finished[Regressor]) -> list[str]:
    what = "-   (a text a line; or FILE)" if finished.model.kind.lines else "FILE"
    return [
        *not_drawn(finished, "regression.png", "data with numbers"),
        f"next: unrolled predict {finished.folder} {what}",
        *evaluate_next(finished),
    ]


DESCRIPTION: Description[Regressor] = Description(
    fit=fit,
    commands={"predict": Command(predict), "evaluate": Command(evaluate)},
    examples=("unrolled fit regress heart_TRAIN.ts --test heart_TEST.ts -o runs/heart --plot",),
    sources=arguments,
    held=held,
    about=about,
    pictures={"learning": learning, "regression": picture},
    closing=closing,
)
