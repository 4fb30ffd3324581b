"""`unrolled fit classify`."""

from __future__ import annotations

from typing import Annotated

import typer

from unrolled.cli.fitting import start
from unrolled.cli.options import (
    AsJson,
    Cell,
    Epochs,
    HiddenSize,
    Layers,
    MaxMinutes,
    Names,
    Out,
    Plot,
    Seed,
    Set,
    Test,
    Valid,
    Vectors,
    part_or_file,
    task_options,
)
from unrolled.cli.values import names as split_names

__all__ = ["classify"]


def classify(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE|FOLDER",
            help="Table (.csv, .tsv, .jsonl, .parquet, .gz; -: standard input), series (.ts, .npz), or folder.",
        ),
    ],
    text: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of the texts.")] = None,
    label: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of the classes.")] = None,
    names: Names = None,
    valid: Valid = None,
    test: Test = None,
    cell: Cell = None,
    hidden_size: HiddenSize = None,
    layers: Layers = None,
    vectors: Vectors = None,
    set_: Set = None,
    out: Out = None,
    plot: Plot = False,
    seed: Seed = 0,
    epochs: Epochs = None,
    max_minutes: MaxMinutes = None,
    as_json: AsJson = False,
) -> None:
    """Learn which class a text or a series of numbers belongs to: sentiment, topic, speaker, action, gesture.

    A table has a column of texts and one of labels, which are seen where only one choice makes sense. A folder has a
    folder for each class, with its texts (.txt) or series (.csv, .npy) as files.

    \b
      unrolled fit classify reviews.csv --text review --label stars --plot
      unrolled fit classify train.tsv --names text,label --valid dev.tsv --test test.tsv --vectors glove.txt.gz
      unrolled fit classify gestures_TRAIN.ts --test gestures_TEST.ts --cell gru -o runs/gestures
      unrolled fit classify mails/ --set bidirectional=false --set pooling=attention
    """
    part, valid_file = part_or_file(valid)
    start(
        "classify",
        {"source": file, "valid": valid_file, "test": test},
        reading={"text": text, "label": label, "names": None if names is None else split_names([names])},
        options=task_options(
            set_, cell=cell, hidden_size=hidden_size, layers=layers, vectors=vectors, seed=seed, epochs=epochs,
            max_minutes=max_minutes,
        ),
        held={} if part is None else {"valid": part},
        out=out,
        plot=plot,
        as_json=as_json,
    )  # fmt: skip
