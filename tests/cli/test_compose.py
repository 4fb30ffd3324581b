"""The commands about music: from MIDI files to MIDI files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unrolled.data.read.music import read_pieces
from unrolled.fields.notes import MusicPiece, to_midi

BARE = ["--hidden-size", "16", "--set", "learning_rate=0.02", "--set", "batch_size=8", "--set", "warmup=0",
        "--set", "output_dropout=0", "--set", "input_dropout=0", "--set", "recurrent_dropout=0"]  # fmt: skip
QUICK = [*BARE, "--set", "notes_transpose_rate=0", "--set", "voicing_size=8"]


def song(size: int, begin: int = 0) -> MusicPiece:
    return MusicPiece.of_steps([[48, (60, 62, 64, 65)[(begin + t) % 4]] for t in range(size)], tempo=90)


def songs(folder: Path, count: int = 24) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:02}.mid").write_bytes(to_midi(song(8 + number % 5, number)))
    return folder


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, shell: Any) -> Path:
    folder = tmp_path_factory.mktemp("compose")
    words = ["fit", "compose", str(songs(folder / "midi")), "--test", str(songs(folder / "test", 3)), *QUICK]
    said = shell.ok(*words, "--epochs", "80", "-o", str(folder / "run"), "--plot")
    assert f"next: unrolled generate {folder / 'run'} -o new.mid --plot new.png" in said
    assert "Composer: a grid of A0 to C8, steps of a quarter note; " in said
    return folder / "run"


def test_a_run_learns_says_what_it_read_and_draws(fitted: Path, shell: Any) -> None:
    scores = json.loads((fitted / "scores.json").read_text())
    assert scores["nats_per_step"] < 1
    assert {"composition.png", "learning.png"} <= {path.name for path in fitted.iterdir()}
    words = ["evaluate", str(fitted), str(fitted.parent / "test")]
    assert json.loads(shell.ok(*words, "--json"))["nats"] == pytest.approx(scores["nats"])
    assert "nats a step" in shell.ok(*words)


def test_generate_writes_midi_json_and_lines(fitted: Path, shell: Any, tmp_path: Path) -> None:
    how = ["generate", str(fitted), "--length", "8", "--seed", "3"]
    assert shell.ok(*how, "-o", str(tmp_path / "new.mid"), "--plot", str(tmp_path / "new.png")) == ""
    assert (tmp_path / "new.png").stat().st_size > 1000
    [piece] = read_pieces(tmp_path / "new.mid").values
    [data] = json.loads(shell.ok(*how, "--json"))
    assert [list(note) for note in piece.notes] == data["notes"]
    lines = shell.ok(*how).splitlines()
    assert len(lines) == 8
    assert lines[0].startswith("0\t")
    shell.ok(*how, "--samples", "3", "-o", str(tmp_path / "several"))
    assert sorted(path.name for path in (tmp_path / "several").iterdir()) == ["1.mid", "2.mid", "3.mid"]
    assert read_pieces(tmp_path / "several" / "1.mid").values[0].notes == piece.notes


def test_generate_goes_on_from_a_prompt_in_a_key_and_a_tempo(fitted: Path, shell: Any, tmp_path: Path) -> None:
    (tmp_path / "begin.mid").write_bytes(to_midi(song(4)))
    how = ["generate", str(fitted), str(tmp_path / "begin.mid"), "--length", "4", "--temperature", "0"]
    lines = shell.ok(*how).splitlines()
    assert lines == ["0\tC3 C4", "1\tD4", "2\tE4", "3\tF4", "===", "4\tC4", "5\tD4", "6\tE4", "7\tF4"]
    [data] = json.loads(shell.ok(*how, "--key", "F# major", "--lowest", "50", "--tempo", "70", "--json"))
    assert (data["given"], data["tempo"]) == (4, 70)
    assert all(note[2] % 12 in (6, 8, 10, 11, 1, 3, 5) for note in data["notes"] if note[0] >= 4)
    assert "key must be a note" in shell.mistake(*how, "--key", "loud")
    assert "There is no file" in shell.mistake("generate", str(fitted), "no-such.mid")


def test_predict_goes_on_from_each_piece(fitted: Path, shell: Any, tmp_path: Path) -> None:
    test = fitted.parent / "test"
    shell.ok("predict", str(fitted), str(test), "--given", "4", "--length", "4", "-o", str(tmp_path / "more"))
    found = [read_pieces(tmp_path / "more" / f"{number}.mid").values[0] for number in (1, 2, 3)]
    assert [piece.length for piece in found] == [8, 8, 8]
    words = ["predict", str(fitted), str(test / "00.mid"), "--length", "4"]
    shell.ok(*words, "-o", str(tmp_path / "one.mid"), "--plot", str(tmp_path / "one.svg"))
    assert "composed" in (tmp_path / "one.svg").read_text()
    assert read_pieces(tmp_path / "one.mid").values[0].length == 12


def test_parts_of_json_are_named(fitted: Path, shell: Any, tmp_path: Path) -> None:
    parts = {name: [[[48, 60], [48, 62]]] * count for name, count in (("train", 4), ("valid", 2), ("test", 3))}
    (tmp_path / "a.json").write_text(json.dumps(parts))
    words = ["evaluate", str(fitted), str(tmp_path / "a.json")]
    assert "(3 pieces, 6 steps, 9 notes, part 'test')" in shell.ok(*words)
    assert "(2 pieces" in shell.ok(*words, "--part", "valid")
    assert "Did you mean 'test'?" in shell.mistake(*words, "--part", "tests")
    said = shell.ok("fit", "compose", str(tmp_path / "a.json"), "--epochs", "1", "-o", str(tmp_path / "run"), *QUICK)
    assert "part 'train'" in said


def test_events_are_learned_and_written(shell: Any, tmp_path: Path) -> None:
    words = ["fit", "compose", str(songs(tmp_path / "midi", 6)), "-o", str(tmp_path / "run"), "--encoding", "events"]
    assert "voicing is of a grid" in shell.mistake(*words, "--voicing", "independent")
    shell.ok(*words, "--epochs", "2", "--set", "notes_velocities=2", *BARE)
    shell.ok("generate", str(tmp_path / "run"), "-o", str(tmp_path / "new.mid"), "--length", "16", "--seed", "1")
    assert (tmp_path / "new.mid").read_bytes().startswith(b"MThd")


def test_mistakes_are_told_before_training(shell: Any, tmp_path: Path) -> None:
    (tmp_path / "a.mid").write_bytes(b"no music")
    assert "a.mid is no MIDI file" in shell.mistake("fit", "compose", str(tmp_path), "-o", str(tmp_path / "run"))
    folder = songs(tmp_path / "midi", 4)
    for role in ("--test", "--valid"):
        words = ["fit", "compose", str(folder), role, str(tmp_path / "a.mid"), "-o", str(tmp_path / "run")]
        assert "a.mid is no MIDI file" in shell.mistake(*words)


def test_an_interrupted_run_resumed_is_the_run_uninterrupted(
    shell: Any, tmp_path: Path, interrupted: Callable[[], None]
) -> None:
    # Rows are heard in other keys, of which a resumed run draws those that it would have drawn.
    words = ["fit", "compose", str(songs(tmp_path / "midi")), "--epochs", "3", *BARE]
    assert shell.run(*words, "-o", str(tmp_path / "a")).exit_code == 130
    interrupted()
    shell.ok("fit", "--resume", str(tmp_path / "a"))
    shell.ok(*words, "-o", str(tmp_path / "b"))
    assert (tmp_path / "a" / "model.unrolled").read_bytes() == (tmp_path / "b" / "model.unrolled").read_bytes()
