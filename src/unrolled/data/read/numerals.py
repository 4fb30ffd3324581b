"""Numbers as people write them: decimal commas, parted thousands, currencies, percent, units, and marks of missing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Numerals", "is_numeral", "looks_numeric", "marks_of", "read_numerals"]

MARKS = (
    "-", "--", "---", "\u2013", "\u2014", "?", "??", ".", "..", "...", "\u2026", ":", "*", "**", "na", "n/a", "n.a.",
    "n.a", "#n/a", "#n/a n/a", "#na", "<na>", "nan", "-nan", "+nan", "null", "nil", "none", "nat", "void", "missing",
    "<missing>", "<unk>", "[unk]", "unk", "unknown", "\\n", "#value!", "#div/0!", "#ref!", "#num!", "#name?", "#null!",
    "1.#qnan", "-1.#qnan", "1.#ind", "-1.#ind", "no data", "nodata", "not available", "n.d.",
)  # fmt: skip
"""What stands for a missing number, in lower case."""

# A column with fewer numbers among its values than this holds words.
NUMBERS = 0.9
# Whole numbers of so few kinds, beside words that come again, are names of categories.
FEW = 20
# Values looked at to see whether a column may hold numbers at all.
SAMPLE = 200

_PLAIN = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_INFINITE = r"(?i)^[+-]?inf(inity)?$"
_CURRENCY = (
    "US\\$|R\\$|A\\$|C\\$|[$\u20ac\xa3\xa5\u20b9\u20a9\u20bd\u20ba\u20b4\u20ab\u0e3f]"
    "|(?:EUR|USD|GBP|CHF|JPY|INR|CNY|RUB|PLN|SEK|NOK|DKK|AUD|CAD|BRL|Rs\\.?|Fr\\.?|kr\\.?)"
)
_GAPS = "[ '_\u2019\xa0\u202f\u2009]"
_PARTS = (
    rf"^(?P<sign>[+-]?)\s*(?P<before>{_CURRENCY})?\s*(?P<inner>[+-]?)"
    rf"(?P<number>\d(?:(?:\d|[.,]|{_GAPS})*\d)?\.?|[.,]\d+)(?P<exponent>[eE][+-]?\d+)?"
    "\\s*(?P<after>(?:LETTER|[%\u2030\xb0\xb5$\u20ac\xa3\xa5\u20b9])[^\\n]{0,19})?$"
)
# The engine of tables and Python's name a letter in two ways.
_PARTS, _PARTS_OF_ONE = _PARTS.replace("LETTER", r"\p{L}"), re.compile(_PARTS.replace("LETTER", r"[^\W\d_]"))
# What follows a number without being its unit: the rest of a date or time, an ordinal.
_NO_UNIT = re.compile(
    r"\d{2}|\n(?:(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)|(?:[ap]\.?m|st|nd|rd|th|[qwh]\d)\b)", re.I
)
_WITH_GAPS = rf"^\d{{1,3}}({_GAPS}\d{{3}})+([.,]\d+)?$"
# One comma (or point) before three digits may part thousands or decimals.
_EITHER = r"^[1-9]\d{0,2}[.,]\d{3}$"
_EITHER_SIGNED = _EITHER.replace("^", "^[+-]?")
_COMMA_DECIMALS = r"^(\d{1,3}(\.\d{3})+|\d*)(,\d*)?$"
_POINT_DECIMALS = r"^(\d{1,3}(,\d{3})+|\d*)(\.\d*)?$"


class Numerals(NamedTuple):
    """A column of texts as numbers.

    values: (N,) float64, NaN where missing and where no number stands. odd: the rows of those. present: how many are
    not missing. marks: what stood for a missing value, how often, and the first row. ways: how the numbers are written
    where it is not plainly, a phrase each. either: a row whose comma can be read in two ways, and none tells which.
    """

    values: np.ndarray
    odd: np.ndarray
    present: int
    marks: dict[str, tuple[int, int]]
    ways: tuple[str, ...] = ()
    either: int | None = None
    commas: bool = False

    @property
    def nearly_all(self) -> bool:
        """Whether so many are numbers that words among them are mistakes."""
        good = self.present - len(self.odd)
        return good >= 3 and (good >= NUMBERS * self.present or len(self.odd) == 1)

    @property
    def are_names(self) -> bool:
        """Whether these are names of a few categories, some of which are digits: "1", "2", "A"."""
        if len(self.odd) < 2:
            return False
        known = self.values[~np.isnan(self.values)]
        kinds = np.unique(known)
        return len(kinds) <= FEW and bool((kinds == np.floor(kinds)).all()) and len(known) >= 5 * len(kinds)


def is_numeral(text: str) -> bool:
    """Whether a text looks like one number, however it is written."""
    parts = _PARTS_OF_ONE.fullmatch(text)
    if parts is None or (parts["sign"] and parts["inner"]) or _NO_UNIT.search(f"\n{parts['after'] or ''}"):
        return False
    number = parts["number"]
    return re.fullmatch(r"[\d.,]+", number) is None or number.count(".") < 2 or "," in number


def looks_numeric(column: pa.ChunkedArray) -> bool:
    """Whether about half of a sample of the texts are numbers: a cheap look before `read_numerals`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = np.linspace(0, len(column) - 1, min(len(column), SAMPLE)).astype(np.int64)
    sample = pa.array([column[row].as_py() for row in rows.tolist()], pa.large_string())
    if sample.null_count > len(sample) // 2:
        sample = column.drop_null().slice(0, SAMPLE).cast(pa.large_string()).combine_chunks()
    trimmed = _trimmed(sample)
    numbers = pc.fill_null(pc.match_substring_regex(trimmed, _PARTS), False).to_numpy(zero_copy_only=False)
    marks = _is_mark(trimmed)
    return bool(numbers.any()) and int(numbers.sum()) >= 0.5 * int((~marks).sum())


