"""MIDI files written by mido and byte by byte: what they play, and what is told of those that are broken."""

from __future__ import annotations

import builtins
import io
import struct
from typing import Any

import mido
import numpy as np
import pytest

from unrolled.data.read.music import parse_midi, read_pieces
from unrolled.errors import DataError, OptionError
from unrolled.fields.notes import MusicPiece, Note, to_midi


def track(*events: bytes, end: bool = True) -> bytes:
    body = b"".join(events) + (b"\x00\xff\x2f\x00" if end else b"")
    return b"MTrk" + struct.pack(">L", len(body)) + body


def midi(*tracks: bytes, kind: int = 0, ticks: int = 96, count: int | None = None) -> bytes:
    head = struct.pack(">LHHh", 6, kind, len(tracks) if count is None else count, ticks)
    return b"MThd" + head + b"".join(tracks)


def notes(data: bytes) -> list[tuple[float, ...]]:
    [piece], _ = parse_midi(data, "a.mid")
    return [tuple(note) for note in piece.notes]


ON, OFF = b"\x00\x90\x3c\x50", b"\x60\x80\x3c\x40"


def test_a_note_lasts_from_its_on_to_its_off() -> None:
    assert notes(midi(track(ON, OFF))) == [(0, 1, 60, 80)]


def test_a_note_on_of_velocity_0_is_an_off() -> None:
    assert notes(midi(track(ON, b"\x60\x90\x3c\x00"))) == [(0, 1, 60, 80)]


def test_running_status_goes_on_with_the_last_kind_of_message() -> None:
    # On C, on E, off both by velocity 0, with a status byte at the first alone and a meta message in between.
    events = [ON, b"\x00\x40\x50", b"\x30\xff\x01\x01x", b"\x30\x3c\x00", b"\x00\x40\x00"]
    assert notes(midi(track(*events))) == [(0, 1, 60, 80), (0, 1, 64, 80)]


def test_of_overlapping_notes_of_one_pitch_the_first_ends_first() -> None:
    again = b"\x30\x90\x3c\x60"
    assert notes(midi(track(ON, again, b"\x30\x80\x3c\x00", b"\x60\x80\x3c\x00"))) == [
        (0, 1, 60, 80),
        (0.5, 1.5, 60, 96),
    ]


def test_voices_of_other_channels_and_tracks_end_by_themselves() -> None:
    one, two = track(ON, b"\x60\x80\x3c\x00"), track(b"\x00\x90\x3c\x51", b"\x81\x40\x80\x3c\x00")
    other = track(b"\x00\x91\x3c\x52", b"\x30\x81\x3c\x00")
    assert sorted(notes(midi(one, two, other, kind=1))) == [(0, 0.5, 60, 82), (0, 1, 60, 80), (0, 2, 60, 81)]


def test_a_note_without_an_off_sounds_to_the_end_of_its_track_and_is_said() -> None:
    data = midi(track(ON, b"\x00\x90\x40\x50", b"\x60\x80\x40\x00", b"\x60\xff\x01\x00"))
    assert notes(data) == [(0, 2, 60, 80), (0, 1, 64, 80)]
    assert parse_midi(data, "a.mid")[1].remarks()[-1] == "1 note never ended: they sound to the end of their track"


def test_an_off_without_an_on_and_a_note_of_no_length_are_no_trouble() -> None:
    data = midi(track(b"\x00\x80\x30\x00", ON, b"\x00\x80\x3c\x00", b"\x60\x80\x3c\x00"))
    assert notes(data) == [(0, 1 / 96, 60, 80)]


def test_drums_are_left_out_and_said() -> None:
    data = midi(track(ON, b"\x00\x99\x24\x50", b"\x60\x89\x24\x00", b"\x00\x80\x3c\x00"))
    assert notes(data) == [(0, 1, 60, 80)]
    assert "1 note of drums (channel 10) left out: they have no pitch" in parse_midi(data, "a.mid")[1].remarks()
    with pytest.raises(DataError, match=r"a\.mid holds no notes but 1 note of drums, which have no pitch"):
        parse_midi(midi(track(b"\x00\x99\x24\x50", b"\x60\x89\x24\x00")), "a.mid")


def tempo(quarter: int, delta: bytes = b"\x00") -> bytes:
    return delta + b"\xff\x51\x03" + quarter.to_bytes(3, "big")


def test_of_several_tempos_the_one_that_lasts_longest_is_kept_and_beats_stay_beats() -> None:
    # 60 quarters a minute for one quarter, then 100 for three: a tempo of the other track counts for all.
    times = track(tempo(1_000_000), tempo(600_000, b"\x60"))
    data = midi(times, track(ON, b"\x83\x00\x80\x3c\x00"), kind=1)
    [piece], heard = parse_midi(data, "a.mid")
    assert piece.tempo == pytest.approx(100)
    assert piece.notes == (Note(0, 4, 60),)
    assert heard.remarks()[0].endswith("tempo 60 to 100 quarters a minute")
    assert "of several tempos" in heard.remarks()[1]


def test_the_tempo_that_stands_at_the_beginning_is_that_of_the_piece() -> None:
    [piece], heard = parse_midi(midi(track(tempo(1_000_000), ON, OFF)), "a.mid")
    assert piece.tempo == 60
    assert heard.several == 0
    [plain], _ = parse_midi(midi(track(ON, OFF)), "a.mid")
    assert plain.tempo == 120


def test_the_metre_is_said() -> None:
    data = midi(track(b"\x00\xff\x58\x04\x03\x02\x18\x08", ON, OFF))
    assert parse_midi(data, "a.mid")[1].remarks() == [
        "MIDI: 1 file, 1 track with notes, tempo 120 quarters a minute, metre 3/4 (1)"
    ]


