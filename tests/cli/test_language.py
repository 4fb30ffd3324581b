from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

QUICK = ["--hidden-size", "16", "--set", "embedding_size=16", "--set", "steps=16", "--set", "streams=2",
         "--set", "learning_rate=0.03", "--set", "warmup=0"]  # fmt: skip


def text(path: Path, lines: int = 60) -> str:
    path.write_text("the cat sat on the mat\n" * lines)
    return str(path)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, shell: Any) -> Path:
    folder = tmp_path_factory.mktemp("language")
    words = ["fit", "language", text(folder / "train.txt"), "--level", "char", "--test", text(folder / "test.txt", 5)]
    said = shell.ok(*words, "--epochs", "6", "-o", str(folder / "run"), *QUICK)
    assert f"unrolled generate {folder / 'run'}" in said
    return folder / "run"


def test_a_run_learns_and_keeps_its_scores(fitted: Path, shell: Any) -> None:
    scores = json.loads((fitted / "scores.json").read_text())
    # 12 different characters, of which one or two can follow.
    assert scores["perplexity"] < 2
    words = ["evaluate", str(fitted), str(fitted.parent / "test.txt")]
    assert json.loads(shell.ok(*words, "--json"))["nats"] == pytest.approx(scores["nats"])
    assert "bits a character" in shell.ok(*words)


def test_generate_shows_the_prompt_and_what_follows_it(fitted: Path, shell: Any) -> None:
    assert shell.ok("generate", str(fitted), "the c", "--length", "10", "--temperature", "0") == "the cat sat on \n"
    found = shell.ok("generate", str(fitted), "-", "--length", "10", "--temperature", "0", stdin="the c\n")
    assert found == "the cat sat on \n"


def test_generate_says_the_same_live_as_at_once_and_as_json(fitted: Path, shell: Any) -> None:
    how = ["generate", str(fitted), "the", "--length", "30", "--temperature", "1.5", "--seed", "3", "--top-k", "8"]
    live = shell.ok(*how, "--top-p", "0.95")
    both = shell.ok(*how, "--top-p", "0.95", "--samples", "2")
    data = json.loads(shell.ok(*how, "--top-p", "0.95", "--samples", "2", "--json"))
    assert data["prompt"] == "the"
    assert live == f"the{data['texts'][0]}\n"
    assert both == f"the{data['texts'][0]}\n---\nthe{data['texts'][1]}\n"
    assert data["texts"][0] != data["texts"][1]


def test_complete_offers_words_with_probabilities(fitted: Path, shell: Any) -> None:
    rows = [line.split("\t") for line in shell.ok("complete", str(fitted), "the cat s", "-k", "2").splitlines()]
    assert rows[0][0] == "sat"
    data = json.loads(shell.ok("complete", str(fitted), "the cat s", "-k", "2", "--json"))
    assert [each["word"] for each in data] == [row[0] for row in rows]
    assert all(math.isclose(each["probability"], float(row[1]), abs_tol=1e-4) for each, row in zip(data, rows))
    assert "-k" in shell.mistake("complete", str(fitted), "the", "-k", "0")


def test_words_come_from_a_folder_of_texts_and_by_standard_input(shell: Any, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    for name in ("a.txt", "b.txt"):
        text(tmp_path / "texts" / name, 10)
    words = ["--epochs", "1", "--level", "word", *QUICK]
    shell.ok("fit", "language", str(tmp_path / "texts"), "-o", str(tmp_path / "run"), *words)
    assert shell.ok("complete", str(tmp_path / "run"), "the ma", "-k", "5").startswith("mat\t1.0000")
    run = str(tmp_path / "piped")
    shell.ok("fit", "language", "-", "-o", run, *words, stdin="the cat sat\n" * 10)
    assert "standard input" in shell.mistake("fit", "--resume", run)


def test_an_interrupted_run_resumed_is_the_run_uninterrupted(
    shell: Any, tmp_path: Path, interrupted: Callable[[], None]
) -> None:
    words = ["fit", "language", text(tmp_path / "t.txt"), "--level", "char", "--epochs", "1", *QUICK]
    assert shell.run(*words, "-o", str(tmp_path / "a")).exit_code == 130
    interrupted()
    shell.ok("fit", "--resume", str(tmp_path / "a"))
    shell.ok(*words, "-o", str(tmp_path / "b"))
    assert (tmp_path / "a" / "model.unrolled").read_bytes() == (tmp_path / "b" / "model.unrolled").read_bytes()


def test_text_that_cannot_be_used_is_told_apart(shell: Any, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "bytes.txt").write_bytes(b"good\n\xff\xfe\n")
    out, good = str(tmp_path / "run"), text(tmp_path / "good.txt")
    for name, message in (("empty.txt", "none"), ("bytes.txt", "line 2"), ("nothing.txt", "no file")):
        assert message in shell.mistake("fit", "language", str(tmp_path / name), "-o", out)
    # Told before the training, not after it.
    assert "line 2" in shell.mistake("fit", "language", good, "--test", str(tmp_path / "bytes.txt"), "-o", out)
    assert not Path(out).exists()


@pytest.mark.parametrize(("words", "message"), [
    (["fit", "language", "{text}", "--level", "wrod"], "word"),
    (["fit", "language", "{text}", "--set", "tide=1"], "'tied'"),
    (["generate", "{run}", "--samples", "0"], "--samples"),
    (["generate", "{run}", "--temperature", "-1"], "temperature"),
    (["generate", "{run}", "--top-p", "2"], "top_p"),
    (["predict", "{run}", "-"], "generate, complete or evaluate"),
    (["evaluate", "{run}", "{text}", "--beam", "2"], "--beam"),
    (["generate", "{text}"], "load"),
])  # fmt: skip
def test_a_mistake_ends_in_one_sentence(words: list[str], message: str, fitted: Path, shell: Any) -> None:
    places = {"run": str(fitted), "text": str(fitted.parent / "test.txt")}
    assert message in shell.mistake(*(word.format(**places) for word in words))
