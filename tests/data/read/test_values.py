from typing import Any

import numpy as np
import pandas as pd
import pytest

from unrolled.data.read.table import read_table
from unrolled.data.read.values import number_column
from unrolled.errors import DataError


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1", "two", "3"], "expected a number but holds 'two' in row 1"),
        (["1", "2", "1,5,5"], "holds '1,5,5' in row 2"),
        ([1.0, np.inf], "infinite value in row 1"),
        ([pd.Timestamp("2020-01-01")], "not numbers"),
    ],
)
def test_a_value_that_is_no_number_is_named_with_its_row(values: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        number_column(read_table({"y": values}), "y")


def test_missing_numbers_are_nan_whatever_the_type() -> None:
    for values in ([1, None, 3], [1.0, np.nan, 3.0], ["1", "", "3"], pd.array([1, None, 3], "Int64")):
        result = number_column(read_table({"y": values}), "y")
        np.testing.assert_array_equal(result, [1, np.nan, 3])
    np.testing.assert_array_equal(number_column(read_table({"y": [True, False]}), "y"), [1, 0])
