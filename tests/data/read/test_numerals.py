"""Numbers as people write them."""

import numpy as np
import pyarrow as pa
import pytest

from unrolled.data.read.numerals import is_numeral, read_numerals


@pytest.mark.parametrize(
    ("texts", "values", "said"),
    [
        (["1", "-2.5", "+3e-5", "\u22124"], [1, -2.5, 3e-5, -4], ""),
        (["51,29", "-0,5", "60"], [51.29, -0.5, 60], "decimal commas ('51,29' is 51.29)"),
        (["1.234,5", "12,25"], [1234.5, 12.25], "decimal commas ('1.234,5' is 1234.5)"),
        (["1,234.5", "999"], [1234.5, 999], "parted thousands ('1,234.5' is 1234.5)"),
        (["1,234,567", "1,234"], [1234567, 1234], "parted thousands"),
        (["1.234.567", "1.234"], [1234567, 1234], "parted thousands ('1.234.567' is 1234567)"),
        (["1'234", "999"], [1234, 999], "parted thousands"),
        (["1 234", "1\xa0234,5"], [1234, 1234.5], "decimal commas"),
        (["$1,234.50", "-$5.00"], [1234.5, -5], "'$' left out"),
        (["1.234,50 \u20ac", "0,50 \u20ac"], [1234.5, 0.5], "'\u20ac' left out"),
        (["USD 5", "USD 6.5"], [5, 6.5], "'USD' left out"),
        (["12%", "12.5 %"], [12, 12.5], "'%' left out ('12%' is 12)"),
        (["12.3 kWh", "5kWh"], [12.3, 5], "'kWh' left out ('12.3 kWh' is 12.3)"),
        (["-5.1 \xb0C", "6 \xb0C"], [-5.1, 6], "'\xb0C' left out"),
    ],
)
def test_numbers_are_read_as_people_write_them(texts: list[str], values: list[float], said: str) -> None:
    found = read_numerals(pa.array(texts))
    np.testing.assert_allclose(found.values, values, rtol=1e-15)
    assert said in " ".join(found.ways)
    assert bool(said) == bool(found.ways)


def test_every_mark_of_a_missing_number_is_counted_with_its_first_row() -> None:
    marks = ["-", "--", "?", "<UNK>", "missing", "None", "nan", "#N/A", "n/a", ".", "...", "\\N", "NULL"]
    found = read_numerals(pa.array(["1", *marks, "-", "", None, "2"]))
    assert found.marks == {mark: (1 + (mark == "-"), row) for row, mark in enumerate(marks, start=1)}
    assert np.flatnonzero(~np.isnan(found.values)).tolist() == [0, len(marks) + 4]
    assert found.present == 2


@pytest.mark.parametrize(
    "texts",
    [
        ["01.02.2023", "02.02.2023"],
        ["2023-01-01", "2023-01-02"],
        ["1 Jan 2020", "2 Jan 2020"],
        ["2012Q1", "2012Q1"],
        ["10:00", "11:00"],
        ["1 pm", "2 pm"],
        ["1.2.3", "1.2.4"],
        ["<5", "<6"],
        ["+-5", "--5"],
        ["A1", "A2"],
    ],
)
def test_dates_times_and_codes_are_no_numbers(texts: list[str]) -> None:
    assert read_numerals(pa.array(texts)).odd.tolist() == [0, 1]
    assert not is_numeral(texts[0])


def test_another_unit_is_an_odd_value() -> None:
    assert read_numerals(pa.array(["1 kWh", "2 kWh", "3 MWh", "4 kWh", "5"])).odd.tolist() == [2, 4]


def test_a_comma_before_three_digits_alone_can_be_read_in_two_ways() -> None:
    assert read_numerals(pa.array(["1,234", "5,678"])).either == 0
    # In a file parted by semicolons it is a decimal comma; beside 999 it parts thousands.
    assert read_numerals(pa.array(["1,234", "5,678"]), commas=True).values.tolist() == [1.234, 5.678]
    assert read_numerals(pa.array(["999", "1,234"])).values.tolist() == [999, 1234]
    assert read_numerals(pa.array(["999", "1,234"]), commas=True).either == 1


def test_words_that_come_again_beside_few_whole_numbers_are_names() -> None:
    lines = read_numerals(pa.array((["1", "2", "3"] * 20 + ["A"]) * 2))
    assert lines.nearly_all
    assert lines.are_names
    temperatures = read_numerals(pa.array(([f"{i}.5" for i in range(60)] + ["off"]) * 2))
    assert temperatures.nearly_all
    assert not temperatures.are_names
