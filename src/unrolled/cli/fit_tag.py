"""`unrolled fit tag`."""

from __future__ import annotations

from typing import Annotated

import typer

from unrolled.cli.fitting import start
from unrolled.cli.options import (
    AsJson,
    Cell,
    Column,
    Epochs,
    HiddenSize,
    Layers,
    MaxMinutes,
    Out,
    Plot,
    Seed,
    Set,
    Test,
    Valid,
    Vectors,
    number_or_name,
    part_or_file,
    task_options,
)

__all__ = ["tag"]


def tag(
    file: Annotated[str, typer.Argument(metavar="FILE", help='Tagged sentences: CoNLL or CoNLL-U (also .gz), or "-".')],
    column: Column = None,
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
    """Learn a tag for every word: part of speech, named entities (BIO or IOBES), any label.

    A file holds a word and its tag a line, in columns, and an empty line between sentences. Left out, the column is
    upos in CoNLL-U and the last one elsewhere.

    \b
      unrolled fit tag train.conllu --column xpos --valid dev.conllu --test test.conllu
      unrolled fit tag entities.conll --vectors glove.txt.gz -o runs/entities
      unrolled fit tag train.conll --set crf=true --set spelling=lstm
    """
    part, valid_file = part_or_file(valid)
    start(
        "tag",
        {"source": file, "valid": valid_file, "test": test},
        reading={"column": number_or_name(column)},
        options=task_options(
            set_, cell=cell, hidden_size=hidden_size, layers=layers, vectors=vectors, seed=seed, epochs=epochs,
            max_minutes=max_minutes,
        ),
        held={} if part is None else {"valid": part},
        out=out,
        plot=plot,
        as_json=as_json,
    )  # fmt: skip
