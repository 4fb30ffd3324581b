"""`unrolled fit draw`, generate, predict and evaluate, on lines of drawings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

QUICK = ["--hidden-size", "16", "--epochs", "20", "--set", "mixtures=3", "--set", "learning_rate=0.02",
         "--set", "warmup=0", "--set", "head_dropout=0"]  # fmt: skip


def sketches(path: Path, count: int, *, named: bool = True, strokes: int | None = None) -> str:
    """Lines of Quick Draw's kind: a stroke across, or two that cross."""
    random, lines = np.random.default_rng(0), []
    for i in range(count):
        whole = [[[0, 30], [0, 30]], [[0, 30], [30, 0]]][: 1 + i % 2]
        drawing = [(np.array(one) + random.normal(0, 1, (2, 2))).round(2).tolist() for one in whole][:strokes]
        lines.append({"drawing": drawing} | ({"word": ("slash", "cross")[i % 2]} if named else {}))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, shell: Any) -> Path:
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("draw")
    train, test = sketches(folder / "train.ndjson", 120), sketches(folder / "test.ndjson", 20)
    said = shell.ok("fit", "draw", train, "--test", test, "--plot", "-o", str(folder / "run"), *QUICK)
    assert "keywords: 2 classes" in said
    assert f"next: unrolled generate {folder / 'run'} KEYWORD -o drawing.svg" in said
    return folder / "run"


def test_a_run_holds_its_scores_and_pictures(fitted: Path) -> None:
    scores = json.loads((fitted / "scores.json").read_text())
    assert scores["metric"] == "nats a point"
    assert scores["score"] < scores["alone"]
    assert (fitted / "drawings.png").stat().st_size > 0


def test_drawings_are_lines_that_can_be_read_again(shell: Any, fitted: Path, tmp_path: Path) -> None:
    said = shell.ok("generate", str(fitted), "cross", "--samples", "3", "--temperature", "0.1")
    lines = [json.loads(line) for line in said.splitlines()]
    assert [(line["word"], len(line["drawing"])) for line in lines] == [("cross", 2)] * 3
    again = tmp_path / "again.ndjson"
    again.write_text(said)
    assert "nats a point" in shell.ok("evaluate", str(fitted), str(again))
    assert json.loads(shell.ok("generate", str(fitted), "cross", "--temperature", "0.1", "--json")) == lines[:1]


def test_a_drawing_is_a_picture_by_the_name_of_its_file(shell: Any, fitted: Path, tmp_path: Path) -> None:
    svg, png = tmp_path / "one.svg", tmp_path / "many.png"
    assert shell.ok("generate", str(fitted), "slash", "-o", str(svg)) == ""
    assert svg.read_text().startswith("<svg")
    shell.ok("generate", str(fitted), "--samples", "4", "-o", str(png))
    assert png.read_bytes().startswith(b"\x89PNG")
    assert "cannot write" in shell.mistake("generate", str(fitted), "-o", str(svg / "one.svg"))


def test_a_begun_drawing_is_gone_on_from(shell: Any, fitted: Path, tmp_path: Path) -> None:
    begun = sketches(tmp_path / "begun.ndjson", 2, named=False, strokes=1)
    said = shell.ok("predict", str(fitted), begun, "--keyword", "cross", "--temperature", "0.1")
    first = json.loads(Path(begun).read_text().splitlines()[0])["drawing"][0]
    gone_on = json.loads(said.splitlines()[0])["drawing"]
    assert len(gone_on) == 2
    np.testing.assert_allclose(gone_on[0], first, atol=2e-3)


def test_mistakes_are_one_sentence(shell: Any, fitted: Path, tmp_path: Path) -> None:
    assert "Did you mean 'cross'?" in shell.mistake("generate", str(fitted), "croos")
    assert "--top-k means nothing" in shell.mistake("generate", str(fitted), "--top-k", "3")
    text = tmp_path / "text.txt"
    text.write_text("once upon a time\n")
    assert "expected drawings" in shell.mistake("fit", "draw", str(text))
    assert "no file" in shell.mistake("fit", "draw", str(tmp_path / "none.ndjson")).lower()


def test_drawings_without_names_are_learned_without(shell: Any, tmp_path: Path) -> None:
    train = sketches(tmp_path / "plain.ndjson", 40, named=False)
    said = shell.ok("fit", "draw", train, "-o", str(tmp_path / "run"), *QUICK[:2], "--epochs", "1")
    assert "one draws without a keyword" in said
    assert "generate" in said
    assert "KEYWORD" not in said
    assert json.loads(shell.ok("generate", str(tmp_path / "run"), "--length", "3"))["drawing"]


def test_pictures_of_a_table_are_painted_from_their_captions(shell: Any, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    colours, rows = {"red": (200, 30, 30), "blue": (30, 60, 200)}, ["file,caption"]
    for i in range(40):
        name = ("red", "blue")[i % 2]
        image.new("RGB", (8, 8), colours[name]).save(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,a {name} field")
    table, run = tmp_path / "pictures.csv", str(tmp_path / "run")
    table.write_text("\n".join(rows) + "\n")
    said = shell.ok("fit", "draw", str(table), "-o", run, *QUICK[:4], "--set", "size=4", "--set", "colours=2",
                    "--set", "keywords=words")  # fmt: skip
    assert "pictures: 40 of pictures.csv; what they are called: caption" in said
    [line] = shell.ok("generate", run, "red", "--temperature", "0").splitlines()
    picture = json.loads(line)
    assert picture["word"] == "red"
    assert {pixel for row in picture["pixels"] for pixel in row} == {"#c81e1e"}
    shell.ok("generate", run, "blue", "-o", str(tmp_path / "blue.png"))
    assert (tmp_path / "blue.png").stat().st_size > 0
    assert "bits a pixel" in shell.ok("evaluate", run, str(table))
    image.new("RGB", (8, 4), colours["red"]).save(tmp_path / "upper.bmp")
    gone_on = json.loads(shell.ok("predict", run, str(tmp_path / "upper.bmp"), "--keyword", "blue"))["pixels"]
    assert gone_on[:2] == [["#c81e1e"] * 4] * 2
    (tmp_path / "0.png").unlink()
    assert "Line 2 of pictures.csv: There is no file" in shell.mistake("evaluate", run, str(table))