def marks_of(column: pa.Array, rows: np.ndarray | None = None) -> dict[str, tuple[int, int]]:
    """The marks of missing values that stand in a column, how often, and the first row of each."""
    import pyarrow.compute as pc

    places = np.arange(len(column)) if rows is None else rows
    trimmed = _trimmed(column.take(places))
    mask = _is_mark(trimmed) & pc.fill_null(pc.not_equal(trimmed, ""), False).to_numpy(zero_copy_only=False)
    found: dict[str, tuple[int, int]] = {}
    kept = np.flatnonzero(mask)
    encoded = trimmed.take(kept).dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    for code, mark in enumerate(encoded.dictionary.to_pylist()):
        at = np.flatnonzero(codes == code)
        found[mark] = (len(at), int(places[kept[at[0]]]))
    return found


def read_numerals(column: pa.Array, *, commas: bool = False) -> Numerals:
    """The numbers of a column of texts.

    commas: the file is one whose numbers have decimal commas, as far as is known.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    text = _trimmed(column.cast(pa.large_string()))
    plain = _true(pc.match_substring_regex(text, _PLAIN)) | _true(pc.match_substring_regex(text, _INFINITE))
    missing = _is_mark(text)
    marks = marks_of(column, np.flatnonzero(missing & ~column.is_null().to_numpy(zero_copy_only=False)))
    values = np.full(len(text), np.nan)
    other = np.flatnonzero(~plain & ~missing)
    present = int((~missing).sum())
    if not len(other) and not commas:
        values[plain] = text.filter(pa.array(plain)).cast(pa.float64()).to_numpy()
        return Numerals(values, other, present, marks)
    return _simple_commas(text, missing, marks) or _pulled_apart(text, np.flatnonzero(~missing), marks, commas)


def _simple_commas(text: pa.Array, missing: np.ndarray, marks: dict[str, tuple[int, int]]) -> Numerals | None:
    """Whole numbers and decimal commas alone, some of which part no thousands: read at once, for they are common."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = np.flatnonzero(~missing)
    some = text.take(rows)
    if not pc.all(pc.match_substring_regex(some, r"^[+-]?\d+(,\d*)?$")).as_py():
        return None
    parted = rows[_true(pc.match_substring(some, ","))]
    if _true(pc.match_substring_regex(text.take(parted), _EITHER_SIGNED)).all():
        return None
    values = np.full(len(text), np.nan)
    numbers = pc.replace_substring_regex(pc.replace_substring(some, ",", "."), r"^\+", "")
    values[rows] = numbers.cast(pa.float64()).to_numpy()
    ways = _commas_said(text, values, _Written(True, parted), parted)
    return Numerals(values, rows[:0], len(rows), marks, ways, None, True)


