"""Progress and metrics: nothing unless asked, plain lines in a pipe, a bar and a table on a terminal."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from small_model import Data, Regressor

from unrolled.errors import OptionError, SaveError
from unrolled.train import Event, TrainOptions, fit
from unrolled.train.monitor.report import JsonLines, Lines, ProgressBar, reporter
from unrolled.train.monitor.tensorboard import TensorBoard

EVENTS = [
    Event("start", 0, 1, 0.0),
    Event("step", 1, 1, 0.5, fraction=0.5, loss=2.0, learning_rate=0.1, grad_norm=3.0),
    Event("evaluate", 1, 1, 0.6, fraction=0.5, loss=2.0, learning_rate=0.1, score=1.25, valid_loss=1.25, best=True),
    Event("stop", 1, 1, 0.7, message="epochs"),
]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_plain_lines_tell_each_evaluation_and_the_end() -> None:
    stream = io.StringIO()
    for event in EVENTS:
        Lines(stream)(event)
    assert stream.getvalue() == "epoch 1 step 1 loss 2 score 1.25 (best) 0.6 s\nstopped at step 1: epochs\n"


def test_a_terminal_gets_a_bar_and_a_table_and_a_pipe_only_what_it_asked_for() -> None:
    assert isinstance(reporter(True, Terminal()), ProgressBar)
    assert isinstance(reporter("plain", Terminal()), Lines)
    assert isinstance(reporter("plain", io.StringIO()), Lines)
    assert reporter(True, io.StringIO()) is None
    assert reporter(False, Terminal()) is None


def test_the_table_holds_every_evaluation() -> None:
    stream = Terminal()
    bar = ProgressBar(stream)
    for event in EVENTS:
        bar(event)
    text = stream.getvalue()
    assert "score" in text
    assert "1.25" in text
    assert "stopped at step 1: epochs" in text


def test_json_lines_leave_out_what_has_no_value_or_is_not_finite(tmp_path: Path) -> None:
    write = JsonLines(tmp_path / "metrics.jsonl", resumed_at=None)
    for event in [*EVENTS[:2], EVENTS[2]._replace(score=float("inf")), EVENTS[3]]:
        write(event)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["start", "step", "evaluate", "stop"]
    assert "score" not in lines[2]
    assert lines[1]["loss"] == 2.0


def test_metrics_that_cannot_be_written_name_their_path(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(SaveError, match=r"metrics\.jsonl"):
        JsonLines(tmp_path / "metrics.jsonl", resumed_at=None)


def test_callbacks_see_start_steps_evaluations_and_stop_also_after_an_error() -> None:
    seen: list[Event] = []
    fit(Regressor(), Data(8), TrainOptions(epochs=2, batch_size=4), callbacks=[seen.append])
    kinds = [event.kind for event in seen]
    assert kinds == ["start", "step", "step", "evaluate", "step", "step", "evaluate", "stop"]
    assert [event.epoch for event in seen] == [1, 1, 1, 1, 2, 2, 2, 2]
    assert [event.fraction for event in seen if event.kind == "step"] == [0.25, 0.5, 0.75, 1.0]
    seen.clear()

    def score(module: object) -> float:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fit(Regressor(), Data(8), TrainOptions(epochs=2), callbacks=[seen.append], score=score)
    assert (seen[-1].kind, seen[-1].message) == ("stop", "error")


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_gets_the_curves(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    board = TensorBoard(tmp_path)
    fit(Regressor(), Data(8), TrainOptions(epochs=1), valid=Data(4), callbacks=[board])
    assert any(path.name.startswith("events.out") for path in tmp_path.iterdir())


def test_tensorboard_that_is_not_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(OptionError, match=r"unrolled\[tensorboard\]"):
        TensorBoard(tmp_path)


def test_importing_the_room_does_not_import_accelerate() -> None:
    code = "import sys, unrolled.train; print('accelerate' in sys.modules, 'rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("name", ["metrics.jsonl", ".metrics.jsonl"])
def test_a_link_that_was_planted_in_a_run_folder_is_not_followed(tmp_path: Path, name: str) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).symlink_to(tmp_path / "victim")
    metrics = JsonLines(tmp_path / "run" / "metrics.jsonl", resumed_at=None)
    metrics(Event("start", 1, 0, 0.0, 0.0))
    metrics(Event("stop", 1, 0, 0.0, 0.0))
    assert (tmp_path / "victim").read_text() == "mine"
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 2
