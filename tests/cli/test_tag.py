from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unrolled import load
from unrolled.tasks import tag
from unrolled.tasks.reading import tagged as reading

QUICK = ["--hidden-size", "8", "--set", "embedding_size=8", "--set", "spelling=none", "--set", "batch_size=4",
         "--set", "learning_rate=0.05", "--set", "min_count=1"]  # fmt: skip
TAGS = {"the": "O", "in": "O", "lives": "O", "Ann": "B-person", "Bo": "B-person", "Paris": "B-place", "Rome": "B-place"}


def sentences(count: int, seed: int) -> list[list[str]]:
    draw = np.random.default_rng(seed)
    return [[str(word) for word in draw.choice(list(TAGS), int(draw.integers(2, 6)))] for _ in range(count)]


def conll(path: Path, count: int = 20, seed: int = 0) -> str:
    parts = ["".join(f"{word} x {TAGS[word]}\n" for word in words) for words in sentences(count, seed)]
    path.write_text("\n".join(parts))
    return str(path)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, shell: Any) -> Path:
    folder = tmp_path_factory.mktemp("tag")
    train, valid, test = (conll(folder / f"{name}.conll", 60, i) for i, name in enumerate(("train", "valid", "test")))
    said = shell.ok("fit", "tag", train, "--valid", valid, "--test", test, "--epochs", "20", "-o", str(folder / "run"),
                    *QUICK)  # fmt: skip
    assert "3 tags" in said
    return folder / "run"


def test_a_run_learns_and_keeps_its_scores(fitted: Path, shell: Any) -> None:
    scores = json.loads((fitted / "scores.json").read_text())
    assert scores["accuracy"] > 0.95
    assert json.loads(shell.ok("evaluate", str(fitted), str(fitted.parent / "test.conll"), "--json")) == scores


def test_predict_writes_two_columns_that_can_be_read_again(fitted: Path, shell: Any, tmp_path: Path) -> None:
    found = shell.ok("predict", str(fitted), str(fitted.parent / "test.conll"))
    said = [[line.split("\t") for line in block.splitlines()] for block in found.strip().split("\n\n")]
    assert [[word for word, _ in lines] for lines in said] == [list(words) for words in sentences(60, 2)]
    right = [tag == TAGS[word] for lines in said for word, tag in lines]
    assert sum(right) > 0.95 * len(right)
    (tmp_path / "again.conll").write_text(found)
    assert shell.ok("predict", str(fitted), str(tmp_path / "again.conll")) == found
    assert "1.0000" in shell.ok("evaluate", str(fitted), str(tmp_path / "again.conll"), "--column", "1")


def test_predict_reads_a_sentence_a_line(fitted: Path, shell: Any, tmp_path: Path) -> None:
    lines = "Ann lives in Rome\n\nthe Paris\n"
    data = json.loads(shell.ok("predict", str(fitted), "-", "--json", stdin=lines))
    assert data == [
        {"words": ["Ann", "lives", "in", "Rome"], "tags": ["B-person", "O", "O", "B-place"]},
        {"words": ["the", "Paris"], "tags": ["O", "B-place"]},
    ]
    (tmp_path / "lines.txt").write_text(lines)
    text = shell.ok("predict", str(fitted), str(tmp_path / "lines.txt"))
    assert text == "Ann\tB-person\nlives\tO\nin\tO\nRome\tB-place\n\nthe\tO\nParis\tB-place\n\n"
    (tmp_path / "columns.txt").write_text("Ann\tO\n")
    assert "a tab in line 1" in shell.mistake("predict", str(fitted), str(tmp_path / "columns.txt"))


def test_a_column_is_chosen_by_number_or_by_name(shell: Any, tmp_path: Path) -> None:
    words = ["fit", "tag", conll(tmp_path / "t.conll"), "--epochs", "1", *QUICK]
    assert "1 tags" in shell.ok(*words, "--column", "1", "-o", str(tmp_path / "one"))
    assert "give a number" in shell.mistake(*words, "--column", "upos", "-o", str(tmp_path / "two"))
    row = "{}\t{}\t_\tNOUN\tNN\t_\t_\t_\t_\t_\n"
    text = "".join(f"# text\n{row.format(1, 'a')}{row.format(2, 'b')}\n" for _ in range(4))
    (tmp_path / "t.conllu").write_text(text)
    words[2] = str(tmp_path / "t.conllu")
    shell.ok(*words, "--column", "xpos", "-o", str(tmp_path / "three"))
    assert shell.ok("predict", str(tmp_path / "three"), "-", stdin="a b\n") == "a\tNN\nb\tNN\n\n"
    assert "Did you mean 'upos'" in shell.mistake(*words, "--column", "uposs", "-o", str(tmp_path / "four"))


