"""Where the table begins in a delimited file."""

import pytest

from unrolled.data.read.layout import see_layout

DELIMITERS = (",", ";", "\t")
ROWS = "2023-01-01,1.5\n2023-01-02,1.6\n2023-01-03,2\n"


@pytest.mark.parametrize(
    ("above", "line"),
    [
        ("", 1),
        ("# exported by a portal\n# lat 1.5, lon 2.5\n#\n", 4),
        ("// exported\n", 2),
        ("% exported\n", 2),
        ("; exported\n", 2),
        ("Energy report 2023\n\n", 3),
        ("Energy report 2023,\n", 2),
        ("Station: Berlin, Tempelhof, Germany\n", 2),
        ("latitude,longitude,elevation\n52.5,13.4,38\n\n", 4),
        ("\n\n", 3),
    ],
)
def test_lines_above_the_header_are_left_out(above: str, line: int) -> None:
    layout = see_layout((above + "time,load\n" + ROWS).encode(), DELIMITERS)
    assert (layout.header, layout.start, layout.above) == (line, len(above.encode()), tuple(range(1, line)))
    assert bool(layout.remarks) == bool(above.strip())


@pytest.mark.parametrize("header", ["#time,load", "# time, load"])
def test_names_in_a_comment_right_above_the_rows_are_the_header(header: str) -> None:
    layout = see_layout(f"# portal\n{header}\n{ROWS}".encode(), DELIMITERS)
    assert layout.names == ("time", "load")
    assert layout.above == (1,)
    assert layout.remarks == ("line 2, a comment: taken as header",)


def test_a_column_named_by_the_mark_of_a_comment_keeps_its_name() -> None:
    rows = "1,2023-01-01,5\n2,2023-01-02,6\n"
    assert see_layout(f"#,date,load\n{rows}".encode(), DELIMITERS).names == ("#", "date", "load")


@pytest.mark.parametrize("units", [",kW\n", "ISO 8601,[kW]\n", "ISO 8601,kW\n-,mean\n"])
def test_rows_of_units_under_the_header_are_left_out(units: str) -> None:
    layout = see_layout(f"time,load\n{units}{ROWS}".encode(), DELIMITERS)
    assert layout.units == tuple(range(2, 2 + units.count("\n")))
    assert "taken as units" in layout.remarks[0]


@pytest.mark.parametrize(
    "text",
    [
        "time,load\n2023-01-01,closed\n2023-01-02,5\n",
        "month,load\nJan 2020,closed\nFeb 2020,5\n",
        "text,label\ngood film,pos\nbad film,neg\n",
        "name,load\nhall,-\nyard,5\n",
    ],
)
def test_a_row_of_data_is_no_row_of_units(text: str) -> None:
    assert see_layout(text.encode(), DELIMITERS).units == ()


def test_a_header_of_fewer_names_than_the_rows_have_fields_is_no_title() -> None:
    assert see_layout(b"a,b\n1,2,3\n4,5,6\n7,8,9\n", DELIMITERS).header == 1


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("Datum;Verbrauch\n01.01.2023;50,00\n02.01.2023;57,83\n", ";"),
        ("Datum;Verbrauch, kWh\n01.01.2023;50,00\n02.01.2023;57,83\n", ";"),
        ("time\tload, kW\n1\t2,5\n2\t3,5\n", "\t"),
        ("a,b;c\n1,2\n3,4\n", ","),
        (";load\n2023-01-01;5\n2023-01-02;6\n", ";"),
    ],
)
def test_the_delimiter_is_what_cuts_every_line_alike(text: str, delimiter: str) -> None:
    assert see_layout(text.encode(), DELIMITERS).delimiter == delimiter
