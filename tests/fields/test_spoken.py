from __future__ import annotations

from unrolled.fields.spoken import in_order, one_spelling, spelled_as, written_number


def test_numbers_sort_by_value_and_names_with_numbers_as_people_sort_them() -> None:
    assert in_order(["10", "2", "-1", "2"]) == ["-1", "2", "10"]
    assert in_order(["class 10", "class 2", "b"]) == ["b", "class 2", "class 10"]


def test_a_number_is_one_however_it_is_written_but_names_of_digits_stay_names() -> None:
    assert written_number("1.0") == written_number("1") == written_number("1.") == 1
    assert [written_number(name) for name in ("007", "1.2.3", "nan", "", "1e400", "٣", "NO")] == [None] * 7
    assert one_spelling(["1.0", "1", "a"]) == (
        ["1", "1", "a"],
        ("labels: numbers however they are written, '1.0' is '1'",),
    )
    assert one_spelling(["1.0", "2.0"]) == (["1.0", "2.0"], ())


def test_labels_are_spelled_as_those_that_are_known() -> None:
    assert spelled_as(["1", "0", "x"], ["0.0", "1.0"]) == ["1.0", "0.0", "x"]
    assert spelled_as(["1.00", "2.5"], ["1", "2.50"]) == ["1", "2.50"]
    assert spelled_as(["true", "FALSE", "1", "0"], ["False", "True"]) == ["True", "False", "True", "False"]
    assert spelled_as(["True", "False"], ["0", "1"]) == ["1", "0"]
    assert spelled_as(["007"], ["7"]) == ["007"]
