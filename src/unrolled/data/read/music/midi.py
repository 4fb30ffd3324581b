"""MIDI files: what their tracks play, in beats."""

from __future__ import annotations

import io
import struct
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from unrolled.errors import DataError, how_many, listed, said_by
from unrolled.fields.notes import MusicPiece, Note
from unrolled.fields.notes.midi import MINUTE, require_mido
from unrolled.fields.notes.piece import LONGEST, TEMPO

if TYPE_CHECKING:
    import mido

__all__ = ["Heard", "parse_midi"]

# A file of so many bytes holds two million notes; each becomes an object of hundreds of bytes.
LARGEST = 8 << 20
DRUMS = 9
# Frames a second that a file may count its ticks in, as it writes them.
FRAMES = {24: 24.0, 25: 25.0, 29: 30000 / 1001, 30: 30.0}


@dataclass
class Heard:
    """What was understood of MIDI files, added up.

    files, tracks: those with notes. drums: notes of the channel of drums, which are left out. unended: notes that never
    go off. tempos: of all files, in beats a minute; several: files that change theirs. metres: how often each stands
    there. silent: files without a note of a pitch.
    """

    files: int = 0
    tracks: int = 0
    drums: int = 0
    unended: int = 0
    several: int = 0
    tempos: list[float] = field(default_factory=list)
    metres: Counter[str] = field(default_factory=Counter)

    def add(self, other: Heard) -> None:
        """Takes in what was understood of other files."""
        self.files += other.files
        self.tracks += other.tracks
        self.drums += other.drums
        self.unended += other.unended
        self.several += other.several
        self.tempos += other.tempos
        self.metres += other.metres

    def remarks(self) -> list[str]:
        """All of it in sentences; none where there was no MIDI file."""
        if not self.files:
            return []
        slow, fast = min(self.tempos, default=TEMPO), max(self.tempos, default=TEMPO)
        tempo = f"{slow:.0f}" if round(slow) == round(fast) else f"{slow:.0f} to {fast:.0f}"
        metre = listed(f"{name} ({count})" for name, count in self.metres.most_common(3))
        said = [
            f"MIDI: {how_many(self.files, 'file')}, {how_many(self.tracks, 'track')} with notes, tempo {tempo} "
            f"quarters a minute{f', metre {metre}' if metre else ''}"
        ]
        if self.several:
            said.append(
                f"{how_many(self.several, 'file')} of several tempos: steps are of beats, so these change no note; the "
                "one that lasts longest is kept"
            )
        if self.drums:
            said.append(f"{how_many(self.drums, 'note')} of drums (channel 10) left out: they have no pitch")
        if self.unended:
            said.append(f"{how_many(self.unended, 'note')} never ended: they sound to the end of their track")
        return said


def parse_midi(data: bytes, name: str) -> tuple[list[MusicPiece], Heard]:
    """The pieces of a MIDI file, and what was understood of it: one piece, of type 2 one for each track with notes.

    A note lasts from its note_on to the next note_off (or note_on of velocity 0) of its pitch in its channel and track;
    of several that sound, the one that began first ends first. Drums are left out. Times are in quarters, whatever the
    tempo; a file that counts frames of a film instead is read at its first tempo.

    Raises:
        DataError: no MIDI file, one that is cut short, broken, of more than 8 MB, or without a note.
        OptionError: mido is not installed.
    """
    tracks, ticks, kind = _tracks(data, name)
    heard, starts = Heard(files=1), _tempos(tracks)
    beat = _ticks_of_beat(ticks, starts[0][1] if starts else TEMPO, name)
    last = max((sum(message.time for message in track) for track in tracks), default=0)
    tempo = _longest(starts, last)
    heard.tempos = [found for _, found in starts] or [TEMPO]
    heard.several = int(len({found for _, found in starts}) > 1)
    groups = [[track] for track in tracks] if kind == 2 else [tracks]
    if last / beat > LONGEST:
        raise DataError(
            f"{name} lasts {last / beat:,.0f} quarters, but pieces of at most {LONGEST:,.0f} are read: correct its "
            "times, or leave it out."
        )
    pieces = [_piece(group, beat, tempo, heard) for group in groups]
    played = [piece for piece in pieces if piece.notes]
    if not played:
        rest = f" but {how_many(heard.drums, 'note')} of drums, which have no pitch" if heard.drums else ""
        raise DataError(f"{name} holds no notes{rest}: leave it out, or give a MIDI file that plays some.")
    return played, heard


def _piece(tracks: list[mido.MidiTrack], beat: float, tempo: float, heard: Heard) -> MusicPiece:
    found = list[Note]()
    end = 0
    for track in tracks:
        notes, last = _notes(track, beat, heard)
        heard.tracks += bool(notes)
        found += notes
        end = max(end, last if notes else 0)
    return MusicPiece.of(found, tempo, end / beat)


