"""`unrolled fit classify`, and what is done with a classifier."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from unrolled.model.describe import Answer, Asked, Call, Command, Description, Finished, Request, Whole, Word, sources
from unrolled.tasks.commands.reading import csv_row, files_of, header_in, header_of, inputs_of, table_of, under_names
from unrolled.tasks.commands.results import classes, evaluate_next, learning, not_drawn, scored, told
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
    part_of,
    part_or_file,
)

if TYPE_CHECKING:
    from unrolled.tasks.classify import Classifier

__all__ = ["DESCRIPTION", "Source", "arguments", "held"]

Source = Annotated[
    str,
    Word(
        "Table (.csv, .tsv, .jsonl, .parquet, .gz; -: standard input), series (.ts, .arff, .npz, UCR .tsv), or folder.",
        "FILE|FOLDER",
        placed=True,
    ),
]


def fit(
    file: Source,
    text: Annotated[str | None, Word("Column of the texts.", "COLUMN")] = None,
    label: Annotated[str | None, Word("Column of the classes.", "COLUMN")] = None,
    id: Series = None,
    time: At = None,
    names: Names = None,
    valid: Valid = None,
    test: Test = None,
    cell: Cell = None,
    hidden_size: HiddenSize = None,
    layers: Layers = None,
    vectors: Vectors = None,
) -> Asked:
    """Learn which class a text, a series, a sound, a drawing, a picture or a video is of: sentiment, speaker, action.

    A table has a column of texts, or of paths of sounds, pictures or videos, and one of labels, which are seen where
    only one choice makes sense; or a row for each step of series (--id). A folder has a folder for each class, with its
    texts (.txt), series (.csv, .npy), sounds (.wav, .flac, .mp3), pictures (.png, .jpg), videos (.mp4, .webm, .gif) or
    drawings (.inkml, Omniglot's .txt) as files; drawings also stand in .ndjson, a folder of them or a zip. An .npz file
    holds the arrays x (series, steps, features), y (a class each) and, where series have several lengths, lengths.

    \b
      unrolled fit classify reviews.csv --text review --label stars --plot
      unrolled fit classify train.tsv --names text,label --valid dev.tsv --test test.tsv --vectors glove.txt.gz
      unrolled fit classify gestures_TRAIN.ts --test gestures_TEST.ts --cell gru -o runs/gestures
      unrolled fit classify digits/ --set mels=64
      unrolled fit classify photos/ --set image_size=128 --set image_flip=true
      unrolled fit classify clips/ --set video_rate=25
      unrolled fit classify mails/ --set bidirectional=false --set pooling=attention
    """
    part, valid_file = part_or_file(valid)
    return Asked(
        {"source": file, "valid": valid_file, "test": test},
        reading={"text": text, "label": label, "id": id, "time": time, "names": column_names(names) or None},
        options={"cell": cell, "hidden_size": hidden_size, "layers": layers, "vectors": vectors},
        held=part_of(part),
    )


def arguments(request: Request) -> tuple[list[object], dict[str, object]]:
    """The rows of the file under the names that were given, in place of the names."""
    header = header_in(request)
    files, how = sources(request)
    how.pop("names", None)
    return [under_names(str(file), header) for file in files], how


def held(request: Request, role: str) -> tuple[object, ...]:
    from unrolled.model.describe import held_files

    return tuple(table_of(str(path), request) for path in held_files(request, role))


def predict(call: Call[Classifier], file: File, names: Names = None) -> Iterator[Answer]:
    """CSV with the label of each text and its probability, of a folder with the names of its files; --json: of all
    classes

    \b
      echo 'what a film !' | unrolled predict runs/reviews -
    """
    model = call.model
    values, first = model.classes_.tolist(), True
    for source in inputs_of(call, file, names):
        found = model.predict_proba(source)
        files = files_of(source, len(found))
        if first:
            # Only now, so that a mistake in the file leaves no output behind.
            yield Answer(csv_row(call, *next(iter(files), {}), "label", "probability"), None)
            first = False
        for row, own in zip(found, files, strict=True):
            best = int(row.argmax())
            whole = {str(name): float(p) for name, p in zip(values, row, strict=True)}
            data = {**own, "label": values[best], "probability": float(row[best]), "probabilities": whole}
            yield Answer(csv_row(call, *own.values(), values[best], f"{row[best]:.6f}"), data)


def embed(call: Call[Classifier], file: File, names: Names = None) -> Iterator[Answer]:
    """CSV with a vector of unit length for each input, alike where they are of one class, seen in training or not

    \b
      unrolled embed runs/speakers new/ -o vectors.csv
    """
    first = True
    for source in inputs_of(call, file, names):
        found = call.model.embed(source)
        files = files_of(source, len(found))
        if first:
            header = [*next(iter(files), {}), *(f"v{place}" for place in range(1, found.shape[1] + 1))]
            yield Answer(csv_row(call, *header), None)
            first = False
        for row, own in zip(found, files, strict=True):
            cells = [*own.values(), *(f"{value:.7g}" for value in row)]
            yield Answer(csv_row(call, *cells), [float(value) for value in row])


def evaluate(call: Call[Classifier], file: Truth, names: Names = None) -> Whole:
    """accuracy, and precision, recall and F1 of each class

    \b
      unrolled evaluate runs/reviews test.csv
    """
    return scored(call.model.evaluate(under_names(file, header_of(call, file, names))))


def about(finished: Finished[Classifier]) -> list[str]:
    fields = finished.model.fields
    return told(finished, [classes(fields["label"]), *finished.model.kind.say(fields)])


def confusion(finished: Finished[Classifier]) -> Path | None:
    if not finished.held:
        return None
    return finished.model.plot(finished.held[0], finished.folder / "confusion.png")


def reliability(finished: Finished[Classifier]) -> Path | None:
    if not finished.held:
        return None
    return finished.model.plot_reliability(finished.held[0], finished.folder / "reliability.png")


def closing(finished: Finished[Classifier]) -> list[str]:
    what = "-   (a text a line; or FILE)" if finished.model.kind.lines else "FILE"
    return [
        *not_drawn(finished, "confusion.png", "labelled data"),
        f"next: unrolled predict {finished.folder} {what}",
        *evaluate_next(finished),
    ]


DESCRIPTION: Description[Classifier] = Description(
    fit=fit,
    commands={"predict": Command(predict), "evaluate": Command(evaluate), "embed": Command(embed)},
    examples=(
        "unrolled fit classify reviews.csv --text review --label stars -o runs/reviews --plot",
        "echo 'what a film !' | unrolled predict runs/reviews -",
    ),
    sources=arguments,
    held=held,
    about=about,
    pictures={"learning": learning, "confusion": confusion, "reliability": reliability},
    closing=closing,
)
