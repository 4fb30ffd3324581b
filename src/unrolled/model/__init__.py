"""The artefact: a fitted task that predicts, is checked against the laws, and is saved and loaded whole.

Names are imported when they are first used: what a task says of its commands is read without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unrolled.model.artefact import FORMAT
    from unrolled.model.base import Model, load
    from unrolled.model.laws import BrokenLaw, CheckReport, Law
    from unrolled.model.registry import register_task
    from unrolled.model.writing import write_atomically

__all__ = ["FORMAT", "BrokenLaw", "CheckReport", "Law", "Model", "load", "register_task", "write_atomically"]

_HOMES = {
    "FORMAT": "artefact",
    "BrokenLaw": "laws",
    "CheckReport": "laws",
    "Law": "laws",
    "Model": "base",
    "load": "base",
    "register_task": "registry",
    "write_atomically": "writing",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f"unrolled.model.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
