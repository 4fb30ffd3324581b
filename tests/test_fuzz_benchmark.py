"""The fuzz benchmark: whole samples are read, changes come from their seed, and what is wrong is seen as wrong."""

from __future__ import annotations

import importlib
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest

from unrolled.errors import DataError

for _library in ("soundfile", "PIL", "av", "mido"):
    pytest.importorskip(_library)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return importlib.import_module


def test_every_sample_that_has_a_reader_is_read_whole(module: Any, tmp_path: Path) -> None:
    known, readers = module("fuzz_samples").samples(tmp_path), module("fuzz_readers").readers()
    assert set(readers) <= set(known)
    for name, read in readers.items():
        read(known[name])


def test_changes_come_from_their_seed_and_change_nearly_every_file(module: Any, tmp_path: Path) -> None:
    changed = module("fuzz_changes").changed
    same, known = 0, module("fuzz_samples").samples(tmp_path)
    for name, path in known.items():
        whole = path.read_bytes()
        for seed in range(4):
            first, again = (changed(name, whole, random.Random(seed)) for _ in range(2))
            assert first == again
            same += first == whole
    assert same < len(known) / 2


def test_what_stands_in_a_zip_is_changed_and_the_zip_stays_whole(module: Any, tmp_path: Path) -> None:
    path, inner = tmp_path / "a.npz", module("fuzz_changes").members_changed
    module("fuzz_samples").samples(tmp_path)
    whole = (tmp_path / "told.npz").read_bytes()
    for seed in range(30):
        path.write_bytes(inner(whole, random.Random(seed)))
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None


@pytest.mark.parametrize(
    ("raised", "result"),
    [
        (None, "value"),
        (DataError("a.csv is empty: give a file with rows."), "sentence"),
        (DataError("a.csv is empty:\ngive a file with rows."), "odd sentence"),
        (DataError("a.csv is empty"), "odd sentence"),
        (DataError("x" * 5000 + "."), "sentence"),
        (ValueError("no"), "foreign"),
        (RuntimeWarning("overflow"), "foreign"),
        (KeyboardInterrupt(), "foreign"),
    ],
)
def test_a_case_is_judged_by_what_it_raises(module: Any, raised: BaseException | None, result: str) -> None:
    def case() -> None:
        if raised is not None:
            raise raised

    assert module("fuzz").judged(case).result == result


def test_a_sentence_about_memory_is_no_answer(module: Any) -> None:
    def case() -> None:
        try:
            raise MemoryError
        except MemoryError as error:
            raise DataError("a.csv cannot be read (there is not enough memory): check it.") from error

    assert module("fuzz").judged(case).result == "memory"
