import json

import numpy as np
import pytest
from sklearn.preprocessing import RobustScaler, StandardScaler

from unrolled.errors import OptionError
from unrolled.fields import Number


@pytest.fixture
def values() -> np.ndarray:
    random = np.random.default_rng(0)
    values = random.normal(1e4, 3.0, (90, 2)) * [1, 1e-6]
    values[random.random((90, 2)) < 0.1] = np.nan
    return values


OFFSETS = np.array([0, 30, 90])


def test_standard_scaling_agrees_with_scikit_learn(values: np.ndarray) -> None:
    number = Number.fit(values, OFFSETS)
    for group in range(2):
        rows = values[OFFSETS[group] : OFFSETS[group + 1]]
        oracle = StandardScaler().fit(rows)
        np.testing.assert_allclose(number.center[group], oracle.mean_, rtol=1e-12)
        np.testing.assert_allclose(number.scale[group], oracle.scale_, rtol=1e-9)


def test_robust_scaling_agrees_with_scikit_learn(values: np.ndarray) -> None:
    number, oracle = Number.fit(values, scaling="robust"), RobustScaler().fit(values)
    np.testing.assert_allclose(number.center[0], oracle.center_, rtol=1e-12)
    np.testing.assert_allclose(number.scale[0] * 1.349, oracle.scale_, rtol=1e-9)


@pytest.mark.parametrize("scaling", ["standard", "robust", "log", "scale", "none"])
def test_decoding_gives_back_what_was_encoded(values: np.ndarray, scaling: str) -> None:
    number = Number.fit(values, OFFSETS, scaling=scaling)
    group = np.repeat([0, 1], [30, 60])
    np.testing.assert_allclose(number.decode(number.encode(values, group), group), values, rtol=1e-9)
    windows = values[:80].reshape(8, 10, 2) * [1, -1]
    chosen = np.arange(8) % 2
    np.testing.assert_allclose(number.decode(number.encode(windows, chosen), chosen), windows, rtol=1e-9)


@pytest.mark.parametrize("scaling", ["standard", "robust", "log", "scale", "none"])
def test_the_field_survives_json_bit_for_bit(values: np.ndarray, scaling: str) -> None:
    number = Number.fit(values, OFFSETS, scaling=scaling)
    again = Number.from_json(json.loads(json.dumps(number.to_json())))
    assert again.scaling == scaling
    assert np.array_equal(again.center, number.center)
    assert np.array_equal(again.scale, number.scale)


def test_a_field_without_columns_survives_json() -> None:
    number = Number.fit(np.zeros((5, 0)), np.array([0, 2, 5]))
    assert Number.from_json(number.to_json()).center.shape == (2, 0)


@pytest.mark.parametrize("scaling", ["standard", "robust", "log"])
def test_a_constant_series_encodes_to_zero(scaling: str) -> None:
    values = np.full((50, 1), 0.1)
    assert np.array_equal(Number.fit(values, scaling=scaling).encode(values), np.zeros((50, 1)))


def test_huge_values_are_scaled_without_overflow() -> None:
    values = np.arange(30.0)[:, None] * 1e300
    assert Number.fit(values).encode(values).std() == pytest.approx(1.0)


@pytest.mark.parametrize("scaling", ["standard", "robust", "scale"])
def test_numbers_at_the_end_of_what_a_float_holds_have_statistics_as_smaller_ones(scaling: str) -> None:
    values = np.array([-1.0, 1.0, 0.5, -0.25, 0.75, 1.0, -1.0] * 9)[:, None]
    whole = 2.0**1023 * values
    plain, far = (Number.fit(each, scaling=scaling) for each in (values, whole))
    # The sums are of other sizes, but a power of two changes no digit of them.
    np.testing.assert_array_equal(far.center / 2.0**1023, plain.center)
    np.testing.assert_allclose(far.scale / 2.0**1023, plain.scale, rtol=1e-15)
    assert np.isfinite(Number.from_json(far.to_json()).scale).all()


def test_rows_after_the_training_part_change_nothing(values: np.ndarray) -> None:
    ends = np.array([20, 40])
    before = Number.fit(values, OFFSETS, ends)
    changed = values.copy()
    changed[20:30] = 1e9
    changed[70:] = np.nan
    after = Number.fit(changed, OFFSETS, ends)
    assert np.array_equal(before.center, after.center)
    assert np.array_equal(before.scale, after.scale)


def test_a_series_without_training_values_takes_the_statistics_of_the_others(values: np.ndarray) -> None:
    values[:20] = np.nan
    number = Number.fit(values, OFFSETS, np.array([20, 60]))
    np.testing.assert_allclose(number.center[0], number.center[1])
    assert np.isfinite(Number.fit(np.full((5, 1), np.nan)).encode(np.ones((1, 1)))).all()


def test_an_unknown_scaling_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(OptionError, match="Did you mean 'standard'"):
        Number.fit(np.ones((3, 1)), scaling="standart")
