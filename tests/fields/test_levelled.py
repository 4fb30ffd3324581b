"""Series measured by their own level and spread: of the whole, or of what came so far."""

from __future__ import annotations

import json
from typing import Literal

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from unrolled.errors import NotStreamable
from unrolled.fields import Levelled, field_from_json, field_to_json
from unrolled.testing import check_field

Over = Literal["recording", "running"]
OVERS: list[Over] = ["recording", "running"]


def series(holes: float = 0.0) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    found = [random.normal(random.normal(), 1 + random.random(), (n, 3)) * [1, 10, 0.1] for n in (40, 0, 1, 25)]
    return [np.where(random.random(values.shape) < holes, np.nan, values) for values in found]


@pytest.mark.parametrize("over", OVERS)
@pytest.mark.parametrize("holes", [0.0, 0.2])
def test_the_laws_of_fields_hold(over: Over, holes: float) -> None:
    field = Levelled.fit(series(holes), over)
    check_field(field)
    again = field_from_json(json.loads(json.dumps(field_to_json(field))))
    for values in series(holes):
        assert np.array_equal(again.encode(values), field.encode(values))


def test_a_recording_is_measured_by_itself_whatever_its_level() -> None:
    field, [values, *_] = Levelled.fit(series(), "recording"), series()
    # float32 of the first scaling, in values of a few units.
    expected = StandardScaler().fit_transform(values)
    np.testing.assert_allclose(field.encode(values), expected, atol=1e-5)
    np.testing.assert_allclose(field.encode(3 * values + 7), expected, atol=1e-5)
    assert field.encode(np.ones((5, 3))).tolist() == [[0.0] * 3] * 5
    assert field.encode(np.zeros((0, 3))).shape == (0, 3)


def test_running_statistics_are_those_of_a_hundred_steps_of_training_and_of_what_came() -> None:
    field, [values, *_] = Levelled.fit(series(), "running"), series()
    scaled = field.numbers.encode(values).astype(np.float64)
    for step in (0, 1, 17, 39):
        before = scaled[:step]
        mean = before.sum(0) / (100 + step)
        variance = (100 + (before**2).sum(0)) / (100 + step) - mean**2
        np.testing.assert_allclose(field.encode(values)[step], (scaled[step] - mean) / np.sqrt(variance), rtol=1e-5)
    assert np.array_equal(field.encode(values)[0], scaled[0].astype(np.float32))


def test_what_lies_ahead_changes_nothing_where_it_is_running() -> None:
    field, [values, *_] = Levelled.fit(series(), "running"), series()
    assert np.array_equal(field.encode(values[:20]), field.encode(values)[:20])


def test_any_split_gives_the_steps_of_the_whole_bit_for_bit() -> None:
    field, front = Levelled.fit(series(0.1), "running"), Levelled.fit(series(0.1), "running").front()
    for seed in range(20):
        random = np.random.default_rng(seed)
        values = random.normal(2, 3, (int(random.integers(0, 60)), 3))
        cuts = np.sort(random.integers(0, len(values) + 1, 5))
        pieces = [front.push(piece) for piece in np.split(values, cuts)]
        assert np.array_equal(np.concatenate([*pieces, front.flush()]), field.encode(values))


def test_a_whole_recording_cannot_be_measured_before_its_end() -> None:
    with pytest.raises(NotStreamable, match="scaling='recording' needs the whole recording"):
        Levelled.fit(series(), "recording").front()
