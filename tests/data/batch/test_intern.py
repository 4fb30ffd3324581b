"""Texts read once: the numbers tell every token again, in memory or in a temporary file."""

from __future__ import annotations

import errno
import gc
import sys
import tempfile
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from unrolled.data import Interned, Ragged, intern
from unrolled.errors import SaveError

MODULE = sys.modules["unrolled.data.batch.intern"]


@pytest.fixture(params=["memory", "file"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "file":
        monkeypatch.setattr(MODULE, "LIMIT", 100)
    monkeypatch.setattr(MODULE, "BLOCK", 64)
    return str(request.param)


def texts(count: int = 200) -> list[list[str]]:
    random = np.random.default_rng(1)
    words = [f"word{i}" for i in range(50)]
    return [[words[i] for i in random.integers(0, 50, random.integers(0, 9))] for _ in range(count)]


def spelled(interned: Interned, tokens: Ragged) -> list[list[str]]:
    return [[interned.forms[i] for i in row] for row in tokens]


def test_the_tokens_can_be_read_back(place: str) -> None:
    given = texts()
    interned = intern(iter(given))
    assert isinstance(interned.tokens.values, np.memmap) == (place == "file")
    assert interned.tokens.values.dtype == np.int32
    assert spelled(interned, interned.tokens) == given
    assert interned.forms == list(dict.fromkeys(token for row in given for token in row))


def test_counts_are_those_of_the_tokens(place: str) -> None:
    given = texts()
    interned = intern(given)
    rows = np.array([*range(0, 200, 3), 5, 5])
    for chosen, among in ((None, given), (rows, [given[i] for i in rows])):
        counted = Counter(token for row in among for token in row)
        assert interned.counts(chosen).tolist() == [counted[form] for form in interned.forms]


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_recoding_looks_every_token_up(place: str, dtype: type) -> None:
    given = texts()
    interned = intern(given)
    table = np.random.default_rng(2).permutation(len(interned.forms)).astype(dtype)
    code = dict(zip(interned.forms, table.tolist(), strict=True))
    codes = interned.recode(table)
    assert codes.values.dtype == dtype
    assert isinstance(codes.values, np.memmap) == (place == "file")
    assert [row.tolist() for row in codes] == [[code[token] for token in row] for row in given]


def test_a_text_stands_for_its_characters() -> None:
    interned = intern(["abba", "", "cab"])
    assert interned.forms == ["a", "b", "c"]
    assert [row.tolist() for row in interned.tokens] == [[0, 1, 1, 0], [], [2, 0, 1]]


def test_nothing_at_all_is_an_empty_text() -> None:
    interned = intern([])
    assert (interned.forms, len(interned.tokens), interned.counts().tolist()) == ([], 0, [])


def test_a_long_text_needs_little_memory_and_leaves_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(MODULE, "LIMIT", 1 << 14)
    monkeypatch.setattr(MODULE, "BLOCK", 1 << 12)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    line = [f"w{i}" for i in range(1000)]
    tracemalloc.start()
    try:
        interned = intern(line for _ in range(500))
        codes = interned.recode(np.arange(1000, dtype=np.int32))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The codes take 2 MB and once more 2 MB; the table of forms about 0.1 MB, LIMIT 64 KB, a block 16 KB.
    assert len(codes.values) == 500_000
    assert peak < 600_000
    del interned, codes
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    def full(**_: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    if place == "memory":
        intern(texts())
        return
    with pytest.raises(SaveError, match=r"No space left on device.*TMPDIR"):
        intern(texts())


def test_an_error_of_the_reader_comes_through_and_closes_the_file(place: str) -> None:
    def broken() -> Iterator[list[str]]:
        yield from texts()
        raise ValueError("line 201")

    with pytest.raises(ValueError, match="line 201"):
        intern(broken())
