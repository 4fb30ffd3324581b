"""The options that several commands share, and what they make of the words behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from unrolled.cli.values import settings
from unrolled.errors import OptionError

__all__ = [
    "AsJson",
    "Cell",
    "Column",
    "Epochs",
    "HiddenSize",
    "Layers",
    "Level",
    "MaxMinutes",
    "Names",
    "Out",
    "Plot",
    "Run",
    "Seed",
    "Set",
    "Test",
    "Valid",
    "Vectors",
    "is_table",
    "number_or_name",
    "part_or_file",
    "task_options",
]

Run = Annotated[str, typer.Argument(metavar="RUN", help="Run folder, or a saved model.")]
Out = Annotated[str | None, typer.Option("-o", "--out", metavar="RUN", help="Run folder.  [default: runs/NAME]")]
Plot = Annotated[bool, typer.Option("--plot", help="Write pictures into RUN (needs matplotlib).")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same model.")]
Epochs = Annotated[
    int | None, typer.Option(help="Train for so many passes at most.  [default: until it gets no better]")
]
MaxMinutes = Annotated[float | None, typer.Option(help="Train for so long at most.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any other option; an unknown name lists them all."),
]
Cell = Annotated[str | None, typer.Option(help="Recurrent cell: gru, lstm, rnn.  [default: by the task]")]
HiddenSize = Annotated[int | None, typer.Option(help="Units of each layer and direction.")]
Layers = Annotated[int | None, typer.Option(help="Recurrent layers, one on top of another.")]
Level = Annotated[str | None, typer.Option(help="What one step reads: word, char or subword.")]
Vectors = Annotated[
    str | None, typer.Option(metavar="FILE", help="Word vectors to start from: GloVe or word2vec text, also .gz.")
]
Valid = Annotated[
    str | None,
    typer.Option(metavar="FILE|PART", help="What decides when to stop: a file, or a part (0.1) of the data; 0: none."),
]
Test = Annotated[str | None, typer.Option(metavar="FILE", help="Score the model on this file once it is trained.")]
Names = Annotated[
    str | None, typer.Option(metavar="A,B,...", help="Names of all columns, for a table without a header.")
]

Column = Annotated[
    str | None,
    typer.Option(metavar="NAME|NUMBER", help="tag: column of the tags, as upos or xpos, or a number from 0."),
]

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".pq")


def is_table(path: str) -> bool:
    """Does the name say that the file holds rows of columns, rather than lines of text?"""
    endings = [ending.lower() for ending in Path(path).suffixes if ending.lower() != ".gz"]
    return bool(endings) and endings[-1] in TABLES


def number_or_name(word: str | None) -> str | int | None:
    """The word behind --column."""
    try:
        return None if word is None else int(word)
    except ValueError:
        return word


def part_or_file(word: str | None) -> tuple[float | None, str | None]:
    """The word behind --valid as a part of the data, or as the name of a file."""
    try:
        part = None if word is None else float(word)
    except ValueError:
        return None, word
    if part is not None and not 0 <= part < 1:
        raise OptionError(f"--valid: expected a file, or a part of at least 0 and below 1, got {word}.")
    return part, None


def task_options(words: list[str] | None, **named: Any) -> dict[str, Any]:
    """The options of a task that were given, by name and by --set; those left out are missing."""
    return {name: value for name, value in named.items() if value is not None} | settings(words)