def test_each_track_of_type_2_is_a_piece_of_its_own() -> None:
    found, _ = parse_midi(midi(track(ON, OFF), track(), track(ON, OFF), kind=2), "a.mid")
    assert [piece.notes for piece in found] == [(Note(0, 1, 60),)] * 2


def test_ticks_of_frames_are_read_at_the_tempo() -> None:
    # 25 frames of 40 ticks a second: a thousand ticks a second, 500 a quarter at 120 quarters a minute.
    division = struct.unpack(">h", bytes([256 - 25, 40]))[0]
    data = midi(track(ON, b"\x83\x74\x80\x3c\x00"), ticks=division)
    assert notes(data) == [(0, 1, 60, 80)]
    with pytest.raises(DataError, match="neither ticks a quarter nor frames a second"):
        parse_midi(midi(track(ON, OFF), ticks=0), "a.mid")


def test_chunks_of_other_kinds_and_the_wrapping_of_windows_are_left_out() -> None:
    inner = midi(track(ON, OFF)) + b"XFIH\x00\x00\x00\x02ab"
    head = b"MThd" + struct.pack(">LHHh", 6, 1, 1, 96) + b"XFKM\x00\x00\x00\x01z" + track(ON, OFF)
    wrapped = b"RIFF" + struct.pack("<L", len(inner) + 12) + b"RMIDdata" + struct.pack("<L", len(inner)) + inner
    for data in (inner, head, wrapped):
        assert notes(data) == [(0, 1, 60, 80)]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is empty"),
        (b"RIFF1234WAVE", "it begins with b'RIFF'"),
        (b"MThd", "is no MIDI file"),
        (midi(track(ON, OFF), kind=3), "of type 3, expected type 0, 1 or 2"),
        (midi(), "holds no notes"),
        (midi(track()), "holds no notes: leave it out"),
        (midi(track(ON, OFF), count=40_000), "cut short: 1 tracks are left of 40000"),
        (midi(track(ON, OFF))[:-3], "cut short: 9 bytes are left of the 12 of track 1"),
        (midi(b"MTrk\xff\xff\xff\xff" + ON), "cut short: 4 bytes are left of the 4,294,967,295"),
        (midi(track(b"\x00\x3c\x50")), r"broken MIDI file \(running status without last_status\)"),
        (midi(track(b"\x00\x90\x3c", end=False)), "a track ends in the middle of a message"),
        (midi(track(ON, b"\x00\xff\x59\x02\x20\x00")), "broken MIDI file"),
        (midi(track(ON, b"\x00\xf4")), "undefined status byte 0xf4"),
        (midi(track(ON, b"\xff\xff\xff\x7f\x80\x3c\x00"), ticks=1), "lasts 268,435,455 quarters"),
        (b"MThd" + bytes(9 << 20), "at most 8,388,608 is read"),
    ],
)
def test_broken_files_are_told_in_one_sentence(data: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        parse_midi(data, "a.mid")
    assert str(caught.value).startswith("a.mid")


def test_bytes_of_any_kind_are_told_or_played() -> None:
    random, whole = (
        np.random.default_rng(0),
        midi(track(tempo(500_000), ON, b"\x00\x90\x40\x50", OFF, b"\x10\x80\x40\x00")),
    )
    told = list[str]()
    for _ in range(300):
        data = bytearray(whole)
        for place in random.integers(0, len(data), 3).tolist():
            data[place] = int(random.integers(256))
        try:
            parse_midi(bytes(data), "a.mid")
        except DataError as error:
            told.append(str(error))
    assert 50 < len(told) < 300
    assert max(map(len, told)) <= 600


def played(data: bytes) -> list[tuple[int, int, int]]:
    """(begin, end, pitch) in ticks, as mido's own merging of tracks orders the messages."""
    found, sounding, now = list[tuple[int, int, int]](), dict[int, int](), 0
    for message in mido.merge_tracks(mido.MidiFile(file=io.BytesIO(data)).tracks):
        now += message.time
        if message.type == "note_on" and message.velocity:
            sounding[message.note] = now
        elif message.type in ("note_on", "note_off"):
            found.append((sounding.pop(message.note), now, message.note))
    return sorted(found)


@pytest.mark.parametrize("seed", range(8))
def test_what_is_written_is_what_mido_plays_and_what_is_read_back(seed: int) -> None:
    random = np.random.default_rng(seed)
    steps = [random.choice(np.arange(40, 70), int(random.integers(0, 5)), replace=False).tolist() for _ in range(30)]
    piece = MusicPiece.of_steps(steps, 0.25, 87.0)
    data = to_midi(piece)
    wanted = sorted((round(480 * n.start), round(480 * (n.start + n.duration)), n.pitch) for n in piece.notes)
    assert played(data) == wanted
    [back], heard = parse_midi(data, "a.mid")
    assert back.notes == piece.notes
    assert back.length == piece.length
    # A tempo is written in whole microseconds of a quarter.
    assert back.tempo == pytest.approx(87, abs=87**2 / 60e6)
    assert heard.unended == 0


def test_a_note_struck_again_at_once_is_written_so_that_it_comes_back() -> None:
    piece = MusicPiece.of([(0, 1, 60), (1, 1, 60), (2, 1e-9, 60)])
    [back], _ = parse_midi(to_midi(piece), "a.mid")
    assert [note[:2] for note in back.notes] == [(0, 1), (1, 1), (2, 1 / 480)]


def test_without_mido_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "a.mid").write_bytes(midi(track(ON, OFF)))
    plain = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "mido":
            raise ModuleNotFoundError(name)
        return plain(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(OptionError, match=r"pip install 'unrolled\[music\]'"):
        read_pieces(tmp_path / "a.mid")
    assert read_pieces([[60]]).values[0].notes == (Note(0, 1, 60),)
