"""Seeded changes of files and of JSON: what breaks them in ways that happen, and in ways that do not."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

__all__ = ["altered", "broken"]

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
