"""Delimited text: which delimiter, and where each record begins."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from unrolled.data.read.delimited import choose_delimiter, iterate_rows


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_records_and_their_lines_are_those_of_the_csv_module(delimiter: str) -> None:
    random = np.random.default_rng(0)
    rows = [["".join(random.choice(list('ab",;\n '), random.integers(0, 8))) for _ in range(3)] for _ in range(500)]
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(rows)
    text = out.getvalue()
    found = list(iterate_rows(iter(text.removesuffix("\n").split("\n")), "a.csv", delimiter))
    reader, ends = csv.reader(io.StringIO(text), delimiter=delimiter), [0]
    assert [row.fields for row in found] == [(ends.append(reader.line_num), fields)[1] for fields in reader] == rows
    assert [row.line for row in found] == [end + 1 for end in ends[:-1]]


def test_the_delimiter_is_seen_from_the_first_line() -> None:
    candidates = (",", ";", "\t")
    assert choose_delimiter("a;b;c,d", candidates) == ";"
    assert choose_delimiter("one, two, three\tx", candidates, 2) == "\t"
    assert choose_delimiter("text", candidates) == ","
