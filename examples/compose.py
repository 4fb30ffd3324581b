"""Learns from rounds on an old song, goes on from its beginning, and makes one up: MIDI files and piano rolls.

    python examples/compose.py            # leaves round-1.mid and round-1.png to round-3 in the folder rounds
    python examples/compose.py elsewhere

The song is Frere Jacques, which is in the public domain; each round has two or three voices, in some key.
"""

from __future__ import annotations

import sys
from pathlib import Path

import unrolled as ur
from unrolled.fields import MusicPiece
from unrolled.fields.notes import to_midi

# Each part is sung twice: semitones above the key, and beats.
PARTS = (
    ((0, 1), (2, 1), (4, 1), (0, 1)),
    ((4, 1), (5, 1), (7, 2)),
    ((7, 0.5), (9, 0.5), (7, 0.5), (5, 0.5), (4, 1), (0, 1)),
    ((0, 1), (-5, 1), (0, 2)),
)
# A voice enters when the one before it has sung the first part twice.
ENTRY = 8


def voice(first: int, start: float) -> list[tuple[float, float, int]]:
    """The song once, from a note and a beat on: (start, duration, pitch) of each note."""
    notes, now = [], start
    for part in PARTS:
        for above, beats in part * 2:
            notes.append((now, beats, first + above))
            now += beats
    return notes


def round_of(voices: int, key: int) -> MusicPiece:
    """So many voices, each an octave below the one before."""
    every = [note for number in range(voices) for note in voice(72 + key - 12 * number, ENTRY * number)]
    return MusicPiece.of(every, tempo=100)


def main(folder: Path) -> None:
    midi = folder / "midi"
    midi.mkdir(parents=True, exist_ok=True)
    for key in range(-3, 4):
        for voices in (2, 3):
            (midi / f"{voices}-voices-{key:+}.mid").write_bytes(to_midi(round_of(voices, key)))

    # So few pieces are to be known by heart, so nothing is dropped; they stand in all keys already.
    model = ur.Composer(
        cell="gru", hidden_size=64, voicing_size=32, notes_struck=True, notes_lowest=36, notes_highest=96,
        notes_transpose_rate=0, recurrent_dropout=0, output_dropout=0.1, epochs=60, batch_size=2, learning_rate=0.01,
    )  # fmt: skip
    model.fit(midi, valid=0)
    print("\n".join(model.understood))

    begun = MusicPiece.of(voice(73, 0)[:8], tempo=100)
    pieces = [
        *model.generate(begun, length=32, temperature=0.3, seed=1),
        *model.generate(begun, length=32, temperature=1.0, seed=2),
        *model.generate(length=40, temperature=0.7, key="C", seed=3),
    ]
    for number, piece in enumerate(pieces, start=1):
        model.write(piece, folder / f"round-{number}.mid")
        model.plot(piece, folder / f"round-{number}.png")
        print(f"round-{number}: given {piece.given:g} beats, composed {piece.length - piece.given:g}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "rounds"))
