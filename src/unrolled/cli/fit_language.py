"""`unrolled fit language`."""

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
    Level,
    MaxMinutes,
    Out,
    Plot,
    Seed,
    Set,
    Test,
    Valid,
    part_or_file,
    task_options,
)

__all__ = ["language"]


def language(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE|FOLDER", help='Text (also .gz), a folder of texts, or "-" for standard input.'),
    ],
    level: Level = None,
    valid: Valid = None,
    test: Test = None,
    cell: Cell = None,
    hidden_size: HiddenSize = None,
    layers: Layers = None,
    set_: Set = None,
    out: Out = None,
    plot: Plot = False,
    seed: Seed = 0,
    epochs: Epochs = None,
    max_minutes: MaxMinutes = None,
    as_json: AsJson = False,
) -> None:
    """Learn from text what comes next: to score text, to write on, to complete words.

    \b
      unrolled fit language book.txt --level char -o runs/book
      unrolled fit language train.txt --valid valid.txt --test test.txt --hidden-size 650 --layers 2
      unrolled fit language notes/ --level subword --set max_size=4000 --max-minutes 10
    """
    part, valid_file = part_or_file(valid)
    start(
        "language",
        {"source": file, "valid": valid_file, "test": test},
        reading={},
        options=task_options(
            set_, level=level, cell=cell, hidden_size=hidden_size, layers=layers, seed=seed, epochs=epochs,
            max_minutes=max_minutes,
        ),
        held={} if part is None else {"valid": part},
        out=out,
        plot=plot,
        as_json=as_json,
    )  # fmt: skip
