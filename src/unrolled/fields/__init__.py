"""Fields: raw values become arrays, and back. Fitted on the training part only; plain JSON.

`Field` is the contract, `register_field` makes a field of anybody's one that saved models may name.
"""

from unrolled.fields.audio import Audio, Front
from unrolled.fields.category import Category
from unrolled.fields.field import Field, field_from_json, field_kinds, field_to_json, register_field
from unrolled.fields.film import Film
from unrolled.fields.image import Image
from unrolled.fields.ink import Ink
from unrolled.fields.levelled import Levelled
from unrolled.fields.notes import MusicPiece, Note, NoteEvents, NoteGrid
from unrolled.fields.number import Number
from unrolled.fields.numbers import Numbers
from unrolled.fields.palette import Palette
from unrolled.fields.sound import AudioOptions
from unrolled.fields.spelling import Spelling
from unrolled.fields.tags import Tags
from unrolled.fields.text import BEGIN, END, PAD, UNKNOWN, Text
from unrolled.fields.tokens import spans, to_bio, to_iobes
from unrolled.fields.video import Video

__all__ = [
    "BEGIN",
    "END",
    "PAD",
    "UNKNOWN",
    "Audio",
    "AudioOptions",
    "Category",
    "Field",
    "Film",
    "Image",
    "Ink",
    "Front",
    "Note",
    "NoteEvents",
    "NoteGrid",
    "Number",
    "Levelled",
    "Numbers",
    "Palette",
    "MusicPiece",
    "Spelling",
    "Tags",
    "Text",
    "Video",
    "field_from_json",
    "field_kinds",
    "field_to_json",
    "register_field",
    "spans",
    "to_bio",
    "to_iobes",
]
