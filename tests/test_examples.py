"""The examples run, and the one that shows a new task keeps the laws of all tasks and has all their commands."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import unrolled
from unrolled.data.read.music import read_pieces
from unrolled.errors import ModelFileError
from unrolled.model import registry

EXAMPLE = Path(__file__).parents[1] / "examples" / "restore_case.py"
LINES = ["Ann and Bob", "Eve", "They met Tom in Rome", "no"] * 4


@pytest.fixture(scope="module")
def kind() -> Iterator[Any]:
    before = dict(registry._TASKS)
    spec = importlib.util.spec_from_file_location("restore_case", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module.CaseRestorer
    registry._TASKS.clear()
    registry._TASKS.update(before)


def test_videos_are_made_and_learned_from() -> None:
    """The example of videos, on a few clips."""
    pytest.importorskip("av")
    spec = importlib.util.spec_from_file_location("videos", EXAMPLE.with_name("videos.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        module.main(count=16, epochs=1)
    assert "videos: 8; labels: the names of their folders" in said.getvalue()
    assert said.getvalue().splitlines()[-1].startswith("up? ")


def test_cards_are_drawn_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of captions, on a few cards."""
    pytest.importorskip("PIL")
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("captions", EXAMPLE.with_name("captions.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        module.main(count=30, epochs=1)
    assert "3 captions, 6 references" in said.getvalue()
    assert (tmp_path / "looked.png").stat().st_size > 0


def run(*words: str, stdin: str | None = None) -> str:
    result = subprocess.run([sys.executable, str(EXAMPLE), *words], input=stdin, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_new_task_is_a_short_preset_that_works() -> None:
    assert "Eve met Ann in Oslo. They left for Rome." in run()
    preset = EXAMPLE.read_text().split("class CaseRestorer")[1].split("if __name__")[0]
    assert len(preset.splitlines()) < 80
    assert not any(line.lstrip().startswith(("for ", "while ")) for line in preset.splitlines() if line.endswith(":"))


def test_a_new_task_keeps_all_laws_of_tasks(kind: Any) -> None:
    report = kind(epochs=1, hidden_size=4).fit(LINES).check()
    assert "round trip of the model" in {verdict.name for verdict in report.verdicts}


def test_a_new_task_is_saved_and_loaded(kind: Any, tmp_path: Path) -> None:
    model = kind(epochs=1, hidden_size=4).fit(LINES)
    again: Any = unrolled.load(model.save(tmp_path / "case.unrolled"))
    assert type(again) is kind
    assert again.predict(["ann"]) == model.predict(["ann"])


def test_a_new_task_has_the_commands_of_any_other(kind: Any, tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("".join(f"{line}\n" for line in LINES))
    folder, lines = str(tmp_path / "run"), str(tmp_path / "lines.txt")
    told = json.loads(run("fit", "case", lines, "--test", lines, "-o", folder, "--epochs", "1", "--json"))
    assert told["scores"] == json.loads(run("evaluate", folder, lines, "--json"))
    assert [line.lower() for line in run("predict", folder, "-", stdin="ann\nbob\n").splitlines()] == ["ann", "bob"]
    assert json.loads(run("fit", "--resume", folder, "--json")) == told


def test_a_file_of_a_task_that_nobody_registered_says_what_to_do(kind: Any, tmp_path: Path) -> None:
    path = kind(epochs=1, hidden_size=4).fit(LINES).save(tmp_path / "case.unrolled")
    code = f"import unrolled; unrolled.load({str(path)!r})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr
    assert ModelFileError.__name__ in said
    assert "the task 'case' is not known here" in said
    assert "register_task" in said


def test_lines_of_print_are_written_and_read(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("PIL")
    script = EXAMPLE.parent / "lines.py"
    words = [sys.executable, str(script), "1"]
    result = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "character error rate" in result.stdout
    assert (tmp_path / "line.png").stat().st_size > 0


def test_a_round_is_composed_from_its_beginning(tmp_path: Path) -> None:
    pytest.importorskip("mido")
    pytest.importorskip("matplotlib")
    command = [sys.executable, str(EXAMPLE.parent / "compose.py"), str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "music: 14 pieces of midi, 1,120 notes in 616 beats" in result.stdout
    assert "round-3: given 0 beats, composed 40" in result.stdout
    assert (tmp_path / "round-3.png").stat().st_size > 1000
    [piece] = read_pieces(tmp_path / "round-1.mid").values
    # The second part of the song is what comes next, and the other voice enters with the first.
    sung = [(note.start, note.pitch) for note in piece.notes if 8 <= note.start < 12]
    assert sung == [(8, 61), (8, 77), (9, 63), (9, 78), (10, 65), (10, 80), (11, 61)]


def test_shapes_and_icons_are_learned_and_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    spec = importlib.util.spec_from_file_location("draw_example", EXAMPLE.parent / "draw.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(tmp_path, epochs=1)
    assert {file.name for file in tmp_path.iterdir()} == {"drawn.png", "gone_on.png", "one.svg", "painted.png"}
    assert all(file.stat().st_size > 200 for file in tmp_path.iterdir())
