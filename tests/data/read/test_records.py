"""Records from every kind of source, whole and streaming, with the line named where something is wrong."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from unrolled.data import Records, iterate_records, read_records
from unrolled.data.read.records import comments_above
from unrolled.errors import DataError, OptionError

TEXTS = ["plain", 'says "hi", twice', "two\nlines", None, "comma, semi; ", 'ends with "', "007", "NA", "ünï 🥊"]
LABELS = ["a", "b", "a", "b", "a", None, "a", "b", "a"]
ROWS = [{"text": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)]


def delimited(delimiter: str = ",", end: str = "\n") -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end)
    writer.writerows([["text", "label"], *([row["text"], row["label"]] for row in ROWS)])
    return out.getvalue()


def written(path: Path, data: str | bytes) -> Path:
    raw = data.encode() if isinstance(data, str) else data
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def json_lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def parquet() -> bytes:
    out = io.BytesIO()
    pl.DataFrame(ROWS).write_parquet(out)
    return out.getvalue()


SOURCES = {
    "a.csv": delimited(),
    "b.csv": delimited(";"),
    "c.csv": "\ufeff" + delimited(end="\r\n"),
    "d.csv.gz": delimited(),
    "a.jsonl": json_lines(ROWS),
    "b.jsonl.gz": json_lines(ROWS),
    "a.parquet": parquet(),
    "a.parquet.gz": parquet(),
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_kind_of_file_gives_the_same_records(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name, SOURCES[name])
    records = read_records(path)
    assert records.columns == {"text": TEXTS, "label": LABELS}
    assert list(iterate_records(str(path))) == ROWS
    assert read_records(path, ["label"]).columns == {"label": LABELS}
    assert list(iterate_records(path, ["label", "text"])) == ROWS


@pytest.mark.parametrize("data", [delimited(), json_lines(ROWS)], ids=["csv", "jsonl"])
def test_standard_input_holds_either_kind(monkeypatch: pytest.MonkeyPatch, data: str) -> None:
    for read in (lambda: read_records("-").columns, lambda: list(iterate_records("-"))):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data.encode())))
        assert read() in ({"text": TEXTS, "label": LABELS}, ROWS)


def test_every_kind_of_table_in_memory_gives_the_same_records() -> None:
    for source in (ROWS, tuple(ROWS), pd.DataFrame(ROWS), pl.DataFrame(ROWS), pa.Table.from_pylist(ROWS)):
        records = read_records(source)
        assert records.columns == {"text": TEXTS, "label": LABELS}, type(source)
        assert list(iterate_records(source)) == ROWS
    columns = {"text": np.array(TEXTS, object), "label": LABELS}
    assert read_records(columns).columns == {"text": TEXTS, "label": LABELS}
    assert read_records(read_records(ROWS), ["label"]).columns == {"label": LABELS}
    assert list(iterate_records(read_records(ROWS))) == ROWS


def test_places_are_the_lines_an_editor_shows(tmp_path: Path) -> None:
    records = read_records(written(tmp_path / "a.csv", 'text,label\n\n"a\nb",x\n\nc,y\n"d",z\n'))
    assert [records.place(i) for i in range(3)] == [f"line {n} of a.csv" for n in (3, 6, 7)]
    assert records.select([2, 0]).place(0) == "line 7 of a.csv"
    assert records.select([2, 0]).columns == {"text": ["d", "a\nb"], "label": ["z", "x"]}
    records = read_records(written(tmp_path / "a.jsonl", '\n{"a": 1}\n\n{"a": 2}\n'))
    assert [records.place(i) for i in range(2)] == ["line 2 of a.jsonl", "line 4 of a.jsonl"]
    assert read_records(ROWS).place(3) == "row 3 of the rows"
    assert read_records(pd.DataFrame(ROWS)).place(3) == "row 3 of the table"


def test_quotation_marks_in_tab_separated_text_are_plain(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tsv", '"an open quote\t1\na "word" here\t0\n""\t1\n')
    records = read_records(path, names=["text", "label"])
    assert records.columns == {"text": ['"an open quote', 'a "word" here', '""'], "label": ["1", "0", "1"]}
    assert records.place(0) == "line 1 of a.tsv"
    assert read_records(path, ["label"], names=["text", "label"]).columns == {"label": ["1", "0", "1"]}


def test_a_quotation_mark_inside_a_csv_field_is_plain(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", 'text,label\n5" pipe,a\n"6"" pipe",b\n')
    assert read_records(path).columns["text"] == ['5" pipe', '6" pipe']


def test_names_choose_the_delimiter_that_gives_as_many_fields(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "one, two, three;x\nfour;y\n")
    assert read_records(path, names=["text", "label"]).columns["label"] == ["x", "y"]


def test_nested_values_of_json_lines_stay(tmp_path: Path) -> None:
    rows = [{"turns": ["hi", "hello"], "score": 3}, {"score": 0.5, "turns": []}, {"turns": None, "late": "x"}]
    records = read_records(written(tmp_path / "a.jsonl", json_lines(rows)))
    expected = {"turns": [["hi", "hello"], [], None], "score": [3, 0.5, None], "late": [None, None, "x"]}
    assert records.columns == expected
    assert list(records.columns) == list(expected)


def test_a_label_is_the_same_text_from_every_source(tmp_path: Path) -> None:
    expected = ["1", "0", None]
    for source in (
        written(tmp_path / "a.csv", "y,z\n1,\n0,\n,x\n"),
        written(tmp_path / "a.jsonl", '{"y": 1}\n{"y": "0"}\n{"y": null}\n'),
        pd.DataFrame({"y": [1, 0, None]}),
        pd.DataFrame({"y": ["1", "0", None]}),
    ):
        assert read_records(source).texts("y") == expected


def test_a_line_of_a_megabyte_is_a_row(tmp_path: Path) -> None:
    long = "word, " * 200_000
    for name, data in (
        ("a.csv", f'text,label\n"{long}",x\n'),
        ("a.tsv", f"text\tlabel\n{long}\tx\n"),
        ("a.jsonl", json_lines([{"text": long, "label": "x"}])),
    ):
        assert read_records(written(tmp_path / name, data)).columns == {"text": [long], "label": ["x"]}


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl.gz", "a.parquet"])
def test_streaming_needs_memory_for_a_few_rows_only(tmp_path: Path, name: str) -> None:
    count, rows = 20_000, [{"text": f"{i} " + "x" * 200, "label": str(i % 3)} for i in range(20_000)]
    path = tmp_path / name
    if path.suffix == ".parquet":
        pl.DataFrame(rows).write_parquet(path, row_group_size=1000)
    else:
        written(path, pd.DataFrame(rows).to_csv(index=False) if path.suffix == ".csv" else json_lines(rows))
    del rows
    list(iterate_records(ROWS))
    tracemalloc.start()
    try:
        assert sum(row["text"].startswith(f"{i} ") for i, row in enumerate(iterate_records(path))) == count
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The texts alone take 20 000 x 250 bytes = 5 MB.
    assert peak < 1_500_000


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", "", r"a\.csv is empty"),
        ("a.csv", "text,label\n", r"a\.csv has no rows"),
        ("a.csv", "text,label\nx,a\ny\n", r"Line 3 of a\.csv has 1 fields where 2 are expected \(text, label\)"),
        ("a.csv", 'text,label\n"a\nb",c\nx,y,z\n', r"Line 4 of a\.csv has 3 fields"),
        ("a.csv", 'text,label\nx,a\n"open,b\nc,d\n', r"in line 3 of a\.csv is never closed"),
        ("a.csv", b"text,label\n\xff,a\n", r"a\.csv is not UTF-8 text .* at byte 11, in line 2"),
        ("a.csv", "text,label,text\nx,a,b\n", "several columns named 'text'"),
        ("a.csv", "txet,label\nx,a\n", r"Column 'text' is not in a\.csv. Did you mean 'txet'\?"),
        ("a.jsonl", '{"text": "x"}\n{"text": \n', r"Line 2 of a\.jsonl is not JSON \(Expecting value at character"),
        ("a.jsonl", '{"text": "x', r"not JSON \(Unterminated string starting at character 9\)"),
        ("a.jsonl", '{"text": "x"}\n\n["x"]\n', r"an object of columns in line 3 of a\.jsonl, but got list"),
        ("a.jsonl", "[" * 100_000, r"Line 1 of a\.jsonl is not JSON"),
        ("a.jsonl", '{"txet": "x"}\n{"label": 3}\n', r"Column 'text' is not in a\.jsonl. Did you mean 'txet'\?"),
        ("a.jsonl", "\n", r"a\.jsonl has no rows"),
        ("a.parquet", "PAR1 no more", r"a\.parquet is not a whole Parquet file"),
        ("a.parquet", parquet(), r"Column 'texts' is not in a\.parquet. Did you mean 'text'\?"),
        ("a.docx", "PK", r"expected a \.csv, \.tsv, \.jsonl or \.parquet file, but it ends in '\.docx'"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_sentence(
    tmp_path: Path, name: str, data: str | bytes, message: str
) -> None:
    path = written(tmp_path / name, data)
    wanted = ["texts"] if "texts" in message else ["text"]
    with pytest.raises(DataError, match=message):
        read_records(path, wanted)


def test_a_column_missing_from_many_json_lines_is_noticed_early(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", '{"a": 1}\n' * 2000)
    seen = []
    with pytest.raises(DataError, match="Column 'b' is not in"):
        seen.extend(iterate_records(path, ["a", "b"]))
    assert len(seen) < 1000


@pytest.mark.parametrize("source", [42, ["text"], [["a"]], "missing.csv", {"a": [1], "b": [1, 2]}, []])
def test_what_holds_no_records_is_refused(source: object) -> None:
    with pytest.raises(DataError):
        read_records(source)


def test_names_belong_to_delimited_text_and_columns_are_a_list(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="leave it out"):
        read_records(written(tmp_path / "a.jsonl", "{}"), names=["a"])
    with pytest.raises(OptionError, match=r"columns=\['text'\]"):
        read_records(ROWS, "text")


def test_records_know_their_size() -> None:
    records = read_records(ROWS)
    assert isinstance(records, Records)
    assert len(records) == len(ROWS)
    assert len(records.select([])) == 0


@pytest.mark.parametrize(
    ("text", "columns", "line", "above"),
    [
        ("# made in 2024\ntext,label\na,b\n", ["text", "label"], 3, ("line 1, above the header: left out",)),
        ("# one\n\n// two\ntext,label\n# a,b\n", ["text", "label"], 5, ("lines 1 to 3, above the header: left out",)),
        ("# text,label\na,b\n", ["# text", "label"], 2, ()),
        ("#text\n# a\nb\n", ["#text"], 2, ()),
        ("#\n#\n", ["#"], 2, ()),
    ],
)
def test_comments_above_a_header_are_left_out_and_said(
    tmp_path: Path, text: str, columns: list[str], line: int, above: tuple[str, ...]
) -> None:
    path = written(tmp_path / "x.csv", text)
    found = read_records(path)
    assert (list(found.columns), found.places.numbers[0]) == (columns, line)
    assert comments_above(path) == above


def test_without_a_header_a_mark_of_comments_is_text(tmp_path: Path) -> None:
    path = written(tmp_path / "x.tsv", "# good\nfine\tb\n")
    with pytest.raises(DataError, match=r"Line 1 of x\.tsv has 1 fields"):
        read_records(path, names=["text", "label"])
