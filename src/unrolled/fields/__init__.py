"""Fields: raw values become arrays, and back. Fitted on the training part only; plain JSON."""

from unrolled.fields.category import Category
from unrolled.fields.number import Number
from unrolled.fields.numbers import Numbers
from unrolled.fields.spelling import Spelling
from unrolled.fields.step import Step, infer_step
from unrolled.fields.tags import Tags, spans, to_bio, to_iobes
from unrolled.fields.text import BEGIN, END, PAD, UNKNOWN, Text
from unrolled.fields.time import Calendar
from unrolled.fields.vectors import Vectors, read_vectors, vectors_for, words_wanted

__all__ = [
    "BEGIN",
    "END",
    "PAD",
    "UNKNOWN",
    "Calendar",
    "Category",
    "Number",
    "Numbers",
    "Spelling",
    "Step",
    "Tags",
    "Text",
    "Vectors",
    "infer_step",
    "read_vectors",
    "spans",
    "to_bio",
    "to_iobes",
    "vectors_for",
    "words_wanted",
]
