"""Scores of anomalies are their definitions, worked out slowly; silence and perfection score what they must."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from unrolled.errors import DataError, OptionError
from unrolled.score.areas import average_precision, roc_area
from unrolled.score.novelty import (
    NAB_PROFILES,
    NabWeights,
    Windows,
    events,
    nab_score,
    probation,
    vus,
    window_f1,
    window_labels,
    window_rows,
)

EPS = np.finfo(np.float64).eps
# A score is 100 times a sum of at most 400 numbers of at most 1, over at least 2; a row's number is wrong by a few eps.
TOLERANCE = 50 * 400 * 4 * EPS

File = tuple[np.ndarray, list[tuple[int, int]]]


def random_windows(random: np.random.Generator, rows: int, first: int = 0) -> list[tuple[int, int]]:
    """Some windows, apart from each other or side by side, the shortest of one row."""
    edges = np.unique(random.integers(first, rows + 1, int(random.integers(0, 9))))
    return [(int(a), int(b)) for a, b in zip(edges[:-1:2], edges[1::2], strict=False)]


def corpus(seed: int) -> list[File]:
    """Files with few distinct scores, higher in windows; the first has a window, others may have none."""
    random = np.random.default_rng(seed)
    files = []
    for i in range(int(random.integers(1, 4))):
        rows = int(random.integers(30, 100))
        windows = random_windows(random, rows, first=rows // 5) or ([(rows // 2, rows - 3)] if i == 0 else [])
        scores = random.integers(0, int(random.integers(2, 40)), rows) + 9 * window_labels(windows, rows)
        files.append((scores / 8, windows))
    return files


def slow_nab(files: list[File], threshold: float, weights: NabWeights) -> float:
    """The score before it is normalised, from the definition: one row after the other."""

    def sigmoid(x: float) -> float:
        return -1.0 if x > 3 else 2 / (1 + math.exp(5 * x)) - 1

    total = 0.0
    for scores, windows in files:
        scored = range(min(math.floor(0.15 * len(scores)), 750), len(scores))
        alarms = [i for i in scored if scores[i] >= threshold]
        for begin, end in windows:
            inside = [i for i in alarms if begin <= i < end]
            if not inside:
                total -= weights.missed
                continue
            position = -(end - 1 - inside[0] + 1) / (end - begin)
            total += weights.found * sigmoid(position) / sigmoid(-1)
        for i in alarms:
            if any(begin <= i < end for begin, end in windows):
                continue
            before = [window for window in windows if window[1] <= i]
            if not before or before[-1][1] - before[-1][0] == 1:
                total -= weights.false_alarm
                continue
            begin, end = before[-1]
            total += weights.false_alarm * sigmoid((i - (end - 1)) / (end - begin - 1))
    return total


@pytest.mark.parametrize("profile", list(NAB_PROFILES))
def test_the_nab_score_is_its_definition_at_every_threshold(profile: str) -> None:
    weights = NAB_PROFILES[profile]
    for seed in range(25):
        files = corpus(seed)
        number = sum(len(windows) for _, windows in files)
        every = {math.inf, *(score for scores, _ in files for score in scores.tolist())}
        slow = {threshold: slow_nab(files, threshold, weights) for threshold in every}
        for threshold, raw in slow.items():
            found = nab_score(files, threshold, profile=profile)
            normalised = 100 * (raw + weights.missed * number) / (number * (weights.found + weights.missed))
            assert found.raw == pytest.approx(raw, abs=TOLERANCE)
            assert found.score == pytest.approx(normalised, abs=TOLERANCE)
            assert found.raw == pytest.approx(sum(found.files), abs=TOLERANCE)
        best = nab_score(files, profile=profile)
        assert best.raw == pytest.approx(max(slow.values()), abs=TOLERANCE)
        assert best == nab_score(files, best.threshold, profile=profile)
        # Among equals it is the highest.
        assert all(raw < best.raw - TOLERANCE for threshold, raw in slow.items() if threshold > best.threshold)


def test_the_nab_score_of_a_small_file_worked_out_by_hand() -> None:
    # 20 rows, of which 3 are not scored; a window of 5 rows, found in its third; alarms 4 rows before and 2 behind it.
    scores = np.zeros(20)
    scores[[1, 6, 12, 13, 16]] = 1
    report = nab_score([(scores, [(10, 15)])], 0.5)
    inside = (2 / (1 + math.exp(-5 * 3 / 5)) - 1) / (2 / (1 + math.exp(-5)) - 1)
    behind = 2 / (1 + math.exp(5 * 2 / 4)) - 1
    assert report.raw == pytest.approx(inside - 0.11 + 0.11 * behind, abs=8 * EPS)
    assert report.score == pytest.approx(50 * (report.raw + 1), abs=800 * EPS)
    assert (report.windows, report.found, report.false_alarms, report.left_out) == (1, 1, 2, 0)


def test_silence_scores_0_and_perfection_100() -> None:
    for seed in range(20):
        files = corpus(seed)
        for profile in NAB_PROFILES:
            silent = nab_score(files, 1e9, profile=profile)
            assert (silent.score, silent.found, silent.false_alarms) == (0.0, 0, 0)
            perfect = []
            for scores, windows in files:
                first = np.zeros(len(scores))
                first[[begin for begin, _ in windows]] = 1
                perfect.append((first, windows))
            report = nab_score(perfect, profile=profile)
            assert report.score == pytest.approx(100, abs=TOLERANCE)
            assert (report.threshold, report.found, report.false_alarms) == (1.0, report.windows, 0)


def test_windows_side_by_side_are_two() -> None:
    scores = np.zeros(40)
    scores[[20, 24]] = 1
    assert nab_score([(scores, [(20, 24), (24, 30)])]).score == 100.0
    assert window_f1([(scores == 1, [(20, 24), (24, 30)])]).correct == 2


def test_a_detector_that_cannot_tell_is_best_silent() -> None:
    report = nab_score([(np.ones(100), [(60, 62)])])
    assert (report.score, report.threshold, report.found) == (0.0, math.inf, 0)
    assert report.to_json()["threshold"] is None


def test_the_first_alarm_in_a_window_counts_and_later_ones_cost_nothing() -> None:
    def score(rows: list[int]) -> float:
        scores = np.zeros(100)
        scores[rows] = 1
        return nab_score([(scores, [(40, 60)])], 1).score

    assert score([45]) == score([45, 46, 59]) > score([46]) > score([59]) > score([]) == 0.0
    # The longer after a window, the dearer; before any window it costs as much as far behind one.
    assert score([45]) > score([45, 60]) > score([45, 61]) > score([45, 99])
    far = (len(range(59, 99)) / 19) * 5
    assert score([45]) - score([45, 20]) == pytest.approx(5.5, abs=TOLERANCE)
    assert score([45]) - score([45, 99]) == pytest.approx(5.5 * (1 - 2 / (1 + math.exp(far))), abs=TOLERANCE)


def test_three_widths_behind_a_window_a_false_alarm_costs_all() -> None:
    def cost(row: int) -> float:
        scores = np.zeros(100)
        scores[row] = 1
        return -1 - nab_score([(scores, [(40, 45)])], 1).raw

    # Four rows are a width; the row behind the third width is the first that is cut.
    assert cost(44 + 12) == pytest.approx(0.11 * (1 - 2 / (1 + math.exp(15))), abs=8 * EPS)
    assert cost(44 + 12) < 0.11
    assert cost(44 + 13) == pytest.approx(0.11, abs=8 * EPS)


def test_false_alarms_behind_a_window_of_one_row_cost_all() -> None:
    scores = np.zeros(40)
    scores[[20, 21]] = 1
    report = nab_score([(scores, [(20, 21)])], 1)
    assert report.raw == pytest.approx(1 - 0.11, abs=8 * EPS)


@pytest.mark.parametrize(("rows", "first"), [(39, 5), (40, 6), (5000, 750), (9000, 750)])
def test_the_first_rows_of_a_file_are_not_scored(rows: int, first: int) -> None:
    assert probation(rows) == first
    scores = np.zeros(rows)
    scores[: first - 1] = 1
    window = (rows - 9, rows - 1)
    assert nab_score([(scores, [window])], 1).false_alarms == 0
    scores[first] = 1
    assert nab_score([(scores, [window])], 1).false_alarms == 1


def test_windows_that_begin_among_the_first_rows_are_left_out() -> None:
    scores = np.zeros(100)
    scores[[12, 16, 50]] = 1
    report = nab_score([(scores, [(10, 20), (50, 60)])], 1)
    alone = nab_score([(scores, [(50, 60)])], 1)
    assert (report.left_out, report.windows, report.score) == (1, 1, alone.score)
    assert report.false_alarms == 1
    # The first row that is scored is row 15.
    assert [nab_score([(scores, [(begin, 20), (50, 60)])], 1).windows for begin in (14, 15)] == [1, 2]
    with pytest.raises(DataError, match="at least one window behind the first 15% of its file's rows, got none in 1"):
        nab_score([(scores, [(10, 20)])])


def test_order_of_files_and_windows_and_the_scale_of_scores_do_not_matter() -> None:
    for seed in range(20):
        files = corpus(seed)
        report = nab_score(files)
        turned = nab_score([(scores, windows[::-1]) for scores, windows in files[::-1]])
        assert turned.score == pytest.approx(report.score, abs=TOLERANCE)
        assert turned.threshold == report.threshold
        scaled = nab_score([(np.exp(scores / 9), windows) for scores, windows in files])
        assert scaled.score == report.score


def test_the_nab_report_is_a_line_and_plain_json() -> None:
    scores = np.zeros(40)
    scores[[20, 30]] = [1, 0.5]
    report = nab_score([(scores, [(20, 24)]), (np.zeros(9), [])], profile="reward_low_FN_rate")
    assert str(report) == (
        "NAB score 100.00 (profile reward_low_FN_rate, threshold 1: 1 of 1 windows found, 0 false alarms)"
    )
    assert json.loads(json.dumps(report.to_json())) == {
        "score": 100.0, "profile": "reward_low_FN_rate", "threshold": 1.0, "raw": 1.0, "files": [1.0, 0.0],
        "windows": 1, "found": 1, "left_out": 0, "false_alarms": 0,
    }  # fmt: skip


def slow_counts(alarms: np.ndarray, windows: Windows) -> tuple[int, int, int]:
    """Found, false and missed by the rule of overlapping segments: each window against each run of alarms."""
    segments = events(alarms)
    found, touched = 0, set()
    for begin, end in windows:
        over = [segment for segment in segments if segment[0] < end and begin < segment[1]]
        found += bool(over)
        touched |= set(over)
    return found, len(segments) - len(touched), len(windows) - found


def test_window_f1_counts_by_the_rule_of_overlapping_segments() -> None:
    random = np.random.default_rng(0)
    for _ in range(100):
        files = []
        for _ in range(int(random.integers(1, 4))):
            rows = int(random.integers(1, 60))
            files.append((random.random(rows) < random.random(), random_windows(random, rows)))
        found, false, missed = np.sum([slow_counts(*file) for file in files], axis=0)
        report = window_f1(files)
        assert (report.correct, report.predicted, report.support) == (found, found + false, found + missed)
        both = 2 * found + false + missed
        assert report.f1 == (2 * found / both if both else 0.0)


@pytest.mark.parametrize(
    ("alarms", "found", "false"),
    [
        ([], 0, 0),
        ([5], 1, 0),
        ([4, 5, 6, 7, 8], 2, 0),
        ([4], 0, 1),
        ([0, 1, 2, 9], 0, 2),
        ([5, 9], 1, 1),
        ([3, 4, 5], 1, 0),
        ([8, 9], 1, 0),
    ],
)
def test_a_run_of_alarms_is_false_once_if_it_reaches_no_window(alarms: list[int], found: int, false: int) -> None:
    flags = np.zeros(10, int)
    flags[alarms] = 1
    report = window_f1([(flags, [(5, 7), (8, 9)])])
    assert (report.correct, report.predicted - report.correct, report.support) == (found, false, 2)


def test_nothing_to_find_and_nothing_found_has_no_f1() -> None:
    assert window_f1([(np.zeros(9, bool), [])]).rates == (0.0, 0.0, 0.0)


def test_events_are_the_runs_of_alarms() -> None:
    random = np.random.default_rng(1)
    for _ in range(50):
        alarms = random.random(int(random.integers(0, 40))) < random.random()
        found = events(alarms)
        np.testing.assert_array_equal(window_labels(found, len(alarms)), alarms)
        assert all(left[1] < right[0] for left, right in pairwise(found))
    assert events([]) == []


def slow_vus(scores: np.ndarray, labels: np.ndarray, buffer: int) -> tuple[float, float]:
    """Both volumes from the formulas, one threshold and one row after the other."""
    rows, windows = len(scores), events(labels)
    pr, roc = 0.0, 0.0
    for size in range(buffer + 1):
        half = size // 2
        soft = []
        for i in range(rows):
            value = float(labels[i])
            for begin, end in windows:
                distance = begin - i if i < begin else i - (end - 1)
                if not begin <= i < end and distance <= half:
                    value += math.sqrt(1 - distance / size)
            soft.append(min(value, 1.0))
        wide: list[tuple[int, int]] = []
        for begin, end in windows:
            if wide and begin - half < wide[-1][1]:
                wide[-1] = (wide[-1][0], end + half)
            else:
                wide.append((begin - half, end + half))
        positive = (labels.sum() + sum(soft)) / 2
        points = [(0.0, 0.0, 1.0)]
        for threshold in sorted(set(scores.tolist()), reverse=True):
            alarms = [i for i in range(rows) if scores[i] >= threshold]
            hits = sum(soft[i] for i in alarms)
            seen = sum(any(begin <= i < end for i in alarms) for begin, end in wide)
            recall = min(hits / positive, 1) * seen / len(wide)
            points.append(((len(alarms) - hits) / (rows - positive), recall, hits / len(alarms)))
        for (_, r0, p0), (_, r1, p1) in pairwise(points):
            pr += (r1 - r0) * (p0 + p1) / 2
        points.append((1.0, 1.0, 0.0))
        for (f0, r0, _), (f1, r1, _) in pairwise(points):
            roc += (f1 - f0) * (r0 + r1) / 2
    return pr / (buffer + 1), roc / (buffer + 1)


def series(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores with ties, higher in windows, some of which stand at an end or close together."""
    random = np.random.default_rng(seed)
    rows = int(random.integers(2, 50))
    labels = window_labels(random_windows(random, rows), rows)
    labels[int(random.integers(0, rows))] = True
    labels[np.argmin(labels) if not labels.all() else 0] = False
    scores = random.integers(0, int(random.integers(2, 30)), rows) + labels * random.integers(0, 9)
    return scores / 5, labels


