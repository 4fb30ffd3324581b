"""Lists of recordings: tables, sounds with their texts, Kaldi's folders, and a folder for each class."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from unrolled.data.read.audio import Clip, read_clip
from unrolled.data.read.manifests import read_recordings
from unrolled.errors import DataError, OptionError

soundfile = pytest.importorskip("soundfile")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sounds of 1, 2 and 3 tenths of a second."""
    place(tmp_path, {f"clips/{name}.wav": tenths for tenths, name in enumerate("abc", start=1)})
    return tmp_path


def place(root: Path, files: dict[str, int | str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        else:
            soundfile.write(path, np.full(800 * content, content / 10, np.float32), 8000, subtype="FLOAT")
    return root


def test_json_lines_name_parts_of_files(folder: Path) -> None:
    rows = [
        {"audio_filepath": "clips/a.wav", "text": "one", "speaker": "x"},
        {"audio_filepath": str(folder / "clips" / "c.wav"), "text": "", "offset": 0.1, "duration": 0.15},
        {"audio_filepath": "clips/c.wav", "duration": None},
    ]
    manifest = folder / "m.jsonl"
    manifest.write_text("\n".join(map(json.dumps, rows)))
    records = read_recordings(manifest)
    assert records.columns["text"] == ["one", "", None]
    assert records.columns["speaker"] == ["x", None, None]
    assert "duration" not in records.columns
    clips = records.columns["audio"]
    assert clips[0] == Clip(folder / "clips" / "a.wav", 0.0, None, "line 1 of m.jsonl")
    assert [len(read_clip(clip).samples) for clip in clips] == [800, 1200, 2400]
    assert records.place(1) == "line 2 of m.jsonl"
    assert records.select([2]).columns["audio"] == [clips[2]]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "path,sentence,age\nclips/a.wav,one,7\nclips/b.wav,two,\n"),
        ("a.tsv", "age\tfile\ttranscript\n7\tclips/a.wav\tone\n\tclips/b.wav\ttwo\n"),
        ("a.csv", "filename;text;age\nclips/a.wav;one;7\nclips/b.wav;two;\n"),
    ],
)
def test_tables_name_files_and_what_is_said(folder: Path, name: str, content: str) -> None:
    records = read_recordings(place(folder, {name: content}) / name)
    assert records.columns.keys() == {"audio", "text", "age"}
    assert records.columns["text"] == ["one", "two"]
    assert records.columns["age"] == ["7", None]
    assert [clip.path.name for clip in records.columns["audio"]] == ["a.wav", "b.wav"]
    assert records.columns["audio"][1].place == f"line 3 of {name}"


def test_columns_of_any_name_can_be_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    rows = [{"wav": "clips/a.wav", "words": "one", "label": 3, "text": "other"}]
    records = read_recordings(rows, audio="wav", text="words")
    assert records.columns["text"] == ["one"]
    assert records.columns["label"] == [3]
    assert len(read_clip(records.columns["audio"][0]).samples) == 800


def test_no_sound_is_opened_before_it_is_asked_for(folder: Path) -> None:
    place(folder, {"clips/broken.wav": "words", "m.csv": "path\nclips/broken.wav\n"})
    (clip,) = read_recordings(folder / "m.csv").columns["audio"]
    with pytest.raises(DataError, match=r"^broken\.wav \(line 2 of m\.csv\) cannot be read as sound"):
        read_clip(clip)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "path\nclips/a.wav\nclips/d.wav\n",
            r"^Line 3 of m\.csv: There is no file '.*d\.wav'\. Did you mean '[abc]\.wav'",
        ),
        ("path\nclips\n", r"Expected a sound file in line 2 of m\.csv, but 'clips' is a folder"),
        ("path,text\n,one\n", r"Expected the path of a sound file as 'path' in line 2 of m\.csv, got None"),
        (
            "where,text\nclips/a.wav,one\n",
            r"m\.csv: expected a column audio_filepath, path, .* it has: where, text\. Name",
        ),
        ("path,file\nclips/a.wav,x\n", r"m\.csv has the columns path, file, and one is expected: name it with audio="),
        ("path,text,sentence\nclips/a.wav,x,y\n", "has the columns text, sentence, and one is expected: .* text="),
        ("path,offset\nclips/a.wav,soon\n", r"Expected seconds as 'offset' in line 2 of m\.csv, got 'soon'"),
        ("path,offset\nclips/a.wav,-1\n", r"Expected an offset of 0 or more in line 2 of m\.csv, got -1"),
        ("path,duration\nclips/a.wav,0\n", r"Expected a duration above 0 in line 2 of m\.csv, got 0"),
        ("path,duration\nclips/a.wav,nan\n", r"Expected seconds as 'duration' in line 2 of m\.csv, got 'nan'"),
        ("path\n", "no rows"),
    ],
)
def test_a_line_that_does_not_fit_is_named(folder: Path, content: str, said: str) -> None:
    place(folder, {"m.csv": content})
    with pytest.raises(DataError, match=said):
        read_recordings(folder / "m.csv")


