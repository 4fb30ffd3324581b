"""The benchmarks of what cells remember: their tasks, their equal terms, and the page made of their results."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from unrolled.errors import OptionError, TrainingError
from unrolled.nn import CELLS, LSTM
from unrolled.train import Event

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a module of the benchmarks folder, whose scripts import one another by name."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def drawn(module: Any, name: str, length: int, rows: int = 50, part: str = "valid") -> Any:
    task = module("memory_tasks").TASKS[name]
    return task.draw(np.random.default_rng(0), length, rows, part)


class Ticks:
    """A clock that goes on by one second whenever it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_copying_asks_for_the_symbols_in_their_order(module: Any) -> None:
    batch = drawn(module, "copying", 7)
    assert batch.x.shape == (50, 27)
    assert torch.equal(batch.target[batch.asked].view(50, 10), batch.x[:, :10])
    assert (batch.x[:, 10:17] == 8).all()
    assert (batch.x[:, 17:] == 9).all()
    assert not batch.asked[:, :17].any()


def test_adding_asks_for_the_sum_of_one_marked_number_in_each_half(module: Any) -> None:
    batch = drawn(module, "adding", 9)
    numbers, marks = batch.x.unbind(-1)
    assert torch.equal(marks[:, :4].sum(1), torch.ones(50))
    assert torch.equal(marks[:, 4:].sum(1), torch.ones(50))
    torch.testing.assert_close(batch.target[:, -1], (numbers * marks).sum(1))
    assert batch.asked.sum() == 50


def test_parity_is_that_of_all_bits_so_far(module: Any) -> None:
    batch = drawn(module, "parity", 6, part="train")
    wanted = np.logical_xor.accumulate(batch.x.numpy().astype(bool), 1)
    assert np.array_equal(batch.target.numpy(), wanted)
    assert batch.asked.all()
    assert not drawn(module, "parity", 6).asked[:, :3].any()


def test_recall_asks_every_key_once_for_its_value(module: Any) -> None:
    batch = drawn(module, "recall", 5)
    for x, target, asked in zip(*map(torch.Tensor.tolist, batch), strict=True):
        pairs = {x[i]: x[i + 1] - 16 for i in range(0, 10, 2)}
        assert len(pairs) == 5
        answered = {key: value for key, value, here in zip(x, target, asked, strict=True) if here}
        assert answered == pairs
        assert not any(asked[:10])


def test_digits_are_a_fixed_split_whose_pixels_come_in_order(module: Any) -> None:
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn has the digits")
    pixels, labels = datasets.load_digits(return_X_y=True)
    test = drawn(module, "digits", 256, None, "test")
    assert len(test.x) == 899
    assert torch.equal(test.target[:, -1], torch.from_numpy(labels[-899:]))
    torch.testing.assert_close(test.x[:, :64, 0], torch.from_numpy(pixels[-899:] / 16).float())
    assert not test.x[:, 64:].any()
    by_fours = drawn(module, "digits", 16, None, "test")
    assert torch.equal(by_fours.x.reshape(899, 64), test.x[:, :64, 0])
    sizes = [len(drawn(module, "digits", 16, None, part).x) for part in ("train", "valid")]
    assert sum(sizes) + 899 == len(labels)


def test_train_and_test_sequences_differ_and_are_the_same_for_every_cell(module: Any) -> None:
    memory, task = module("memory"), module("memory_tasks").TASKS["parity"]
    first, again, other = (memory.draw(task, 40, part, 8).x for part in ("test", "test", "valid"))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("name", "score", "skill"), [("copying", 1 / 8, 0), ("parity", 0.75, 0.5), ("adding", 1 / 6, 0), ("adding", 0, 1)]
)
def test_skill_runs_from_reading_nothing_to_no_mistake(module: Any, name: str, score: float, skill: float) -> None:
    assert module("memory_tasks").TASKS[name].skill(score) == pytest.approx(skill)


def test_an_answer_without_the_input_scores_the_chance_that_is_stated(module: Any) -> None:
    tasks = module("memory_tasks").TASKS
    sums = drawn(module, "adding", 30, 20_000).target[:, -1]
    # The variance of 20,000 sums is off by less than 5 standard errors of itself.
    assert float(sums.var()) == pytest.approx(tasks["adding"].chance, abs=5 * math.sqrt(1.4 / 20_000) / 6)
    for name, size in (("copying", 5), ("parity", 8), ("recall", 4)):
        batch = drawn(module, name, size, 4_000)
        answers = batch.target[batch.asked]
        share = answers.bincount().max() / len(answers)
        assert float(share) == pytest.approx(tasks[name].chance, abs=5 * math.sqrt(0.25 / len(answers)))


