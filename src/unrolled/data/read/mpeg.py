"""The samples that the frames of an MP3 file hold, counted one by one: its length is nowhere else for certain."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["MpegFrames", "count_frames"]

# In kbit/s, of layer III, by the number in a frame's head: of MPEG-1, and of MPEG-2 and 2.5.
_FIRST = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_SECOND = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
# Samples a second of MPEG-1; the others have a half and a quarter of them.
_RATES = (44_100, 48_000, 32_000)
_HALVES = {3: 1, 2: 2, 0: 4}
_TAGS = (b"Xing", b"Info", b"VBRI")


class MpegFrames(NamedTuple):
    """samples: of all whole frames but the index; indexed: is there one? whole: does the last frame end in the data?"""

    samples: int
    indexed: bool
    whole: bool


def count_frames(data: bytes) -> MpegFrames | None:
    """The frames of MPEG audio, layer III, from the begin of the data; None where it is something else."""
    at, samples = _after_tags(data), 0
    first = _frame(data, at)
    if first is None:
        return None
    length, each = first
    # The index stands where the first samples would.
    indexed = any(tag in data[at : at + min(length, 64)] for tag in _TAGS)
    if indexed:
        at += length
    while (frame := _frame(data, at)) is not None:
        length, each = frame
        if at + length > len(data):
            return MpegFrames(samples, indexed, whole=False)
        at, samples = at + length, samples + each
    # Less than a head is left of the next.
    return MpegFrames(samples, indexed, whole=not (data[at : at + 1] == b"\xff" and len(data) - at < 4))


def _after_tags(data: bytes) -> int:
    """Where the first frame begins, behind an ID3 tag."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    # Seven bits of each of four bytes.
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte & 127
    return 10 + size


def _frame(data: bytes, at: int) -> tuple[int, int] | None:
    """Bytes and samples of the frame whose head stands there; None where none does."""
    head = int.from_bytes(data[at : at + 4], "big")
    version, layer, bits, rate, padding = head >> 19 & 3, head >> 17 & 3, head >> 12 & 15, head >> 10 & 3, head >> 9 & 1
    if at + 4 > len(data) or head >> 21 != 0x7FF or version == 1 or layer != 1 or bits in (0, 15) or rate == 3:
        return None
    kilobits, samples = (_FIRST[bits], 1152) if version == 3 else (_SECOND[bits], 576)
    return samples // 8 * kilobits * 1000 // (_RATES[rate] // _HALVES[version]) + padding, samples
