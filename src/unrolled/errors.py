"""Every error a user can meet: one sentence that says what was expected, what came, and what to do."""

from __future__ import annotations

import difflib
import re
import struct
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from json import JSONDecodeError

__all__ = [
    "ConvergenceError",
    "DataError",
    "DtypeError",
    "KernelError",
    "LengthsError",
    "ModelFileError",
    "NonFiniteError",
    "NotStreamable",
    "OptionError",
    "SaveError",
    "ShapeError",
    "TrainingError",
    "UnrolledError",
    "foreign_told",
    "how_many",
    "lacks_memory",
    "listed",
    "printable",
    "said_by",
    "suggest",
]

# Of a message: a sentence that is read. Of a list in one, and of a name in a list.
LONGEST, NAMED, LONGEST_NAME = 600, 12, 40
# Of a message that is cut, how much of its end stays: what to do stands there.
_END = 160
# What a sentence shows of another library's message.
_REASON = 200
# What moves a terminal's cursor, colours or order of letters: C0 but for tab and line feed, DEL and C1, overrides of
# direction, separators of lines, and surrogates, which are no text.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class UnrolledError(Exception):
    """Base of all errors that `unrolled` raises for a user's mistake; the command line exits with code 2 on it.

    A message of more than 600 characters is cut in its middle.
    """

    def __str__(self) -> str:
        return _cut(Exception.__str__(self))


class ShapeError(UnrolledError, ValueError):
    """A tensor has the wrong number of dimensions or the wrong size."""


class DtypeError(UnrolledError, TypeError):
    """A tensor has a dtype that the layer cannot take."""


class LengthsError(UnrolledError, ValueError):
    """`lengths` is negative, beyond the time dimension, or not one integer a row."""


class NonFiniteError(UnrolledError, ValueError):
    """A valid step holds NaN or an infinite value."""


class NotStreamable(UnrolledError, TypeError):
    """The layer needs the whole sequence, so it has no single step."""


class KernelError(UnrolledError, RuntimeError):
    """A kernel named explicitly does not exist or refuses the tensors it was given."""


class ConvergenceError(UnrolledError, ArithmeticError):
    """An iteration did not reach its tolerance."""


class OptionError(UnrolledError, ValueError):
    """An option is unknown, out of range, or does not go together with another."""


class DataError(UnrolledError, ValueError):
    """A file, table, column, series or value cannot be used as it stands."""


class ModelFileError(UnrolledError, ValueError):
    """A saved model or checkpoint is damaged, incomplete, or of a later format version."""


class SaveError(UnrolledError, OSError):
    """Something could not be written: disk full, no permission, not a folder."""


class TrainingError(UnrolledError, RuntimeError):
    """Training cannot go on: the loss or a gradient is no longer finite."""


def suggest(name: object, candidates: Iterable[str]) -> str:
    """A sentence " Did you mean 'x'?" (with its leading space) for the closest candidate, or an empty string."""
    known = [str(candidate) for candidate in candidates]
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)
    # Upper and lower case are the likeliest mistake of all.
    close = [each for each in known if each.lower() == str(name).lower()][:1] or close
    return f" Did you mean {close[0]!r}?" if close else ""


def how_many(count: int, noun: str) -> str:
    """A count and what is counted.

    >>> how_many(1, "row"), how_many(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listed(names: Iterable[object], most: int = NAMED) -> str:
    """Names for a message, "a, b, c", cut after a dozen: "a, b, ... and 1,988 more"."""
    every = list(names)
    shown = ", ".join(_short(str(name)) for name in every[:most])
    return shown if len(every) <= most else f"{shown}, ... and {len(every) - most:,} more"


@contextmanager
def foreign_told(kind: type[UnrolledError], what: str, advice: str) -> Iterator[None]:
    """The one place where other libraries' exceptions about a broken source become a sentence: "what (why): advice"."""
    try:
        yield
    except UnrolledError:
        raise
    except _foreign() as error:
        raise kind(f"{what} ({said_by(error)}): {advice}.") from error


def said_by(error: BaseException, *, last: bool = False) -> str:
    """What another library's exception says, on one line and cut; its last part alone, where it is a list of them."""
    said = " ".join((str(error).split("\n\t")[-1] if last else str(error)).split())
    if lacks_memory(error):
        asked = re.search(r"[0-9][0-9.,]* ?(?:[KMGTPE]i?B|bytes)", said)
        return f"there is not enough memory{f' for {asked.group()}' if asked else ''}"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, JSONDecodeError) and "\n" not in error.doc.strip():
        # Some of its messages end in the word already.
        said = f"{error.msg.removesuffix(' at')} at character {error.pos}"
    said = printable(said).rstrip(".")
    if isinstance(error, KeyError):
        said = f"it has no {said}"
    return said[:_REASON] or type(error).__name__


def lacks_memory(error: BaseException) -> bool:
    """Is it an allocation that failed, of Python's, numpy's, Arrow's or torch's?"""
    return isinstance(error, MemoryError) or bool(re.search("alloc.*memory|memory.*alloc", str(error)))


def printable(text: str) -> str:
    r"""The text as a terminal may show it: each control character as its escape, such as \u001b; JSON stays JSON."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _foreign() -> tuple[type[Exception], ...]:
    """What readers and parsers of other libraries raise at broken bytes."""
    kinds = (
        ArithmeticError,
        BufferError,
        EOFError,
        LookupError,
        MemoryError,
        OSError,
        RuntimeError,
        SyntaxError,
        ValueError,
    )
    arrow = sys.modules.get("pyarrow")
    own = () if arrow is None else (arrow.ArrowException,)
    return (*kinds, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error, *own)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."


def _cut(message: str) -> str:
    if len(message) <= LONGEST:
        return message
    return f"{message[: LONGEST - _END - 5]} ... {message[-_END:]}"
