"""The commands about a fitted model, such as `unrolled predict`: each made of what the tasks say that it means."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import typer

from unrolled.cli.runs import MODEL, RECORD, check_files, load_request
from unrolled.cli.values import say, write_text
from unrolled.cli.words import AsJson, Out, Parameter, Raw, command_of, split_help, words_of
from unrolled.errors import ModelFileError, OptionError
from unrolled.model.describe import Answer, Call, Command, Described, Request, Whole, Word
from unrolled.model.registry import describe_task

__all__ = ["make_verbs"]

RUN = Word("Run folder, or a saved model.", "RUN", placed=True)
# What the verbs of several tasks have in common.
ABOUT = {
    "predict": "Say what a model makes of new data. Works while a run is still training, too.",
    "evaluate": "Score a model on data that it has not learned from.",
}


def make_verbs(described: Mapping[str, Described]) -> dict[str, Callable[..., None]]:
    """A function for typer for each verb of any task."""
    verbs: dict[str, dict[str, Command]] = {}
    for task, description in described.items():
        for verb, command in description.commands.items():
            verbs.setdefault(verb, {})[task] = command
    made = {}
    for verb, commands in verbs.items():
        starts = [command.starts for command in commands.values() if command.starts is not None]
        run = Parameter("run", str, starts[0] if starts else RUN)
        shared = words_of(_say, after=4)
        parameters = [run, *_words(commands).values(), *shared.values()]
        made[verb] = command_of(partial(_say, verb, commands), verb, _help(verb, commands), parameters, context=True)
    return made


def _words(commands: Mapping[str, Command]) -> dict[str, Parameter]:
    """The words of all tasks, each once; one that a single task takes says so."""
    takers: dict[str, list[tuple[str, Parameter]]] = {}
    for task, command in commands.items():
        for name, parameter in words_of(command.run, after=1).items():
            takers.setdefault(name, []).append((task, parameter))
    found = {}
    for name, taken in takers.items():
        task, parameter = taken[0]
        if len(taken) == 1 and len(commands) > 1:
            parameter = parameter.with_help(f"{task}: {_lowered(parameter.word.help)}")
        optional = next((each.default for _, each in taken if not each.required), None)
        if parameter.required and (len(taken) < len(commands) or any(not each.required for _, each in taken)):
            parameter = Parameter(name, parameter.kind, parameter.word, optional)
        found[name] = parameter
    # Places come before options, and those that must be given before those that may be.
    return dict(sorted(found.items(), key=lambda item: not item[1].word.placed))


def _help(verb: str, commands: Mapping[str, Command]) -> str:
    if len(commands) == 1:
        return next(iter(commands.values())).run.__doc__ or ""
    parts = {task: split_help(command.run) for task, command in commands.items()}
    width = max(map(len, parts))
    table = "\n".join(f"  {task:<{width}}  {' '.join(says.split())}" for task, (says, _) in parts.items())
    examples = "\n".join(examples for _, examples in parts.values() if examples)
    about = ABOUT.get(verb, f"{verb.capitalize()} with a model.")
    return f"{about}\n\n\b\n{table}\n\n\b\n{examples}"


def _say(
    verb: str,
    commands: Mapping[str, Command],
    *,
    context: typer.Context,
    run: str,
    out: Out = "-",
    as_json: AsJson = False,
    raw: Raw = False,
    **given: object,
) -> None:
    """Run the command of the task that the model is for."""
    typed = {name: value for name, value in given.items() if _is_typed(context, name)}
    task, call = _called(verb, run, commands)
    command = commands[task]
    taken = words_of(command.run, after=1)
    every = _words(commands)
    for name in typed:
        if name not in taken:
            raise OptionError(
                f"{verb}: {every[name].spelled} means nothing for a model of the task {task}; leave it out."
            )
    for name, parameter in taken.items():
        if parameter.required and name not in typed:
            wanted = _lowered(parameter.word.help).rstrip(".")
            raise OptionError(f"{verb}: expected {parameter.spelled} for {run}, got none; give {wanted}.")
    found = command.run(replace(call, raw=raw), **typed)
    if isinstance(found, Whole) and not as_json and out != "-" and Path(out).suffix.lower() in found.files:
        found.files[Path(out).suffix.lower()](Path(out))
        return
    _write(_as_json(found) if as_json else _as_text(found), out)


def _is_typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _called(verb: str, run: str, commands: Mapping[str, Command]) -> tuple[str, Call[Any]]:
    """The task that a command is about, and its call. Raises `OptionError` where the task has no such command."""
    starting = [task for task, command in commands.items() if command.starts is not None]
    if not starting:
        return _of_model(verb, run, commands)
    if not Path(run).is_dir():
        return starting[0], Call(run, None, lambda: None)
    request = load_request(Path(run))
    _check_task(verb, run, request.task, commands)
    if request.task not in starting:
        return _of_model(verb, run, commands)
    check_files(request, Path(run))
    return request.task, Call(run, None, lambda: request)


def _of_model(verb: str, run: str, commands: Mapping[str, Command]) -> tuple[str, Call[Any]]:
    from unrolled.model import load

    waiting = (Path(run) / RECORD).exists() and not (Path(run) / MODEL).exists()
    if waiting:
        raise ModelFileError(
            f"{verb}: {run} has no model yet, which its first score or its end writes; try again then."
        )
    model = load(run)
    _check_task(verb, run, model.task, commands)

    def request() -> Request | None:
        return load_request(Path(run)) if (Path(run) / RECORD).exists() else None

    return model.task, Call(run, model, request)


def _check_task(verb: str, run: str, task: str, commands: Mapping[str, Command]) -> None:
    if task in commands:
        return
    description = describe_task(task)
    uses = [] if description is None else list(description.commands)
    instead = f"use {_either(uses)} with it" if uses else "use it in Python"
    raise OptionError(f"{verb}: expected a model for {_either(commands)}, but {run} holds one for {task}; {instead}.")


def _either(words: Mapping[str, object] | list[str]) -> str:
    *some, last = words
    return " or ".join(filter(None, [", ".join(some), last]))


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _as_text(found: Iterator[Answer] | Whole) -> Iterator[str]:
    if isinstance(found, Whole):
        yield from found.text
        return
    for answer in found:
        yield answer.text


def _as_json(found: Iterator[Answer] | Whole) -> Iterator[str]:
    """One value; of several answers a list with one a line."""
    if isinstance(found, Whole):
        yield json.dumps(found.data(), indent=1) + "\n"
        return
    before = "[\n"
    for answer in found:
        if answer.data is not None:
            yield before + json.dumps(answer.data, ensure_ascii=False)
            before = ",\n"
    yield "\n]\n" if before != "[\n" else "[]\n"


def _write(pieces: Iterator[str], out: str) -> None:
    """To standard output as they come, or into a file as a whole."""
    if out != "-":
        write_text(Path(out), "".join(pieces))
        return
    for piece in pieces:
        say(piece, nl=False)
