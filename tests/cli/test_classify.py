from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unrolled.inputs import InkInput

QUICK = ["--hidden-size", "8", "--set", "embedding_size=8", "--set", "batch_size=8", "--set", "learning_rate=0.05",
         "--set", "reading_dropout=0", "--set", "embedding_dropout=0", "--set", "head_dropout=0.3"]  # fmt: skip


def texts(count: int, seed: int) -> list[tuple[str, str]]:
    """Texts whose one telling word gives their class."""
    draw = np.random.default_rng(seed)
    words = {"good": ["fine", "great", "lovely"], "bad": ["awful", "poor", "dull"]}
    rows = []
    for i in range(count):
        label = ("good", "bad")[i % 2]
        filler = [str(word) for word in draw.choice(["the", "film", "was", "a", "so"], 3)]
        rows.append((" ".join([*filler, str(draw.choice(words[label]))]), label))
    return rows


def table(path: Path, count: int = 40, seed: int = 0, header: bool = True) -> str:
    lines = [*(["text\tlabel"] if header else []), *("\t".join(row) for row in texts(count, seed))]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, shell: Any) -> Path:
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("classify")
    train, valid, test = (table(folder / f"{name}.tsv", 40, i) for i, name in enumerate(("train", "valid", "test")))
    said = shell.ok("fit", "classify", train, "--valid", valid, "--test", test, "--epochs", "6", "--plot",
                    "-o", str(folder / "run"), *QUICK)  # fmt: skip
    assert "2 classes (bad, good)" in said
    assert f"next: unrolled predict {folder / 'run'} -" in said
    return folder / "run"


def test_a_run_folder_holds_model_scores_metrics_and_pictures(fitted: Path) -> None:
    assert json.loads((fitted / "scores.json").read_text())["accuracy"] == 1
    for name in ("model.unrolled", "metrics.jsonl", "learning.png", "confusion.png", "reliability.png"):
        assert (fitted / name).stat().st_size > 0
    request = json.loads((fitted / "run.json").read_text())
    assert (request["task"], sorted(request["files"])) == ("classify", ["source", "test", "valid"])


def test_predict_gives_a_label_and_a_probability_for_each_row(fitted: Path, shell: Any, tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(shell.ok("predict", str(fitted), str(fitted.parent / "test.tsv")))))
    assert [row["label"] for row in rows] == [label for _, label in texts(40, 2)]
    assert all(0.5 < float(row["probability"]) <= 1 for row in rows)
    lines = "".join(f"{text}\n" for text, _ in texts(40, 2))
    found = json.loads(shell.ok("predict", str(fitted), "-", "--json", stdin=lines))
    assert [row["label"] for row in found] == [row["label"] for row in rows]
    for row in found:
        assert sum(row["probabilities"].values()) == pytest.approx(1)
        assert row["probabilities"][row["label"]] == row["probability"]
    (tmp_path / "lines.txt").write_text(lines)
    shell.ok("predict", str(fitted), str(tmp_path / "lines.txt"), "-o", str(tmp_path / "found.csv"))
    assert (tmp_path / "found.csv").read_text().splitlines()[1:] == [
        f"{row['label']},{float(row['probability']):.6f}" for row in found
    ]


def test_every_line_has_an_answer_even_an_empty_one(fitted: Path, shell: Any) -> None:
    assert len(shell.ok("predict", str(fitted), "-", stdin="great film\n\nso dull\n").splitlines()) == 4
    assert json.loads(shell.ok("predict", str(fitted), "-", "--json", stdin="")) == []


def test_evaluate_prints_what_fit_kept(fitted: Path, shell: Any) -> None:
    words = ["evaluate", str(fitted), str(fitted.parent / "test.tsv")]
    assert json.loads(shell.ok(*words, "--json")) == json.loads((fitted / "scores.json").read_text())
    assert "good" in shell.ok(*words)


def test_resuming_a_finished_run_changes_nothing(fitted: Path, shell: Any) -> None:
    before = (fitted / "model.unrolled").read_bytes()
    told = json.loads(shell.ok("fit", "--resume", str(fitted), "--json"))
    assert (told["run"], told["scores"]["accuracy"]) == (str(fitted), 1)
    assert (fitted / "model.unrolled").read_bytes() == before


