"""Pieces of music from files: MIDI, lists of the notes of each step in JSON, and folders and zips of files."""

from unrolled.data.read.music.midi import Heard, parse_midi
from unrolled.data.read.music.pieces import MIDI, Pieces, music_parts, read_pieces

__all__ = ["MIDI", "Heard", "Pieces", "parse_midi", "music_parts", "read_pieces"]
