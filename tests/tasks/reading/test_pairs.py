from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from unrolled.errors import DataError, OptionError
from unrolled.fields.text import SPECIALS, UNKNOWN, Text
from unrolled.tasks.reading.pairs import TURN, PairColumns, copied, joined, read_pairs, read_sources

WORDS = Text("word", False, "space", SPECIALS)
SOURCES, TARGETS = ["a b", "c", "a"], ["x", "y z", ""]


def texts(side: Any) -> list[str]:
    return [" ".join(side.interned.forms[code] for code in side.interned.tokens[row]) for row in range(len(side))]


def pairs(source: Any, target: Any = None, /, **columns: Any) -> list[tuple[str, str]]:
    found = read_pairs(source, target, PairColumns(**columns), WORDS, WORDS)
    return list(zip(texts(found.words), texts(found.targets.texts), strict=True))


def sources(source: Any, /, **columns: Any) -> list[str]:
    found = read_sources(source, PairColumns(**columns), WORDS)
    assert found.targets is None
    return texts(found.words)


WANTED = list(zip(SOURCES, TARGETS, strict=True))


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet", "dict", "pandas", "polars", "rows"])
def test_every_table_gives_the_same_pairs_and_the_same_sources(kind: str, tmp_path: Path) -> None:
    table = {"source": SOURCES, "target": TARGETS}
    rows = [dict(zip(table, row, strict=True)) for row in WANTED]
    found: Any = {"dict": table, "pandas": pd.DataFrame(table), "polars": pl.DataFrame(table), "rows": rows}.get(kind)
    if found is None:
        found = tmp_path / f"x.{kind}"
        if kind == "parquet":
            pd.DataFrame(table).to_parquet(found)
        elif kind == "jsonl":
            found.write_text("\n".join(map(json.dumps, rows)))
        else:
            mark = "," if kind == "csv" else "\t"
            found.write_text("\n".join(mark.join(row) for row in [tuple(table), *WANTED]))
    assert pairs(found) == WANTED
    assert sources(found) == SOURCES


def test_two_files_or_lists_are_paired_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "x.de").write_text("\n".join(SOURCES) + "\n")
    with gzip.open(tmp_path / "x.en.gz", "wt") as file:
        file.write("\n".join(TARGETS) + "\n")
    files = (str(tmp_path / "x.de"), tmp_path / "x.en.gz")
    for source in (files, (SOURCES, TARGETS), (pd.Series(SOURCES), np.array(TARGETS)), (files[0], TARGETS)):
        assert pairs(*source) == pairs(source) == WANTED
    assert pairs(SOURCES, files[1]) == WANTED
    assert sources(files[0]) == sources(SOURCES) == sources(np.array(SOURCES)) == SOURCES


def test_columns_have_the_names_that_were_said(tmp_path: Path) -> None:
    table = {"de": SOURCES, "en": TARGETS, "id": [1, 2, 3]}
    assert pairs(table, source="de", target="en") == WANTED
    assert sources(table, source="de") == SOURCES
    with pytest.raises(DataError, match="Did you mean 'de'"):
        pairs(table, source="der", target="en")
    with pytest.raises(DataError, match=r"'source' is not in the table.*It has: de, en, id"):
        pairs(table)
    (tmp_path / "x.tsv").write_text("a b\tx\nc\ty z\na\t\n")
    assert pairs(tmp_path / "x.tsv", names=("source", "target")) == WANTED
    assert sources(tmp_path / "x.tsv", names=("source", "target")) == SOURCES


def test_a_dialogue_gives_a_pair_for_each_reply(tmp_path: Path) -> None:
    talks = [["hi", "hello", "how", "fine"], ["only"], [], None, ["yes", "no"]]
    wanted = [("hi", "hello"), (f"hi{TURN}hello", "how"), (f"hello{TURN}how", "fine"), ("yes", "no")]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps({"turns": talk}) + "\n" for talk in talks))
    assert pairs(tmp_path / "x.jsonl", turns="turns", context=2) == wanted
    assert pairs([{"turns": talk} for talk in talks], turns="turns", context=2) == wanted
    assert sources(tmp_path / "x.jsonl", turns="turns", context=2)[:2] == [f"how{TURN}fine", "only"]
    assert sources([["hi", "hello", "how"], "one text"], context=2) == [f"hello{TURN}how", "one text"]
    with pytest.raises(DataError, match="lists of turns"):
        pairs({"turns": ["a b"]}, turns="turns")