def test_sounds_with_their_texts(tmp_path: Path) -> None:
    files = {
        "b.wav": 1,
        "b.txt": "two\nlines \n",
        "deep/a.flac.wav": 2,
        "deep/a.flac.txt": "ein schönes Wort",
        "read.me": "x",
    }
    records = read_recordings(place(tmp_path, files))
    assert records.columns["text"] == ["two lines", "ein schönes Wort"]
    assert [records.place(i) for i in range(2)] == ["b.wav", "deep/a.flac.wav"]
    assert [len(read_clip(clip).samples) for clip in records.columns["audio"]] == [800, 1600]
    (tmp_path / "b.txt").unlink()
    with pytest.raises(DataError, match=r"a transcript beside each sound file .* but b\.wav has no b\.txt"):
        read_recordings(tmp_path)


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    records = read_recordings(place(tmp_path, {"yes/1.wav": 1, "yes/0.wav": 1, "no/0.wav": 2, "about.txt": "x"}))
    assert records.columns["label"] == ["no", "yes", "yes"]
    assert [records.place(i) for i in range(3)] == ["no/0.wav", "yes/0.wav", "yes/1.wav"]
    assert records.columns.keys() == {"audio", "label"}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"7_theo_0.wav": 1, "7_theo_1.wav": 1}, r"7_theo_0\.wav: expected a folder of sound files for each class"),
        ({"yes/deep/0.wav": 1}, r"yes/deep/0\.wav: expected a folder of sound files for each class"),
        ({"yes/0.wav": 1, "no/0.wma": "x"}, r"class folder 'no', but it holds 0\.wma"),
        ({"yes/0.wav": 1, "yes/notes.md": "x"}, r"class folder 'yes', but it holds notes\.md"),
        ({"read.me": "x"}, "holds no sound files and no wav.scp"),
    ],
)
def test_a_folder_laid_out_otherwise_is_not_guessed(tmp_path: Path, files: dict[str, int | str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_recordings(place(tmp_path / "data", files))


def test_kaldi_names_recordings_and_texts_by_a_key(folder: Path) -> None:
    place(folder, {"wav.scp": "u2 clips/b.wav\nu1\tclips/a.wav\n\n", "text": "u1 one\nu2 two  words\n"})
    records = read_recordings(folder)
    assert records.columns["utterance"] == ["u2", "u1"]
    assert records.columns["text"] == ["two  words", "one"]
    assert records.place(1) == "line 2 of wav.scp"
    assert [len(read_clip(clip).samples) for clip in records.columns["audio"]] == [1600, 800]
    place(folder, {"segments": "s1 u2 0.05 0.15\ns2 u2 0.15 0.2\n", "text": "s1 two\ns2 words\n"})
    records = read_recordings(folder)
    assert [len(read_clip(clip).samples) for clip in records.columns["audio"]] == [800, 400]
    assert records.columns["audio"][1].place == "line 2 of segments"
    (folder / "text").unlink()
    assert "text" not in read_recordings(folder).columns


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"wav.scp": "u1 touch ran |\n"},
            r"line 1 of wav\.scp, got the command 'touch ran \|': commands are not run",
        ),
        ({"wav.scp": "u1 | touch ran\n"}, "commands are not run"),
        ({"wav.scp": "u1 clips/d.wav\n"}, r"^Line 1 of wav\.scp: There is no file"),
        (
            {"wav.scp": "u1 clips/a.wav\nu1 clips/b.wav\n"},
            r"'u1' of line 2 of wav\.scp stands in line 1 of wav\.scp already",
        ),
        ({"wav.scp": "u1 clips/a.wav\n", "text": "u2 x\n"}, r"Expected 'u2' of line 1 of text in wav\.scp, too"),
        ({"wav.scp": "u1 clips/a.wav\nu2 clips/b.wav\n", "text": "u1 x\n"}, r"'u2' of line 2 of wav\.scp in text, too"),
        ({"wav.scp": "u1 clips/a.wav\n", "segments": "s u9 0 1\n"}, r"line 1 of segments, got 'u9 0 1'"),
        (
            {"wav.scp": "u1 clips/a.wav\n", "segments": "s u1 1 1\n"},
            r"begin before end in line 1 of segments, got 1 and 1",
        ),
        ({"wav.scp": "\n"}, r"wav\.scp is empty"),
    ],
)
def test_kaldi_folders_that_do_not_fit_are_refused(folder: Path, files: dict[str, int | str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_recordings(place(folder, files))
    assert not Path("ran").exists()


def test_columns_are_of_tables_alone(folder: Path) -> None:
    with pytest.raises(OptionError, match="name columns of a table"):
        read_recordings(folder, text="words")
    with pytest.raises(DataError, match="There is no file"):
        read_recordings(folder / "none.jsonl")
