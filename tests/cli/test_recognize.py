"""`unrolled fit recognize`, predict and evaluate, on features and on sound files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

QUICK = ["--hidden-size", "16", "--layers", "1", "--set", "stride=2", "--set", "learning_rate=0.03",
         "--set", "warmup=0", "--set", "batch_size=8", "--set", "feature_noise=0",
         "--set", "head_dropout=0"]  # fmt: skip
LETTERS = "ab "


def features(path: Path, count: int, seed: int) -> str:
    """Texts of two letters, each a channel that is on for some steps."""
    random, series, texts = np.random.default_rng(seed), [], []
    for _ in range(count):
        text = " ".join("".join(random.choice(["a", "b"], random.integers(1, 4))) for _ in range(2))
        rows = [np.zeros((2, 3))]
        for letter in text:
            rows += [np.tile(2 * np.eye(3)[LETTERS.index(letter)], (5, 1)), np.zeros((2, 3))]
        whole = np.concatenate(rows)
        series.append(whole + 0.1 * random.normal(size=whole.shape))
        texts.append(text)
    lengths = np.array([len(one) for one in series])
    np.savez(path, features=np.concatenate(series), lengths=lengths, text=np.array(texts))
    return str(path)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, shell: Any) -> Path:
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("recognize")
    train, test = (features(folder / f"{name}.npz", 60, seed) for seed, name in enumerate(("train", "test")))
    said = shell.ok("fit", "recognize", train, "--test", test, "--epochs", "14", "--plot", "-o", str(folder / "run"),
                    *QUICK)  # fmt: skip
    assert "Recognizer: writes 3 characters; series of 3 channels" in said
    assert f"next: unrolled predict {folder / 'run'} FILE" in said
    return folder / "run"


def test_a_run_holds_its_scores(fitted: Path) -> None:
    scores = json.loads((fitted / "scores.json").read_text())
    assert scores["cer"] < 0.05
    assert scores["words"]["normaliser"] == "none"
    assert (fitted / "recognition.png").stat().st_size > 0


def test_a_picture_of_data_that_is_not_held_out_is_told_to_be_missing(shell: Any, tmp_path: Path) -> None:
    train = features(tmp_path / "train.npz", 12, 0)
    said = shell.ok("fit", "recognize", train, "--valid", "0", "--epochs", "1", "--plot", "-o", str(tmp_path / "run"),
                    *QUICK)  # fmt: skip
    assert "no recognition.png: it needs recordings, drawings or pictures with their texts" in said
    assert (tmp_path / "run" / "learning.png").stat().st_size > 0


def test_predict_gives_a_line_for_each_input_and_words_with_their_times(fitted: Path, shell: Any) -> None:
    file = str(fitted.parent / "test.npz")
    texts = np.load(file)["text"].tolist()
    lines = shell.ok("predict", str(fitted), file).splitlines()
    assert sum(line == text for line, text in zip(lines, texts, strict=True)) > 50
    found = json.loads(shell.ok("predict", str(fitted), file, "--json", "--beam", "4", "--nbest", "2"))
    assert [len(one["hypotheses"]) for one in found] == [2] * 60
    assert [word["text"] for word in found[0]["words"]] == found[0]["text"].split()
    numbered = shell.ok("predict", str(fitted), file, "--beam", "4", "--nbest", "2").splitlines()
    assert [line.split("\t")[0] for line in numbered[:4]] == ["1", "1", "2", "2"]
    picture = fitted.parent / "first.svg"
    assert shell.ok("predict", str(fitted), file, "--plot", str(picture)).splitlines() == lines
    assert "steps" in picture.read_text()


def test_evaluate_scores_with_a_search_and_a_normaliser(fitted: Path, shell: Any) -> None:
    file, lexicon = str(fitted.parent / "test.npz"), fitted.parent / "words.txt"
    lexicon.write_text("a\nb\n")
    said = shell.ok("evaluate", str(fitted), file, "--normaliser", "lower", "--lexicon", str(lexicon))
    assert "normaliser 'lower'" in said
    strict = json.loads(shell.ok("evaluate", str(fitted), file, "--lexicon", str(lexicon), "--json"))
    assert strict["wer"] > json.loads(shell.ok("evaluate", str(fitted), file, "--json"))["wer"]


@pytest.mark.parametrize(("words", "sentence"), [
    (["--hot-words", "ab=x"], "--hot-words: expected words with commas, as Oslo,Rome=6, got 'ab=x'"),
    (["--hot-words", "xyzzy"], "'xyzzy' cannot be written: training has not seen 'x', 'y', 'z'; write"),
    (["--beam", "2", "--nbest", "3"], "got --nbest 3 and --beam 2; give a beam at least as wide"),
    (["--language-model", "nowhere"], "nowhere"),
    (["--language-model", "{run}"], "expected --language-model as a LanguageModel, or where one is saved, got Recog"),
])  # fmt: skip
def test_a_search_that_cannot_be_is_one_sentence(words: list[str], sentence: str, fitted: Path, shell: Any) -> None:
    assert sentence in shell.mistake(
        "predict", str(fitted), str(fitted.parent / "test.npz"), *(word.replace("{run}", str(fitted)) for word in words)
    )


def test_answers_about_a_folder_are_beside_the_names_of_its_files(shell: Any, tmp_path: Path) -> None:
    soundfile, random = pytest.importorskip("soundfile"), np.random.default_rng(0)
    spoken, folder = tmp_path / "spoken", tmp_path / "new"
    for number in range(12):
        file = (spoken if number < 10 else folder / "later") / f"{number}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(file, 0.1 * random.normal(size=4000), 8000)
        file.with_suffix(".txt").write_text("ab"[number % 2])
    run = str(tmp_path / "run")
    shell.ok("fit", "recognize", str(spoken), "--valid", "0", "--epochs", "1", *QUICK, "-o", run)
    names = ["later/10.wav", "later/11.wav"]
    assert [line.split("\t")[0] for line in shell.ok("predict", run, str(folder)).splitlines()] == names
    several = shell.ok("predict", run, str(folder), "--nbest", "2").splitlines()
    assert list(dict.fromkeys(line.split("\t")[0] for line in several)) == names
    assert [one["file"] for one in json.loads(shell.ok("predict", run, str(folder), "--json"))] == names
    alone = str(folder / "later" / "10.wav")
    assert "\t" not in shell.ok("predict", run, alone)
    assert "file" not in json.loads(shell.ok("predict", run, alone, "--json"))[0]


def test_a_folder_without_recordings_is_no_text(shell: Any, tmp_path: Path) -> None:
    said = shell.mistake("fit", "recognize", str(tmp_path), "-o", str(tmp_path / "run"))
    assert "holds no sound files and no wav.scp" in said
