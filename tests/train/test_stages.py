"""The two stages of a fit: the best step is found, then all rows are learned from for as long."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_model import Data, Regressor, same_bits, weights

from unrolled.train import Event, TrainOptions, fit
from unrolled.train.stages import LONGEST, Stage, Training, learn

OPTIONS = TrainOptions(epochs=4, batch_size=4, learning_rate=0.02, patience=3)


def nothing(*_: object) -> None: ...


def stages(
    options: TrainOptions = OPTIONS, rows: int = 16, everything: int = 20
) -> tuple[Callable[[], Stage], Callable[[Stage], Stage], list[Stage]]:
    """How each stage is made, and those that were."""
    made: list[Stage] = []

    def search() -> Stage:
        made.append(Stage(Regressor(), Data(rows), rows, options, Data(6, seed=1)))
        return made[-1]

    def whole(found: Stage) -> Stage:
        assert found is made[0]
        made.append(Stage(Regressor(), Data(everything), everything, options))
        return made[-1]

    return search, whole, made


def records(run: Path) -> dict[str, Any]:
    """The options in the last checkpoint of a run folder."""
    path = sorted((run / "checkpoints").iterdir())[-1]
    options: dict[str, Any] = json.loads((path / "checkpoint.json").read_text())["options"]
    return options


def test_one_stage_alone_is_a_run_of_the_loop() -> None:
    search, _, made = stages()
    history = learn(search, None, Training(), between=nothing, save=nothing)
    twin = Regressor()
    wanted = fit(twin, Data(16), OPTIONS, valid=Data(6, seed=1))
    assert (history.best_step, history.best_score) == (wanted.best_step, wanted.best_score)
    assert same_bits(weights(made[0].net), weights(twin))
    assert not made[0].net.training


@pytest.mark.parametrize(("everything", "more"), [(16, 1.0), (20, 1.25), (400, LONGEST)])
def test_the_second_stage_learns_from_all_rows_for_as_long_as_was_best(everything: int, more: float) -> None:
    search, whole, made = stages(everything=everything)
    found: list[int] = []
    first: list[Event] = []
    history = learn(
        search, whole, Training(callbacks=(first.append,)),
        between=lambda: found.append(len(made)), save=nothing,
    )  # fmt: skip
    best = [event.step for event in first if event.kind == "evaluate" and event.best][-1]
    assert found == [1]
    assert (history.steps, history.stopped, history.best_step) == (round(best * more), "max_steps", None)
    assert not made[1].net.training


def test_a_time_limit_is_shared_by_the_stages(tmp_path: Path) -> None:
    search, whole, _ = stages(OPTIONS.model_copy(update={"max_minutes": 10.0}))
    learn(search, whole, Training(tmp_path), between=nothing, save=nothing)
    parts = [records(run)["max_minutes"] for run in (tmp_path, tmp_path / "refit")]
    assert parts == [6.0, 4.0]
    learn(search, None, Training(tmp_path / "alone"), between=nothing, save=nothing)
    assert records(tmp_path / "alone")["max_minutes"] == 10


def test_a_run_folder_gets_the_model_at_each_best_step_and_at_the_end(tmp_path: Path) -> None:
    search, whole, made = stages()
    saved: list[tuple[Path, int]] = []
    events: list[Event] = []
    training = Training(tmp_path, callbacks=(events.append,))
    learn(search, whole, training, between=nothing, save=lambda path: saved.append((path, len(made))))
    best = sum(event.kind == "evaluate" and event.best is True for event in events)
    assert best > 1
    assert saved == [(tmp_path / "model.unrolled", 1)] * best + [(tmp_path / "model.unrolled", 2)]
    saved.clear()
    search, whole, _ = stages()
    learn(search, whole, Training(), between=nothing, save=lambda path: saved.append((path, 0)))
    assert saved == []


@pytest.mark.parametrize("stage", [1, 2])
def test_a_stage_that_was_stopped_goes_on(stage: int, tmp_path: Path) -> None:
    options = OPTIONS.model_copy(update={"checkpoint_every_steps": 1})
    search, whole, straight = stages(options)
    learn(search, whole, Training(), between=nothing, save=nothing)
    starts = [0]

    def press(event: Event) -> None:
        starts[0] += event.kind == "start"
        if starts[0] == stage and event.kind == "step" and event.step == 2:
            raise KeyboardInterrupt

    search, whole, _ = stages(options)
    with pytest.raises(KeyboardInterrupt):
        learn(search, whole, Training(tmp_path, callbacks=(press,)), between=nothing, save=nothing)
    search, whole, resumed = stages(options)
    learn(search, whole, Training(tmp_path, resume=True), between=nothing, save=nothing)
    assert all(same_bits(weights(one.net), weights(two.net)) for one, two in zip(straight, resumed, strict=True))


def test_more_time_for_a_run_that_time_has_stopped_starts_its_second_stage_anew(tmp_path: Path) -> None:
    plain = OPTIONS.model_copy(update={"patience": None})
    search, whole, straight = stages(plain)
    learn(search, whole, Training(), between=nothing, save=nothing)

    short = plain.model_copy(update={"max_minutes": 1e-9})
    search, whole, _ = stages(short)
    learn(search, whole, Training(tmp_path), between=nothing, save=nothing)
    search, whole, resumed = stages(plain.model_copy(update={"max_minutes": 60.0}))
    history = learn(search, whole, Training(tmp_path, resume=True), between=nothing, save=nothing)
    assert history.stopped == "max_steps"
    assert all(same_bits(weights(a.net), weights(b.net)) for a, b in zip(straight, resumed, strict=True))


def test_the_second_stage_is_announced(capsys: pytest.CaptureFixture[str]) -> None:
    search, whole, _ = stages()
    learn(search, whole, Training(progress="plain"), between=nothing, save=nothing)
    assert "second stage: learning from all 20 rows for " in capsys.readouterr().err
