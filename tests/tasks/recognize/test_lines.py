"""Lines of print: read from folders, lists and arrays, written down, also as they come, and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unrolled.errors import DataError, NotStreamable, OptionError
from unrolled.model import load
from unrolled.tasks import Recognizer

Image = pytest.importorskip("PIL.Image")

# Three letters of five by three pixels, and the space.
SHAPES = {
    "i": ["010", "000", "010", "010", "010"], "o": ["000", "111", "101", "101", "111"],
    "t": ["010", "111", "010", "010", "011"], " ": ["000"] * 5,
}  # fmt: skip
QUICK: dict[str, Any] = {
    "hidden_size": 24, "layers": 1, "stride": 2, "epochs": 12, "learning_rate": 0.01, "warmup": 0, "batch_size": 8,
    "feature_noise": 0.0, "head_dropout": 0.0, "dropout": 0.0, "image_widths": [6, 8], "image_size": 10,
}  # fmt: skip


def printed(text: str, random: np.random.Generator) -> np.ndarray:
    """(height, width) uint8: the letters beside each other, twice as large, dark on paper that is not quite clean."""
    shapes = [np.array([list(map(int, row)) for row in SHAPES[letter]]) for letter in text]
    line = np.concatenate([np.pad(shape, ((0, 0), (0, 1))) for shape in shapes], axis=1)
    large = np.pad(line, ((1, 1), (1, 1))).repeat(2, axis=0).repeat(2, axis=1)
    paper = 230 - 190 * large + random.normal(0, 8, large.shape)
    return np.clip(paper, 0, 255).astype(np.uint8)


def lines(count: int, seed: int = 0) -> tuple[list[np.ndarray], list[str]]:
    random = np.random.default_rng(seed)
    texts = [
        " ".join("".join(random.choice(list("iot"), random.integers(1, 4))) for _ in range(random.integers(1, 3)))
        for _ in range(count)
    ]
    return [printed(text, random) for text in texts], texts


def written(folder: Path, count: int = 60, ending: str = ".gt.txt") -> Path:
    folder.mkdir()
    for row, (line, text) in enumerate(zip(*lines(count), strict=True)):
        Image.fromarray(line).save(folder / f"{row:03d}.png")
        (folder / f"{row:03d}{ending}").write_text(f"{text}\n")
    return folder


@pytest.fixture(scope="module")
def press() -> Recognizer:
    """Reads both ways."""
    return Recognizer(**QUICK).fit(*lines(120))


@pytest.fixture(scope="module")
def live_press() -> Recognizer:
    """Reads forwards alone."""
    return Recognizer(**{**QUICK, "epochs": 30, "learning_rate": 0.02}, streaming=True).fit(*lines(120))


def test_lines_are_learned_from_and_a_saved_model_reads_the_same(press: Recognizer, tmp_path: Path) -> None:
    fresh, texts = lines(30, seed=1)
    assert press.evaluate(fresh, texts).characters.rate < 0.05
    again = load(press.save(tmp_path / "press.unrolled"))
    assert isinstance(again, Recognizer)
    assert again.transcribe(fresh, beam=4) == press.transcribe(fresh, beam=4)
    again.check()
    assert press.kind.say(press.fields) == ["lines, 10 pixels high, in grey"]


def test_a_folder_a_list_and_arrays_give_the_same(tmp_path: Path) -> None:
    short = {**QUICK, "epochs": 1}
    folder = written(tmp_path / "lines", 24)
    pictures, texts = lines(24)
    rows = "".join(f'lines/{row:03d}.png,"{text}"\n' for row, text in enumerate(texts))
    (tmp_path / "list.csv").write_text(f"image,text\n{rows}")
    (tmp_path / "other.csv").write_text(f"scan,words\n{rows}")
    models = [
        Recognizer(**short).fit(folder, valid=0), Recognizer(**short).fit(tmp_path / "list.csv", valid=0),
        Recognizer(**short).fit(tmp_path / "other.csv", image="scan", text="words", valid=0),
        Recognizer(**short).fit(pictures, texts, valid=0),
    ]  # fmt: skip
    assert models[0].understood[0] == "pictures: 24 of lines; transcripts: as they stand there"
    found = [
        model.transcribe(source) for model, source in
        zip(models, (folder, tmp_path / "list.csv", tmp_path / "other.csv", pictures), strict=True)
    ]  # fmt: skip
    assert all(each == found[0] for each in found)
    one = models[0].transcribe(folder / "003.png")
    assert [each.text for each in one] == [found[0][3].text]


@pytest.mark.parametrize("options", [
    {"image_steps": "columns", "image_size": [10, 60]}, {"stride": 1}, {"stride": 4, "image_widths": [4]},
    {"image_shift": 0.1, "image_slant": 0.2, "image_stretch": 0.2, "image_light": 0.2}, {"level": "word"},
    {"image_colour": "colour"}, {"reading_dropout": 0.1, "time_masks": 1, "feature_noise": 0.1},
])  # fmt: skip
def test_every_way_to_read_fits_saves_and_keeps_the_laws(options: dict[str, Any], tmp_path: Path) -> None:
    pictures, texts = lines(16)
    model = Recognizer(**{**QUICK, "epochs": 1, **options}).fit(pictures, texts, valid=0)
    again = load(model.save(tmp_path / "press.unrolled"))
    assert isinstance(again, Recognizer)
    assert again.transcribe(pictures) == model.transcribe(pictures)
    model.check()


@pytest.mark.parametrize("search", [{}, {"beam": 4, "nbest": 2}])
def test_any_split_of_a_line_says_what_the_whole_says(search: dict[str, Any], live_press: Recognizer) -> None:
    pictures, _ = lines(12, seed=4)
    # Of the height of the field: what comes is not made larger or smaller.
    pictures = [np.asarray(Image.fromarray(one).resize((one.shape[1] * 10 // one.shape[0], 10))) for one in pictures]
    live, random = live_press.stream(**search), np.random.default_rng(0)
    assert live_press.streamable
    for picture, expected in zip(pictures, live_press.transcribe(pictures, **search), strict=True):
        for _ in range(4):
            cuts = np.sort(random.integers(0, picture.shape[1] + 1, int(random.integers(0, 9))))
            for piece in np.split(picture, cuts, axis=1):
                live.push(piece)
            found = live.finish()
            assert found.text == expected.text
            assert [word[:3] for word in found.words] == [word[:3] for word in expected.words]
            for one, other in zip(found.hypotheses, expected.hypotheses, strict=True):
                # Sums of a few dozen float32 terms in another order: see test_live.
                assert one[1:] == pytest.approx(other[1:], rel=1e-5, abs=1e-4)
    assert live_press.evaluate(*lines(20, seed=5)).characters.rate < 0.2
    with pytest.raises(DataError, match="10 pixels high, got 14"):
        live.push(np.zeros((14, 3), np.uint8))


def test_a_model_that_sees_what_follows_cannot_read_live(press: Recognizer) -> None:
    with pytest.raises(NotStreamable, match="fit it with streaming=True"):
        press.stream()
    pictures, texts = lines(8)
    forwards = Recognizer(**{**QUICK, "max_steps": 1}, bidirectional=False).fit(pictures, texts, valid=0)
    assert not forwards.streamable
    with pytest.raises(NotStreamable, match="fit it with streaming=True"):
        forwards.stream()


def test_the_letters_of_a_line_stand_over_its_columns(press: Recognizer) -> None:
    random = np.random.default_rng(3)
    [found] = press.transcribe([printed("oo ti", random)])
    assert found.text == "oo ti"
    # At ten pixels of fourteen a letter and its gap take 8 * 10 / 14 columns, after an edge of 2 * 10 / 14.
    for place, letter in enumerate(found.tokens):
        middle = (letter.begin + letter.end) / 2
        assert abs(middle - (1.4 + 5.7 * (place + 0.5))) < 5.7


def test_a_line_is_drawn(press: Recognizer, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    folder = written(tmp_path / "lines", 3)
    path = press.plot(folder, tmp_path / "line.svg", row=1)
    [_, found, _] = press.transcribe(folder)
    assert f"letters: {len(found.text)}" in path.read_text()


@pytest.mark.parametrize(("change", "said"), [
    ({"lines/003.gt.txt": None}, r"a transcript beside each picture of 'lines', but 003\.png has no 003\.gt\.txt"),
    ({"lines/003.png": b"x"}, r"^003\.png is no picture that is known here"),
    ({"lines/003.png": b""}, r"^003\.png is empty"),
    ({"lines/003.gt.txt": "toi " * 400}, r"fit: 003\.png has \d+ frames \(.*\), but its transcript .* needs 1599"),
])  # fmt: skip
def test_what_is_wrong_with_a_folder_of_lines_is_told(
    change: dict[str, bytes | str | None], said: str, tmp_path: Path
) -> None:
    written(tmp_path / "lines", 8)
    for name, content in change.items():
        if content is None:
            (tmp_path / name).unlink()
        elif isinstance(content, str):
            (tmp_path / name).write_text(content)
        else:
            (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        Recognizer(**QUICK).fit(tmp_path / "lines", valid=0)


def test_pictures_without_texts_are_nothing_to_learn_from(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(lines(1)[0][0]).save(tmp_path / name / "0.png")
    with pytest.raises(DataError, match=r"expected what is written in each picture, .* or in a \.gt\.txt file beside"):
        Recognizer(**QUICK).fit(tmp_path)


def test_cells_of_a_grid_have_no_order_and_names_of_columns_are_of_one_kind() -> None:
    with pytest.raises(OptionError, match="what is written has an order, got image_steps='grid'"):
        Recognizer(image_steps="grid")
    with pytest.raises(OptionError, match="got audio='a' and image='b': name one"):
        Recognizer(**QUICK).fit({"a": ["x"], "b": ["y"]}, audio="a", image="b")
