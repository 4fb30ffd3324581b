"""Notes: pieces of music, as fields of two encodings, and as MIDI files.

`NoteGrid` says of each step which notes sound, `NoteEvents` what happens one after another; `to_midi` writes.
"""

from unrolled.fields.notes.events import NoteEvents
from unrolled.fields.notes.grid import NoteGrid
from unrolled.fields.notes.midi import to_midi
from unrolled.fields.notes.piece import MusicPiece, Note, finest_step, pitch_name

__all__ = ["Note", "NoteEvents", "NoteGrid", "MusicPiece", "finest_step", "pitch_name", "to_midi"]
