"""InkML: channels by their order or format, traces that are no strokes, and documents that attack their reader."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from unrolled.data.read.ink import read_drawings
from unrolled.errors import DataError

SPACE = "http://www.w3.org/2003/InkML"


def ink(tmp_path: Path, body: str, head: str = "") -> Path:
    path = tmp_path / "a.inkml"
    path.write_text(f'{head}<ink xmlns="{SPACE}">\n{body}\n</ink>\n', encoding="utf-8")
    return path


def channels(*named: str) -> str:
    inside = "".join(f"<channel {name}/>" for name in named)
    return f"<traceFormat>{inside}</traceFormat>"


def strokes(path: Path) -> list[list[list[float]]]:
    (drawing,) = read_drawings(path).values
    return [stroke.tolist() for stroke in drawing]


def test_numbers_are_those_that_another_parser_finds(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    written = [random.normal(size=(n, 2)) * 1e3 for n in (1, 40, 7)]
    lines = [",".join(f"{x!r}\n {y!r}" for x, y in stroke.tolist()) for stroke in written]
    text = "".join(f"<trace>{line}</trace>" for line in lines)
    path = ink(tmp_path, text, '<?xml version="1.0" encoding="UTF-8"?>\n<!-- traces -->\n')
    (drawing,) = read_drawings(path).values
    found = ElementTree.parse(path).getroot().findall(f"{{{SPACE}}}trace")
    for stroke, trace, original in zip(drawing, found, written, strict=True):
        points = [list(map(float, point.split())) for point in (trace.text or "").split(",")]
        assert stroke.tolist() == points == original.tolist()


@pytest.mark.parametrize(
    ("head", "trace", "expected"),
    [
        ("", "1 2, 3 4", [[1, 2], [3, 4]]),
        ("", "1 2 10, +3 -.4e1 20", [[1, 2, 0.01], [3, -4, 0.02]]),
        (channels('name="Y"', 'name="X"'), "1 2", [[2, 1]]),
        (channels('name="T" units="s"', 'name="X"', 'name="F"', 'name="Y"'), "9 1 #A 2", [[1, 2, 9]]),
        (channels('name="X"', 'name="Y"', 'name="F"'), "1 2 0.5", [[1, 2]]),
        (channels('name="X" units="mm"', 'name="Y"', 'name="T" units="ms"'), "1 2 5", [[1, 2, 0.005]]),
        ("<inkSource>" + channels('name="X"', 'name="Y"') + "</inkSource>", "1 2", [[1, 2]]),
        ("<traceFormat/>", "1 2", [[1, 2]]),
    ],
)
def test_channels_stand_in_their_order_or_as_their_format_says(
    tmp_path: Path, head: str, trace: str, expected: list[list[float]]
) -> None:
    assert strokes(ink(tmp_path, f"{head}<trace>{trace}</trace>")) == [expected]


def test_a_pen_in_the_air_draws_nothing(tmp_path: Path) -> None:
    body = '<trace type="penUp">9 9</trace><traceGroup><trace type="penDown">1 2</trace></traceGroup>'
    assert strokes(ink(tmp_path, body)) == [[[1, 2]]]


def test_the_truth_is_the_label_of_the_whole_file_alone(tmp_path: Path) -> None:
    body = (
        '<annotation type="writer">7</annotation><annotation type="truth">a &lt; b &#233;</annotation>'
        '<traceGroup><annotation type="truth">part</annotation><trace>1 2</trace></traceGroup>'
    )
    assert read_drawings(ink(tmp_path, body)).labels == ["a < b é"]


BOMB = (
    '<!DOCTYPE ink [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True))
    + "]>"
)


@pytest.mark.parametrize(
    "head",
    [
        BOMB,
        '<!DOCTYPE ink [<!ENTITY file SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE ink SYSTEM "http://127.0.0.1:9/ink.dtd">',
        '<!DOCTYPE ink [<!ENTITY % p SYSTEM "http://127.0.0.1:9/p"> %p;]>',
        "<!DOCTYPE ink>",
    ],
)
def test_a_document_type_is_refused_before_it_says_anything(tmp_path: Path, head: str) -> None:
    with pytest.raises(DataError, match=r"a\.inkml declares a document type, which may hold entities.*remove"):
        read_drawings(ink(tmp_path, "<trace>1 &j;</trace>", head))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "holds no trace of a pen on paper"),
        ('<trace type="penUp">1 2</trace>', "holds no trace of a pen on paper"),
        ("<trace>1 2</trace", "no whole XML .*line 3"),
        ("<trace>1 &j; 2</trace>", "no whole XML .undefined entity in line 2"),
        ("<trace></trace>", r"at least one point in trace 0 \(line 2\) of a\.inkml"),
        (
            "<trace>1 2</trace>\n<trace>1 2, 3</trace>",
            r"2 or 3 plain numbers in point 1 of trace 1 \(line 3\).*got '3'",
        ),
        ("<trace>1 2 3, 3 4</trace>", "point 1 of trace 0"),
        ("<trace>1 2,</trace>", "point 1 of trace 0"),
        ("<trace>1 2 3 4</trace>", "2 or 3 plain numbers in point 0"),
        ("<trace>1 2, '1 '1</trace>", """got "'1 '1".*differences and wildcards written out"""),
        ("<trace>1 *</trace>", "plain numbers"),
        ("<trace>1 nan</trace>", "plain numbers"),
        ("<trace>1 1_0</trace>", "plain numbers"),
        ("<trace>1 1e999</trace>", r"finite numbers in point 0 of trace 0 \(line 2\)"),
        (
            "<trace>1 2 3</trace><trace>1 2</trace>",
            "times in some of its traces alone, .*: leave them out",
        ),
        ('<trace>1 2</trace><trace continuation="end">1 2</trace>', "in several parts"),
        (channels('name="X"', 'name="F"') + "<trace>1 2</trace>", "the channels X, F, expected X and Y"),
        (channels('name="X"', 'name="Y"', 'name="T" units="h"') + "<trace>1 2 3</trace>", "times in 'h'"),
        (channels('name="X"', 'name="Y"') + channels('name="Y"', 'name="X"') + "<trace>1 2</trace>", "several formats"),
        (channels('name="X"', 'name="Y"') + "<trace>1 2 3</trace>", "Expected 2 plain numbers in point 0"),
    ],
)
def test_faults_are_named_with_their_trace_and_line(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_drawings(ink(tmp_path, body))


def test_other_documents_are_no_inkml(tmp_path: Path) -> None:
    path = tmp_path / "a.inkml"
    for text, message in (
        ("<svg/>", "expected <ink> as its root, but got <svg>: give one"),
        ("", "no whole XML"),
        ("plain", "no whole XML"),
        ('<?xml version="1.0" encoding="nonsense"?><ink/>', "a.inkml"),
        ("<ink>" * 100_000, "no whole XML"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            read_drawings(path)
