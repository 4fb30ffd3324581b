"""Where a recogniser finds inputs and their texts: lists, folders, Kaldi's files, features."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from unrolled.errors import DataError, OptionError
from unrolled.inputs.columns import LabelColumns
from unrolled.tasks.reading.transcripts import Utterances, check_listed, read_utterances
from unrolled.tasks.recognize.options import RecognizerOptions

TEXTS = ["one two", "three", "four five"]


def read(source: object, y: object = None, *, text: str | None = None, audio: str | None = None) -> Utterances:
    columns = LabelColumns(label=text, files=audio, said=True)
    return read_utterances(source, y, columns, RecognizerOptions(), labelled=True)


def sounds(folder: Path) -> list[Path]:
    soundfile = pytest.importorskip("soundfile")
    paths = [folder / f"{name}.wav" for name in "abc"]
    for number, path in enumerate(paths):
        soundfile.write(path, np.sin(np.arange(800 * (number + 1)) / 5), 8000)
    return paths


@pytest.mark.parametrize("name", ["audio_filepath", "path", "clip"])
def test_a_list_of_recordings_holds_paths_and_texts(name: str, tmp_path: Path) -> None:
    rows = [{name: path.name, "sentence": text} for path, text in zip(sounds(tmp_path), TEXTS, strict=True)]
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read(tmp_path / "list.jsonl", audio="clip" if name == "clip" else None)
    assert (found.said, found.inputs.kind) == (TEXTS, "sounds")
    assert found.places.of(1) == "line 2 of list.jsonl"
    assert found.remarks == ("sounds: 3 recordings of list.jsonl; transcripts: as they stand there",)


def test_a_column_of_texts_may_be_named(tmp_path: Path) -> None:
    lines = ["path\ttext\tclean", *(f"{path.name}\tx\t{text}" for path, text in zip(sounds(tmp_path), TEXTS))]
    (tmp_path / "list.tsv").write_text("\n".join(lines) + "\n")
    assert read(tmp_path / "list.tsv", text="clean").said == TEXTS
    assert read(tmp_path / "list.tsv").said == ["x"] * 3


def test_a_folder_holds_a_text_beside_each_sound(tmp_path: Path) -> None:
    for path, text in zip(sounds(tmp_path), TEXTS, strict=True):
        path.with_suffix(".txt").write_text(text + "\n")
    assert read(tmp_path).said == TEXTS
    assert read(str(tmp_path)).places.of(0) == "a.wav"


def test_files_of_kaldi_are_read_for_learning_and_for_asking(tmp_path: Path) -> None:
    (tmp_path / "wav").mkdir()
    paths = sounds(tmp_path / "wav")
    (tmp_path / "wav.scp").write_text("".join(f"u{i} wav/{path.name}\n" for i, path in enumerate(paths)))
    (tmp_path / "segments").write_text("s1 u2 0.0 0.1\ns0 u0 0.05 0.1\n")
    (tmp_path / "text").write_text("s0 four five\ns1 three\n")
    assert read(tmp_path).said == ["three", "four five"]
    asked = read_utterances(tmp_path, None, LabelColumns(said=True), RecognizerOptions(), labelled=False)
    assert (len(asked), asked.texts) == (2, None)


def features(path: Path, **more: np.ndarray) -> Path:
    series = [np.arange(4.0 * n).reshape(n, 4) for n in (5, 3, 6)]
    np.savez(path, features=np.concatenate(series).astype(np.float32), lengths=np.array([5, 3, 6]), **more)
    return path


def test_features_stand_one_after_another_with_their_texts_in_the_file(tmp_path: Path) -> None:
    found = read(features(tmp_path / "a.npz", text=np.array(TEXTS)))
    assert found.said == TEXTS
    assert read(features(tmp_path / "a.npz"), TEXTS).said == TEXTS
    values = [values.shape for values in found.inputs.values]  # type: ignore[attr-defined]
    assert values == [(5, 4), (3, 4), (6, 4)]


@pytest.mark.parametrize(("name", "content", "said"), [
    ("a.tsv", "id\ttext\n1\tone two\n2\tthree\n3\tfour five\n", "column 'text' of a.tsv, in the order of rows"),
    ("a.txt", "one two\nthree\nfour five\n", "the lines of a.txt"),
])  # fmt: skip
def test_texts_stand_in_a_file_of_the_same_name(name: str, content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    found = read(features(tmp_path / "a.npz"))
    assert (found.said, found.remarks) == (TEXTS, (f"transcripts: {said}",))


def test_empty_fields_are_silence_and_are_said(tmp_path: Path) -> None:
    lines = ["path,text", *(f"{path.name},{text}" for path, text in zip(sounds(tmp_path), ["a", "", "b"]))]
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    found = read(tmp_path / "list.csv")
    assert found.said == ["a", "", "b"]
    assert found.remarks[-1] == "transcripts: 1 of 3 are empty, so nothing is said there"
    (tmp_path / "list.csv").write_text("path,text\na.wav,\nb.wav,\n")
    with pytest.raises(DataError, match=r"All 2 transcripts of list\.csv are empty: write what is said"):
        read(tmp_path / "list.csv")


def test_what_has_no_texts_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"a\.npz has no transcripts of a usual name: .* text= .* a table a\.tsv beside it"
    ):
        read(features(tmp_path / "a.npz"))
    (tmp_path / "a.tsv").write_text("id\twords\n1\tx\n2\ty\n3\tz\n")
    with pytest.raises(DataError, match=r"in a column text or sentence or transcript; name it with text="):
        read(tmp_path / "a.npz")
    assert read(tmp_path / "a.npz", text="words").said == ["x", "y", "z"]
    (tmp_path / "a.tsv").write_text("text\nx\ny\n")
    with pytest.raises(DataError, match=r"one transcript for each of the 3 inputs of a\.npz, got 2 in a\.tsv"):
        read(tmp_path / "a.npz")
    with pytest.raises(DataError, match=r"'b\.npz' has transcripts of its own: leave y out|leave y out"):
        read(features(tmp_path / "b.npz", text=np.array(TEXTS)), TEXTS)


def test_lists_without_texts_are_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,who\n" + "".join(f"{path.name},x\n" for path in sounds(tmp_path)))
    with pytest.raises(DataError, match=r"list\.csv: expected a transcript of each recording, in a column text or"):
        read(tmp_path / "list.csv")
    (tmp_path / "list.csv").write_text("path,text\na.wav,x\nnone.wav,y\n")
    with pytest.raises(DataError, match=r"Line 3 of list\.csv: .*none\.wav"):
        read(tmp_path / "list.csv")


def test_a_list_that_is_not_there_or_empty_is_told_before_what_it_is_of(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no file .*none\.tsv"):
        read(tmp_path / "none.tsv")
    (tmp_path / "bare.csv").write_text("path,text\n")
    with pytest.raises(DataError, match=r"bare\.csv has no rows"):
        read(tmp_path / "bare.csv")


def test_a_column_of_paths_is_of_a_table(tmp_path: Path) -> None:
    for source, name in ((tmp_path, tmp_path.name), (tmp_path / "a.npz", "a.npz"), ([np.zeros((3, 2))], "a list")):
        with pytest.raises(OptionError, match=rf"column 'clip' names the recordings, got {name}, which has no columns"):
            check_listed(source, audio="clip", image=None)
        check_listed(source, audio=None, image=None)
    for source in (tmp_path / "a.tsv", {"clip": ["a.wav"], "text": ["a"]}):
        check_listed(source, audio="clip", image=None)
    with pytest.raises(OptionError, match="got audio='a' and image='b': name one"):
        check_listed({"a": [], "b": []}, audio="a", image="b")
