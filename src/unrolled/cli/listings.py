"""`unrolled tasks`, `unrolled options` and `unrolled cells`: what there is to choose from."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from unrolled.cli.values import print_json, print_table, say
from unrolled.cli.words import split_help
from unrolled.errors import OptionError
from unrolled.model.registry import described_tasks, find_task

__all__ = ["cells", "options", "tasks"]

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


def options(
    task: Annotated[str | None, typer.Argument(help="A task; left out, their names are shown.")] = None,
    as_json: Json = False,
) -> None:
    """Show every option that --set takes, what it is where it is not given, and what it means."""
    if task is None:
        tasks(as_json)
        say("give a task: unrolled options forecast", err=True)
        return
    kind = find_task(task)
    from unrolled.tasks.frame import Task

    if not issubclass(kind, Task):
        raise OptionError(f"options: the task {task} says nothing of its options; see its class in Python.")
    usual, meanings = kind.options_kind.usual(), kind.options_kind.meanings()
    rows = [{"option": name, "usual": usual[name], "means": meanings[name]} for name in meanings]
    if as_json:
        print_json(rows)
        return
    said = [("" if row["usual"] is None else json.dumps(row["usual"], default=str)) for row in rows]
    head = ("option", "usual", "meaning  (nothing usual: the task chooses, by the data)")
    print_table(
        [head, *((str(row["option"]), value, str(row["means"])) for row, value in zip(rows, said, strict=True))]
    )


def cells(as_json: Json = False) -> None:
    """Show every recurrent cell that --cell takes."""
    from unrolled.nn import CELLS

    rows = [{"cell": name, "about": (kind.__doc__ or "").strip().split("\n")[0]} for name, kind in CELLS.items()]
    if as_json:
        print_json(rows)
        return
    print_table([(row["cell"], row["about"]) for row in rows])
