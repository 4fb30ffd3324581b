import json

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from unrolled.errors import DataError, OptionError
from unrolled.fields import Numbers

SCALINGS = ["standard", "robust", "log", "scale", "none"]


@pytest.fixture
def series() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.normal(50, 3, (length, 2)) * [1, 1e-3] for length in (5, 0, 40, 1)]


@pytest.fixture
def gappy(series: list[np.ndarray]) -> list[np.ndarray]:
    random = np.random.default_rng(1)
    return [np.where(random.random(values.shape) < 0.2, np.nan, values) for values in series]


def test_channels_are_scaled_by_the_statistics_of_all_series(series: list[np.ndarray]) -> None:
    numbers, oracle = Numbers.fit(iter(series)), StandardScaler().fit(np.concatenate(series))
    assert (numbers.channels, numbers.width) == (2, 2)
    encoded = numbers.encode(series[2])
    assert encoded.dtype == np.float32
    # Both compute in float64; what is left is the rounding to float32 of values of a few units.
    np.testing.assert_allclose(encoded, oracle.transform(series[2]), atol=4 * np.finfo(np.float32).eps)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_decoding_gives_back_what_was_encoded(gappy: list[np.ndarray], scaling: str) -> None:
    numbers = Numbers.fit(gappy, scaling)
    assert (numbers.channels, numbers.width) == (2, 4)
    for values in gappy:
        encoded = numbers.encode(values)
        assert encoded.shape == (len(values), 4)
        assert np.array_equal(encoded[:, 2:], np.isnan(values))
        assert (encoded[:, :2][np.isnan(values)] == 0).all()
        back = numbers.decode(encoded)
        # Values lie within 20 deviations of 0; the log kind multiplies the error of the exponent by its size.
        np.testing.assert_allclose(back, values, rtol=64 * np.finfo(np.float32).eps)


def test_without_gaps_in_training_a_later_gap_becomes_the_centre(series: list[np.ndarray]) -> None:
    numbers = Numbers.fit(series)
    values = series[2].copy()
    values[3, 1] = np.nan
    encoded = numbers.encode(values)
    assert encoded.shape == (40, 2)
    assert encoded[3, 1] == 0
    assert numbers.decode(encoded)[3, 1] == numbers.number.center[0, 1]


def test_channels_without_values_and_constant_ones_encode_to_zero() -> None:
    values = np.column_stack([np.full(6, np.nan), np.full(6, 0.1), np.arange(6.0)])
    numbers = Numbers.fit([values])
    encoded = numbers.encode(values)
    assert (encoded[:, :2] == 0).all()
    assert (encoded[:, 3:] == [1, 0, 0]).all()
    back = numbers.decode(encoded)
    assert np.isnan(back[:, 0]).all()
    assert (back[:, 1] == 0.1).all()


def test_a_series_of_no_steps_is_a_series() -> None:
    numbers = Numbers.fit([np.zeros((0, 3))])
    assert numbers.encode(np.zeros((0, 3))).shape == (0, 3)
    assert numbers.decode(np.zeros((0, 3))).shape == (0, 3)
    assert np.array_equal(numbers.encode(np.ones((2, 3))), np.ones((2, 3)))


@pytest.mark.parametrize("scaling", SCALINGS)
def test_the_field_survives_json_bit_for_bit(gappy: list[np.ndarray], scaling: str) -> None:
    numbers = Numbers.fit(gappy, scaling)
    again = Numbers.from_json(json.loads(json.dumps(numbers.to_json())))
    assert again.width == numbers.width
    assert np.array_equal(again.encode(gappy[2]), numbers.encode(gappy[2]))


def test_mistakes_are_named(series: list[np.ndarray]) -> None:
    numbers = Numbers.fit(series)
    with pytest.raises(DataError, match=r"the series as \(time, 2\), got \(4, 3\)"):
        numbers.encode(np.zeros((4, 3)))
    with pytest.raises(DataError, match=r"the encoded series as \(time, 2\), got \(4, 3\)"):
        numbers.decode(np.zeros((4, 3)))
    with pytest.raises(DataError, match=r"series 1 as \(time, 2\), got \(4, 3\)"):
        Numbers.fit([series[0], np.zeros((4, 3))])
    with pytest.raises(DataError, match=r"series 0 as \(time, channels\), got \(4,\)"):
        Numbers.fit([np.zeros(4)])
    with pytest.raises(DataError, match="at least one series"):
        Numbers.fit([])
    with pytest.raises(DataError, match="infinite value at step 2, channel 1"):
        numbers.encode(np.array([[0, 0], [0, 0], [0, -np.inf]]))
    with pytest.raises(DataError, match=r"1e\+300 at step 0, channel 1 lies beyond float32"):
        numbers.encode(np.array([[0, 1e300]]))
    with pytest.raises(OptionError, match="Did you mean 'standard'"):
        Numbers.fit(series, "standart")
