"""Pictures at the command line: a folder of classes, lines of print, what is drawn, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")

SMALL = ["--hidden-size", "8", "--set", "image_widths=[4,6]", "--set", "learning_rate=0.01", "--set", "batch_size=8"]


def bars(folder: Path, count: int) -> str:
    """A folder with a folder for each class: a bar that stands or lies."""
    for number in range(count):
        random = np.random.default_rng(number)
        picture = random.integers(0, 40, (8, 8), dtype=np.uint8)
        place = int(random.integers(1, 6))
        picture[(slice(None), place) if number % 2 else place] += 180
        path = folder / ("lies", "stands")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    return str(folder)


def test_a_folder_of_pictures_is_learned_and_asked(shell: Any, tmp_path: Path) -> None:
    folder = bars(tmp_path / "bars", 40)
    run = str(tmp_path / "run")
    said = shell.ok("fit", "classify", folder, "--test", folder, "--epochs", "12", "-o", run, *SMALL)
    assert "pictures, 8 x 8 pixels, in grey" in said
    assert json.loads((tmp_path / "run" / "scores.json").read_text())["accuracy"] > 0.9
    found = json.loads(shell.ok("predict", run, folder, "--json"))
    assert [one["file"] for one in found[:2]] == ["lies/0.png", "lies/10.png"]
    assert {"lies", "stands"} == {one["label"] for one in found}
    assert shell.ok("predict", run, f"{folder}/lies/0.png").splitlines()[1].startswith(("lies,", "stands,"))


def test_lines_of_print_are_learned_drawn_and_written(shell: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    lines, random = tmp_path / "lines", np.random.default_rng(0)
    lines.mkdir()
    for number in range(24):
        text = "".join(random.choice(["i", "o"], random.integers(1, 4)))
        heights = [{"i": 6, "o": 2}[letter] for letter in text]
        columns = [np.pad(np.ones((height, 2)), ((6 - height, 0), (1, 1))) for height in heights]
        Image.fromarray((220 - 180 * np.concatenate(columns, 1)).astype(np.uint8)).save(lines / f"{number:02d}.png")
        (lines / f"{number:02d}.gt.txt").write_text(text)
    run = str(tmp_path / "run")
    said = shell.ok("fit", "recognize", str(lines), "--test", str(lines), "--epochs", "2", "--plot", "-o", run,
                    "--layers", "1", "--set", "image_size=8", "--set", "stride=2", *SMALL)  # fmt: skip
    assert "Recognizer: writes 2 characters; lines, 8 pixels high, in grey" in said
    assert (tmp_path / "run" / "recognition.png").stat().st_size > 0
    said = shell.ok("predict", run, str(lines), "--plot", str(tmp_path / "line.svg"))
    assert [line.split("\t")[0] for line in said.splitlines()[:2]] == ["00.png", "01.png"]
    drawn = (tmp_path / "line.svg").read_text()
    assert "letters: " in drawn or "nothing is written" in drawn


def test_what_cannot_be_read_is_one_sentence(shell: Any, tmp_path: Path) -> None:
    bars(tmp_path / "bars", 4)
    (tmp_path / "list.csv").write_text("image,label\nbars/lies/0.png,a\nbars/lies/99.png,b\n")
    assert "Line 3 of list.csv: There is no file" in shell.mistake("fit", "classify", str(tmp_path / "list.csv"))
    (tmp_path / "bars" / "lies" / "0.png").write_bytes(b"no picture")
    assert "lies/0.png is no picture that is known here" in shell.mistake("fit", "classify", str(tmp_path / "bars"))
