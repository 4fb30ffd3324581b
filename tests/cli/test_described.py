"""The command line is made of what tasks say of themselves, and knows none of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import pytest

import unrolled.cli.verbs
from unrolled.cli.verbs import make_verbs
from unrolled.cli.words import words_of
from unrolled.errors import OptionError
from unrolled.model import registry
from unrolled.model.describe import Answer, Asked, Call, Command, Description, Whole, Word
from unrolled.nn import CELLS
from unrolled.tasks.commands import words

FILES = sorted(Path(unrolled.cli.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_command_line_names_no_task(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "task ==" not in text
    named = "|".join(
        [*registry.described_tasks(), "Classifier", "Regressor", "Tagger", "LanguageModel", "Translator", "Forecaster"]
    )
    # An example in the docstring of the package is no knowledge of the code.
    code = re.sub(r'^""".*?^"""', "", text, count=1, flags=re.M | re.S)
    assert not re.findall(rf"[\"'/.]({named})[\"'/.]|unrolled\.tasks\.({named})\b", code)


def test_the_help_lists_all_cells() -> None:
    own = {name for name, kind in CELLS.items() if kind.__module__.startswith("unrolled.")}
    assert own == set(words.CELLS)


def fit(file: Annotated[str, Word("Numbers.", "FILE", placed=True)], loud: Annotated[int, Word("How.")] = 1) -> Asked:
    """Learn to say numbers."""
    return Asked({"source": file})


def sing(call: Call[Any], loud: Annotated[int | None, Word("How loud.", least=1)] = None) -> Iterator[Answer]:
    """Sing."""
    yield Answer(f"la {loud}\n", loud)


def test_parameters_are_read_with_their_words_and_defaults() -> None:
    found = words_of(fit)
    assert [(each.spelled, each.required, each.kind) for each in found.values()] == [
        ("FILE", True, str),
        ("--loud", False, int),
    ]
    assert found["loud"].default == 1


def test_a_parameter_without_a_word_is_refused() -> None:
    def odd(call: Call[Any], loud: int) -> None: ...

    with pytest.raises(OptionError, match="got 'loud' without a Word"):
        words_of(odd, after=1)


def test_a_task_may_have_a_verb_of_its_own() -> None:
    assert set(make_verbs({"song": Description(fit, {"sing": Command(sing)})})) == {"sing"}


def record(call: Call[Any]) -> Whole:
    """Record a song."""
    return Whole(("la\n",), lambda: ["la"], {".wav": lambda path: path.write_bytes(b"sound")})


def test_what_is_no_text_is_written_by_how_the_name_of_the_file_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    verb = make_verbs({"song": Description(fit, {"record": Command(record)})})["record"]
    monkeypatch.setattr(unrolled.cli.verbs, "_called", lambda *given: ("song", Call("run", None, lambda: None)))
    context = SimpleNamespace(get_parameter_source=lambda name: None)
    for name, as_json, wanted in (
        ("a.WAV", False, "sound"),
        ("a.txt", False, "la\n"),
        ("b.wav", True, '[\n "la"\n]\n'),
    ):
        verb(context=context, run="run", out=str(tmp_path / name), as_json=as_json)
        assert (tmp_path / name).read_text() == wanted


def test_a_word_that_one_of_several_tasks_takes_says_whose_it_is(shell: Any) -> None:
    said = shell.ok("predict", "--help")
    assert "recognize: weight of the language model" in said
    assert "Hypotheses followed" in said
    assert "Names of all columns" in said
    assert "weight of the language model" not in shell.ok("generate", "--help")


def test_tasks_and_cells_are_listed(shell: Any) -> None:
    assert {line.split()[0] for line in shell.ok("tasks").splitlines()} >= {"classify", "forecast"}
    assert {line.split()[0] for line in shell.ok("cells").splitlines()} == set(CELLS)
    assert '"cell": "lstm"' in shell.ok("cells", "--json")
    assert '"verbs"' in shell.ok("tasks", "--json")
