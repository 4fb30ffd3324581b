from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sacrebleu")

QUICK = ["--level", "word", "--hidden-size", "16", "--set", "embedding_size=16", "--set", "batch_size=8",
         "--set", "learning_rate=0.02", "--set", "warmup=0", "--set", "head_dropout=0",
         "--set", "reading_dropout=0"]  # fmt: skip
WORDS = {"eins": "one", "zwei": "two", "drei": "three", "vier": "four"}


def pairs(count: int, seed: int) -> list[tuple[str, str]]:
    draw = np.random.default_rng(seed)
    rows = [[str(word) for word in draw.choice(list(WORDS), int(draw.integers(1, 4)))] for _ in range(count)]
    return [(" ".join(row), " ".join(WORDS[word] for word in row)) for row in rows]


def parallel(folder: Path, name: str, count: int = 60, seed: int = 0) -> tuple[str, str]:
    for i, side in enumerate(("de", "en")):
        (folder / f"{name}.{side}").write_text("".join(f"{pair[i]}\n" for pair in pairs(count, seed)))
    return str(folder / f"{name}.de"), str(folder / f"{name}.en")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, shell: Any) -> Path:
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("translate")
    train, valid, test = (
        parallel(folder, name, n, i) for i, (name, n) in enumerate((("train", 200), ("v", 20), ("t", 20)))
    )
    held = ["--valid-source", valid[0], "--valid-target", valid[1], "--test-source", test[0], "--test-target", test[1]]
    shell.ok("fit", "translate", *train, *held, "--epochs", "8", "--plot", "-o", str(folder / "run"), *QUICK)
    return folder / "run"


def test_a_run_learns_and_keeps_scores_and_pictures(fitted: Path, shell: Any) -> None:
    scores = json.loads((fitted / "scores.json").read_text())
    assert scores["chrf"]["value"] > 90
    for name in ("learning.png", "attention.png"):
        assert (fitted / name).stat().st_size > 0
    files = [str(fitted.parent / f"t.{side}") for side in ("de", "en")]
    assert json.loads(shell.ok("evaluate", str(fitted), *files, "--json")) == scores
    assert "20 texts" in shell.ok("evaluate", str(fitted), *files, "--beam", "1")


def test_predict_gives_a_line_for_a_line(fitted: Path, shell: Any, tmp_path: Path) -> None:
    lines = "eins zwei\n\n  \ndrei\n"
    assert shell.ok("predict", str(fitted), "-", stdin=lines) == "one two\n\n\nthree\n"
    (tmp_path / "new.de").write_text(lines)
    assert shell.ok("predict", str(fitted), str(tmp_path / "new.de"), "--beam", "2") == "one two\n\n\nthree\n"
    rows = json.loads(shell.ok("predict", str(fitted), "-", "--json", stdin=lines))
    assert [[each["text"] for each in row["targets"]] for row in rows] == [["one two"], [], [], ["three"]]


def test_several_answers_have_the_number_of_their_line(fitted: Path, shell: Any) -> None:
    found = shell.ok("predict", str(fitted), "-", "--nbest", "7", stdin="eins\n\ndrei\n").splitlines()
    assert [line.split("\t")[0] for line in found] == ["1"] * 7 + ["2"] + ["3"] * 7
    assert (found[0], found[8]) == ("1\tone", "3\tthree")
    assert "nbest" in shell.mistake("predict", str(fitted), "-", "--nbest", "3", "--beam", "2", stdin="eins\n")