def _pulled_apart(text: pa.Array, rows: np.ndarray, marks: dict[str, tuple[int, int]], commas: bool) -> Numerals:
    """The texts of these rows, each cut into sign, currency, number and unit."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = np.full(len(text), np.nan)
    some = text.take(rows)
    parts = pc.extract_regex(some, _PARTS)
    infinite = _true(pc.match_substring_regex(some, _INFINITE))
    values[rows[infinite]] = some.filter(pa.array(infinite)).cast(pa.float64()).to_numpy()
    whole = np.flatnonzero(parts.is_valid().to_numpy(zero_copy_only=False) & ~infinite)
    if not len(whole):
        return Numerals(values, rows[~infinite], len(rows), marks)
    fields = {name: pc.struct_field(parts, name).take(whole) for name in ("sign", "before", "inner", "number")}
    fields |= {name: pc.struct_field(parts, name).take(whole) for name in ("exponent", "after")}
    dress = pc.binary_join_element_wise(
        fields["before"], fields["after"], pa.scalar("\n", text.type)
    ).dictionary_encode()
    codes = dress.indices.to_numpy(zero_copy_only=False)
    usual = int(np.bincount(codes).argmax())
    digits, written = _digits(fields["number"], commas)
    unit = dress.dictionary[usual].as_py()
    sound = (codes == usual) & _true(digits.is_valid()) & (_NO_UNIT.search(unit) is None)
    texts = pc.binary_join_element_wise(
        fields["sign"], fields["inner"], digits, fields["exponent"], pa.scalar("", text.type)
    )
    # Two signs are no number.
    sound &= ~_true(pc.match_substring_regex(texts, r"^[+-]{2}"))
    kept = rows[whole[sound]]
    values[kept] = pc.replace_substring_regex(texts.filter(pa.array(sound)), r"^\+", "").cast(pa.float64()).to_numpy()
    read = np.zeros(len(text), bool)
    read[kept] = True
    read[rows[infinite]] = True
    written_so = written.at[sound[written.at]]
    ways = (*_commas_said(text, values, written, rows[whole[written_so]]), *_unit_said(text, values, unit, kept))
    either = int(rows[whole[written.either]]) if written.either is not None else None
    return Numerals(values, rows[~read[rows]], len(rows), marks, ways, either, written.commas)


class _Written(NamedTuple):
    """How the numbers are written: commas: those are the decimal marks. at: the first that is not plain, and all of
    them; guessed: from the file alone. either: one that may be read in two ways."""

    commas: bool
    at: np.ndarray
    guessed: bool = False
    either: int | None = None


def _digits(number: pa.Array, commas: bool) -> tuple[pa.Array, _Written]:
    """The numbers as Python writes them, null where that cannot be, and how they were written."""
    import pyarrow as pa
    import pyarrow.compute as pc

    gaps = _true(pc.match_substring_regex(number, _WITH_GAPS))
    joined = pc.if_else(pa.array(gaps), pc.replace_substring_regex(number, _GAPS, ""), number)
    has_comma, has_point = (_true(pc.match_substring(joined, mark)) for mark in ",.")
    either = _true(pc.match_substring_regex(joined, _EITHER)) & ~gaps
    as_comma = _true(pc.match_substring_regex(joined, _COMMA_DECIMALS))
    as_point = _true(pc.match_substring_regex(joined, _POINT_DECIMALS))
    votes = int((as_comma & ~as_point).sum()), int((as_point & ~as_comma).sum())
    # A column of thousands writes 999 below 1,234; decimals are all parted, or the file tells.
    below = ~has_comma & ~has_point & ~gaps
    parted = either & has_comma
    unsure = bool(parted.any()) and votes == (0, 0)
    small = bool(below.any()) and bool(
        _true(pc.match_substring_regex(joined.filter(pa.array(below)), r"^\d{1,3}$")).all()
    )
    decides = (commas and not below.any()) or (small and not commas)
    if unsure and not decides:
        none = pa.scalar(None, joined.type)
        first = int(parted.argmax())
        return pc.if_else(pa.array(parted), none, joined), _Written(False, np.zeros(0, np.int64), either=first)
    use_comma = votes[0] > votes[1] or (votes[0] == votes[1] and commas)
    fits, marks = (as_comma, (".", ",")) if use_comma else (as_point, (",", "."))
    plain = pc.replace_substring(pc.replace_substring(joined, marks[0], ""), marks[1], ".")
    special = np.flatnonzero(gaps | has_comma | (has_point & use_comma))
    return pc.if_else(pa.array(fits), plain, pa.scalar(None, plain.type)), _Written(use_comma, special, unsure)


def _commas_said(text: pa.Array, values: np.ndarray, written: _Written, rows: np.ndarray) -> tuple[str, ...]:
    if not len(rows):
        return ()
    row = next((row for row in rows.tolist() if "," in text[row].as_py()), int(rows[0]))
    kind = "decimal commas" if written.commas and "," in text[row].as_py() else "parted thousands"
    other = "; write it without the comma if it means the other" if written.guessed else ""
    return (f"{kind} ({text[row].as_py()!r} is {values[row]:.15g}{other})",)


def _unit_said(text: pa.Array, values: np.ndarray, unit: str, rows: np.ndarray) -> tuple[str, ...]:
    left = [part for part in unit.split("\n") if part.strip()]
    if not left or not len(rows):
        return ()
    row = int(rows[0])
    return (f"{' and '.join(map(repr, left))} left out ({text[row].as_py()!r} is {values[row]:.15g})",)


def _trimmed(column: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    return pc.replace_substring(pc.utf8_trim_whitespace(column), "\u2212", "-")


def _is_mark(trimmed: pa.Array) -> np.ndarray:
    """(N,) bool, also where nothing stands."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known = pc.is_in(pc.utf8_lower(trimmed), pa.array(["", *MARKS], trimmed.type))
    return np.asarray(known.to_numpy(zero_copy_only=False) | trimmed.is_null().to_numpy(zero_copy_only=False))


def _true(mask: pa.Array) -> np.ndarray:
    import pyarrow.compute as pc

    return np.asarray(pc.fill_null(mask, False).to_numpy(zero_copy_only=False))