def test_an_interrupted_run_resumed_is_the_run_uninterrupted(
    shell: Any, tmp_path: Path, interrupted: Callable[[], None]
) -> None:
    words = [
        "fit",
        "classify",
        table(tmp_path / "t.tsv", header=False),
        "--names",
        "text,label",
        "--epochs",
        "2",
        *QUICK,
    ]
    result = shell.run(*words, "-o", str(tmp_path / "a"))
    assert result.exit_code == 130
    assert f"unrolled fit --resume {tmp_path / 'a'}" in result.stderr
    interrupted()
    shell.ok("fit", "--resume", str(tmp_path / "a"))
    shell.ok(*words, "-o", str(tmp_path / "b"))
    assert (tmp_path / "a" / "model.unrolled").read_bytes() == (tmp_path / "b" / "model.unrolled").read_bytes()


def test_a_run_is_resumed_on_the_same_files_alone(shell: Any, tmp_path: Path) -> None:
    train, valid = table(tmp_path / "t.tsv"), table(tmp_path / "v.tsv", 10)
    shell.ok("fit", "classify", train, "--valid", valid, "--epochs", "1", "-o", str(tmp_path / "run"), *QUICK)
    table(tmp_path / "v.tsv", 12)
    assert "v.tsv, which has changed since" in shell.mistake("fit", "--resume", str(tmp_path / "run"))
    Path(valid).unlink()
    assert "no longer there" in shell.mistake("fit", "--resume", str(tmp_path / "run"))


def test_embed_gives_a_vector_of_unit_length_for_each_row(fitted: Path, shell: Any, tmp_path: Path) -> None:
    test = str(fitted.parent / "test.tsv")
    found = json.loads(shell.ok("embed", str(fitted), test, "--json"))
    header, *rows = shell.ok("embed", str(fitted), test).splitlines()
    assert header.split(",") == [f"v{place}" for place in range(1, len(found[0]) + 1)]
    # Seven digits are written.
    np.testing.assert_allclose([[float(v) for v in row.split(",")] for row in rows], found, rtol=5e-7)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=2**-50)
    assert len(rows) == 40


def test_a_table_without_a_header_is_named_once(shell: Any, tmp_path: Path) -> None:
    train, test = (table(tmp_path / f"{i}.tsv", 40, i, header=False) for i in range(2))
    run = str(tmp_path / "run")
    shell.ok("fit", "classify", train, "--names", "text,label", "--valid", test, "--test", test, "--epochs", "1",
             "-o", run, *QUICK)  # fmt: skip
    assert len(shell.ok("predict", run, test).splitlines()) == 41
    assert json.loads(shell.ok("evaluate", run, test, "--json")) == json.loads(
        (tmp_path / "run/scores.json").read_text()
    )
    turned = tmp_path / "turned.csv"
    turned.write_text("".join(f"{label},{text}\n" for text, label in texts(40, 1)))
    found = shell.ok("evaluate", run, str(turned), "--names", "label,text", "--json")
    assert json.loads(found) == json.loads((tmp_path / "run/scores.json").read_text())


