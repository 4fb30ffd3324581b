"""A classifier of pictures, from folders, tables that name them, and pixels in memory."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from unrolled.data.read.images import ImageFile
from unrolled.errors import DataError, OptionError
from unrolled.inputs import ImageInput
from unrolled.inputs.columns import LabelColumns
from unrolled.model import load
from unrolled.nn import ResNet
from unrolled.tasks import Classifier, Regressor
from unrolled.tasks.classify import ClassifierOptions
from unrolled.train import Event

Image = pytest.importorskip("PIL.Image")

QUICK: dict[str, Any] = {
    "hidden_size": 12, "epochs": 8, "batch_size": 8, "learning_rate": 0.01, "image_widths": [6, 8], "seed": 1,
}  # fmt: skip


def bar(number: int, size: tuple[int, int] = (12, 10), colour: bool = False) -> np.ndarray:
    """A bar that stands or lies, somewhere, in noise."""
    random = np.random.default_rng(number)
    picture = random.integers(0, 40, (*size, 3) if colour else size, dtype=np.uint8)
    place = int(random.integers(1, min(size) - 2))
    picture[(slice(None), slice(place, place + 2)) if number % 2 else slice(place, place + 2)] += 180
    return picture


def written(folder: Path, count: int = 40, ending: str = "png", **options: Any) -> Path:
    """A folder with a folder of pictures for each class."""
    for number in range(count):
        path = folder / ("lies", "stands")[number % 2] / f"{number}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(bar(number, **options)).save(path)
    return folder


def test_a_folder_of_pictures_is_learned_from_saved_and_asked(tmp_path: Path) -> None:
    folder = written(tmp_path / "bars")
    model = Classifier(**QUICK).fit(folder)
    assert model.evaluate(folder).accuracy == 1
    again = load(model.save(tmp_path / "bars.unrolled"))
    assert isinstance(again, Classifier)
    fresh = [bar(number) for number in range(40, 46)]
    assert again.predict(fresh).tolist() == ["lies", "stands"] * 3
    np.testing.assert_array_equal(model.predict_proba(fresh), again.predict_proba(fresh))
    assert model.fields["image"].size == (12, 10)
    assert model.fields["image"].colour == "grey"
    assert model.understood[0] == "pictures: 40; labels: the names of their folders"
    assert ImageInput.say(model.fields) == ["pictures, 10 x 12 pixels, in grey"]
    assert model.embed(folder).shape == (40, 24)
    model.check()


@pytest.mark.parametrize("options", [
    {"image_steps": "rows"}, {"image_steps": "columns", "image_colour": "colour"}, {"image_steps": "pixels"},
    {"image_steps": "lines", "image_size": 8, "image_slant": 0.1}, {"image_size": 6}, {"image_size": [7, 9]},
    {"pooling": "attention", "reading_dropout": 0.1, "band_masks": 1, "time_masks": 1},
    {"image_flip": True, "image_shift": 0.1, "image_degrees": 5, "image_slant": 0.1, "image_stretch": 0.1,
     "image_light": 0.2},
])  # fmt: skip
def test_every_way_to_read_learns_saves_and_keeps_the_laws(options: dict[str, Any], tmp_path: Path) -> None:
    pictures, labels = [bar(number) for number in range(24)], [number % 2 for number in range(24)]
    model = Classifier(**{**QUICK, "epochs": 2}, **options).fit(pictures, labels, valid=0)
    again = load(model.save(tmp_path / "bars.unrolled"))
    assert isinstance(again, Classifier)
    np.testing.assert_array_equal(again.predict_proba(pictures), model.predict_proba(pictures))
    model.check()


def test_a_table_gives_what_its_folder_gives(tmp_path: Path) -> None:
    folder = written(tmp_path / "bars", colour=True)
    files = sorted(folder.rglob("*.png"))
    rows = [f"{file.relative_to(tmp_path)},{file.parent.name}" for file in files]
    (tmp_path / "list.csv").write_text("\n".join(["image,label", *rows]))
    short = {**QUICK, "epochs": 2}
    first, second = (Classifier(**short).fit(source) for source in (folder, tmp_path / "list.csv"))
    np.testing.assert_array_equal(first.predict_proba(folder), second.predict_proba(tmp_path / "list.csv"))
    assert first.fields["image"].colour == "colour"
    told = [f"{row.replace(',', ',some words,')}" for row in rows]
    (tmp_path / "told.csv").write_text("\n".join(["path,text,label", *told]))
    assert Classifier(**short).fit(tmp_path / "told.csv", text="text", label="label").kind.kind == "texts"
    (tmp_path / "list.csv").write_text("\n".join(["image,what", *rows]))
    with pytest.raises(DataError, match=r"list\.csv: expected a column of labels beside the pictures, but none has a"):
        Classifier(**short).fit(tmp_path / "list.csv")
    assert Classifier(**short).fit(tmp_path / "list.csv", label="what").classes_.tolist() == ["lies", "stands"]
    (tmp_path / "list.csv").write_text("\n".join(["image,label", *rows, "bars/lies/99.png,lies"]))
    with pytest.raises(DataError, match=r"^Line 42 of list\.csv: There is no file '.*99\.png'"):
        Classifier(**short).fit(tmp_path / "list.csv")


def test_pictures_come_in_any_form(tmp_path: Path) -> None:
    folder = written(tmp_path / "bars", 20)
    model = Classifier(**{**QUICK, "epochs": 2}).fit(folder, valid=0)
    files = [folder / ("lies", "stands")[number % 2] / f"{number}.png" for number in range(6)]
    grey = [bar(number) for number in range(6)]
    wanted = model.predict_proba(grey)
    forms: dict[str, object] = {
        "an array": np.stack(grey), "floats": [one[..., None] / 255 for one in grey],
        "Pillow's": [Image.open(file) for file in files],
        "colours": [np.repeat(one[..., None], 3, axis=2) for one in grey],
        "cover": [np.dstack([one, one, one, np.full_like(one, 255)]) for one in grey],
        "in a batch": np.stack(grey)[..., None],
    }  # fmt: skip
    for name, form in forms.items():
        np.testing.assert_array_equal(model.predict_proba(form), wanted, err_msg=name)
    # Alone, and in the batch: sums of float32 in another order.
    np.testing.assert_allclose(model.predict_proba(files[3]), wanted[3:4], atol=1e-6)
    (tmp_path / "flat").mkdir()
    for file in files:
        (tmp_path / "flat" / file.name).write_bytes(file.read_bytes())
    np.testing.assert_array_equal(model.predict_proba(tmp_path / "flat"), wanted)


def test_floats_without_colours_stay_series() -> None:
    """A list of arrays (T, D) of floats was a series before there were pictures."""
    values = [np.random.default_rng(number).random((9, 4)) for number in range(12)]
    model = Classifier(hidden_size=4, epochs=1).fit(values, ["a", "b"] * 6, valid=0)
    assert model.kind.kind == "series"
    with pytest.raises(DataError, match="expected series, as in training, got pictures"):
        model.predict([bar(0)])


def test_a_picture_of_another_size_is_fitted_in(tmp_path: Path) -> None:
    model = Classifier(**{**QUICK, "image_shift": 0.1}).fit(written(tmp_path / "bars", 60))
    large = [bar(number, (120, 100)) for number in range(100, 106)]
    assert model.predict_proba(large).shape == (6, 2)
    assert model.predict_proba([np.zeros((1, 1), np.uint8)]).shape == (1, 2)


def test_what_is_no_picture_is_named_before_anything_is_learned(tmp_path: Path) -> None:
    folder = written(tmp_path / "bars", 8)
    (folder / "lies" / "2.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"^lies/2\.png is no picture that is known here"):
        Classifier(**QUICK).fit(folder)
    whole = Image.fromarray(bar(2, (80, 80)))
    whole.save(folder / "lies" / "2.png")
    content = (folder / "lies" / "2.png").read_bytes()
    (folder / "lies" / "2.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"^lies/2\.png is cut short or broken"):
        Classifier(**QUICK).fit(folder)


def test_an_animation_is_its_first_picture_and_that_is_said(tmp_path: Path) -> None:
    folder = written(tmp_path / "bars", 12)
    frames = [Image.fromarray(bar(number)) for number in (1, 2)]
    frames[0].save(folder / "stands" / "more.gif", save_all=True, append_images=frames[1:])
    model = Classifier(**{**QUICK, "epochs": 1}).fit(folder, valid=0)
    assert "1 file of several pictures: the first is read" in model.understood


def test_the_text_of_a_table_is_not_looked_at_where_the_files_are_named(tmp_path: Path) -> None:
    written(tmp_path / "bars", 4)
    (tmp_path / "a.csv").write_text("scan,label\nbars/lies/0.png,x\nbars/stands/1.png,y\n")
    assert not ImageInput.recognises(tmp_path / "a.csv", LabelColumns())
    assert ImageInput.recognises(tmp_path / "a.csv", LabelColumns(files="scan"))


def test_folders_of_other_things_with_a_picture_in_them_are_no_pictures(tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav", "cover.png"):
        (tmp_path / name).touch()
    assert not ImageInput.recognises(tmp_path, LabelColumns())
    for name in ("b.png", "c.png"):
        (tmp_path / name).touch()
    assert ImageInput.recognises(tmp_path, LabelColumns())


def test_who_is_stopped_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    folder = written(tmp_path / "bars", 16)
    short = {**QUICK, "epochs": 3, "checkpoint_every_steps": 1, "image_shift": 0.2, "image_light": 0.2}

    def press(event: Event) -> None:
        if event.kind == "step" and event.step == 3:
            raise KeyboardInterrupt

    whole = Classifier(**short).fit(folder, valid=0, run=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        Classifier(**short).fit(folder, valid=0, run=tmp_path / "run", callbacks=[press])
    later = Classifier(**short).fit(folder, valid=0, run=tmp_path / "run", resume=True)
    for expected, found in zip(*(model.fitted().state_dict().values() for model in (whole, later)), strict=True):
        assert torch.equal(found, expected)


def test_pixels_are_kept_while_there_is_room_and_that_changes_nothing(tmp_path: Path) -> None:
    folder, short = written(tmp_path / "bars", 12), {**QUICK, "epochs": 2}
    kept, anew = (Classifier(**short, feature_cache=room).fit(folder, valid=0) for room in (10, 0))
    np.testing.assert_array_equal(kept.predict_proba(folder), anew.predict_proba(folder))


def test_another_process_takes_pictures_along(tmp_path: Path) -> None:
    written(tmp_path / "bars", 4)
    files = [ImageFile(file) for file in sorted(tmp_path.rglob("*.png"))]
    inputs = ImageInput([*files, bar(1)[..., None]], 1)
    column, _ = inputs.column(inputs.fit(np.arange(5), ClassifierOptions.collect({})))
    again = pickle.loads(pickle.dumps(column))
    assert torch.equal(again.take(np.arange(5)).values, column.take(np.arange(5)).values)


def test_numbers_are_learned_from_pictures(tmp_path: Path) -> None:
    pictures = [np.full((6, 6), 4 * number, np.uint8) for number in range(40)]
    model = Regressor(**{**QUICK, "epochs": 30}).fit(pictures, [float(number) for number in range(40)], valid=0)
    assert model.evaluate(pictures, [float(number) for number in range(40)]).r2 > 0.9


def test_a_network_that_learned_elsewhere_sees_for_it(tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(0)
    weights = {
        name: 0.05 * torch.randn(value.shape, generator=random) if value.ndim == 4 else value.clone()
        for name, value in ResNet("resnet18", [0.0], [1.0]).state_dict().items()
    }
    save_file(weights, tmp_path / "18.safetensors")
    pictures, labels = [bar(number) for number in range(12)], ["a", "b"] * 6
    options = {**QUICK, "epochs": 1, "image_network": "resnet18", "image_size": 33}
    model = Classifier(**options, image_backbone=tmp_path / "18.safetensors").fit(pictures, labels, valid=0)
    assert torch.equal(model.fitted().state_dict()["reader.reader.reader.net.conv1.weight"], weights["conv1.weight"])
    saved = model.save(tmp_path / "bars.unrolled")
    # A saved model needs the file no more.
    (tmp_path / "18.safetensors").unlink()
    again = load(saved)
    assert isinstance(again, Classifier)
    np.testing.assert_array_equal(again.predict_proba(pictures), model.predict_proba(pictures))
    for wrong in ({"image_network": "resnet18"}, {"image_backbone": tmp_path / "18.safetensors"},
                  {"image_network": "resnet18", "image_backbone": "a", "image_steps": "rows"}):  # fmt: skip
        with pytest.raises(OptionError, match="weights from elsewhere need a network of theirs and image_steps='grid'"):
            Classifier(**wrong)


@pytest.mark.parametrize(("options", "said"), [
    ({"image_steps": "lines", "image_flip": True}, "lines are neither mirrored nor turned, got image_flip=True"),
    ({"image_steps": "lines", "image_size": [8, 8]}, "lines have a height alone"),
    ({"image_size": 0}, "image_size"), ({"image_widths": []}, "image_widths"),
    ({"image_steps": "cells"}, "image_steps"),
])  # fmt: skip
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        Classifier(**options)


def test_what_is_of_sounds_is_refused() -> None:
    pictures, labels = [bar(number) for number in range(4)], ["a", "b"] * 2
    for more in ({"gain_decibels": 1.0}, {"speeds": [0.9]}):
        with pytest.raises(OptionError, match="are of sounds, got pictures"):
            Classifier(**QUICK, **more).fit(pictures, labels, valid=0)


def test_a_thousand_pictures_tell_what_pictures_are_like(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unrolled.inputs.images.LOOKED_AT", 5)
    inputs = ImageInput([bar(number)[..., None] for number in range(20)], 1)
    seen: list[int] = []
    monkeypatch.setattr(inputs, "picture", lambda row, least=None: seen.append(row) or inputs.pictures[row])
    inputs.fit(np.arange(2, 20), ClassifierOptions.collect({}))
    assert seen == [2, 6, 10, 15, 19]


def test_what_is_seen_is_shown_with_the_cells_of_its_grid() -> None:
    pictures = [bar(number) for number in range(6)]
    options = ClassifierOptions.collect({"image_widths": [4, 4]})
    inputs = ImageInput.read(pictures, LabelColumns(), options, labelled=False).inputs
    fields = inputs.fit(np.arange(6), options)
    seen = inputs.pictured(2, fields)
    assert seen.shape == (1, 12, 10, 1)
    # In the size of the field a picture is shown as it is, but for what rounding to 256 steps takes.
    assert seen[0, ..., 0] * 255 == pytest.approx(pictures[2])
    assert ImageInput.grid(fields, options) == (3, 3)
    reader = ImageInput.reader(inputs, fields, options, None)
    assert reader.frames(torch.tensor([12])).tolist() == [9]
    rows = ClassifierOptions.collect({"image_steps": "rows"})
    assert ImageInput.grid(inputs.fit(np.arange(6), rows), rows) is None
