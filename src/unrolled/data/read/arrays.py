"""Files of numpy arrays: .npy and .npz, what their headers claim compared with what is there before memory is taken."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as numpy_format

from unrolled.data.read.door import check_members
from unrolled.errors import DataError, foreign_told, listed

__all__ = ["read_arrays"]

# An array without values may be so long, though the file does not pay for it: that much is walked through in no time.
LONGEST_EMPTY = 1 << 16


def read_arrays(path: Path, name: str, only: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name, or that of an .npy file as "x". Raises DataError; nothing is unpickled.

    only: the names of those that are wanted, of which none may be there; None: all, and there must be one.
    """
    with foreign_told(DataError, f"{name} is not a file of numpy arrays", "save it with numpy.save() or numpy.savez()"):
        size = path.stat().st_size
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                file.seek(0)
                return {"x": _array(file, size, name)}
            with zipfile.ZipFile(file) as archive:
                members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
                if only is not None:
                    members = [member for member in members if member.filename.removesuffix(".npy") in only]
                check_members(members, size, name)
                arrays = {}
                for member in members:
                    with archive.open(member) as packed:
                        arrays[member.filename.removesuffix(".npy")] = _array(packed, member.file_size, name)
    if not arrays and only is None:
        raise DataError(f"{name} holds no arrays: save the series as 'x'.")
    return arrays


def _array(file: IO[bytes], size: int, name: str) -> np.ndarray:
    """One array of a stream of so many bytes."""
    version = numpy_format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise DataError(f"{name} holds an array in numpy's format {version}, but expected numbers or text: convert it.")
    read = numpy_format.read_array_header_1_0 if version == (1, 0) else numpy_format.read_array_header_2_0
    shape, fortran, kind = read(file)
    size -= file.tell()
    if kind.kind not in "biufUS" or kind.names is not None:
        raise DataError(
            f"{name} holds an array of {str(kind)[:40]}, but expected numbers, or text for labels: convert it."
        )
    count = 1
    for part in shape:
        count *= part
    # Of arrays without values, too, a length is walked through.
    longest = max(size, LONGEST_EMPTY)
    if not kind.itemsize or any(not 0 <= part <= longest for part in shape) or count * kind.itemsize > size:
        raise DataError(
            f"{name} claims an array of shape ({listed(shape)}) of {kind}, {count * kind.itemsize:,} bytes, but holds "
            f"{size:,}: get the whole file."
        )
    values = np.frombuffer(bytearray(file.read(count * kind.itemsize)), kind) if count else np.empty(0, kind)
    if kind.kind in "SU":
        values = _text(values, name)
    return values.reshape(shape[::-1]).T if fortran else values.reshape(shape)


def _text(values: np.ndarray, name: str) -> np.ndarray:
    """Texts (n,), decoded where they were saved as UTF-8 bytes. Raises DataError for what is no text."""
    if values.dtype.kind == "S":
        found = [_decoded(value) for value in values.tolist()]
        wrong = [text is None for text in found]
    else:
        codes = values.view(np.dtype(np.uint32).newbyteorder(values.dtype.byteorder))
        rows = codes.reshape(-1, values.dtype.itemsize // 4)
        wrong = [int(row.max()) > sys.maxunicode for row in rows]
        found = [] if any(wrong) else values.tolist()
    if any(wrong):
        raise DataError(
            f"{name} holds an array of {values.dtype} that is no text in value {wrong.index(True)}: save texts with "
            "numpy.array(texts)."
        )
    return np.array(found, np.str_)


def _decoded(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