def test_an_interrupted_run_resumed_is_the_run_uninterrupted(
    shell: Any, tmp_path: Path, interrupted: Callable[[], None]
) -> None:
    words = ["fit", "tag", conll(tmp_path / "t.conll"), "--column", "-1", "--epochs", "2", *QUICK]
    assert shell.run(*words, "-o", str(tmp_path / "a")).exit_code == 130
    interrupted()
    shell.ok("fit", "--resume", str(tmp_path / "a"))
    shell.ok(*words, "-o", str(tmp_path / "b"))
    assert (tmp_path / "a" / "model.unrolled").read_bytes() == (tmp_path / "b" / "model.unrolled").read_bytes()


@pytest.mark.parametrize(("text", "message"), [
    ("", "no words"), ("a O\nb O\nc\n", "Line 3 of bad.conll has 1 columns"), ("a\n", "stands alone"),
    ("a\tO\nb\t\n", "Line 2"),
])  # fmt: skip
def test_sentences_that_cannot_be_used_are_told_apart(text: str, message: str, shell: Any, tmp_path: Path) -> None:
    bad, good, out = str(tmp_path / "bad.conll"), conll(tmp_path / "good.conll"), str(tmp_path / "run")
    Path(bad).write_text(text)
    assert message in shell.mistake("fit", "tag", bad, "-o", out)
    # Told before the training, not after it.
    assert message in shell.mistake("fit", "tag", good, "--test", bad, "-o", out)
    assert message in shell.mistake("fit", "tag", good, "--valid", bad, "-o", out)
    assert not Path(out).exists()


def test_a_mistake_ends_in_one_sentence(fitted: Path, shell: Any, tmp_path: Path) -> None:
    good = conll(tmp_path / "good.conll")
    assert "Did you mean 'good.conll'" in shell.mistake("fit", "tag", str(tmp_path / "god.conll"))
    assert "Did you mean 'crf'" in shell.mistake("fit", "tag", good, "--set", "crff=true")
    assert "'gru'" in shell.mistake("fit", "tag", good, "--cell", "gruu")
    assert "--names" in shell.mistake("predict", str(fitted), "-", "--names", "a,b")
    assert "language" in shell.mistake("generate", str(fitted))


def test_what_was_understood_is_printed_and_kept(shell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = reading.read_tagged

    def remarked(*given: Any) -> Any:
        return dataclasses.replace(plain(*given), remarks=("tags: the column 'x'",))

    monkeypatch.setattr(tag, "read_tagged", remarked)
    words = ["fit", "tag", conll(tmp_path / "t.conll"), "--epochs", "1", *QUICK]
    assert "understood: tags: the column 'x'\n" in shell.ok(*words, "-o", str(tmp_path / "one"))
    assert load(tmp_path / "one").understood[0] == "tags: the column 'x'"
    told = json.loads(shell.ok(*words, "-o", str(tmp_path / "two"), "--json"))
    assert told["understood"] == ["tags: the column 'x'", "tags: chunks in BIO"]


def test_a_table_of_series_is_learned_tagged_and_scored(shell: Any, tmp_path: Path) -> None:
    draw, rows = np.random.default_rng(0), ["who,at,x,state"]
    for series in range(30):
        for step, high in enumerate((np.cumsum(draw.random(6) < 0.3) % 2).tolist()):
            rows.append(f"n{series},{step},{4 * high + 0.1 * draw.normal():.3f},{('rest', 'walk')[high]}")
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    train.write_text("\n".join(rows))
    test.write_text("\n".join([rows[0], *rows[1:19]]))
    run = str(tmp_path / "run")
    said = shell.ok("fit", "tag", str(train), "--column", "state", "--id", "who", "--time", "at", "--test", str(test),
                    "--epochs", "12", "--set", "learning_rate=0.03", "--hidden-size", "8", "-o", run)  # fmt: skip
    assert "series of 1 channel" in said
    assert f"next: unrolled predict {tmp_path / 'run'} FILE\n" in said
    assert "channels: x" in said
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert json.loads(shell.ok("evaluate", run, str(test), "--json")) == scores
    assert "got --column x for one of series" in shell.mistake("evaluate", run, str(test), "--column", "x")
    test.write_text(test.read_text().replace(",rest", ",", 1))
    assert "of test.csv is missing; write it" in shell.mistake("evaluate", run, str(test))
    blocks = shell.ok("predict", run, str(test)).strip().split("\n\n")
    assert [len(block.splitlines()) for block in blocks] == [6, 6, 6]
    assert {tag for block in blocks for tag in block.splitlines()} <= {"rest", "walk"}
