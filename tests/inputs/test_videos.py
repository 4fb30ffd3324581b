"""A classifier of videos: from files, folders of frames, lists of them, and frames in memory."""

from __future__ import annotations

import importlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unrolled.errors import DataError, OptionError
from unrolled.fields import Film, Video
from unrolled.inputs import VideoInput
from unrolled.inputs.columns import LabelColumns
from unrolled.model import load
from unrolled.padding import Padded
from unrolled.tasks import Classifier
from unrolled.tasks.classify import ClassifierOptions

pytest.importorskip("av")
pytest.importorskip("PIL")

QUICK = {
    "hidden_size": 16, "layers": 1, "epochs": 16, "batch_size": 8, "seed": 1, "video_widths": [4, 8],
    "video_features": 16, "learning_rate": 5e-3,
}  # fmt: skip


@pytest.fixture(scope="module")
def shapes() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
        yield importlib.import_module("moving_shapes")


def clip(number: int, size: int = 12) -> np.ndarray:
    """A bright square on a dark ground that moves to the left or to the right."""
    random = np.random.default_rng(number)
    count = int(random.integers(4, 7))
    video = np.full((count, size, size, 3), 20, np.uint8)
    top, colour = int(random.integers(0, size - 3)), random.integers(120, 256, 3)
    for time in range(count):
        left = time if number % 2 else size - 4 - time
        video[time, top : top + 4, left : left + 4] = colour
    return video


LABELS = ["left", "right"] * 12


def written(folder: Path, shapes: Any, ending: str = ".mp4", count: int = 24) -> Path:
    """A folder with a folder of videos for each class."""
    for number, label in zip(range(count), LABELS, strict=False):
        path = folder / label / f"{number:02d}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if ending == ".mp4":
            shapes.write_video(path, clip(number))
        elif ending == ".gif":
            shapes.write_gif(path, clip(number))
        else:
            shapes.write_frames(path, clip(number))
    return folder


@pytest.mark.parametrize("ending", [".mp4", ".gif", ""])
def test_a_folder_of_videos_is_learned_from_saved_and_asked(tmp_path: Path, shapes: Any, ending: str) -> None:
    folder = written(tmp_path / "clips", shapes, ending)
    model = Classifier(**QUICK).fit(folder, valid=0)
    assert model.kind is VideoInput
    assert model.evaluate(folder).accuracy == 1
    assert model.understood[0] == "videos: 24; labels: the names of their folders"
    field: Video = model.fields["video"]
    # Of a .gif whose frames last twelve hundredths of a second; pictures in a folder have no rate.
    rate = {".mp4": 8.0, ".gif": 25 / 3, "": None}[ending]
    assert (field.size, field.channels, field.rate) == ((12, 12), 3, rate)
    again = load(model.save(tmp_path / "clips.unrolled"))
    assert isinstance(again, Classifier)
    videos = [clip(number) for number in range(40, 46)]
    assert again.predict(videos).tolist() == ["left", "right"] * 3
    np.testing.assert_array_equal(model.predict_proba(videos), again.predict_proba(videos))
    model.check()


def test_files_and_lists_of_any_form_are_asked(tmp_path: Path, shapes: Any) -> None:
    folder = written(tmp_path / "clips", shapes, count=16)
    model = Classifier(**QUICK).fit(folder, valid=0)
    files = sorted(folder.rglob("*.mp4"))
    expected = model.predict_proba(folder)
    rows = [{"path": str(file), "label": file.parent.name} for file in files]
    for source in (rows, files, tmp_path / "clips"):
        np.testing.assert_array_equal(model.predict_proba(source), expected)
    # A batch of one may be summed in another order.
    one = np.concatenate([model.predict_proba(file) for file in files])
    np.testing.assert_allclose(one, expected, atol=1e-5)
    with pytest.raises(DataError, match=r"00\.mp4 has no labels: give them as y"):
        Classifier(**QUICK).fit(files[0])