def test_volumes_are_their_formulas() -> None:
    for seed in range(60):
        scores, labels = series(seed)
        if not labels.any():
            continue
        buffer = int(np.random.default_rng(seed).integers(0, 12))
        found = vus(scores, labels, buffer)
        # Sums of at most 50 numbers of at most 1 in a ratio, 50 of which are summed up.
        assert found == pytest.approx(slow_vus(scores, labels, buffer), abs=50 * 8 * EPS)
        assert all(-EPS <= value <= 1 + 8 * EPS for value in found)
        assert vus(np.exp(scores / 9), labels.astype(int), buffer) == found


def test_with_one_window_and_no_buffer_the_volume_of_the_roc_is_the_area_of_the_rows() -> None:
    random = np.random.default_rng(2)
    for _ in range(30):
        labels = window_labels([(8, 8 + int(random.integers(1, 9)))], 30)
        scores = random.integers(0, 12, 30)
        found = vus(scores, labels, 0)
        assert found == pytest.approx(vus(scores, labels, 1), abs=8 * EPS)
        assert found.roc == pytest.approx(roc_area(scores, labels), abs=60 * EPS)
    assert vus(labels.astype(float), labels, 0) == (1.0, 1.0)


def test_alarms_near_a_window_are_worth_more_than_alarms_far_from_it() -> None:
    labels = window_labels([(40, 50)], 100)
    values = []
    for row in (39, 37, 35, 20):
        scores = np.zeros(100)
        scores[row] = 1
        values.append(vus(scores, labels, 12))
    assert values == sorted(values, reverse=True)
    # Row by row, all of them are as false.
    shifted = [np.eye(100)[row] for row in (39, 37, 35, 20)]
    assert len({average_precision(scores, labels) for scores in shifted}) == 1


