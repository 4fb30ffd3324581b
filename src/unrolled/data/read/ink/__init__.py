"""Drawings from files: Omniglot's text, InkML, Quick Draw's ndjson, stroke-3 arrays, and folders and zips of files."""

from unrolled.data.read.ink.drawings import Drawings, read_drawings
from unrolled.data.read.ink.names import folder_label, omniglot_drawer, omniglot_label

__all__ = ["Drawings", "folder_label", "omniglot_drawer", "omniglot_label", "read_drawings"]