def test_every_cell_of_the_table_takes_part_and_forms_stand_apart(module: Any) -> None:
    equal, memory = module("equal"), module("memory")
    names = [contestant.name for contestant in equal.contestants(1)]
    assert {contestant.cell for contestant in equal.contestants(1)} == set(CELLS)
    assert len(names) == len(set(names))
    assert "rnn relu" in names
    rows = memory.rows()
    assert len(rows) == len(set(rows)) == len(names) * (1 + sum(len(t.lengths) for t in memory.TASKS.values()))


@pytest.mark.parametrize("cell", list(CELLS))
def test_every_cell_can_be_made_in_the_shape_of_all(module: Any, cell: str) -> None:
    equal = module("equal")
    deep = equal.Deep(equal.Contestant(cell, cell).with_heads(1), 8)
    y, _ = deep(torch.zeros(2, 3, 8))
    assert y.shape == (2, 3, 8)
    assert equal.state_size(deep) > 0


def test_the_shape_around_the_cells_steps_as_it_reads_the_whole(module: Any) -> None:
    equal = module("equal")
    torch.manual_seed(0)
    deep = equal.Deep(equal.Contestant("gru", "gru"), 6).double()
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    whole, final = deep(x, lengths=[5, 3])
    state, steps = deep.initial_state(2, dtype=torch.float64), []
    for t in range(5):
        y, state = deep.step(x[:, t], state)
        steps.append(y)
    torch.testing.assert_close(torch.stack(steps, 1)[0], whole[0])
    torch.testing.assert_close(torch.stack(steps, 1)[1, :3], whole[1, :3])
    assert not whole[1, 3:].any()
    torch.testing.assert_close(state[1].h[0], final[1].h[0])


def test_the_width_is_that_of_the_nearest_count_and_refused_widths_are_passed_over(module: Any) -> None:
    width_for, parameters = module("equal").width_for, module("equal").parameters
    counts = {width: parameters(LSTM(width, width)) for width in range(1, 60)}
    assert width_for(lambda width: LSTM(width, width), 5_000) == min(counts, key=lambda w: abs(counts[w] - 5_000))

    def even(width: int) -> nn.Module:
        if width % 2:
            raise OptionError("odd")
        return LSTM(width, width)

    assert width_for(even, counts[21]) in (20, 22)
    with pytest.raises(OptionError, match="no width up to 1 "):
        width_for(even, 100, most=1)


def test_speed_counts_steps_without_the_first_ones_and_without_evaluations(module: Any) -> None:
    speed = module("equal").Speed(skip=1, clock=Ticks())
    for kind, step in (("start", 0), ("step", 1), ("step", 2), ("evaluate", 2), ("step", 3)):
        speed(Event(kind, step, 1, 0.0, loss=float(step)))
    # Between two readings of the clock lies one second.
    assert (speed.steps, speed.seconds, speed.losses) == (2, 2.0, [2.0, 3.0])


def test_the_rate_that_falls_lowest_wins_and_one_that_breaks_down_is_out(module: Any) -> None:
    equal = module("equal")

    def train(rate: float, speed: Any) -> None:
        if rate > 1:
            raise TrainingError("broke down")
        for step in range(3, 100):
            speed(Event("step", step, 1, 0.0, loss=abs(rate - 0.1)))

    best, per_step = equal.race(train, (0.01, 0.1, 0.5, 2.0), 10.0, Ticks())
    assert best == 0.1
    assert per_step == 1.0
    with pytest.raises(TrainingError, match=r"at each of the rates 3\.0, 2\.0"):
        equal.race(train, (3.0, 2.0), 10.0)


def test_a_row_is_the_same_again_and_its_budget_is_kept(module: Any) -> None:
    memory = module("memory")
    first, again = (memory.measure("gru/parity/16", 60.0, Ticks()) for _ in range(2))
    assert first == again
    assert first["metric"] == "accuracy"
    assert 9_000 < first["parameters"] < 11_000
    assert first["core_seconds"] == pytest.approx(60.0, abs=15)
    assert first["rate"] in memory.RATES
    assert 0.3 < first["longer"] < 0.8