TIMES = ["2014-04-10 00:00:00", "2014-04-10 00:05:00", "2014-04-10 00:10:00", "2014-04-10 00:15:00"]


@pytest.mark.parametrize(
    ("windows", "times", "rows"),
    [
        ([("2014-04-10 00:05:00.000000", "2014-04-10 00:10:00.000000")], TIMES, [(1, 3)]),
        ([("2014-04-10 00:04", "2014-04-10 00:06")], np.array(TIMES, "datetime64[s]"), [(1, 2)]),
        ([(5, 10.0), (0, 0)], [0, 5, 10, 15], [(1, 3), (0, 1)]),
        ([(1.5, 99)], np.array([1.0, 2.0, 2.0, 3.0]), [(1, 4)]),
        # The hour that comes twice when summer time ends, outside the windows.
        ([(5, 6)], [1, 2, 3, 2, 3, 4, 5, 6, 7], [(6, 8)]),
        ([], TIMES, []),
    ],
)
def test_windows_in_time_become_rows(windows: Any, times: Any, rows: Any) -> None:
    assert window_rows(windows, times) == rows


@pytest.mark.parametrize(
    ("windows", "times", "sentence"),
    [
        ([(20, 30)], [0, 5, 10], "a run of rows between 20 and 30, got none"),
        ([(2, 3)], [1, 2, 3, 1, 2, 3], "between 2 and 3, got 4 that are parted by others; sort the rows"),
        ([(2, 3)], TIMES, "one kind of times, got windows of numbers and rows of dates"),
        ([("2014-04-10", "2014-04-11")], [1, 2], "one kind of times, got windows of dates and rows of numbers"),
        ([("noon", "one")], TIMES, "expected numbers or dates as times .* parse them first"),
        ([], [TIMES], r"one time a row, got times of shape \(1, 4\)"),
        ([], np.array(["2014-04-10", "NaT"], "datetime64[s]"), "got one that is missing"),
    ],
)
def test_windows_without_their_rows_are_refused(windows: Any, times: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        window_rows(windows, times)


@pytest.mark.parametrize(
    ("windows", "sentence"),
    [
        ([(5, 11)], r"windows \(begin, end\) within 10 rows, got \(5, 11\)"),
        ([(-1, 3)], r"within 10 rows, got \(-1, 3\)"),
        ([(3, 3)], r"within 10 rows, got \(3, 3\)"),
        ([(1.0, 3.0)], r"windows \(begin, end\) as rows, got \(1.0, 3.0\); window_rows makes them of times"),
        ([("2014-04-10", "2014-04-11")], r"as rows, got \('2014-04-10', '2014-04-11'\)"),
        ([(5, 9), (2, 6)], r"that do not overlap, got \(2, 6\) and \(5, 9\); merge them"),
    ],
)
def test_windows_outside_or_over_each_other_are_refused(windows: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=f"nab_score, file 1: expected .*{sentence}"):
        nab_score([(np.zeros(10), []), (np.zeros(10), windows)])
    with pytest.raises(DataError, match=f"window_f1, file 0: expected .*{sentence}"):
        window_f1([(np.zeros(10, bool), windows)])
    with pytest.raises(DataError, match=f"window_labels: expected .*{sentence}"):
        window_labels(windows, 10)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: nab_score([]), "nab_score: expected at least one file, got none"),
        (lambda: nab_score([([1.0, math.nan], [(1, 2)])]), "nab_score, file 0: expected finite scores, got 1 of 2"),
        (lambda: nab_score([([], [])]), "nab_score, file 0: expected one score a row"),
        (lambda: nab_score([([1.0, 2.0], [])]), "at least one window .* got none in 1 files"),
        (lambda: window_f1([]), "window_f1: expected at least one file"),
        (lambda: window_f1([([0.5, 1.0], [])]), "window_f1, file 0: expected alarms as bool or 0 and 1"),
        (
            lambda: events([[0, 1]]),
            r"events: expected alarms as bool .* one a row, got int64 of shape \(1, 2\)",
        ),
        (lambda: vus([1, 2], [0, 0], 3), "vus: expected rows with the label and without, got 0 of 2"),
        (lambda: vus([1, 2], [1, 1], 3), "vus: expected rows with the label and without, got 2 of 2"),
    ],
)
def test_what_cannot_be_scored_is_refused(call: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        call()


def test_wrong_options_are_refused() -> None:
    file = ([0.0, 1.0], [(1, 2)])
    with pytest.raises(OptionError, match=r"profile must be one of .* Did you mean 'standard'"):
        nab_score([file], profile="standrd")
    with pytest.raises(OptionError, match="threshold must be a number, got nan"):
        nab_score([file], math.nan)
    for buffer in (-1, 2.0, True):
        with pytest.raises(OptionError, match="buffer must be an integer of at least 0"):
            vus([1, 2], [0, 1], buffer)
