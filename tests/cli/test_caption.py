"""`unrolled fit caption`, predict and evaluate, on lists and folders of pictures."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

QUICK = ["--hidden-size", "24", "--set", "embedding_size=12", "--set", "learning_rate=0.01", "--set", "warmup=0",
         "--set", "batch_size=16", "--set", "head_dropout=0", "--set", "label_smoothing=0",
         "--set", "image_widths=[12,16]", "--set", "max_steps=160"]  # fmt: skip
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (40, 40, 230)}


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of cards, two captions each, in three parts, the pictures in a folder of their own."""
    image, random = pytest.importorskip("PIL.Image"), np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("cards")
    (folder / "shots").mkdir()
    with (folder / "list.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["picture", "said", "split"])
        for number in range(80):
            colour, left = str(random.choice(list(COLOURS))), bool(random.integers(2))
            card = np.full((8, 8, 3), 255, np.uint8)
            card[3:5, (1 if left else 5) :][:, :2] = COLOURS[colour]
            image.fromarray(card).save(folder / "shots" / f"{number}.png")
            part = "test" if number >= 70 else "valid" if number >= 60 else "train"
            place = "on the left" if left else "on the right"
            rows.writerows(
                [f"{number}.png", text, part] for text in (f"a {colour} square {place}", f"{colour}, {place}")
            )
    return folder


@pytest.fixture(scope="module")
def fitted(cards: Path, shell: Any) -> Path:
    pytest.importorskip("matplotlib")
    said = shell.ok(
        "fit", "caption", str(cards / "list.csv"), "--image", "picture", "--caption", "said", "--images",
        str(cards / "shots"), "--part", "train", "--valid-part", "valid", "--test-part", "test", "--plot",
        "-o", str(cards / "run"), *QUICK,
    )  # fmt: skip
    assert "understood: captions: 120 of 60 files, column 'said'" in said
    assert "Captioner: writes" in said
    assert "pictures, 8 x 8 pixels, in colours" in said
    assert f"next: unrolled predict {cards / 'run'} FILE" in said
    return cards / "run"


def test_a_run_holds_its_scores_and_pictures(fitted: Path) -> None:
    scores = json.loads((fitted / "scores.json").read_text())
    assert scores["exact"] > 0.8
    assert (scores["captions"], scores["references"]) == (10, 20)
    assert (fitted / "caption.png").stat().st_size > 0
    assert (fitted / "learning.png").stat().st_size > 0


def test_predict_gives_a_caption_for_a_picture_a_folder_and_a_list(fitted: Path, cards: Path, shell: Any) -> None:
    shots = cards / "shots"
    picture = cards / "where.svg"
    alone = shell.ok("predict", str(fitted), str(shots / "3.png"), "--plot", str(picture))
    assert "\t" not in alone
    assert "square" in alone or "," in alone
    assert "what is seen" in picture.read_text()
    lines = shell.ok("predict", str(fitted), str(shots)).splitlines()
    assert len(lines) == 80
    assert dict(line.split("\t") for line in lines)["3.png"] == alone.strip()
    listed = shell.ok("predict", str(fitted), str(cards / "list.csv"), "--images", str(shots), "--part", "test")
    assert [line.split("\t")[0] for line in listed.splitlines()] == [f"{number}.png" for number in range(70, 80)]
    told = json.loads(shell.ok("predict", str(fitted), str(shots / "3.png"), "--nbest", "2", "--json"))
    assert [len(one["captions"]) for one in told] == [2]
    assert told[0]["captions"][0]["text"] == alone.strip()
    two = shell.ok("predict", str(fitted), str(shots / "3.png"), "--nbest", "2").splitlines()
    assert [line.split("\t")[0] for line in two] == ["1", "1"]


def test_evaluate_scores_a_part(fitted: Path, cards: Path, shell: Any) -> None:
    words = (str(fitted), str(cards / "list.csv"), "--images", str(cards / "shots"), "--part", "test")
    assert "10 captions, 20 references" in shell.ok("evaluate", *words)
    scores = json.loads(shell.ok("evaluate", *words, "--beam", "2", "--json"))
    assert scores["f1"] > 0.8


def test_embed_gives_a_vector_beside_the_name_of_each_file(fitted: Path, cards: Path, shell: Any) -> None:
    lines = shell.ok("embed", str(fitted), str(cards / "shots")).splitlines()
    assert len(lines) == 81
    assert lines[0].startswith("file,v1,v2,")
    row = next(line.split(",") for line in lines if line.startswith("7.png,"))
    assert sum(float(value) ** 2 for value in row[1:]) == pytest.approx(1.0, abs=1e-5)
    assert shell.ok("embed", str(fitted), str(cards / "shots" / "7.png")).startswith("v1,v2,")


def test_a_run_that_was_stopped_goes_on(cards: Path, shell: Any) -> None:
    run = str(cards / "stopped")
    words = ["fit", "caption", str(cards / "list.csv"), "--image", "picture", "--caption", "said", "--images",
             str(cards / "shots"), "--valid", "0", *QUICK]  # fmt: skip
    shell.ok(*words, "--set", "max_steps=4", "-o", run)
    assert "wrote" in shell.ok("fit", "--resume", run)


@pytest.mark.parametrize(("words", "sentence"), [
    (["--part", "nowhere"], "no row is of the part 'nowhere'; column 'split' says test, train, valid"),
    (["--image", "pictur"], "Column 'pictur' is not in list.csv. Did you mean 'picture'?"),
    (["--images", "nowhere"], "Line 2 of list.csv: There is no file"),
])  # fmt: skip
def test_a_list_that_cannot_be_is_one_sentence(words: list[str], sentence: str, cards: Path, shell: Any) -> None:
    given = {"--image": "picture", "--caption": "said", "--images": str(cards / "shots")} | dict([words])
    said = shell.mistake("fit", "caption", str(cards / "list.csv"), *(part for pair in given.items() for part in pair))
    assert sentence in said


def test_a_missing_picture_is_told_by_its_line(cards: Path, shell: Any) -> None:
    (cards / "broken.csv").write_text("image,caption\nshots/1.png,one\nshots/999.png,two\n")
    said = shell.mistake("fit", "caption", str(cards / "broken.csv"))
    assert "Line 3 of broken.csv: There is no file" in said
