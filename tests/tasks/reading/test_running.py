from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from unrolled.errors import DataError
from unrolled.fields.text import END, SPECIALS, Text
from unrolled.tasks.reading.running import read_running, running_codes

WORDS = Text("word", False, "punctuation", SPECIALS)
LETTERS = Text("char", False, "punctuation", SPECIALS)


def fitted(running: Any, shape: Text) -> Text:
    forms = running.lines.texts.interned.forms
    return Text.from_counts(forms, np.ones(len(forms)), level=shape.level, lower=False, split="punctuation")


def whole(source: Any, shape: Text) -> tuple[str, Any]:
    """All codes of a source written out, and where documents begin."""
    running = read_running(source, shape)
    text = fitted(running, shape)
    codes, starts = running_codes(running, np.arange(len(running)), text)
    return " ".join("|" if code == END else text.tokens[code] for code in codes.tolist()), starts


def test_a_line_ends_with_its_end_at_word_level_and_with_a_character_elsewhere() -> None:
    assert whole(["a b\nc", "d"], WORDS)[0] == "a b | c | d |"
    assert whole(["ab\nc"], LETTERS)[0] == "a b \n c \n"


def test_documents_begin_where_they_do() -> None:
    assert whole(["a b\nc", "d", "", "e"], WORDS)[1].tolist() == [0, 5, 7, 8]
    assert whole(["a b\nc"], WORDS)[1] is None


def test_a_file_is_one_text_and_so_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "1.txt").write_text("a b\n\nc\n")
    (tmp_path / "2.txt").write_text("d")
    assert whole(tmp_path / "1.txt", WORDS) == ("a b | | c |", None)
    assert whole(tmp_path, WORDS) == ("a b | | c | d |", None)


def test_a_document_in_memory_has_the_lines_of_a_file(tmp_path: Path) -> None:
    for text in ("a\nb\n", "a\nb", "a\r\nb\r\n", "a\x0bb\x0cc\u2028d\x85e\n", "\n\na\n\n", ""):
        (tmp_path / "x.txt").write_bytes((text or "\n").encode())
        assert whole([text], LETTERS)[0] == whole(tmp_path / "x.txt", LETTERS)[0]


def test_runs_of_lines_keep_their_documents() -> None:
    running = read_running(["a\nb", "c\nd", "e"], WORDS)
    text = fitted(running, WORDS)
    codes, starts = running_codes(running, np.arange(3, 5), text)
    assert [text.tokens[code] for code in codes[codes > END]] == ["d", "e"]
    assert starts is not None
    assert starts.tolist() == [2]
    codes, starts = running_codes(running, np.array([0, 2, 4]), text)
    assert [text.tokens[code] for code in codes[codes > END]] == ["a", "c", "e"]
    assert starts is not None
    assert starts.tolist() == [0, 2, 4]
    codes, _ = running_codes(running, np.arange(0), text)
    assert len(codes) == 0


def test_characters_are_counted_with_the_ends_of_lines() -> None:
    assert read_running(["ab\nc", ""], WORDS).characters.tolist() == [3, 2, 1]


@pytest.mark.parametrize("source", [
    {"text": ["a", "b"]}, pd.DataFrame({"text": ["a", "b"]}), pl.DataFrame({"text": ["a", "b"]}), [{"text": "a"}],
    ["a", None], ["a", 3], [["a", "b"]], [], 3, None, "the cat sat on the mat",
])  # fmt: skip
def test_what_is_no_text_is_refused(source: Any) -> None:
    with pytest.raises(DataError, match=r"list|got none"):
        read_running(source, WORDS)


def test_columns_of_tables_are_texts() -> None:
    for column in (pd.Series(["a b", "c"], index=[7, 9]), pl.Series(["a b", "c"]), np.array(["a b", "c"])):
        assert whole(column, WORDS)[0] == "a b | c |"


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(DataError, match="expected text, got none"):
        read_running(tmp_path / "x.txt", WORDS)


def test_what_was_read_is_said() -> None:
    assert read_running(["a\nb", "c"], Text("word", True, "space", SPECIALS)).remarks == (
        "text: 3 lines, 2 texts, of which each begins afresh",
    )
    assert read_running(["a\nb"], Text("char", True, "space", SPECIALS)).remarks == ("text: 2 lines, one text",)
