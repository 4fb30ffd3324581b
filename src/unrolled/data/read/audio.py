"""Sound files, whole or a part, as samples of one channel at the rate wanted."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np

from unrolled.data.read.door import FREE, TIMES, check_grown, reader, require_file
from unrolled.data.read.mpeg import count_frames
from unrolled.errors import DataError, OptionError, said_by
from unrolled.fields.sound import Sound, resample

if TYPE_CHECKING:
    import soundfile

__all__ = ["SOUNDS", "Clip", "Sound", "check_claimed_rate", "clip_name", "measure_clip", "read_clip", "read_sound"]

SOUNDS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff")
"""The endings of files that folders are searched for."""

# A part may end so many seconds after its file does: lists of recordings hold rounded durations.
_ROUNDED = 0.1
# Samples, of all channels, that are read at a time: a header that lies about their number takes no memory.
_BLOCK = 1 << 20
# Samples that a file may become at another rate, however strange its own.
_MOST = FREE // np.dtype(np.float32).itemsize
# A RIFF file that was written without knowing its end says one of these, or a little less, as the size of its data.
_ENDLESS = 0x7FFFF000
_CHUNKS = 1000
# Samples of an MP3 file that a guess of its length may leave out: a frame of the shorter kind.
_GUESSED = 576
# The longest page of an Ogg file, its head included.
_PAGE = 27 + 255 + 255 * 255


class Clip(NamedTuple):
    """A recording that is not yet read: a file, or a part of it, and where it was named.

    path: of the file; offset: where the part begins, in seconds; duration: of it, None up to the end of the file;
    place: of the list that names it, for messages: "line 3 of a.jsonl", or "".
    """

    path: Path
    offset: float = 0.0
    duration: float | None = None
    place: str = ""


def read_clip(clip: Clip, rate: int | None = None) -> Sound:
    """The samples of a recording, now; `read_sound` says how."""
    return read_sound(clip.path, rate, offset=clip.offset, duration=clip.duration, place=clip.place)


def measure_clip(clip: Clip) -> tuple[int, int]:
    """How many samples `read_clip` gives, and their rate, by what the file says of itself: none of them is decoded.

    Raises what `read_clip` does, but for what only the samples tell.
    """
    return _measured(clip.path, clip)


def clip_name(clip: Clip) -> str:
    """How messages name a recording: its file, and where that was named."""
    return _name(clip.path, clip.place)


@reader
def read_sound(
    path: str | Path, rate: int | None = None, *, offset: float = 0.0, duration: float | None = None, place: str = ""
) -> Sound:
    """The sound of a file (wav, flac, ogg, mp3 and what else libsndfile knows): the mean of its channels, float32.

    Args:
        path: the file.
        rate: resampled to so many samples a second; None: as it is.
        offset: where to begin, in seconds, 0 and up.
        duration: how much to read, in seconds; None: up to the end. It may reach past the end by 0.1 s, for rounding.
        place: where the file was named, for messages.

    Raises:
        DataError: no such file, no sound file, an empty one, one cut short or without a sample, a part that lies beyond
            its end, or a sample that is no finite number.
        OptionError: a rate, offset or duration out of range, or soundfile or soxr is not installed.
    """
    _require_part(rate, offset, duration)
    file, name = _whole_file(path, place)
    sound = _read(file, name, offset, duration)
    if rate is None:
        return sound
    check_claimed_rate(len(sound.samples), sound.rate, rate, name)
    return Sound(resample(sound.samples, sound.rate, rate), rate)


def check_claimed_rate(samples: int, rate: int, to: int, name: str) -> None:
    """Raises `DataError` where the head of a file claims a rate so low that it would be far more than is in it."""
    grown = samples * to // rate
    if to > TIMES * rate and grown > _MOST:
        raise DataError(
            f"{name} claims {rate:,} samples a second, so that its {samples:,} samples would become {grown:,} at "
            f"{to:,} a second: mend its head."
        )


@reader
def _measured(path: Path, clip: Clip) -> tuple[int, int]:
    _require_part(None, clip.offset, clip.duration)
    file, name = _whole_file(path, clip.place)
    with _opened(file, name) as sound:
        rate = int(sound.samplerate)
        return _part(_length(sound, file, name), rate, name, clip.offset, clip.duration)[1], rate


def _whole_file(path: str | Path, place: str) -> tuple[Path, str]:
    """The file, and how messages name it. Raises DataError where it is none, or ends before its own head says."""
    try:
        file = require_file(path)
    except DataError as error:
        raise DataError(f"{place[:1].upper()}{place[1:]}: {error}" if place else str(error)) from error
    name = _name(file, place)
    if file.is_dir():
        raise DataError(f"{name or str(file)} is a folder, but expected a sound file: name one of its files.")
    _require_whole(file, name)
    return file, name


def _name(file: Path, place: str) -> str:
    return place if place.rpartition("/")[2] == file.name else f"{file.name} ({place})" if place else file.name


def _require_part(rate: int | None, offset: float, duration: float | None) -> None:
    if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int) or rate < 1):
        raise OptionError(f"rate must be a positive integer, got {rate!r}: give samples a second.")
    if not 0 <= offset < math.inf:
        raise OptionError(f"offset must be 0 or more, got {offset!r}: give seconds from the begin of the file.")
    if duration is not None and not 0 < duration < math.inf:
        raise OptionError(f"duration must be above 0, got {duration!r}: give seconds, or None up to the end.")


@contextmanager
def _opened(path: Path, name: str) -> Iterator[soundfile.SoundFile]:
    package = _package()
    # The package asks a file of this ending for its rate and kind instead of looking into it.
    if path.suffix.lower() == ".raw":
        raise DataError(f"{name} is raw samples, whose rate and kind nobody can see: save it as .wav.")
    try:
        with package.SoundFile(str(path)) as file:
            yield file
    except package.SoundFileError as error:
        raise DataError(
            f"{name} cannot be read as sound ({_said(error)}): check that it is a whole sound file, such as .wav, "
            ".flac, .ogg or .mp3."
        ) from error


def _read(path: Path, name: str, offset: float, duration: float | None) -> Sound:
    with _opened(path, name) as file:
        rate = int(file.samplerate)
        start, count = _part(_length(file, path, name), rate, name, offset, duration)
        samples = _samples(file, start, count, name)
    if len(samples) < count:
        raise DataError(
            _cut_short(name, f"{(start + len(samples)) / rate:.2f} s are left of {(start + count) / rate:.2f}")
        )
    if not np.isfinite(samples).all():
        at = int(np.argmax(~np.isfinite(samples)))
        raise DataError(
            f"{name}: the sample at {(start + at) / rate:.4f} s is {samples[at]}, expected a finite number: mend or "
            "remove that file."
        )
    return Sound(samples, rate)


def _length(file: soundfile.SoundFile, path: Path, name: str) -> int:
    """The samples of each channel."""
    return _mpeg_length(path, file.frames, name) if file.format == "MP3" else int(file.frames)


def _part(frames: int, rate: int, name: str, offset: float, duration: float | None) -> tuple[int, int]:
    """The first sample of the part, and how many there are."""
    if frames < 1:
        raise DataError(f"{name} holds no samples: record it again, or leave it out.")
    if offset * rate >= frames - 0.5:
        raise DataError(
            f"{name} is {frames / rate:.2f} s long, but a part from {offset:g} s on is asked for: give an offset in it."
        )
    start = round(offset * rate)
    if duration is None:
        return start, frames - start
    if offset + duration > frames / rate + _ROUNDED:
        raise DataError(
            f"{name} is {frames / rate:.2f} s long, but a part from {offset:g} to {offset + duration:g} s is "
            "asked for: give a shorter duration."
        )
    return start, min(max(1, round(duration * rate)), frames - start)


def _samples(file: soundfile.SoundFile, start: int, count: int, name: str) -> np.ndarray:
    """So many samples from there on, or up to the end of what is there."""
    if file.format == "MP3":
        # After a jump, frames of MP3 lack what those before hold of them, and a thousand samples come out wrong; and
        # the package jumps to where it is after each read. So all is read at once, from the begin on.
        check_grown((start + count) * file.channels * 4, os.path.getsize(file.name), name)
        return _mixed(file.read(start + count, dtype="float32", always_2d=True)[start:])
    file.seek(start)
    most = max(1, _BLOCK // file.channels)
    blocks = [np.zeros(0, np.float32)]
    while count > 0:
        block = file.read(min(count, most), dtype="float32", always_2d=True)
        if not len(block):
            break
        count -= len(block)
        blocks.append(_mixed(block))
    return np.concatenate(blocks)


def _mixed(block: np.ndarray) -> np.ndarray:
    """The mean of the channels."""
    # Where a sum of channels is beyond float32, it is told as what it becomes: infinite.
    with np.errstate(over="ignore", invalid="ignore"):
        return block[:, 0].copy() if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)


def _require_whole(path: Path, name: str) -> None:
    """Raises DataError where a file ends before its own head says: libsndfile reads what there is of these."""
    size = path.stat().st_size
    if not size:
        raise DataError(f"{name} is empty: get the whole file.")
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] in (b"RIFF", b"RIFX") and head[8:] == b"WAVE":
            _require_data(file, size, head[:4] == b"RIFX", name)
        elif head[:4] == b"OggS":
            _require_page(file, size, name)


def _require_data(file: IO[bytes], size: int, big: bool, name: str) -> None:
    at = 12
    for _ in range(_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return
        length = int.from_bytes(head[4:], "big" if big else "little")
        at += 8
        if head[:4] == b"data":
            if not length and size > at:
                raise DataError(
                    f"{name} says that it holds no samples, but {size - at:,} bytes of them follow: its recording was "
                    "not finished; write it again, as sox or ffmpeg do."
                )
            if size - at < length < _ENDLESS:
                raise DataError(_cut_short(name, f"{size - at:,} bytes of samples are left of {length:,}"))
            return
        at += length + length % 2


def _mpeg_length(path: Path, claimed: int, name: str) -> int:
    """The samples of an MP3 file, which libsndfile guesses where the file has no index: then it would lose some."""
    found = count_frames(path.read_bytes())
    if found is None:
        return claimed
    if not found.whole:
        raise DataError(_cut_short(name, "its last frame is not whole"))
    if found.indexed and claimed > found.samples:
        raise DataError(_cut_short(name, f"{found.samples:,} samples are left of {claimed:,}"))
    if not found.indexed and claimed < found.samples - _GUESSED:
        raise DataError(
            f"{name} holds {found.samples:,} samples, of which {claimed:,} would be read, for it has no index of its "
            "frames: convert it to .flac or .wav."
        )
    return min(claimed, found.samples)


def _require_page(file: IO[bytes], size: int, name: str) -> None:
    file.seek(max(0, size - 2 * _PAGE))
    tail = file.read()
    page = tail[tail.rfind(b"OggS") :]
    segments = page[26] if len(page) > 26 else 0
    wanted = 27 + segments + sum(page[27 : 27 + segments])
    if len(page) < max(wanted, 27 + segments):
        raise DataError(_cut_short(name, f"{len(page):,} bytes of its last page are left of {wanted:,} or more"))


def _said(error: Exception) -> str:
    """What libsndfile says, without the path that the package puts before it."""
    said = str(getattr(error, "error_string", "")) or said_by(error)
    # Of a file that is there it says so where it knows nothing of what is in it.
    return "no kind of sound is seen in it" if said.startswith("File does not exist") else said.rstrip(".")


def _cut_short(name: str, what: str) -> str:
    return f"{name} is cut short: {what}; get the whole file."


def _package() -> ModuleType:
    try:
        import soundfile
    except (ModuleNotFoundError, OSError) as error:
        raise OptionError(
            "Reading sound files needs the package soundfile, which is not installed or lacks its library; install "
            "unrolled[audio]."
        ) from error
    package: ModuleType = soundfile
    return package
