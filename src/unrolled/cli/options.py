"""Sentences that speak of Python's arguments, as the command line writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["as_options", "with_options"]

# `time=` or `resume=True`, but no part of a longer word, and no option already.
_ARGUMENT = re.compile(r"(?<![\w.-])(?<!--set )([a-z_]+)=(True\b|False\b)?(?![=])")


def with_options(sentence: str, command: Any) -> str:
    """The sentence with `--time` for `time=`, where the command has such an option; None is none."""
    return as_options(sentence, {} if command is None else _options(command))


def as_options(sentence: str, known: Mapping[str, str]) -> str:
    """The sentence with the option for each argument of Python's that is `known`: {"time": "--time"}."""

    def written(found: re.Match[str]) -> str:
        option = known.get(found[1])
        if option is None:
            return found[0]
        if found[2]:
            return option if found[2] == "True" else option.replace("--", "--no-", 1)
        valued = found.end() < len(sentence) and sentence[found.end()] not in " .,;:)"
        return f"{option} " if valued else option

    return _ARGUMENT.sub(written, sentence)


def _options(command: Any) -> Mapping[str, str]:
    """The long form of every option of a command, by its name in Python."""
    found: dict[str, str] = {}
    for param in command.params:
        long = next((option for option in getattr(param, "opts", ()) if option.startswith("--")), None)
        if long is not None and param.name is not None:
            found[param.name] = long
    return found
