"""Seeded changes of files: of their bytes, and of what stands in them, which leaves them whole for a first look."""

from __future__ import annotations

import io
import json
import random
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from tokenize import TokenError

import numpy as np

__all__ = ["altered", "changed"]

# What is put into texts, and into JSON.
ODD = [
    *("", "-", "nan", "inf", "1e999", "-0", "9" * 400, "0x10", "\0", "\ufeff", "\u202e", '"', ",", ";", "\t", "\r"),
    *("1,5", "NULL", "2024-13-45", "9999-12-31", "0001-01-01", "9" * 20, "2024-01-01T00:00:00+14:00", "[[[[", "é" * 50),
]
VALUES: list[object] = [
    None,
    True,
    -1,
    0,
    1,
    10**9,
    10**400,
    1.5,
    -1e308,
    "",
    "x",
    "\ud800",
    "x" * 5000,
    [],
    {},
    [None],
    [[]],
    {"a": 1},
]
# What stands between two marks of a text; numbers that are put into texts and arrays; and what arrays are turned into.
TOKEN = re.compile(r"[^\s,;:<>=\"\[\]{}]+")
NUMBERS = (-1, 0, 1, 2, 255, 2**31 - 1, 2**40, 2**62, 0.5, -1e308, 1e-320, float("nan"), float("inf"))
KINDS = ("int8", "uint8", "int64", "float16", "float64", "bool", "U3", "S2", "complex64", ">f4")


def changed(name: str, whole: bytes, chance: random.Random) -> bytes:
    """The file with one to four changes, half the time of its bytes, else of what stands in it."""
    inner = INNER.get(PurePosixPath(name).suffix)
    return broken(whole, chance) if inner is None or chance.random() < 0.5 else inner(whole, chance)


def broken(whole: bytes, chance: random.Random) -> bytes:
    """One to four changes of the bytes."""
    data = bytearray(whole)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        to = min(len(data), at + chance.choice((1, 1, 2, 4, 16, 200)))
        kind = chance.randrange(8)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at:to] = chance.randbytes(to - at)
        elif kind == 2:
            del data[at:to]
        elif kind == 3:
            data[at:at] = data[at:to] * chance.choice((1, 2, 50))
        elif kind == 4:
            data[at:at] = chance.choice(ODD).encode("utf-8", "replace")
        elif kind == 5:
            data[at:to] = chance.choice((b"\xff", b"\0", b"\x7f")) * (to - at)
        elif kind == 6:
            del data[at:]
        else:
            lines = bytes(data).splitlines(keepends=True) or [b""]
            chance.shuffle(lines)
            data = bytearray(b"".join(lines))
    return bytes(data)