def test_a_list_gives_what_its_folder_gives(tmp_path: Path, shapes: Any) -> None:
    folder = written(tmp_path / "clips", shapes, count=16)
    files = sorted(folder.rglob("*.mp4"))
    table = "".join(f"{file.relative_to(tmp_path)},{file.parent.name}\n" for file in files)
    (tmp_path / "list.csv").write_text("path,label\n" + table)
    quick = {**QUICK, "epochs": 2}
    first, second = (Classifier(**quick).fit(source, valid=0) for source in (folder, tmp_path / "list.csv"))
    np.testing.assert_array_equal(first.predict_proba(folder), second.predict_proba(tmp_path / "list.csv"))


def test_a_table_may_name_folders_of_frames_alone_and_still_pictures_are_none(tmp_path: Path, shapes: Any) -> None:
    image = pytest.importorskip("PIL.Image")
    written(tmp_path / "clips", shapes, "", count=16)
    folders = sorted(path for path in tmp_path.glob("clips/*/*") if path.is_dir())
    table = "".join(f"{path.relative_to(tmp_path)},{path.parent.name}\n" for path in folders)
    (tmp_path / "list.csv").write_text("clip,label\n" + table)
    model = Classifier(**{**QUICK, "epochs": 1}).fit(tmp_path / "list.csv", valid=0)
    assert (model.kind, len(model.predict(tmp_path / "list.csv"))) == (VideoInput, 16)
    image.fromarray(clip(0)[0]).save(tmp_path / "still.gif")
    (tmp_path / "stills.csv").write_text("path,label\nstill.gif,a\n")
    assert not VideoInput.recognises(tmp_path / "stills.csv", LabelColumns())
    assert not VideoInput.recognises({"path": [tmp_path / "still.gif"]}, LabelColumns())
    assert not VideoInput.recognises(tmp_path / "list.csv", LabelColumns(text="clip"))


def test_frames_in_memory_are_learned_from(tmp_path: Path) -> None:
    videos = [clip(number) for number in range(24)]
    for source in (videos, [Film(video, 8.0) for video in videos]):
        model = Classifier(**{**QUICK, "video_motion": False}).fit(source, LABELS, valid=0)
        assert model.evaluate(videos, LABELS).accuracy == 1
        assert model.fields["video"].rate == (8.0 if isinstance(source[0], Film) else None)
    with pytest.raises(DataError, match="expected videos, as in training, got texts"):
        model.predict(["a text"])
    whole = np.stack([clip(number)[:4] for number in range(6)])
    assert model.predict(whole).tolist() == model.predict(list(whole)).tolist()


def test_a_video_is_seen_at_the_rate_of_the_training_part_or_that_asked_for(tmp_path: Path, shapes: Any) -> None:
    video = clip(0)
    groups = ClassifierOptions.collect({})
    inputs = VideoInput.of([Film(video, 8.0), Film(video, 30.0), Film(video, 2.0), video], groups)
    rows = np.arange(4)
    field = inputs.fit(rows, groups)["video"]
    assert field.rate == 8.0
    assert inputs.column({"video": field})[1].tolist() == [
        len(video),
        -(-8 * len(video) // 30),
        4 * len(video),
        len(video),
    ]
    for given, rate in (({"video_rate": 4}, 4.0), ({"video_rate": None}, None), ({"video_rate": 50}, 50.0)):
        asked = ClassifierOptions.collect(given)
        assert inputs.fit(rows, asked)["video"].rate == rate
    assert VideoInput.of([video], groups).fit(rows[:1], groups)["video"].rate is None
    assert VideoInput.seconds({"video": field}) == 1 / 8
    assert VideoInput.say({"video": field}) == ["videos, 12 x 12 pixels in colours, 8 frames a second"]


def test_frames_are_of_the_size_and_colour_asked_for() -> None:
    rows, videos = np.arange(3), [clip(number, 24)[:, :, :18] for number in range(3)]
    for given, size, channels in (
        ({}, (24, 18), 3), ({"video_size": 12}, (12, 9), 3), ({"video_size": 48}, (48, 36), 3),
        ({"video_size": (10, 20), "video_colour": "grey"}, (10, 20), 1),
    ):  # fmt: skip
        groups = ClassifierOptions.collect(given)
        field = VideoInput.of(videos, groups).fit(rows, groups)["video"]
        assert (field.size, field.channels) == (size, channels)


def test_what_is_kept_in_memory_changes_nothing(tmp_path: Path, shapes: Any) -> None:
    folder = written(tmp_path / "clips", shapes, count=16)
    quick = {**QUICK, "epochs": 3}
    first, second = (Classifier(**quick, feature_cache=cache).fit(folder, valid=0) for cache in (512, 0))
    np.testing.assert_array_equal(first.predict_proba(folder), second.predict_proba(folder))


def test_inputs_go_to_other_processes(tmp_path: Path, shapes: Any) -> None:
    groups = ClassifierOptions.collect({})
    for values in ([clip(0), Film(clip(1), 8.0)], sorted(written(tmp_path, shapes, count=2).rglob("*.mp4"))):
        inputs = VideoInput.read(values, LabelColumns(), groups, labelled=False).inputs
        fields = inputs.fit(np.arange(2), groups)
        column, _ = inputs.column(fields)
        other = pickle.loads(pickle.dumps(column))
        assert torch.equal(other.take(np.arange(2)).values, column.take(np.arange(2)).values)


def test_one_frame_and_none_have_a_class(tmp_path: Path) -> None:
    videos = [clip(number) for number in range(24)]
    model = Classifier(**QUICK).fit(videos, LABELS, valid=0)
    found = model.predict_proba([videos[0][:1], videos[0][:0]])
    np.testing.assert_allclose(found.sum(1), 1)


def test_a_broken_video_among_others_is_named(tmp_path: Path, shapes: Any) -> None:
    folder = written(tmp_path / "clips", shapes, count=6)
    content = (folder / "left" / "00.mp4").read_bytes()
    (folder / "left" / "02.mp4").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"^02\.mp4 \(left/02\.mp4\)|^left/02\.mp4 cannot be read as a video"):
        Classifier(**QUICK).fit(folder, valid=0)
    (folder / "left" / "02.mp4").unlink()
    (folder / "left" / "notes.pdf").touch()
    with pytest.raises(DataError, match=r"Expected videos in the class folder 'left', but it holds notes\.pdf"):
        Classifier(**QUICK).fit(folder, valid=0)