def test_a_training_that_is_not_finite_ends_and_says_so(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = module("memory")
    monkeypatch.setattr(memory, "loss_of", lambda answers, wanted: answers.sum() * math.inf)
    found = memory.measure("rnn/copying/10", 30.0, Ticks())
    assert found["diverged"]
    assert found["steps"] == 0


def test_rows_that_are_there_are_kept_and_those_of_another_budget_are_not(module: Any, tmp_path: Path) -> None:
    jobs = module("jobs")
    results = jobs.Continued("nothing of this name")
    results.path = tmp_path / "some-2026-01-01.jsonl"
    done: list[str] = []

    def work(name: str) -> dict[str, Any]:
        done.append(name)
        if name == "c":
            raise KeyboardInterrupt
        return {"score": 1}

    with pytest.raises(SystemExit, match="130"):
        jobs.run(work, ["a", "b", "c", "d"], results, 1, {"seconds": 2})
    assert [row["row"] for row in results.rows()] == ["a", "b"]
    jobs.run(work, ["a", "b", "d"], results, 1, {"seconds": 2})
    assert done == ["a", "b", "c", "d"]
    jobs.run(work, ["a"], results, 1, {"seconds": 3})
    assert done[-1] == "a"


def test_rows_side_by_side_go_on_where_one_fails(
    module: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    jobs = module("jobs")
    results = jobs.Continued("nothing of this name")
    results.path = tmp_path / "some-2026-01-01.jsonl"
    # A function that another process finds by its name: it takes JSON, and refuses what is none.
    assert jobs.run(json.loads, ['{"score": 1}', "{broken", '{"score": 2}'], results, 2, {}) == 1
    assert sorted(row["score"] for row in results.rows()) == [1, 2]
    assert "{broken failed: JSONDecodeError" in capfd.readouterr().err


def test_a_pattern_that_finds_no_row_is_refused(module: Any) -> None:
    chosen = module("jobs").chosen
    assert chosen(["lstm/parity/16", "gru/cost"], ["*/parity/*"]) == ["lstm/parity/16"]
    with pytest.raises(SystemExit, match=r"no row matches 'lsmt'; there are lstm"):
        chosen(["lstm"], ["lsmt"])


def test_a_language_model_is_matched_timed_and_scored(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    language = module("modern_language")
    text = "".join(f"line {i} of a text that is not long\n" for i in range(300))
    monkeypatch.setattr(language, "shakespeare_parts", lambda: (text[:9000], text[9000:]))
    monkeypatch.setattr(language, "PARAMETERS", 5_000)
    found = language.measure("gru", 0.2)
    assert 3_000 < found["parameters"] < 7_000
    assert 0 < found["score"] < 4
    assert found["steps"] >= 1
    plain = language.network(20, language.PLAIN, 8, 0.0)
    assert (plain.encoder.input_size, plain.encoder.output_size) == (language.PLAIN_EMBEDDING, 8)
    assert {runner.cell for runner in language.runners()} == set(CELLS)


def test_a_network_of_the_forecaster_takes_any_cell_at_as_many_parameters(module: Any) -> None:
    forecast, equal = module("modern_forecast"), module("equal")
    table = {"date": np.arange("2020-01-01", "2020-03-01", dtype="datetime64[h]").astype("datetime64[s]")}
    hours = len(table["date"])
    model = forecast.forecaster(equal.Contestant("gru", "gru"), 16, 1e-3, 1)
    model.fit({**table, "a": np.sin(np.arange(hours))}, time="date", target=["a"], refit=False)
    usual = model.fitted()
    for contestant in equal.contestants(forecast.HEADS):
        width = equal.width_for(
            lambda width, c=contestant: forecast.widened(usual, c, width), equal.parameters(usual), step=forecast.STEP
        )
        assert forecast.widened(usual, contestant, width).encoder.output_size == width


def row(cell: str, task: str, length: int, score: float, **more: Any) -> dict[str, Any]:
    return {
        "row": f"{cell}/{task}/{length}", "cell": cell, "task": task, "length": length, "score": score,
        "metric": "MSE" if task == "adding" else "accuracy", "solved_after": None, "diverged": False, "width": 20,
        "parameters": 10_001, "state": 80, "seconds": 18.0, "core_seconds": 18.2, "commit": "abc", "cores": 2,
        "cpu": "AVX2", "torch": "2.13.0", **more,
    }  # fmt: skip


def write(folder: Path, *rows: dict[str, Any], name: str = "memory") -> None:
    (folder / f"{name}-2026-01-01.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))


@pytest.mark.parametrize(
    ("task", "score", "more", "word"),
    [
        ("copying", 0.99, {}, "solved"),
        ("copying", 0.9, {}, "partly"),
        ("copying", 0.3, {}, "not"),
        ("parity", 1.0, {"longer": 1.0}, "solved"),
        ("parity", 1.0, {"longer": 0.6}, "by heart"),
        ("adding", 0.003, {}, "solved"),
        ("adding", 0.1, {}, "not"),
        ("digits", 0.94, {"baseline": 0.93}, "solved"),
        ("digits", 0.92, {"baseline": 0.93}, "partly"),
    ],
)
def test_a_level_is_told_by_skill_or_baseline(
    module: Any, task: str, score: float, more: dict[str, Any], word: str
) -> None:
    tables = module("memory_tables")
    assert tables.level(tables.TASKS[task], row("lstm", task, 1, score, **more)) == word
    assert tables.level(tables.TASKS[task], None) == "?"


def test_advice_names_who_solves_the_longest_and_who_has_it_by_heart(module: Any, tmp_path: Path) -> None:
    tables = module("memory_tables")
    write(
        tmp_path,
        row("lstm", "parity", 16, 1.0, longer=1.0, solved_after=3.25),
        row("mingru", "parity", 16, 1.0, longer=0.5),
        row("lstm", "copying", 10, 0.6),
        row("gru", "copying", 10, 0.7),
    )
    text = tables.page_block(tmp_path)
    assert "From `benchmarks/results/memory-2026-01-01.jsonl`; unrolled at abc; 2 cores, AVX2" in text
    assert "- **Parity** (a state that every 1 turns over), 16 bits: solved by lstm.\n" in text
    assert "  By heart, for no longer ones: mingru.\n" in text
    assert "10 blank steps: solved by none within the budget; nearest come gru (0.700) and lstm (0.600)." in text
    assert "| lstm | 20 | 80 | partly, ?, ? | ?, ?, ? | **solved**, ?, ? |" in text
    assert "| lstm | 1.000 (3.2 s) |  |  | 1.000 |  |  |" in text
    assert text.count(tables.NOTHING) == 3


def test_recipes_are_ordered_by_score_with_the_simple_model_last(module: Any, tmp_path: Path) -> None:
    tables = module("memory_tables")
    shared = {"width": 8, "parameters": 1000, "state": 16, "rate": 0.004, "steps": 9, "core_seconds": 600.0,
              "commit": "abc", "cores": 2, "cpu": "AVX2", "torch": "2.13.0"}  # fmt: skip
    language = [{"row": name, "cell": name, "score": score, "train_loss": 1.4, **shared}
                for name, score in (("gru", 1.6), ("lstm", 1.5))]  # fmt: skip
    write(tmp_path, *language, {**shared, "row": "baseline", "score": 1.547}, name="modern_language")
    found = [{"row": name, "cell": name, "mse": mse, "mae": 0.4, **shared}
             for name, mse in (("gru", 0.37), ("lstm", 0.36))]  # fmt: skip
    write(tmp_path, *found, {**shared, "row": "ridge", "mse": 0.38, "mae": 0.4}, name="modern_forecast")
    text = tables.page_block(tmp_path)
    places = [text.index(f"| {line} |") for line in ("lstm | 1.5000", "gru | 1.6000", "Kneser-Ney 7 | 1.5470")]
    assert places == sorted(places)
    places = [text.index(f"| {line} |") for line in ("lstm | 0.3600", "gru | 0.3700", "ridge | 0.3800")]
    assert places == sorted(places)


def test_the_picture_carries_the_fingerprint_of_its_numbers(module: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    tables, picture = module("memory_tables"), module("memory_picture")
    write(tmp_path, row("lstm", "parity", 16, 1.0, longer=1.0), row("gru", "adding", 25, 0.01))
    memory = tables.read(tmp_path, "memory")
    path = tmp_path / "picture.png"
    assert picture.fingerprint_of(path) is None
    picture.draw(memory, tables.cells_of(memory), tables.fingerprint(memory), path)
    assert picture.fingerprint_of(path) == tables.fingerprint(memory)
    memory["lstm/parity/16"] = {**memory["lstm/parity/16"], "longer": 0.9}
    assert picture.fingerprint_of(path) != tables.fingerprint(memory)


@pytest.mark.skipif(not (FOLDER / "results").is_dir(), reason="a source distribution has no results")
def test_page_and_picture_are_made_from_the_newest_results(module: Any) -> None:
    tables, picture = module("memory_tables"), module("memory_picture")
    page = tables.PAGE.read_text(encoding="utf-8")
    assert tables.with_block(page, tables.page_block(FOLDER / "results")) == page
    memory = tables.read(FOLDER / "results", "memory")
    assert not memory or picture.fingerprint_of(tables.PICTURE) == tables.fingerprint(memory)