def test_a_list_of_sentences_is_one_text() -> None:
    table = [{"source": ["a b", "c"], "target": ["x", "y"]}]
    assert pairs(table) == [("a b c", "x y")]
    assert sources(table) == ["a b c"]


@pytest.mark.parametrize(("source", "target", "message"), [
    (["a", "b"], ["x"], "2 sources and 1 targets"), (["a"], ["x", "y"], "1 sources and 2 targets"),
    ([], [], "got none"), ({"source": ["a"]}, None, "'target' is not in"), (["a", "b"], None, "targets"),
    (3, None, "targets"), (["a", None], ["x", "y"], "row 1 of the sources"), (["a"], [math.nan], "row 0 of the target"),
    (["a", 3], ["x", "y"], "row 1 of the sources"), ("the cat sat", ["x"], "list"), (["a"], "the cat sat", "list"),
    (pd.DataFrame({"a": ["x"]}), ["y"], "column"), (["x"], {"a": ["y"]}, "column"),
])  # fmt: skip
def test_what_makes_no_pairs_is_refused(source: Any, target: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        pairs(source, target)


def test_a_pair_has_two_parts() -> None:
    with pytest.raises(OptionError, match="3 parts"):
        pairs((SOURCES, TARGETS, TARGETS))


def test_parallel_files_of_different_lengths_are_counted(tmp_path: Path) -> None:
    (tmp_path / "x.de").write_text("a\nb\nc\n")
    (tmp_path / "x.en").write_text("a\nb\n")
    with pytest.raises(DataError, match=r"x\.de as in x\.en, but got 3 and 2"):
        pairs(tmp_path / "x.de", tmp_path / "x.en")


@pytest.mark.parametrize("source", [3, None, [3], [float("nan")], "the cat sat", [["a", None]], [None]])
def test_what_is_no_source_is_refused(source: Any) -> None:
    with pytest.raises(DataError):
        sources(source)


def test_empty_texts_and_no_texts_are_sources() -> None:
    assert sources([]) == []
    assert sources(["", "a"]) == ["", "a"]


def test_of_a_dialogue_the_last_turns_are_read() -> None:
    assert joined("one", 2) == "one"
    assert joined(["a", "b", "c"], 2) == f"b{TURN}c"
    assert joined([], 2) == ""


def test_what_may_be_copied_is_numbered_row_by_row() -> None:
    found = read_pairs(
        ["a Ann b Bob Ann", "Bob c", "a b"], ["x Ann Bob Zoe", "Ann Bob", "y"], PairColumns(), WORDS, WORDS
    )
    source = Text("word", False, "space", (*SPECIALS, "a", "b"))
    target = Text("word", False, "space", (*SPECIALS, "x", "y", "a"))
    codes, known, beyond = copied(found, source, target)
    size = target.size
    # Codes of the target's vocabulary, or size + the number of the word among the row's own.
    assert [codes[row].tolist() for row in range(3)] == [
        [6, size, size + 1, size + 2, size], [size, size + 1], [6, size]
    ]  # fmt: skip
    assert beyond == [["Ann", "b", "Bob"], ["Bob", "c"], ["b"]]
    assert known is not None
    assert [known[row].tolist() for row in range(3)] == [
        [4, size, size + 2, UNKNOWN], [UNKNOWN, size], [5],
    ]  # fmt: skip
    alone = copied(read_sources(["a Ann"], PairColumns(), WORDS), source, target)
    assert alone[0][0].tolist() == [6, size]
    assert alone[1] is None


SHAPE = Text("word", True, "space", SPECIALS)


def test_what_became_pairs_is_said() -> None:
    def said(source: Any, target: Any = None, /, **columns: Any) -> tuple[str, ...]:
        return read_pairs(source, target, PairColumns(**columns), SHAPE, SHAPE).remarks

    assert said(["a", "b"], ["c", "d"]) == ("pairs: 2, each source with the target of its place",)
    table = {"de": ["a"], "en": ["b"]}
    assert said(table, source="de", target="en") == ("pairs: 1, column 'de' with column 'en'",)
    talk = said({"talk": [["a", "b", "c"]]}, turns="talk", context=2)
    assert talk == ("pairs: 2, each turn of column 'talk' after the first, with the 2 turns before it",)


def test_comments_above_a_table_of_pairs_are_said(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("# from a corpus\nsource\ttarget\na\tb\n")
    found = read_pairs(path, None, PairColumns(), SHAPE, SHAPE)
    assert found.remarks[0] == "line 1, above the header: left out"
    assert len(found) == 1
