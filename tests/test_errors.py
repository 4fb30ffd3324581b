"""What every message keeps to: it can be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import unrolled
from unrolled import errors
from unrolled.errors import DataError, SaveError, UnrolledError, listed

SOURCE = Path(unrolled.__file__).parent
KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, UnrolledError)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_message_is_longer_than_six_hundred_characters(kind: type[UnrolledError]) -> None:
    message = str(kind("Column 'a' is not in x.csv. It has: " + "b, " * 5000 + "so choose one of these."))
    assert len(message) == 600
    assert message.startswith("Column 'a'")
    assert message.endswith("so choose one of these.")


def test_a_message_of_usual_length_stays_as_it_is() -> None:
    assert str(DataError("a" * 600)) == "a" * 600
    assert SaveError("disk full").args == ("disk full",)


def test_a_list_is_cut_after_a_dozen() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed(range(12)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11"
    assert listed(range(2000)).endswith("10, 11, ... and 1,988 more")
    assert listed(["x" * 5000, "y"]) == "x" * 40 + "..., y"


def test_no_message_about_data_joins_names_without_an_end() -> None:
    """In rooms that read what users bring, every list goes through the one helper."""
    rooms = [path for room in ("data", "tasks/reading", "tasks/forecast") for path in (SOURCE / room).rglob("*.py")]
    joined = re.compile(r"""["'], ["']\.join\((?!_COLUMNS|SCALINGS|RESAMPLE|able)""")
    found = [f"{path.relative_to(SOURCE)}: {line.strip()}" for path in rooms for line in path.read_text().split("\n")
             if joined.search(line)]  # fmt: skip
    assert not found, found
