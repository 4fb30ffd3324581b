"""The words that a described function takes, as the parameters of a command."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Annotated, Any, get_args, get_type_hints

import typer

from unrolled.errors import OptionError
from unrolled.model.describe import Word

__all__ = ["AsJson", "Out", "Parameter", "Raw", "command_of", "split_help", "words_of"]

AsJson = Annotated[bool, Word("Print JSON on standard output.", flags=("--json",))]
Raw = Annotated[
    bool,
    Word("Leave texts in CSV that are like formulas (=, +, -, @ first) without their apostrophe.", flags=("--raw",)),
]
Out = Annotated[str, Word('Where the result goes; "-" is standard output.', "FILE", flags=("-o", "--out"))]


@dataclass(frozen=True)
class Parameter:
    """A parameter of a command: its name and type in Python, its word, and what it is if it is left out."""

    name: str
    kind: Any
    word: Word
    default: object = inspect.Parameter.empty

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty

    @property
    def spelled(self) -> str:
        """What a user types, for messages."""
        if self.word.placed:
            return self.word.metavar or self.name.upper()
        return self.word.flags[-1] if self.word.flags else f"--{self.name.replace('_', '-')}"

    def with_help(self, text: str) -> Parameter:
        return replace(self, word=replace(self.word, help=text))

    def typed(self) -> inspect.Parameter:
        """The parameter as typer reads it."""
        word = self.word
        if word.placed:
            info = typer.Argument(metavar=word.metavar, help=word.help, min=word.least)
        else:
            info = typer.Option(*word.flags, metavar=word.metavar, help=word.help, min=word.least)
        annotation = Annotated[self.kind, info]  # type: ignore[name-defined]
        return inspect.Parameter(self.name, inspect.Parameter.KEYWORD_ONLY, default=self.default, annotation=annotation)


def words_of(function: Callable[..., object], *, after: int = 0) -> dict[str, Parameter]:
    """The parameters of a function after the first ones, in order. Raises `OptionError` for one without a `Word`."""
    every = list(inspect.signature(function).parameters.values())[after:]
    asked = [parameter for parameter in every if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
    # What comes before them may be of a type that is imported for type checkers alone.
    some = SimpleNamespace(__annotations__={parameter.name: parameter.annotation for parameter in asked})
    hints = get_type_hints(some, getattr(function, "__globals__", {}), include_extras=True)
    found = {}
    for parameter in asked:
        kind, *notes = get_args(hints.get(parameter.name)) or (None,)
        word = next((note for note in notes if isinstance(note, Word)), None)
        if word is None:
            raise OptionError(
                f"{function.__name__}: expected every parameter of a command as Annotated[type, Word(...)], got "
                f"{parameter.name!r} without a Word; give it one."
            )
        found[parameter.name] = Parameter(parameter.name, kind, word, parameter.default)
    return found


def command_of(
    run: Callable[..., None], name: str, text: str, parameters: Iterable[Parameter], *, context: bool = False
) -> Callable[..., None]:
    """A function for typer: called by name with what these parameters are given, and first with typer's context."""

    def command(**values: object) -> None:
        run(**values)

    typed = [parameter.typed() for parameter in parameters]
    if context:
        typed.insert(0, inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context))
    command.__name__, command.__doc__, command.__annotations__ = name, text, {}
    command.__signature__ = inspect.Signature(typed)  # type: ignore[attr-defined]
    return command


def split_help(function: Callable[..., object]) -> tuple[str, str]:
    """What a docstring says, and the examples after it."""
    says, _, examples = inspect.cleandoc(function.__doc__ or "").partition("\b\n")
    return says.strip(), examples.strip("\n")
