"""Drawings from files: Omniglot's text, InkML, Quick Draw's ndjson, stroke-3 arrays, and folders and zips of files."""

from unrolled.data.read.ink.drawings import Drawings, read_drawings
from unrolled.data.read.ink.names import file_label, folder_label, omniglot_drawer, omniglot_label
from unrolled.data.read.ink.omniglot import begins_omniglot
from unrolled.data.read.ink.quickdraw import begins_quickdraw
from unrolled.data.read.ink.stroke3 import are_classes, stroke3_parts

__all__ = [
    "Drawings",
    "are_classes",
    "begins_omniglot",
    "begins_quickdraw",
    "file_label",
    "folder_label",
    "omniglot_drawer",
    "omniglot_label",
    "stroke3_parts",
    "read_drawings",
]
