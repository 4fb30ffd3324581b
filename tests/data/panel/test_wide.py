"""Tables that are not long are pointed out, with what to do."""

from pathlib import Path

import pytest

from unrolled.data import Columns, read_table
from unrolled.data.panel.wide import not_long
from unrolled.errors import DataError


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ["item", *(f"d_{i}" for i in range(2000))],
            "2,000 columns from 'd_0' to 'd_1999'.*melt.*id_vars=\\['item'\\]",
        ),
        (["item", *(f"2023-01-{day:02}" for day in range(1, 32))], "31 columns from '2023-01-01' to '2023-01-31'"),
        ([f"V{i}" for i in range(1, 50)], "48 columns from 'V2' to 'V49'.*melt.*id_vars=\\['V1'\\]"),
        (["country", "code", *map(str, range(1990, 2020))], "30 columns from '1990' to '2019'"),
    ],
)
def test_a_series_in_each_row_is_told_to_be_written_long(tmp_path: Path, names: list[str], said: str) -> None:
    path = tmp_path / "wide.csv"
    path.write_text(",".join(names) + "\n" + ",".join("1" for _ in names) + "\n")
    with pytest.raises(DataError, match=rf"a series in each row.*{said}") as caught:
        Columns.resolve(read_table(path))
    assert len(str(caught.value)) <= 600


@pytest.mark.parametrize("row", ["2023-01-01,5.5", "shop,2023-01-01,5.5", "5.5,1"])
def test_a_row_of_data_in_place_of_the_header_is_seen(tmp_path: Path, row: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"{row}\n" + row.replace("01-01", "01-02") + "\n" + row.replace("01-01", "01-03") + "\n")
    with pytest.raises(DataError, match="its first line seems to be a row of data"):
        Columns.resolve(read_table(path))


def test_a_long_table_is_left_in_peace() -> None:
    assert not_long(["date", "load", "x1", "x2", "x3"]) == ""
