"""The tasks that are known, by the names that files and commands give them; a file never says what is imported.

A task is registered as a class. Those of the package are announced by name, and imported when one of them is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import unrolled
from unrolled.errors import OptionError, listed, suggest

if TYPE_CHECKING:
    from unrolled.model.base import Model
    from unrolled.model.describe import Described

__all__ = ["TaskHome", "announce_task", "describe_task", "described_tasks", "find_task", "known_tasks", "register_task"]

K = TypeVar("K", bound="type[Model]")


class TaskHome(NamedTuple):
    """Where a task is: the module of its class, the name of the class, the module of its `DESCRIPTION`."""

    module: str
    name: str
    description: str


_TASKS: dict[str, type[Model] | TaskHome] = {}


def register_task(kind: K) -> K:
    """Make a task known by its `task`: to `load`, and to the command line by its `description`.

    A call, or a decorator of the class. The same class may be registered again, as when a notebook's cell runs twice.

    Raises `OptionError` where another class has the name.
    """
    known_tasks()
    taken, name = _TASKS.get(kind.task), kind.task
    home = None if taken is None else _place(taken)
    if home is not None and home != _place(kind):
        raise OptionError(
            f"register_task: expected a name of its own for {kind.__name__}, got {name!r}, which is "
            f"{'.'.join(home)}; give it another `task`."
        )
    if not isinstance(taken, TaskHome):
        _TASKS[name] = kind
    return kind


def announce_task(name: str, home: TaskHome) -> None:
    """Make a task known without importing its class."""
    _TASKS[name] = home


def known_tasks() -> list[str]:
    """The names of all tasks, in the order in which they became known."""
    unrolled.fill_slots("model")
    return list(_TASKS)


def find_task(name: str) -> type[Model]:
    """The class of a task. Raises `OptionError` for a name that nobody has registered."""
    found = _known(name)
    if isinstance(found, TaskHome):
        kind: type[Model] = getattr(importlib.import_module(found.module), found.name)
        return kind
    return found


def describe_task(name: str) -> Described | None:
    """What the command line is told of a task; None where it has nothing to say. Imports no class."""
    found = _known(name)
    if isinstance(found, TaskHome):
        said: Described = importlib.import_module(found.description).DESCRIPTION
        return said
    return found.description


def described_tasks() -> dict[str, Described]:
    """The tasks that the command line shows, by name."""
    found = {name: describe_task(name) for name in known_tasks()}
    return {name: description for name, description in found.items() if description is not None}


def _known(name: str) -> type[Model] | TaskHome:
    known = known_tasks()
    if name not in known:
        raise OptionError(
            f"the task {name!r} is not known here; known are {listed(known)}.{suggest(name, known)} A task of your "
            "own is known once the file that calls register_task has been imported."
        )
    return _TASKS[name]


def _place(found: type[Model] | TaskHome) -> tuple[str, str]:
    return (found.module, found.name) if isinstance(found, TaskHome) else (found.__module__, found.__qualname__)