def _notes(track: mido.MidiTrack, beat: float, heard: Heard) -> tuple[list[Note], int]:
    """The notes of a track, and the tick at which it ends."""
    sounding = dict[tuple[int, int], deque[tuple[int, int]]]()
    found, now = list[Note](), 0

    def stop(key: tuple[int, int]) -> None:
        begin, velocity = sounding[key].popleft()
        # A note that ends where it begins was struck all the same.
        found.append(Note(begin / beat, max(1, now - begin) / beat, key[1], velocity))

    for message in track:
        now += message.time
        if message.type == "time_signature":
            heard.metres[f"{message.numerator}/{message.denominator}"] += 1
        if message.type not in ("note_on", "note_off"):
            continue
        begins, key = message.type == "note_on" and message.velocity > 0, (message.channel, message.note)
        if message.channel == DRUMS:
            heard.drums += begins
        elif begins:
            sounding.setdefault(key, deque()).append((now, message.velocity))
        elif sounding.get(key):
            stop(key)
    for key, rest in sounding.items():
        heard.unended += len(rest)
        for _ in range(len(rest)):
            stop(key)
    return found, now


def _tempos(tracks: list[mido.MidiTrack]) -> list[tuple[int, float]]:
    """The tick and the beats a minute of each change of tempo."""
    found = list[tuple[int, float]]()
    for track in tracks:
        now = 0
        for message in track:
            now += message.time
            if message.type == "set_tempo" and message.tempo > 0:
                found.append((now, MINUTE / message.tempo))
    return sorted(found)


def _longest(starts: list[tuple[int, float]], last: int) -> float:
    """The tempo that lasts longest, up to the tick that is the last."""
    lasting = Counter[float]()
    before = [(0, TEMPO), *starts]
    for (begin, tempo), end in zip(before, [*(start for start, _ in starts), last], strict=True):
        lasting[tempo] += max(0, end - begin)
    # Where nothing lasts, what stands at the beginning counts.
    return lasting.most_common(1)[0][0] if lasting.total() else before[-1][1]


def _ticks_of_beat(ticks: int, tempo: float, name: str) -> float:
    """How many ticks a quarter has."""
    if ticks > 0:
        return float(ticks)
    # Two bytes: minus the frames a second, and the ticks of a frame.
    frames, parts = FRAMES.get(-(ticks >> 8)), ticks & 0xFF
    if frames is None or not parts:
        raise DataError(f"{name} says neither ticks a quarter nor frames a second ({ticks}): get the whole file.")
    return frames * parts * 60 / tempo


def _tracks(data: bytes, name: str) -> tuple[list[mido.MidiTrack], int, int]:
    """The tracks as mido reads them, the ticks of a quarter as the file says them, and its type."""
    package = require_mido()
    if len(data) > LARGEST:
        raise DataError(
            f"{name} has {len(data):,} bytes, but a MIDI file of at most {LARGEST:,} is read: cut it into parts."
        )
    head, chunks = _chunks(data, name)
    try:
        file = package.MidiFile(file=io.BytesIO(head + b"".join(chunks)), clip=True)
    except (OSError, EOFError, ValueError, LookupError, TypeError, package.KeySignatureError) as error:
        why = "a track ends in the middle of a message" if isinstance(error, EOFError) else said_by(error)
        raise DataError(f"{name} is a broken MIDI file ({why}): get the whole file, or leave it out.") from error
    return list(file.tracks), int(file.ticks_per_beat), int(file.type)


def _chunks(data: bytes, name: str) -> tuple[bytes, list[bytes]]:
    """A head that says how many tracks there are, and these; chunks of other kinds are left out, as the format asks."""
    if data[:4] == b"RIFF" and data[8:12] == b"RMID":
        start = data.find(b"MThd")
        data = data[start:] if start > 0 else data
    if data[:4] != b"MThd" or len(data) < 14:
        what = f"it begins with {data[:4]!r}" if data else "it is empty"
        raise DataError(f"{name} is no MIDI file ({what}): expected one that begins with MThd; convert or remove it.")
    size, kind, count, ticks = struct.unpack(">LHHh", data[4:14])
    if kind > 2 or size < 6:
        raise DataError(f"{name} is a MIDI file of type {kind}, expected type 0, 1 or 2: convert it.")
    tracks = list[bytes]()
    for mark, at, length in _marks(data, 8 + size):
        if mark == b"MTrk":
            if at + length > len(data):
                raise DataError(
                    f"{name} is cut short: {len(data) - at:,} bytes are left of the {length:,} of track "
                    f"{len(tracks) + 1}; get the whole file."
                )
            tracks.append(data[at - 8 : at + length])
    if len(tracks) < count:
        raise DataError(f"{name} is cut short: {len(tracks)} tracks are left of {count}; get the whole file.")
    return struct.pack(">4sLHHh", b"MThd", 6, kind, len(tracks), ticks), tracks


def _marks(data: bytes, at: int) -> Iterator[tuple[bytes, int, int]]:
    """The name of each chunk, where what is in it begins, and its length as it says."""
    while at + 8 <= len(data):
        mark, length = struct.unpack(">4sL", data[at : at + 8])
        yield mark, at + 8, length
        at += 8 + length
