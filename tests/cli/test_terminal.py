"""What names and texts hold never moves a terminal, and never runs in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from unrolled.cli.values import say, write_text
from unrolled.errors import SaveError, printable
from unrolled.tasks.spreadsheet import csv_text

HOSTILE = "a\x1b[31mb\rc\bd\x9be\u202ef\u2066g\x7fh\ud800"


def test_control_characters_are_shown_as_their_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    say(HOSTILE)
    shown = capsys.readouterr().out
    assert shown == "a\\u001b[31mb\\u000dc\\u0008d\\u009be\\u202ef\\u2066g\\u007fh\\ud800\n"


@pytest.mark.parametrize("text", ["a\tb\n", "é 漢字 👩‍👩‍👧 שלום\n", '{"a": "\\u001b"}'])
def test_text_that_is_harmless_is_printed_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_json_stays_json_when_its_characters_are_escaped() -> None:
    value = {"name": "a\x1b\x9b\u202e\x7f\u2028"}
    assert json.loads(printable(json.dumps(value, ensure_ascii=False))) == value


@pytest.mark.parametrize("words", [("predict", HOSTILE[:-1], "x.csv"), (HOSTILE[:-1],), ("cells", f"--{HOSTILE[:-1]}")])
def test_a_mistake_with_a_hostile_name_is_one_printable_line(shell: object, words: tuple[str, ...]) -> None:
    sentence = shell.mistake(*words)  # type: ignore[attr-defined]
    assert sentence == printable(sentence)


def test_a_line_feed_in_a_name_begins_no_line_of_its_own(shell: object) -> None:
    assert "\\n" in shell.mistake("predict", "a\nunrolled: all is well", "x.csv")  # type: ignore[attr-defined]


def test_half_a_character_cannot_be_written_and_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SaveError, match="half of a character"):
        write_text(tmp_path / "a.csv", "\ud800")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("cell", ["=1+1", "+A1", "-A1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0", "-", "\t1"])
def test_a_formula_in_a_cell_is_text_unless_it_is_wanted_raw(cell: str) -> None:
    assert next(csv.reader(io.StringIO(csv_text([[cell, 1]]), newline=""))) == [f"'{cell}", "1"]
    assert next(csv.reader(io.StringIO(csv_text([[cell, 1]], raw=True), newline=""))) == [cell, "1"]


@pytest.mark.parametrize("cell", ["-5", "+1.5", "-1e-3", -5, -0.5, "a=b", "", "-inf"])
def test_numbers_and_plain_texts_are_no_formulas(cell: object) -> None:
    assert csv_text([[cell, 1]]) == f"{cell},1\n"