def places(value: object, path: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    """The places of all values in JSON."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from places(part, (*path, key))


def altered(content: dict[str, object], chance: random.Random) -> dict[str, object]:
    """JSON with one to three values replaced, taken out or put in."""
    whole: object = json.loads(json.dumps(content))
    for _ in range(chance.randint(1, 3)):
        every = list(places(whole))
        # Shallow places hold the options; deep ones are mostly words and numbers.
        path = min((chance.choice(every) for _ in range(chance.choice((1, 3)))), key=len)
        if not path:
            continue
        at: object = whole
        for key in path[:-1]:
            at = at[key]  # type: ignore[index]
        if chance.random() < 0.15:
            del at[path[-1]]  # type: ignore[attr-defined]
        else:
            at[path[-1]] = chance.choice(VALUES)  # type: ignore[index]
    return whole  # type: ignore[return-value]


def tokens_changed(whole: bytes, chance: random.Random) -> bytes:
    """A text with words or numbers replaced, and lines taken out or doubled."""
    # What was changed before may be no text any more.
    text = whole.decode("utf-8", "replace")
    for _ in range(chance.randint(1, 4)):
        found = list(TOKEN.finditer(text))
        if not found or chance.random() < 0.2:
            lines = text.splitlines(keepends=True) or [""]
            at = chance.randrange(len(lines))
            lines[at : at + 1] = [lines[at]] * chance.choice((0, 2, 100))
            text = "".join(lines)
            continue
        at = chance.choice(found)
        put = chance.choice(
            (chance.choice(ODD), chance.choice(found).group(), str(chance.choice(NUMBERS)), "-" + at[0])
        )
        text = text[: at.start()] + put + text[at.end() :]
    return text.encode("utf-8", "replace")


def lines_altered(whole: bytes, chance: random.Random) -> bytes:
    """JSON lines with values of one or of all of them replaced."""
    lines = whole.decode().splitlines()
    place, same = chance.randrange(len(lines)), chance.getrandbits(64)
    for at, line in enumerate(lines):
        if at == place or place % 4 == 0:
            lines[at] = json.dumps(altered(json.loads(line), random.Random(same)))
    return "\n".join(lines).encode()


def members_changed(whole: bytes, chance: random.Random) -> bytes:
    """A zip with files in it changed, renamed, doubled or taken out, and sums that fit."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    for _ in range(chance.randint(1, 2)):
        at = chance.randrange(len(members))
        name, data = members[at]
        kind = chance.randrange(8)
        if kind == 0:
            name = chance.choice((f"a/{name}", name.upper(), f".{name}", f"{name}.gz", "x.npy", "\u00e9", f"../{name}"))
        elif kind == 1 and len(members) > 1:
            del members[at]
            continue
        elif kind < 6 and name.endswith(".npy"):
            data = array_changed(data, chance)
        else:
            data = changed(name, data, chance)
        members[at] = name, data
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive, warnings.catch_warnings(action="ignore"):
        # Two of one name are warned of.
        for name, data in members:
            # Of a name alone the time of day would be kept, too.
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def array_changed(whole: bytes, chance: random.Random) -> bytes:
    """A numpy file with a value, the kind or the shape of its array changed."""
    try:
        array = np.load(io.BytesIO(whole))
    except (ValueError, EOFError, SyntaxError, TokenError):
        # It was changed before, and is no array any more.
        return broken(whole, chance)
    kind = chance.randrange(4)
    with warnings.catch_warnings(action="ignore"):
        if kind == 0:
            array = array.astype(chance.choice(KINDS if array.dtype.kind not in "US" else ("U3", "S2")))
        elif kind == 1 and array.size:
            array.flat[chance.randrange(array.size)] = np.array(chance.choice(NUMBERS)).astype(array.dtype)
        elif kind == 2:
            array = chance.choice((array.ravel(), array[None], array.T, array[:0], array[:1], array.sum(keepdims=True)
                                   if array.dtype.kind not in "US" else array[..., None]))  # fmt: skip
        else:
            array = array[: chance.randrange(len(array) + 1)] if array.ndim else array[None]
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def head_changed(whole: bytes, chance: random.Random) -> bytes:
    """A file of samples with one to three numbers of its head replaced."""
    data = bytearray(whole)
    for _ in range(chance.randint(1, 3)):
        at, width = 2 * chance.randrange(min(48, len(data) // 2)), chance.choice((1, 2, 4))
        most = 256**width - 1
        number = chance.choice((0, 1, 2, most, most // 2, most // 2 + 1, chance.randint(0, most), len(data) & most))
        data[at : at + width] = number.to_bytes(width, chance.choice(("little", "big")))
    return bytes(data)


INNER: dict[str, Callable[[bytes, random.Random], bytes]] = {
    **dict.fromkeys((".jsonl", ".ndjson"), lines_altered), **dict.fromkeys((".npz", ".zip"), members_changed),
    **dict.fromkeys((".wav", ".flac", ".ogg", ".mp3", ".mid"), head_changed), ".npy": array_changed,
    **dict.fromkeys((".csv", ".tsv", ".txt", ".scp", ".inkml", ".ts", ".arff", ".conllu", ".vec", ""), tokens_changed),
    ".json": tokens_changed,
}  # fmt: skip
"""How what stands in a file is changed, by its ending."""
