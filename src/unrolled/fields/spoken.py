"""Numbers that are written as text: one number however it is spelled, and their order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

__all__ = ["in_order", "written_number", "one_spelling", "spelled_as"]

# "007" is a name and no number.
_NUMBER = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{0,30})?(?:e-?[0-9]{1,2})?")
_DIGITS = re.compile(r"([0-9]+)")
_TRUTH = {"true": "True", "false": "False", "1": "True", "0": "False", "1.0": "True", "0.0": "False"}


@lru_cache(maxsize=1 << 12)
def written_number(text: str) -> float | None:
    """The number that a text is, None where it is none or could as well be a name ("007")."""
    return float(text) + 0.0 if _NUMBER.fullmatch(text) else None


def in_order(names: Iterable[str]) -> list[str]:
    """Distinct names as people sort them: numbers by their values, "class 2" before "class 10".

    >>> in_order(["10", "9", "1"])
    ['1', '9', '10']
    """
    distinct = set(names)
    numbers = {name: number for name in distinct if (number := written_number(name)) is not None}
    if len(numbers) == len(distinct):
        return sorted(distinct, key=lambda name: (numbers[name], name))
    return sorted(distinct, key=lambda name: ([_part(part) for part in _DIGITS.split(name)], name))


def one_spelling(names: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """The names with one spelling, the shortest, for each number, and a remark where there were several.

    >>> one_spelling(["1", "1.0", "a"])[0]
    ['1', '1', 'a']
    """
    spellings: dict[float, list[str]] = {}
    for name in dict.fromkeys(names):
        if (number := written_number(name)) is not None:
            spellings.setdefault(number, []).append(name)
    several = [sorted(forms, key=lambda form: (len(form), form)) for forms in spellings.values() if len(forms) > 1]
    if not several:
        return list(names), ()
    chosen = {form: forms[0] for forms in several for form in forms}
    first = several[0]
    remark = f"labels: numbers however they are written, {first[1]!r} is {first[0]!r}"
    return [chosen.get(name, name) for name in names], (remark,)


def spelled_as(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """The names as those that are known spell them: 1.0 as 1, true as True; the others as they came."""
    table = set(known)
    strange = dict.fromkeys(name for name in names if name not in table)
    if not strange:
        return list(names)
    numbers = {number: name for name in known if (number := written_number(name)) is not None}
    truth = table == {"True", "False"}
    found = {name: numbers.get(number) for name in strange if (number := written_number(name)) is not None}
    found |= {name: _TRUTH.get(name.lower()) for name in strange if truth}
    if numbers.keys() <= {0.0, 1.0}:
        found |= {name: numbers.get(float(name == "True")) for name in strange if name in ("True", "False")}
    return [found.get(name) or name for name in names]


def _part(part: str) -> tuple[int, int, str]:
    return (0, int(part), "") if part.isdecimal() and part.isascii() and len(part) < 19 else (1, 0, part)
