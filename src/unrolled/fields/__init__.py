"""Fields: raw values become arrays, and back. Fitted on the training part only; plain JSON."""

from unrolled.fields.category import Category
from unrolled.fields.number import Number
from unrolled.fields.numbers import Numbers
from unrolled.fields.spelling import Spelling
from unrolled.fields.tags import Tags, spans, to_bio, to_iobes
from unrolled.fields.text import BEGIN, END, PAD, UNKNOWN, Text

__all__ = [
    "BEGIN",
    "END",
    "PAD",
    "UNKNOWN",
    "Category",
    "Number",
    "Numbers",
    "Spelling",
    "Tags",
    "Text",
    "spans",
    "to_bio",
    "to_iobes",
]