def test_series_come_from_a_file_or_a_folder_for_each_class(shell: Any, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for i in range(16):
        folder = tmp_path / "data" / ("up", "down")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{i}.npy", draw.normal(size=(3 + i % 3, 2)) + (4, -4)[i % 2])
    run = str(tmp_path / "run")
    words = ["fit", "classify", str(tmp_path / "data"), "--test", str(tmp_path / "data"), "--epochs", "8", "-o", run]
    told = json.loads(shell.ok(*words, "--hidden-size", "4", "--set", "batch_size=4", "--json"))
    assert told["scores"]["accuracy"] == 1
    np.savez(tmp_path / "new.npz", x=np.full((3, 5, 2), 4.0))
    rows = shell.ok("predict", run, str(tmp_path / "new.npz")).splitlines()
    assert [row.split(",")[0] for row in rows] == ["label", "up", "up", "up"]
    assert "a file or folder of series, got standard input" in shell.mistake("predict", run, "-", stdin="a text\n")
    np.save(tmp_path / "data" / "up" / "0.npy", np.zeros((3, 2)))
    assert "has changed since" in shell.mistake("fit", "--resume", run)


def test_drawings_are_asked_about_by_their_files(shell: Any, tmp_path: Path) -> None:
    shapes = {"up": "1,9,0\n1,5,1\n1,1,2", "along": "1,1,0\n5,1,1\n9,1,2"}
    for label, points in shapes.items():
        for number in range(6):
            (tmp_path / "pen" / label).mkdir(parents=True, exist_ok=True)
            (tmp_path / "pen" / label / f"{number}.txt").write_text(f"START\n{points}\nBREAK\n")
    run = str(tmp_path / "run")
    options = ["--hidden-size", "8", "--epochs", "20", "--set", "batch_size=4", "--set", "learning_rate=0.05"]
    shell.ok("fit", "classify", str(tmp_path / "pen"), "--valid", "0", *options, "-o", run)
    for label in shapes:
        assert shell.ok("predict", run, str(tmp_path / "pen" / label / "0.txt")).splitlines()[1].startswith(label)
    (tmp_path / "cut.txt").write_text("START\n1,2,0\n")
    assert "cut.txt ends within a drawing" in shell.mistake("predict", run, str(tmp_path / "cut.txt"))
    assert "a file or folder of drawings, got standard input" in shell.mistake("predict", run, "-")


@pytest.mark.parametrize(("words", "message"), [
    (["--text", "txt"], "Did you mean 'text'"), (["--label", "stars"], "It has: text, label"),
    (["--set", "hiden_size=3"], "Did you mean 'hidden_size'"), (["--cell", "gruu"], "Did you mean 'gru'"),
    (["--set", "pooling=most"], "pooling"), (["--valid", "1.5"], "--valid"), (["--valid", "none.tsv"], "no file"),
    (["--test", "none.tsv"], "no file"), (["--test", "-"], "standard input"), (["--vectors", "none.txt"], "no file"),
    (["--names", "text,label,more"], "3 are expected"), (["--epochs", "0"], "--epochs 0"),
])  # fmt: skip
def test_a_mistake_ends_in_one_sentence_and_leaves_nothing(
    words: list[str], message: str, shell: Any, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert message in shell.mistake("fit", "classify", table(tmp_path / "t.tsv"), "-o", str(out), *QUICK, *words)
    assert not out.exists()


@pytest.mark.parametrize(("text", "message"), [
    ("", "empty"), ("text\tlabel\n", "no rows"), ("text\tlabel\na good film\n", "Line 2"),
    ("text\tlabel\na good film\t\n", "no label"), ("text\tlabel\na\tx\nb\tx\n", "two classes"),
    ("one\ttwo\tthree\na\tb\tc\n", "column"),
])  # fmt: skip
def test_a_table_that_cannot_be_used_is_told_apart(text: str, message: str, shell: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.tsv").write_text(text)
    assert message in shell.mistake("fit", "classify", str(tmp_path / "bad.tsv"), "-o", str(tmp_path / "run"))
    good = table(tmp_path / "good.tsv")
    if "column" not in message and "classes" not in message:
        words = ["fit", "classify", good, "-o", str(tmp_path / "run"), *QUICK, "--epochs", "1"]
        assert message in shell.mistake(*words, "--valid", str(tmp_path / "bad.tsv"))
    assert not (tmp_path / "run").exists()


def test_new_data_that_cannot_be_used_leave_no_output(fitted: Path, shell: Any, tmp_path: Path) -> None:
    run = str(fitted)
    assert "no file" in shell.mistake("predict", run, str(tmp_path / "none.tsv"))
    assert "FILE" in shell.mistake("predict", run)
    assert "--beam" in shell.mistake("predict", run, "-", "--beam", "3")
    assert "TARGET" in shell.mistake("evaluate", run, str(fitted.parent / "test.tsv"), "more.tsv")
    (tmp_path / "no-labels.csv").write_text("text\ngreat\n")
    assert "label" in shell.mistake("evaluate", run, str(tmp_path / "no-labels.csv"))
    assert len(shell.ok("predict", run, str(tmp_path / "no-labels.csv")).splitlines()) == 2


def test_a_table_of_series_is_learned_and_other_tables_are_classified(shell: Any, tmp_path: Path) -> None:
    draw, rows = np.random.default_rng(0), ["who,at,x,kind"]
    for series in range(40):
        for step in range(4):
            x = (1 if series % 2 else -1) * step + 0.1 * draw.normal()
            rows.append(f"n{series},{step},{x:.3f},{('down', 'up')[series % 2]}")
    train, test, run = tmp_path / "train.csv", tmp_path / "test.csv", str(tmp_path / "run")
    train.write_text("\n".join(rows))
    test.write_text("\n".join(rows[:25]))
    said = shell.ok("fit", "classify", str(train), "--id", "who", "--time", "at", "--test", str(test), "--epochs", "8",
                    "--set", "learning_rate=0.03", "--hidden-size", "8", "-o", run)  # fmt: skip
    assert "series: 40 by column 'who', a row for each step" in said
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert scores["accuracy"] > 0.8
    assert json.loads(shell.ok("evaluate", run, str(test), "--json")) == scores
    assert len(shell.ok("predict", run, str(test)).splitlines()) == 7


def test_answers_about_a_folder_or_a_zip_are_beside_the_names_of_its_files(
    shell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "START\n" + "".join(f"{step},{{}},{step}\n" for step in range(9)) + "BREAK\n"
    names = [f"{name}/{number}.txt" for name in ("flat", "steep") for number in range(4)]
    for name in names:
        (tmp_path / "drawn" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "drawn" / name).write_text(line.format(*(7 * step * ("steep" in name) for step in range(9))))
    with zipfile.ZipFile(tmp_path / "drawn.zip", "w") as archive:
        for name in names:
            archive.write(tmp_path / "drawn" / name, name)
    run, folder = str(tmp_path / "run"), str(tmp_path / "drawn")
    shell.ok("fit", "classify", folder, "--valid", "0", "--epochs", "1", "--hidden-size", "4", "-o", run)
    readings, read = [], InkInput.read

    def counted(source: object, *rest: Any, **named: Any) -> Any:
        readings.append(source)
        return read(source, *rest, **named)

    monkeypatch.setattr(InkInput, "read", counted)
    for source in (folder, f"{folder}.zip"):
        for command in ("predict", "embed"):
            readings.clear()
            header, *rows = shell.ok(command, run, source).splitlines()
            assert header.startswith("file,")
            assert [row.split(",")[0] for row in rows] == names
            assert readings == [source]
        assert [one["file"] for one in json.loads(shell.ok("predict", run, source, "--json"))] == names
    alone = shell.ok("predict", run, f"{folder}/flat/0.txt")
    assert alone.splitlines()[0] == "label,probability"


def test_numbers_of_a_folder_are_beside_the_names_of_its_files(shell: Any, tmp_path: Path) -> None:
    draw, new = np.random.default_rng(0), tmp_path / "new" / "some"
    new.mkdir(parents=True)
    np.savez(tmp_path / "train.npz", x=draw.normal(size=(20, 5, 2)), y=draw.normal(size=20))
    for number in range(3):
        np.save(new / f"{number}.npy", draw.normal(size=(5, 2)))
    run = str(tmp_path / "run")
    shell.ok("fit", "regress", str(tmp_path / "train.npz"), "--epochs", "1", "--hidden-size", "4", "-o", run)
    header, *rows = shell.ok("predict", run, str(tmp_path / "new")).splitlines()
    assert header.startswith("file,prediction,")
    assert [row.split(",")[0] for row in rows] == [f"some/{number}.npy" for number in range(3)]
    assert json.loads(shell.ok("predict", run, str(tmp_path / "new"), "--json"))[0]["file"] == "some/0.npy"