def test_pictures_and_texts_are_no_videos(tmp_path: Path, shapes: Any) -> None:
    image = pytest.importorskip("PIL.Image")
    image.fromarray(clip(0)[0]).save(tmp_path / "still.gif")
    shapes.write_gif(tmp_path / "moving.gif", clip(0))
    columns = LabelColumns()
    assert not VideoInput.recognises(tmp_path / "still.gif", columns)
    assert VideoInput.recognises(tmp_path / "moving.gif", columns)
    for source in ([clip(0)[0]], np.zeros((3, 4, 5)), ["a.mp4"], [], tmp_path / "list.csv", np.zeros((2, 8, 8, 3))):
        assert not VideoInput.recognises(source, columns)
    for source in ([clip(0)], [Film(clip(0), 8)], np.zeros((2, 4, 8, 8, 3)), tmp_path / "x.webm"):
        assert VideoInput.recognises(source, columns)


def test_changes_of_sounds_are_not_of_videos() -> None:
    with pytest.raises(OptionError, match="are of sounds, got videos; leave them out, or choose video_shift"):
        Classifier(**QUICK, gain_decibels=3).fit([clip(number) for number in range(8)], LABELS[:8])


def test_training_varies_all_frames_of_a_video_alike() -> None:
    field = Video.fit([clip(0)])
    groups = ClassifierOptions.collect({"video_shift": 0.2})
    reader = VideoInput.reader(None, {"video": field}, groups, None)
    x = Padded(torch.from_numpy(field.encode(clip(0)))[None], torch.tensor([len(clip(0))]))
    assert not torch.equal(reader(x), reader(x))
    assert torch.equal(reader.eval()(x), reader.eval()(x))


def test_what_is_seen_is_a_frame_for_each_step() -> None:
    videos = [
        np.random.default_rng(number).integers(0, 256, (3 + number, 6, 5, 3), dtype=np.uint8) for number in range(2)
    ]
    inputs = VideoInput.of(videos, ClassifierOptions())
    fields = inputs.fit(np.arange(2), ClassifierOptions())
    seen = inputs.pictured(1, fields)
    assert seen.shape == (4, 6, 5, 3)
    assert seen * 255 == pytest.approx(videos[1])
    assert len(inputs.column(fields)[0].ragged[1]) == 4
    assert VideoInput.grid(fields, ClassifierOptions()) is None
