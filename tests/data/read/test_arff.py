"""Series in .arff files."""

from pathlib import Path

import numpy as np
import pytest

from unrolled.data import read_series
from unrolled.errors import DataError

UNIVARIATE = """% a comment
@RELATION Italy
@attribute att0 numeric
@attribute 'att 1' REAL
@ATTRIBUTE target {1,'two'}

@data
0.5,?,1
% another
1.5,-2,'two'
"""
MULTIVARIATE = """@relation Motions
@attribute relationalAtt relational
  @attribute t0 numeric
  @attribute t1 numeric
@end relationalAtt
@attribute activity {run,rest}
@data
'1,2\\n3,4',run
"5,6\\n7,8","rest"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "x.arff"
    path.write_text(text)
    return path


def test_numeric_attributes_are_the_steps_of_one_channel(tmp_path: Path) -> None:
    series = read_series(written(tmp_path, UNIVARIATE))
    np.testing.assert_array_equal(np.stack(series.values)[:, :, 0], [[0.5, np.nan], [1.5, -2]])
    assert series.labels == ["1", "two"]
    assert series.place(1) == "line 10 of x.arff"


def test_a_relational_attribute_holds_the_channels(tmp_path: Path) -> None:
    series = read_series(written(tmp_path, MULTIVARIATE))
    np.testing.assert_array_equal(np.stack(series.values), [[[1, 3], [2, 4]], [[5, 7], [6, 8]]])
    assert series.labels == ["run", "rest"]


def test_without_listed_values_there_are_no_labels(tmp_path: Path) -> None:
    assert read_series(written(tmp_path, "@attribute a numeric\n@data\n1\n2\n")).labels is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1.5,-2,'two'", "1.5,-2,3", "Line 10 of x.arff ends in the label '3', but @attribute lists 1, two"),
        ("1.5,-2,'two'", "1.5,two", "Line 10 of x.arff has 2 values where 3 attributes are"),
        ("1.5,-2,'two'", "{0 1.5}", "Line 10 of x.arff is sparse"),
        ("1.5,-2,'two'", "1.5,x,1", "Line 10 of x.arff, channel 1: could not convert"),
        ("'att 1' REAL", "'att 1' string", "Attribute 'att 1' in line 4 of x.arff is 'string'"),
        ("@data", "@dada", "Expected '@attribute' or '@data' in line 7 .*: mend that line"),
        ("@data\n0.5,?,1\n% another\n1.5,-2,'two'\n", "", "has no '@data' line"),
    ],
)
def test_what_does_not_fit_is_named_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(DataError, match=message.replace("{", r"\{")):
        read_series(written(tmp_path, UNIVARIATE.replace(old, new)))


def test_channels_of_other_lengths_or_without_quotes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Line 8 of x.arff has 2 values in channel 1 but 1 in channel 2"):
        read_series(written(tmp_path, MULTIVARIATE.replace("3,4", "3")))
    with pytest.raises(DataError, match=r"Expected the channels between quotation marks.*line 8"):
        read_series(written(tmp_path, MULTIVARIATE.replace("'1,2", "1,2")))
