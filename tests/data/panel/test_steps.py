"""Tables with a row for each step become the series that pandas groups, in the order of time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from unrolled.data.panel.steps import AS_SEEN, StepColumns, StepTable, names_series, read_steps
from unrolled.data.read.records import read_records
from unrolled.errors import DataError, OptionError

USUAL = ("label", "activity", "y")


def table(seed: int = 0, series: int = 5) -> pd.DataFrame:
    random, rows = np.random.default_rng(seed), []
    for name in random.permutation(series).tolist():
        for step in range(int(random.integers(1, 6))):
            x = np.nan if random.random() < 0.2 else float(random.normal())
            rows.append({"id": f"s{name}", "time": 0.5 * step, "x": x, "y": float(name), "label": f"c{step % 2}"})
    rows += [{"id": "two", "time": 0.5 * step, "x": 1.0, "y": 9.0, "label": "c0"} for step in range(2)]
    return pd.DataFrame(rows)


def read(source: object, columns: StepColumns = AS_SEEN, label: str | int | None = None, **how: Any) -> StepTable:
    return read_steps(source, columns, label, USUAL, **{"option": "label", "labelled": True, **how})


@pytest.mark.parametrize("seed", range(8))
def test_series_are_those_that_pandas_groups_whatever_the_order_of_the_rows(seed: int) -> None:
    rows = table(seed)
    shuffled = rows.sample(frac=1, random_state=seed, ignore_index=True)
    found = read(shuffled)
    groups = {name: part.sort_values("time") for name, part in shuffled.groupby("id", sort=False)}
    assert found.ids == tuple(groups)
    for name, values, labels in zip(found.ids, found.values, found.labels or [], strict=True):
        np.testing.assert_array_equal(values, groups[name][["x", "y"]].to_numpy())
        assert labels == groups[name]["label"].tolist()
    assert found.columns == StepColumns("id", "time", ("x", "y"))
    # Rows that come one series after another give the same.
    again = dict(zip((ordered := read(rows)).ids, ordered.values, strict=True))
    assert all(np.array_equal(again[name], values, equal_nan=True) for name, values in zip(found.ids, found.values))


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "jsonl", "dict", "records", "rows"])
def test_every_kind_of_table_gives_the_same_series(kind: str, tmp_path: Path) -> None:
    rows, path = table(), tmp_path / f"x.{kind}"
    plain = rows.astype(object).where(rows.notna(), None)
    source: Any = path
    if kind in ("csv", "tsv", "records"):
        rows.to_csv(path, sep="\t" if kind == "tsv" else ",", index=False)
        source = path if kind != "records" else read_records(rows)
    elif kind == "parquet":
        rows.to_parquet(path)
    elif kind == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in plain.to_dict("records")))
    else:
        source = plain.to_dict("list" if kind == "dict" else "records")
    found, expected = read(source), read(rows)
    assert found.ids == expected.ids
    assert found.labels == expected.labels
    for one, other in zip(found.values, expected.values, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    assert names_series(source, None, ("text",))


def test_names_of_columns_may_be_given_where_a_file_has_no_header(tmp_path: Path) -> None:
    rows, path = table(), tmp_path / "x.csv"
    rows.to_csv(path, index=False, header=False)
    found = read(path, names=tuple(rows.columns))
    assert found.ids == read(rows).ids
    assert found.columns.channels == ("x", "y")


def test_what_was_understood_is_said() -> None:
    rows = table().assign(note="words", when="x1")
    found = read(rows.iloc[::-1])
    assert found.remarks[0].endswith("by column 'id', a row for each step")
    assert "came in another order and were sorted" in found.remarks[1]
    assert found.remarks[2:] == ("channels: x, y", "labels: column 'label'", "columns left alone: note, when")
    assert "time: steps in the order of the rows" in read(rows.drop(columns="time")).remarks
    dated = rows.assign(time=pd.Timestamp("2020-01-01") + pd.to_timedelta(rows.time, "h"))
    assert read(dated).columns.time == "time"
    assert read(dated.astype({"time": str})).values[0].tolist() == read(dated).values[0].tolist()


def test_labels_are_a_column_of_a_usual_name_or_the_only_words() -> None:
    rows = table()
    assert read(rows).label == "label"
    assert read(rows.rename(columns={"label": "mood"})).label == "mood"
    assert read(rows, label=-1).label == "label"
    # An axis called y is no label.
    assert read(rows.drop(columns="label").assign(activity=1)).label == "activity"
    with pytest.raises(DataError, match=r"expected a column of labels beside the numbers.*label="):
        read(rows.drop(columns="label"))
    assert read(rows, labelled=False).labels is None


def lines(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["id,t,x,label", *rows]))
    return path


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a,0,1,u", "a,1,oops,u", "b,0,3,v"], r"Column 'x' of x\.csv expected a number but holds 'oops' in line 3"),
        (["a,0,1,u", "a,1,inf,u", "b,0,3,v"], r"'x' of x\.csv holds an infinite value in line 3"),
        (["a,0,1,u", ",1,2,u"], r"Id column 'id' of x\.csv has no value in line 3"),
        (["a,0,1,u", "a,,2,u"], r"Time column 't' of x\.csv has no value in line 3"),
        (["a,0,1,u", "b,0,2,v", "a,0,3,u"], r"has the same value in line 2 and line 4, both of series 'a'"),
        (["a,0,1,u", "b,0,2,v"], r"'id' of x\.csv names another series in every row"),
        (["a,0,p,u", "a,1,q,u"], "expected columns of numbers beside 'id'"),
    ],
)  # fmt: skip
def test_a_table_that_does_not_fit_is_refused_in_one_sentence(rows: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(lines(tmp_path / "x.csv", *rows), label="label")
    assert len(str(caught.value)) <= 600


def test_columns_that_are_not_there_are_refused() -> None:
    rows = table()
    for columns, message in [
        (StepColumns("ids"), "Did you mean 'id'"), (StepColumns("id", "tim"), "Did you mean 'time'"),
        (StepColumns("id", None, ("x", "z")), "Column 'z' is not in"),
    ]:  # fmt: skip
        with pytest.raises(DataError, match=message):
            read(rows, columns)
    with pytest.raises(DataError, match="There is no column 9"):
        read(rows, label=9)
    with pytest.raises(DataError, match=r"names the series of each row.*id="):
        read(rows.rename(columns={"id": "who"}))
    with pytest.raises(OptionError, match="but the source is none"):
        StepColumns("id").check_used(AS_SEEN)
    StepColumns("id").check_used(read(rows).columns)


def test_tables_of_texts_and_of_single_rows_name_no_series(tmp_path: Path) -> None:
    rows = table()
    assert not names_series(rows.assign(text="a b"), None, ("text",))
    assert not names_series(rows.drop_duplicates("id"), None, ("text",))
    assert not names_series(rows.rename(columns={"id": "who"}), None, ("text",))
    assert not names_series(rows[["id", "label"]], None, ("text",))
    for source in ("-", tmp_path / "none.csv", tmp_path / "x.ts", [np.zeros((3, 2))], [], 3):
        assert not names_series(source, None, ("text",))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"id": "a", "date": "2024-01-01", "x": 1.0}, r"same value in line 2 and line 6, both of series 'a'"),
        ({"id": "a", "date": "soon", "x": 1.0}, r"'date' of a\.jsonl expected a date but holds 'soon' in line 6"),
        ({"id": "a", "date": {"day": 3}, "x": 1.0}, r"^a\.jsonl: Column 'date' mixes kinds of values"),
        (
            {"id": "a", "date": "2024-01-04", "x": "much"},
            r"a\.jsonl expected a number but holds 'much' in line 6",
        ),
        ({"id": "a", "date": "2024-01-04", "x": 1.0, "label": "\ud800"}, r"^a\.jsonl cannot be read"),
    ],
)
def test_what_is_wrong_in_lines_of_json_is_told_with_the_file_and_its_line(
    tmp_path: Path, row: dict[str, object], said: str
) -> None:
    path = tmp_path / "a.jsonl"
    days = [{"id": name, "date": f"2024-01-0{day}", "x": 1.0, "label": "c"} for name in "ab" for day in (1, 2)]
    # An empty line and one between rows: both count as lines.
    lines = ["", *map(json.dumps, days[:2]), "", *map(json.dumps, (days[2], {"label": "c", **row}, days[3]))]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=said):
        read(path)
