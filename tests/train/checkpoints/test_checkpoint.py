"""Checkpoints: whole or absent, checked when read, and a resumed run is the run that was never interrupted."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_model import Data, Regressor, Stream, same_bits, weights

from unrolled.errors import ModelFileError, OptionError, SaveError, TrainingError
from unrolled.train import Event, History, TrainOptions, fit
from unrolled.train.checkpoints.checkpoint import Folder


class Killed(BaseException):
    """Stands for a kill: nothing in the library may catch it."""


def kill_at(step: int, kind: str = "step") -> Callable[[Event], None]:
    def callback(event: Event) -> None:
        if event.step == step and event.kind == kind:
            raise Killed

    return callback


def options(**values: Any) -> TrainOptions:
    basic = {"epochs": 4, "batch_size": 4, "learning_rate": 1e-2, "checkpoint_every_steps": 3, "schedule": "cosine"}
    return TrainOptions(**{**basic, **values})


KINDS: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "full": (Data, {}),
    "truncated": (Data, {"bptt": 4, "micro_batches": 2, "checkpoint_every_steps": 2}),
    "budget": (Data, {"batch_size": None, "token_budget": 40, "optimizer": "sgd"}),
    "stream": (Stream, {"bptt": 2, "optimizer": "adam"}),
    "by the clock": (Data, {"checkpoint_every_minutes": 0, "evaluate_every_steps": 4, "patience": 50}),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", [1, 11])
def test_a_killed_and_resumed_run_ends_with_the_same_bits(tmp_path: Path, kind: str, step: int) -> None:
    make, values = KINDS[kind]
    chosen, valid = options(**values), make()
    alone, resumed = Regressor(dropout=0.3), Regressor(dropout=0.3)
    expected = fit(alone, make(), chosen, valid=valid)
    with pytest.raises(Killed):
        fit(resumed, make(), chosen, valid=valid, run=tmp_path, callbacks=[kill_at(step)])
    torch.manual_seed(99)
    resumed = Regressor(dropout=0.3)
    torch.nn.init.ones_(resumed.head.weight)
    history = fit(resumed, make(), chosen, valid=valid, run=tmp_path, resume=True)
    assert same_bits(weights(alone), weights(resumed))
    assert [row[:-1] for row in history.evaluations] == [row[:-1] for row in expected.evaluations]
    assert (history.best_score, history.steps) == (expected.best_score, expected.steps)


def test_metrics_hold_each_step_once_after_a_resume(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        fit(Regressor(), Data(), options(), run=tmp_path, callbacks=[kill_at(8)])
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"event": "st')
    history = fit(Regressor(), Data(), options(), run=tmp_path, resume=True)
    events = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [event["step"] for event in events if event["event"] == "step"] == list(range(1, history.steps + 1))
    step = next(event for event in events if event["event"] == "step")
    assert {"step", "epoch", "loss", "learning_rate", "grad_norm", "seconds"} <= step.keys()


def test_resuming_a_finished_run_returns_its_result(tmp_path: Path) -> None:
    first, second = Regressor(), Regressor()
    one = fit(first, Data(), options(patience=9), valid=Data(5, seed=3), run=tmp_path)
    two = fit(second, Data(), options(patience=9), valid=Data(5, seed=3), run=tmp_path, resume=True)
    assert same_bits(weights(first), weights(second))
    assert (one.stopped, one.evaluations, one.best_step) == (two.stopped, two.evaluations, two.best_step)


def test_the_last_two_checkpoints_are_kept_and_hold_no_pickle(tmp_path: Path) -> None:
    fit(Regressor(), Data(), options(), run=tmp_path)
    folders = sorted((tmp_path / "checkpoints").iterdir())
    assert len(folders) == 2
    names = {"checkpoint.json", "manifest.json", "tensors.safetensors", "process-0.safetensors"}
    assert {path.name for path in folders[-1].iterdir()} == names


def test_a_new_run_in_a_used_folder_is_refused(tmp_path: Path) -> None:
    fit(Regressor(), Data(), options(epochs=1), run=tmp_path)
    with pytest.raises(OptionError, match=r"holds checkpoints of an earlier run.*resume=True"):
        fit(Regressor(), Data(), options(epochs=1), run=tmp_path)


def test_resume_without_a_folder_is_refused_and_without_a_checkpoint_starts_anew(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="resume=True needs run="):
        fit(Regressor(), Data(), options(), resume=True)
    assert fit(Regressor(), Data(), options(), run=tmp_path / "new", resume=True).stopped == "epochs"


@pytest.mark.parametrize(
    ("data", "values", "sentence"),
    [
        (Data(), {"learning_rate": 0.5}, "learning_rate=0.5, the checkpoint was written with learning_rate=0.01"),
        (Data(21), {}, "the data differs"),
        (Data(seed=8), {}, "the data differs"),
    ],
)
def test_another_run_than_the_one_interrupted_is_refused(
    tmp_path: Path, data: Data, values: dict[str, Any], sentence: str
) -> None:
    interrupted(tmp_path)
    with pytest.raises(OptionError, match=sentence):
        fit(Regressor(), data, options(**values), run=tmp_path, resume=True)


def test_another_model_than_the_one_interrupted_is_refused(tmp_path: Path) -> None:
    interrupted(tmp_path)
    with pytest.raises(ModelFileError, match=r"gru.bias_hh_l0 is float64 \(27,\) in the model, float64 \(18,\)"):
        fit(Regressor(hidden=9), Data(), options(), run=tmp_path, resume=True)


def test_where_a_run_pauses_may_change_on_resume(tmp_path: Path) -> None:
    interrupted(tmp_path)
    chosen = options(checkpoint_every_steps=5, max_minutes=50, log_every=3)
    assert fit(Regressor(), Data(), chosen, run=tmp_path, resume=True).stopped == "epochs"


@pytest.mark.parametrize("damage", ["cut", "flip", "missing", "json"])
def test_a_damaged_checkpoint_is_passed_over_with_a_warning_and_refused_without_another(
    tmp_path: Path, damage: str
) -> None:
    alone = Regressor()
    fit(alone, Data(), options())
    interrupted(tmp_path)
    older, newest = sorted((tmp_path / "checkpoints").iterdir())
    harm(newest, damage)
    resumed = Regressor()
    with pytest.warns(UserWarning, match=f"Going back to the checkpoint before it, .*{older.name}"):
        fit(resumed, Data(), options(), run=tmp_path, resume=True)
    assert same_bits(weights(alone), weights(resumed))
    for folder in (tmp_path / "checkpoints").iterdir():
        harm(folder, damage)
    with pytest.raises(ModelFileError, match=r"damaged or cut short|incomplete"):
        fit(Regressor(), Data(), options(), run=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("since", []),
        ("since", [0.0]),
        ("position", [1, 0]),
        ("position", [-1, 0, 0]),
        ("position", [0, 10**400, 0]),
        ("position", [0, 0, 9]),
        ("position", [0, 99, 0]),
        ("step", -1),
        ("seconds", -1.0),
        ("finished", "never"),
        ("best", [None, None, -3]),
    ],
)
def test_a_checkpoint_that_was_changed_and_signed_anew_is_refused(tmp_path: Path, name: str, value: object) -> None:
    interrupted(tmp_path)
    for folder in (tmp_path / "checkpoints").iterdir():
        record, manifest = (json.loads((folder / file).read_text()) for file in ("checkpoint.json", "manifest.json"))
        text = json.dumps({**record, name: value}).encode()
        (folder / "checkpoint.json").write_bytes(text)
        manifest["files"]["checkpoint.json"] = hashlib.sha256(text).hexdigest()
        (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelFileError, match=r"checkpoint") as caught:
        fit(Regressor(), Data(), options(), run=tmp_path, resume=True)
    assert len(str(caught.value)) <= 600


def test_a_checkpoint_of_a_later_format_is_refused(tmp_path: Path) -> None:
    interrupted(tmp_path)
    for folder in (tmp_path / "checkpoints").iterdir():
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(ModelFileError, match="has format 99, this version reads 1"):
        fit(Regressor(), Data(), options(), run=tmp_path, resume=True)


def test_a_full_disk_is_told_with_the_path_and_the_checkpoint_before_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, full = os.fsync, OSError(errno.ENOSPC, "No space left on device")

    def fill(event: Event) -> None:
        if event.step == 7 and event.kind == "step":
            monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(full))

    with pytest.raises(SaveError, match=r"cannot write the checkpoint .*checkpoints/\d+: No space left on device"):
        fit(Regressor(), Data(), options(), run=tmp_path, callbacks=[fill])
    monkeypatch.setattr(os, "fsync", real)
    assert Folder(tmp_path).load() is not None
    assert not list((tmp_path / "checkpoints").glob(".draft*"))
    alone, resumed = Regressor(), Regressor()
    fit(alone, Data(), options())
    fit(resumed, Data(), options(), run=tmp_path, resume=True)
    assert same_bits(weights(alone), weights(resumed))


def test_a_file_size_limit_ends_in_a_save_error(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(SaveError, match="cannot write the checkpoint"):
            fit(Regressor(), Data(), options(), run=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_run_folder_that_is_a_file_is_told_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(SaveError, match=f"{tmp_path}/run"):
        fit(Regressor(), Data(), options(), run=tmp_path / "run")


def test_a_diverged_run_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    data = Data()
    data.x[20, 1, 0] = float("inf")
    with pytest.raises(TrainingError, match=f"the last good checkpoint is {tmp_path}/checkpoints/0"):
        fit(Regressor(), data, options(checkpoint_every_steps=1), run=tmp_path)
    found = Folder(tmp_path).load()
    assert found is not None
    assert all(bool(torch.isfinite(tensor).all()) for tensor in found[0].tensors.values())


def test_ctrl_c_finishes_the_step_saves_and_raises(tmp_path: Path) -> None:
    def press(event: Event) -> None:
        if event.step == 5 and event.kind == "step":
            os.kill(os.getpid(), signal.SIGINT)

    alone, resumed = Regressor(dropout=0.2), Regressor(dropout=0.2)
    before = signal.getsignal(signal.SIGINT)
    fit(alone, Data(), options(bptt=3))
    chosen = options(bptt=3, checkpoint_every_steps=None)
    with pytest.raises(KeyboardInterrupt, match="stopped at step 6; resume=True goes on from"):
        fit(resumed, Data(), chosen, run=tmp_path, callbacks=[press])
    assert signal.getsignal(signal.SIGINT) is before
    fit(resumed, Data(), chosen, run=tmp_path, resume=True)
    assert same_bits(weights(alone), weights(resumed))


def test_a_spent_time_budget_can_be_raised_on_resume(tmp_path: Path) -> None:
    first = fit(Regressor(), Data(), options(max_minutes=1e-9), run=tmp_path)
    assert first.stopped == "max_minutes"
    alone, resumed = Regressor(), Regressor()
    fit(alone, Data(), options())
    second: History = fit(resumed, Data(), options(max_minutes=60), run=tmp_path, resume=True)
    assert second.stopped == "epochs"
    assert second.seconds > first.seconds
    assert same_bits(weights(alone), weights(resumed))


def interrupted(folder: Path) -> None:
    with pytest.raises(Killed):
        fit(Regressor(), Data(), options(), run=folder, callbacks=[kill_at(11)])


def harm(folder: Path, damage: str) -> None:
    tensors = folder / "tensors.safetensors"
    data = tensors.read_bytes()
    if damage == "cut":
        tensors.write_bytes(data[:-100])
    elif damage == "flip":
        tensors.write_bytes(data[:-50] + bytes([data[-50] ^ 1]) + data[-49:])
    elif damage == "missing":
        (folder / "process-0.safetensors").unlink(missing_ok=True)
    else:
        (folder / "manifest.json").write_text('{"format": 1, "files": ')
