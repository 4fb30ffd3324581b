import json

import pytest

from unrolled.data import Columns, read_table
from unrolled.errors import DataError

NIXTLA = {"unique_id": ["a"], "ds": ["2020-01-01"], "y": [1.0], "price": [2.0], "shop": ["x"]}
PLAIN = {"Date": ["2020-01-01"], "load": [1.0], "note": ["x"]}


def test_nixtla_columns_are_recognised() -> None:
    columns = Columns.resolve(read_table(NIXTLA), future="price", static=["shop"])
    assert columns == Columns("ds", ("y",), "unique_id", ("price",), (), ("shop",))
    assert Columns.from_json(json.loads(json.dumps(columns.to_json()))) == columns


def test_the_only_choice_is_taken() -> None:
    assert Columns.resolve(read_table(PLAIN)) == Columns("Date", ("load",))
    assert Columns.resolve(read_table(NIXTLA), target="price").target == ("price",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "laod"}, "'laod' is not in the table. Did you mean 'load'\\? It has: Date, load, note"),
        ({"past": ["load"], "target": "load"}, "'load' is given two parts"),
        ({"past": ["load"]}, "name it with target="),
        ({"time": "load"}, "name it with target="),
    ],
)
def test_a_column_that_cannot_be_used_is_named(options: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Columns.resolve(read_table(PLAIN), **options)


@pytest.mark.parametrize("table", [
    {"begun": ["2020-01-01"], "load": [1.0], "note": ["x"]}, {"Year": [1700], "load": [1.0]},
    {"date": ["2020-01-01"], "month": [1], "load": [1.0]}, {"from": ["2020-01"], "year": [2020], "load": [1.0]},
])  # fmt: skip
def test_the_time_column_is_seen_by_its_type_its_name_or_its_values(table: dict[str, list[object]]) -> None:
    assert Columns.resolve(read_table(table), target="load").time == next(iter(table))


def test_time_must_be_named_where_nothing_looks_like_it() -> None:
    with pytest.raises(DataError, match="name it with time="):
        Columns.resolve(read_table({"a": [1], "b": [2]}))
