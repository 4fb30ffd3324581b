"""The laws of fields: there and back, one form of array, a name for every value, drawing, JSON, no leak."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from unrolled.fields.field import Field, field_from_json, field_to_json
from unrolled.testing.proof import LawBroken

__all__ = ["FIELD_LAWS", "check_field"]

Raw = TypeVar("Raw")

DRAWS = 41
"""How many values of the field each law is tried on: an odd number shows what every second call does otherwise."""

ROUNDING = 2**10
"""A value of 1 may come back this many units in the last place of float64 away; what the array rounds comes on top.

Scaling, taking a logarithm and coming back loses a few units, and the exponential up to log(1e300), some 700, times as
many.
"""

LINE = 100
"""The longest name of a value that still stands on one line of a message."""


class _Case(NamedTuple, Generic[Raw]):
    """The arguments of `check_field`."""

    field: Field[Raw]
    fit: Callable[[Sequence[Raw], int], Field[Raw]] | None
    rows: Sequence[Raw] | None

    def require(self, law: str, condition: bool, finding: str) -> None:
        if not condition:
            raise LawBroken(law, type(self.field).__name__, finding)

    def drawn(self, seed: int = 0) -> list[Raw]:
        return [self.field.draw(np.random.default_rng([seed, number])) for number in range(DRAWS)]


def check_field(
    field: Field[Raw],
    *,
    fit: Callable[[Sequence[Raw], int], Field[Raw]] | None = None,
    rows: Sequence[Raw] | None = None,
    laws: Iterable[str] | None = None,
) -> None:
    """Prove all laws for a field; raises LawBroken, which names the law, at the first broken.

    field: fitted on something, so that it can draw values.
    fit: of rows and a number n, the field fitted on the first n of the rows, the training part; the others may be used
        for nothing. Left out, the law of the leak is not tried.
    rows: raw values for `fit`, two at least; values that the field draws if left out.
    laws: names out of FIELD_LAWS; None means all of them.

    >>> from unrolled.fields import Category
    >>> check_field(Category.fit(["rain", "sun"]), fit=lambda rows, n: Category.fit(rows[:n]))
    """
    case = _Case(field, fit, rows)
    for name in FIELD_LAWS if laws is None else laws:
        FIELD_LAWS[name](case)


def _check_draw(case: _Case[Raw]) -> None:
    """The same state of the generator gives the same value, whatever was drawn in between; not all are one value."""
    first, second = case.drawn(), case.drawn()
    for number, (one, other) in enumerate(zip(first, second, strict=True)):
        case.require("draw", _same(one, other), f"generator {number} drew {one!r}, and from the same state {other!r}")
    different = not all(_same(first[0], value) for value in first)
    case.require("draw", different, f"every generator drew {first[0]!r}: give a field fitted on several values")


def _check_form(case: _Case[Raw]) -> None:
    """Arrays are (steps, width), or (steps,) of codes, and of one dtype; encoding changes no value."""
    width, dtype = case.field.width, None
    for value, fresh in zip(case.drawn(), case.drawn(), strict=True):
        array = case.field.encode(value)
        case.require("form", isinstance(array, np.ndarray), f"encode({value!r}) is {type(array).__name__}, no array")
        codes = array.ndim == 1 and array.dtype.kind in "iu" and width == 1
        fits = codes or (array.ndim >= 2 and array.shape[-1] == width)
        wanted = f"(steps, {width})" + (" or, of codes, (steps,)" if width == 1 else "")
        case.require("form", fits, f"encode({value!r}) is {array.dtype} {array.shape}, expected {wanted}")
        dtype = dtype or array.dtype
        case.require("form", array.dtype == dtype, f"encode({value!r}) is {array.dtype}, another value {dtype}")
        case.require("form", _same(value, fresh), f"encode changes the value it is given: {fresh!r} became {value!r}")


def _check_round_trip(case: _Case[Raw]) -> None:
    """decode(encode(v)) is v up to rounding; where the field says that it is lossy, no more is lost the next time."""
    for value in case.drawn():
        array = case.field.encode(value)
        back = case.field.decode(array)
        if case.field.lossy:
            again = case.field.encode(back)
            near = _near(array, again, 4 * _spacing(array))
            case.require("round trip", near, f"{value!r} came back as {back!r}, which encodes to another array")
            continue
        same = _same(value, back)
        if not same and isinstance(value, np.ndarray) and isinstance(back, np.ndarray) and array.dtype.kind == "f":
            same = _near(value, back, _limit(case.field, array, back))
        case.require("round trip", same, f"{value!r} came back as {back!r}, and `lossy` does not say what is lost")


def _check_say(case: _Case[Raw]) -> None:
    """Every value has a name that is one short line."""
    for value in case.drawn():
        said = case.field.say(value)
        short = isinstance(said, str) and 0 < len(said) <= LINE and said.isprintable()
        case.require("say", short, f"say({value!r}) is {said!r}, expected one line of 1 to {LINE} characters")


def _check_json(case: _Case[Raw]) -> None:
    """The field comes back from JSON by its kind, of the same class, and encodes every value as before."""
    field = case.field
    try:
        written = json.dumps(field_to_json(field), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise LawBroken("json", type(field).__name__, f"to_json gives no plain JSON: {error}") from error
    again = field_from_json(json.loads(written))
    found = f"kind {field.kind!r} gives a {type(again).__name__}"
    case.require("json", type(again) is type(field), f"{found}: register the class under a kind of its own")
    rewritten = json.dumps(field_to_json(again))
    case.require("json", rewritten == written, f"what was read back is written as {rewritten}, expected {written}")
    for value in case.drawn():
        one, other = field.encode(value), again.encode(value)
        case.require("json", _same(one, other), f"read back, it encodes {value!r} as {other}, expected {one}")


def _check_leak(case: _Case[Raw]) -> None:
    """What is not in the training part changes nothing in the fitted field."""
    if case.fit is None:
        return
    rows = list(case.drawn() if case.rows is None else case.rows)
    case.require("leak", len(rows) > 1, f"expected two rows at least to fit, got {len(rows)}")
    half = len(rows) // 2
    others = case.drawn(seed=1)[: len(rows) - half]
    expected = case.fit(rows, half).to_json()
    # Rows that are not learned from: others in their place, the training rows once more, none at all.
    for rest in (others, rows[:half], []):
        found = case.fit([*rows[:half], *rest], half).to_json()
        case.require("leak", found == expected, f"rows after the first {half} change the field to {found}")


FIELD_LAWS: Mapping[str, Callable[[_Case[Any]], None]] = {
    "draw": _check_draw,
    "form": _check_form,
    "round trip": _check_round_trip,
    "say": _check_say,
    "json": _check_json,
    "leak": _check_leak,
}
"""Every law of a field, by name, in the order that finds the plainest fault first."""


def _same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        floating = one.dtype.kind == "f"
        return one.dtype == other.dtype and bool(np.array_equal(one, other, equal_nan=floating))
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _spacing(array: np.ndarray) -> np.ndarray:
    """How far the next number of the array's dtype is; codes have none."""
    return np.abs(np.spacing(array)) if array.dtype.kind == "f" else np.zeros(array.shape)


def _limit(field: Field[Raw], array: np.ndarray, back: np.ndarray) -> np.ndarray:
    """What the array's rounding, some units in the last place, makes of the value, and float64's own on top."""
    moved = field.decode(array + 4 * _spacing(array))
    shift = np.abs(np.asarray(moved, np.float64) - back)
    limit: np.ndarray = shift + ROUNDING * np.finfo(np.float64).eps * (1 + np.abs(back))
    return limit


def _near(one: np.ndarray, other: np.ndarray, limit: np.ndarray) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    missing = np.isnan(one) if one.dtype.kind == "f" else np.zeros(one.shape, bool)
    if missing.any() and not np.array_equal(missing, np.isnan(other)):
        return False
    return bool((np.abs(one - other)[~missing] <= limit[~missing]).all())
