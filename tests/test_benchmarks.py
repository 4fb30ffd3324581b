"""The pure parts of the benchmarks: times to ratios, ratios to verdicts, results to tables."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unrolled import nn
from unrolled.testing import LawBroken

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a module of the benchmarks folder, whose scripts import one another by name."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def result(row: Any, **changes: Any) -> dict[str, Any]:
    peer = row.against[0]
    return {
        "row": row.name,
        "threads": 2,
        "seconds": {
            row.ours: [2e-3, 1.9e-3, 2.1e-3],
            peer: [5e-3, 5e-3, 5e-3],
            "JAX": [7e-3, 7e-3, 7e-3],
            "GEMM": [0.04, 0.04, 0.04],
        },
        "peer": peer,
        "ratio": [2.5, 2.4, 2.6],
        "least": row.least,
        "aim": row.aim,
        "verdict": "aim met",
        "share_of": "GEMM",
        "share": {row.ours: 0.51, peer: 0.2},
        "absent": {"onnxruntime": "cannot be imported: no module"},
        "machine": "a processor",
        "cores": 2,
        "cpu": "AVX2",
        "unrolled": "0.1.0",
        "commit": "abc",
        "level": "avx2",
        "torch": "2.13.0",
        "peers": {"onnxruntime": None, "jax": "1.2"},
        **changes,
    }


def test_a_ratio_is_taken_round_by_round(module: Any) -> None:
    timing = module("timing")
    assert timing.ratio([2.0, 40.0, 6.0], [1.0, 10.0, 2.0]) == (3.0, 2.5, 3.5)
    assert timing.summary([4.0]) == (4.0, 4.0, 4.0)
    assert timing.spread([2.0, 3.0, 2.5]) == 1.5


def test_the_fastest_peer_that_ran_counts(module: Any) -> None:
    fastest = module("timing").fastest
    times = {"unrolled": [0.1], "loop": [3.0, 5.0, 9.0], "JAX": [4.0, 4.0, 4.0]}
    assert fastest(times, ("loop", "JAX", "absent one")) == "JAX"
    assert fastest(times, ("absent one",)) is None


@pytest.mark.parametrize(
    ("value", "least", "aim", "at_most", "word"),
    [
        (2.2, 1.6, 2.2, False, "aim met"),
        (2.1, 1.6, 2.2, False, "met"),
        (1.5, 1.6, 2.2, False, "not met"),
        (1.04, 1.15, 1.05, True, "aim met"),
        (1.10, 1.15, 1.05, True, "met"),
        (1.20, 1.15, 1.05, True, "not met"),
        (9.9, None, None, False, ""),
        (float("nan"), 1.0, None, False, "not met"),
    ],
)
def test_a_verdict_says_which_bar_is_reached(
    module: Any, value: float, least: float | None, aim: float | None, at_most: bool, word: str
) -> None:
    assert module("timing").verdict(value, least, aim, at_most=at_most) == word


def test_contestants_take_turns(module: Any) -> None:
    calls: list[str] = []
    runs = {name: lambda name=name: calls.append(name) for name in "AB"}
    times = module("timing").interleave(runs, rounds=3, seconds=0.0, settle=0.0)
    assert {name: len(values) for name, values in times.items()} == {"A": 3, "B": 3}
    assert calls[-6:] == ["A", "B"] * 3


def test_no_ratio_is_shown_while_the_law_is_broken_or_the_kernel_unproved(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    race = module("race")

    def broken(op: str) -> None:
        raise LawBroken("kernel", f"{op}, kernel 'cpp'", "output 0 differs")

    monkeypatch.setattr(race, "_PROOFS", {})
    monkeypatch.setattr(race, "check_kernel", broken)
    with pytest.raises(race.Refused, match=r"while the law of its kernels is broken: .*output 0 differs"):
        race.prove("lstm", ["cpp"], quick=False)
    monkeypatch.setattr(race, "_PROOFS", {})
    monkeypatch.setattr(race, "check_kernel", lambda op: {"cpp": 0, "reference": 60})
    race.prove("lstm", ["reference"], quick=False)
    with pytest.raises(race.Refused, match="while kernel 'cpp' refuses every sample"):
        race.prove("lstm", ["cpp"], quick=False)


def test_contestants_that_differ_are_not_timed(module: Any) -> None:
    race, one = module("race"), [np.ones(3)]
    assert race.compare({"ours": [np.ones(3) + 1e-6], "peer": one}, "peer") == pytest.approx(1e-6)
    with pytest.raises(race.Refused, match=r"ours differs from peer by 0\.01"):
        race.compare({"ours": [np.ones(3) + 1e-2], "peer": one}, "peer")
    with pytest.raises(race.Refused, match="by nan"):
        race.compare({"ours": [np.full(3, np.nan)], "peer": one}, "peer")


def test_the_kernel_that_ran_is_recorded(module: Any) -> None:
    layer = nn.RNN(3, 4, kernel="reference")
    assert module("race").kernels_of(lambda: layer(torch.zeros(1, 2, 3))) == ["reference"]


def test_names_of_rows_are_unique_and_can_be_asked_for(module: Any) -> None:
    rows = module("rows")
    every = [*rows.RECURRENT, *rows.LIVE]
    assert len({row.name for row in every}) == len(every)
    assert [row.name for row in rows.chosen(rows.LIVE, ["lstm-live-64"])] == ["lstm-live-64"]
    with pytest.raises(ValueError, match=r"no row matches 'lstm-lvie'; there are lstm-live-32"):
        rows.chosen(rows.LIVE, ["lstm-lvie"])


def test_work_is_counted_by_steps_gates_and_passes(module: Any) -> None:
    rows = module("rows")
    by_name = {row.name: row for row in rows.RECURRENT}
    inference = rows.flops(by_name["lstm-inference-32x100x32x64"], 3200)
    assert inference == 2 * 3200 * (32 + 64) * 4 * 64
    assert rows.flops(by_name["lstm-training-32x100x32x64"], 3200) == 3 * inference
    assert rows.flops(by_name["lstm-coupled-training-32x100x32x64"], 3200) == 3 * inference * 3 / 4
    assert rows.scan_bytes(by_name["diagonal-training-8x1024x256"]) == 8 * 4 * 8 * 1024 * 256


def test_bars_are_those_of_two_threads_and_on_one_a_plain_lstm_must_not_lose(module: Any) -> None:
    by_name = {row.name: row for row in module("rows").RECURRENT}
    assert by_name["lstm-training-32x100x32x64"].bars(2) == (1.6, 2.2)
    assert by_name["lstm-training-32x100x32x64"].bars(1) == (0.95, None)
    assert by_name["gru-training-32x100x32x64"].bars(1) == (None, None)
    assert by_name["lstm-growth-training"].bars(1) == (1.2, None)


def test_a_table_shows_what_was_measured_and_what_was_not(module: Any) -> None:
    tables, rows = module("tables"), module("rows").RECURRENT[:2]
    text = tables.render(rows, {(rows[0].name, 2): result(rows[0])}, 2)
    assert "Of 2 rows with a bar, 1 reach it (1 of them the aim too), 0 do not, and 1 are not measured." in text
    assert "at abc (compiled kernels: avx2), torch 2.13.0, jax 1.2." in text
    assert (
        "| (32, 100, 32, 64) | 2 ms | torch.nn 5 ms | 2.5 (2.4 to 2.6) | 1.6 | 2.2 | aim met | 51 % / 20 % of GEMM "
        "| JAX 7 ms |" in text
    )
    assert "| (32, 100, 128, 128) | not measured |  |  | 1.2 | 1.4 |  |  |  |" in text
    assert "Absent: onnxruntime cannot be imported: no module." in text


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.5, "2.5 s"), (0.1234, "123 ms"), (1.7e-6, "1.7 µs"), (3e-8, "30 ns"), (1e-3, "1 ms")]
)
def test_a_time_has_three_digits_and_a_unit(module: Any, seconds: float, text: str) -> None:
    assert module("tables").time_text(seconds) == text


def test_the_newest_file_counts_and_in_it_the_last_result_of_a_row(module: Any, tmp_path: Path) -> None:
    tables, row = module("tables"), module("rows").RECURRENT[0]
    for day, verdicts in (("2026-01-09", ["met"]), ("2026-01-10", ["not met", "aim met"])):
        lines = [json.dumps(result(row, verdict=verdict)) + "\n" for verdict in verdicts]
        (tmp_path / f"recurrent_cpu-{day}.jsonl").write_text("".join(lines))
    path = tables.newest(tmp_path, "recurrent_cpu")
    assert path.name == "recurrent_cpu-2026-01-10.jsonl"
    assert tables.last_results(path)[row.name, 2]["verdict"] == "aim met"
    assert tables.last_results(tables.newest(tmp_path, "live_step")) == {}


def test_only_the_marked_block_of_the_page_is_replaced(module: Any) -> None:
    tables = module("tables")
    page = f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n"
    once = tables.replace_block(page, "new")
    assert once == f"before\n{tables.BEGIN}\n\nnew\n\n{tables.END}\nafter\n"
    assert tables.replace_block(once, "new") == once
    with pytest.raises(ValueError, match="once each"):
        tables.replace_block("no marks", "new")


def test_a_row_of_the_reference_kernel_and_a_coarse_form_say_so(module: Any) -> None:
    tables, row = module("tables"), module("rows").RECURRENT[0]
    found = result(row, kernels=["reference"], differences={row.ours: 3e-7, "torch.nn": 2e-3})
    text = tables.render([row], {(row.name, 2): found}, 2)
    assert "| 2 ms (off by 3e-07) (reference kernel) | torch.nn 5 ms (off by 2e-03) |" in text


@pytest.mark.skipif(not (FOLDER / "results").is_dir(), reason="a source distribution has no results")
def test_the_page_on_speed_is_generated_from_the_newest_results(module: Any) -> None:
    tables = module("tables")
    page = tables.PAGE.read_text(encoding="utf-8")
    assert tables.replace_block(page, tables.whole_block(FOLDER / "results")) == page
