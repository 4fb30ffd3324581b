"""`unrolled tasks` and `unrolled cells`: what there is to choose from."""

from __future__ import annotations

from typing import Annotated

import typer

from unrolled.cli.values import print_json, print_table
from unrolled.cli.words import split_help
from unrolled.model.registry import described_tasks

__all__ = ["cells", "tasks"]

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def tasks(as_json: Json = False) -> None:
    """Show every task: what it learns, and what can be done with its models."""
    rows = [
        {"task": task, "learns": split_help(said.fit)[0].split("\n\n")[0].replace("\n", " "), "verbs": [*said.commands]}
        for task, said in described_tasks().items()
    ]
    if as_json:
        print_json(rows)
        return
    print_table([(str(row["task"]), ", ".join(row["verbs"]), str(row["learns"])) for row in rows])


def cells(as_json: Json = False) -> None:
    """Show every recurrent cell that --cell takes."""
    from unrolled.nn import CELLS

    rows = [{"cell": name, "about": (kind.__doc__ or "").strip().split("\n")[0]} for name, kind in CELLS.items()]
    if as_json:
        print_json(rows)
        return
    print_table([(row["cell"], row["about"]) for row in rows])