def test_pairs_come_from_a_table(shell: Any, tmp_path: Path) -> None:
    rows = pairs(40, 0)
    (tmp_path / "t.jsonl").write_text("".join(json.dumps({"de": [a, a], "en": b}) + "\n" for a, b in rows))
    (tmp_path / "t.tsv").write_text("".join(f"{a} {a}\t{b}\n" for a, b in rows))
    table = str(tmp_path / "t.tsv")
    words = ["fit", "translate", str(tmp_path / "t.jsonl"), "--source", "de", "--target", "en", "--epochs", "1", *QUICK]
    shell.ok(*words, "--test", str(tmp_path / "t.jsonl"), "-o", str(tmp_path / "a"))
    words = ["fit", "translate", table, "--names", "source,target", "--valid", "0.03", "--epochs", "1", *QUICK]
    shell.ok(*words, "--test", table, "-o", str(tmp_path / "b"))
    # The sentences of a list are one text, in training and after it.
    assert (tmp_path / "a/scores.json").read_text() == (tmp_path / "b/scores.json").read_text()
    found = shell.ok("predict", str(tmp_path / "a"), str(tmp_path / "t.jsonl"))
    assert shell.ok("predict", str(tmp_path / "b"), table) == found
    assert len(found.splitlines()) == 40
    told = shell.ok("evaluate", str(tmp_path / "b"), table, "--json")
    assert json.loads(told) == json.loads((tmp_path / "b/scores.json").read_text())


def test_the_turns_of_a_dialogue_are_replied_to(shell: Any, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"turns": ["hi", "hello", "bye", "goodbye"]}\n' * 10)
    run, table = str(tmp_path / "run"), str(tmp_path / "t.jsonl")
    words = ["--turns", "turns", "--context", "1", "--valid", "0", "--epochs", "10", *QUICK]
    shell.ok("fit", "translate", table, *words, "-o", run)
    assert shell.ok("predict", run, "-", stdin="hi\nbye\n") == "hello\ngoodbye\n"
    (tmp_path / "new.jsonl").write_text('{"turns": ["bye", "hi"]}\n{"turns": ["bye"]}\n')
    assert shell.ok("predict", run, str(tmp_path / "new.jsonl")) == "hello\ngoodbye\n"
    assert "both" in shell.mistake("fit", "translate", table, "--turns", "turns", "--source", "a")


def test_an_interrupted_run_resumed_is_the_run_uninterrupted(
    shell: Any, tmp_path: Path, interrupted: Callable[[], None]
) -> None:
    words = ["fit", "translate", *parallel(tmp_path, "t"), "--epochs", "1", *QUICK]
    assert shell.run(*words, "-o", str(tmp_path / "a")).exit_code == 130
    interrupted()
    shell.ok("fit", "--resume", str(tmp_path / "a"))
    shell.ok(*words, "-o", str(tmp_path / "b"))
    assert (tmp_path / "a" / "model.unrolled").read_bytes() == (tmp_path / "b" / "model.unrolled").read_bytes()


@pytest.mark.parametrize(("words", "message"), [
    (["a.de", "b.en"], "as many lines in a.de as in b.en, but got 8 and 6"), (["a.de"], "two files"),
    (["a.de", "none.en"], "no file"), (["-", "-"], "standard input"), (["a.de", "a.en", "--source", "x"], "--source"),
    (["a.de", "a.en", "--valid-source", "b.de"], "together"), (["a.de", "a.en", "--valid", "b.de"], "--valid-source"),
    (["a.de", "a.en", "--test-source", "a.de", "--test-target", "b.en"], "8 and 6"),
    (["a.de", "a.en", "--test", "t.tsv", "--test-source", "a.de", "--test-target", "a.en"], "both"),
    (["a.de", "a.en", "--set", "copyng=pointer"], "'copying'"), (["empty.de", "empty.en"], "none"),
    (["t.tsv", "--source", "de", "--target", "english"], "'english' is not in t.tsv"), (["t.tsv"], "'source'"),
])  # fmt: skip
def test_a_mistake_ends_in_one_sentence_and_leaves_nothing(
    words: list[str], message: str, shell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, count in (("a", 8), ("b", 6), ("empty", 0)):
        parallel(tmp_path, name, count)
    Path("t.tsv").write_text("de\ten\neins\tone\n")
    assert message in shell.mistake("fit", "translate", *words, "-o", "run")
    assert not Path("run").exists()
    assert not Path("runs").exists()


def test_sources_without_targets_are_not_scored(fitted: Path, shell: Any) -> None:
    assert "add the targets" in shell.mistake("evaluate", str(fitted), str(fitted.parent / "t.de"))
