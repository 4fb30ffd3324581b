"""Pieces of music from JSON, folders, zips and memory: what is read, what is said, and what is told of what is none."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unrolled.data.read.music import music_parts, read_pieces
from unrolled.errors import DataError
from unrolled.fields.notes import MusicPiece, Note, to_midi

PIECE = [[60, 64], [60], [], [62, 62]]
NOTES = (Note(0, 2, 60), Note(0, 1, 64), Note(3, 1, 62))


def written(path: Path, content: object) -> Path:
    text = json.dumps(content).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_lists_of_notes_are_one_piece_or_several(tmp_path: Path, name: str) -> None:
    one = read_pieces(written(tmp_path / name, PIECE))
    assert [piece.notes for piece in one.values] == [NOTES]
    assert (one.values[0].length, one.values[0].step) == (4.0, 1.0)
    several = read_pieces(written(tmp_path / name, [PIECE, [], [[], [70]]]))
    assert [len(piece.notes) for piece in several.values] == [3, 0, 1]
    assert several.place(2) == f"piece 2 of {name}"
    assert several.remarks[0] == f"music: 3 pieces of {name}, 4 notes in 6 beats"


def test_a_step_of_a_list_lasts_as_long_as_is_said(tmp_path: Path) -> None:
    [piece] = read_pieces(written(tmp_path / "a.json", PIECE), step=0.25).values
    assert piece.notes[0] == Note(0, 0.5, 60)
    assert (piece.length, piece.step) == (1.0, 0.25)


def test_a_part_is_named(tmp_path: Path) -> None:
    file = written(tmp_path / "a.json", {"train": [PIECE, PIECE], "test": [PIECE]})
    assert music_parts(file) == ["train", "test"]
    assert len(read_pieces(file, part="train")) == 2
    with pytest.raises(DataError, match=r"a\.json has the parts train, test, but one is expected"):
        read_pieces(file)
    with pytest.raises(DataError, match=r"part 'tests' is asked for.* Did you mean 'test'\?"):
        read_pieces(file, part="tests")
    with pytest.raises(DataError, match="is not in parts, but part 'test'"):
        read_pieces(written(tmp_path / "b.json", PIECE), part="test")


def test_pieces_of_notes_come_back_from_json_and_lines(tmp_path: Path) -> None:
    piece = MusicPiece.of([(0, 1.5, 60, 33), (0.7, 1, 67)], 90, 4)
    assert read_pieces(written(tmp_path / "a.json", piece.to_json())).values == [piece]
    assert read_pieces(written(tmp_path / "a.json", [piece.to_json()] * 2)).values == [piece, piece]
    lines = tmp_path / "a.jsonl"
    lines.write_text(json.dumps(piece.to_json()) + "\n\n" + json.dumps(PIECE) + "\n")
    assert [len(one.notes) for one in read_pieces(lines).values] == [2, 3]


def test_rests_of_voices_sound_nothing() -> None:
    [piece] = read_pieces([[60, -1], [60, None], [-1, -1]]).values
    assert piece.notes == (Note(0, 2, 60),)


@pytest.mark.parametrize(
    "source", [[tuple(map(set, PIECE))], [np.array([[60, 64], [60, -1]])], (PIECE,), {"a": [PIECE]}]
)
def test_pieces_in_memory_are_read_as_json_is(source: Any) -> None:
    part = "a" if isinstance(source, dict) else None
    [piece] = read_pieces(source, part=part).values
    assert piece.notes[:2] == (Note(0, 2, 60), Note(0, 1, 64))


def test_pieces_are_taken_as_they_are() -> None:
    piece = MusicPiece.of([(0, 1, 60)])
    assert read_pieces(piece).values == read_pieces([piece]).values == [piece]


def test_folders_and_zips_are_read_in_the_order_of_their_files(tmp_path: Path) -> None:
    folder = tmp_path / "music"
    (folder / "b").mkdir(parents=True)
    for name, pitch in (("b/2.mid", 62), ("a.MID", 60), ("b/1.midi", 61), (".hidden.mid", 63)):
        (folder / name).write_bytes(to_midi(MusicPiece.of([(0, 1, pitch)])))
    written(folder / "z.json", [[[64]]])
    found = read_pieces(folder, label=lambda name: name.split("/")[0])
    assert [piece.notes[0].pitch for piece in found.values] == [60, 61, 62, 64]
    assert [found.place(row) for row in range(4)] == ["a.MID", "b/1.midi", "b/2.mid", "z.json"]
    assert found.labels == ["a.MID", "b", "b", "z.json"]
    (folder / "b" / "notes.txt").write_text("by nobody")
    assert "1 file of other kinds left out: b/notes.txt" in read_pieces(folder).remarks
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for file in sorted(folder.rglob("*.mid*")):
            archive.write(file, file.relative_to(folder))
    assert [piece.notes[0].pitch for piece in read_pieces(tmp_path / "all.zip").values] == [61, 62]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (5, "expected pieces as lists of the notes of each step, .*got 5"),
        ("x", "got 'x'"),
        ([60, 62], "got a list"),
        ([[60, "c"]], r"step 0 of a\.json: expected MIDI numbers in 0\.\.127, got 'c'"),
        ([[60], [128]], r"step 1 of a\.json: expected MIDI numbers in 0\.\.127, got 128"),
        ([[60.5]], "got 60.5"),
        ([[True]], "got True"),
        ([[60], 62], r"step 1 of a\.json: expected a list of MIDI numbers, got 62"),
        ([[[60]], [[60], [-2]]], r"step 1 of piece 1 of a\.json: expected MIDI numbers"),
        ([[[60]], 7], r"piece 1 of a\.json: expected a list of steps, got 7"),
        ({"notes": 5}, r"a\.json: MusicPiece: expected \{"),
        ([{"notes": [[0, 1, 60]]}, [60]], r"piece 1 of a\.json: expected a piece like those before it, got a list"),
        ([], "expected pieces as lists"),
    ],
)
def test_json_of_another_form_is_told(tmp_path: Path, content: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_pieces(written(tmp_path / "a.json", content))


def test_files_of_another_kind_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("C D E")
    with pytest.raises(DataError, match=r"a\.txt: expected music as a \.mid or "):
        read_pieces(tmp_path / "a.txt")
    with pytest.raises(DataError, match="holds no pieces of music"):
        read_pieces(tmp_path)
    (tmp_path / "a.json").write_text("[[60,")
    with pytest.raises(DataError, match=r"a\.json is no JSON"):
        read_pieces(tmp_path / "a.json")
    (tmp_path / "b.jsonl").write_text("[[60]]\n[[60\n")
    with pytest.raises(DataError, match=r"line 2 of b\.jsonl is no JSON"):
        read_pieces(tmp_path / "b.jsonl")
    with pytest.raises(DataError, match="There is no file"):
        read_pieces(tmp_path / "c.mid")
