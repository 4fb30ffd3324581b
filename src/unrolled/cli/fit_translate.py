"""`unrolled fit translate`."""

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
    Names,
    Out,
    Plot,
    Seed,
    Set,
    is_table,
    part_or_file,
    task_options,
)
from unrolled.cli.values import names as split_names
from unrolled.errors import OptionError

__all__ = ["translate"]

Parallel = Annotated[str | None, typer.Option(metavar="FILE", help="For two parallel files: a text a line.")]


def translate(
    file: Annotated[
        str,
        typer.Argument(metavar="SOURCE|TABLE", help='Texts, one a line; or a table of pairs or dialogues; or "-".'),
    ],
    target_file: Annotated[
        str | None, typer.Argument(metavar="TARGET", help="What becomes of them, line by line.")
    ] = None,
    source: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of the texts read.")] = None,
    target: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of the texts to write.")] = None,
    turns: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column with the turns of a dialogue.")] = None,
    context: Annotated[int | None, typer.Option(help="Turns before a reply that are read.  [default: 3]")] = None,
    names: Names = None,
    valid: Annotated[
        str | None, typer.Option(metavar="FILE|PART", help="What decides when to stop: a table, or a part (0.03).")
    ] = None,
    valid_source: Parallel = None,
    valid_target: Parallel = None,
    test: Annotated[str | None, typer.Option(metavar="FILE", help="Table to score the model on.")] = None,
    test_source: Parallel = None,
    test_target: Parallel = None,
    level: Level = None,
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
    """Learn to write one text when reading another: translations, summaries, replies.

    \b
      unrolled fit translate train.de train.en --valid-source val.de --valid-target val.en -o runs/de-en
      unrolled fit translate papers.jsonl --source abstract --target title --set copying=pointer
      unrolled fit translate talks.jsonl --turns turns --context 2
      unrolled fit translate pairs.tsv --names source,target --test test.tsv --plot
    """
    part, valid_file = part_or_file(valid)
    files = {
        "source": file, "target": target_file, **_held("valid", valid_file, valid_source, valid_target, target_file),
        **_held("test", test, test_source, test_target, target_file),
    }  # fmt: skip
    _check_columns(file, target_file, {"--source": source, "--target": target, "--turns": turns, "--names": names})
    start(
        "translate",
        files,
        reading={
            "source": source, "target": target, "turns": turns, "context": context,
            "names": None if names is None else split_names([names]),
        },
        options=task_options(
            set_, level=level, cell=cell, hidden_size=hidden_size, layers=layers, seed=seed, epochs=epochs,
            max_minutes=max_minutes,
        ),
        held={} if part is None else {"valid": part},
        out=out,
        plot=plot,
        as_json=as_json,
    )  # fmt: skip


def _held(role: str, table: str | None, source: str | None, target: str | None, parallel: str | None) -> dict[str, str]:
    """The files for "valid" or "test" by what they are for: a table, or two files as the training data are."""
    if (source is None) != (target is None):
        raise OptionError(f"fit translate: expected --{role}-source and --{role}-target together, got one of them.")
    if source is None or target is None:
        if table is not None and parallel is not None and not is_table(table):
            raise OptionError(
                f"fit translate: expected two files with --{role}-source and --{role}-target, as the training data "
                f"are, or a table, got --{role} {table}."
            )
        return {} if table is None else {role: table}
    if table is not None:
        raise OptionError(f"fit translate: expected --{role}, or --{role}-source and --{role}-target, got both.")
    return {role: source, f"{role}_target": target}


def _check_columns(file: str, target_file: str | None, columns: dict[str, str | None]) -> None:
    given = [name for name, value in columns.items() if value is not None]
    if target_file is not None and given:
        raise OptionError(
            f"fit translate: expected {given[0]} with one table, got it with two files of lines; leave it out."
        )
    if target_file is None and file != "-" and not is_table(file) and "--names" not in given:
        raise OptionError(
            f"fit translate: expected two files, source and target, or one table (.csv, .tsv, .jsonl, .parquet), got "
            f"{file} alone."
        )
    if columns["--turns"] is not None and (columns["--source"] or columns["--target"]):
        raise OptionError("fit translate: expected --turns, or --source and --target, got both.")
