"""Readers, panels, windows, texts, series, and batches cut from them."""

from unrolled.data.arrays import PanelFields, SeriesArrays, Sizes, separate_targets
from unrolled.data.build import build_panel, extend_panel
from unrolled.data.columns import Columns
from unrolled.data.conll import Sentences, read_conll
from unrolled.data.examples import CodeColumn, Column, Examples, PaddedColumn, TagColumn, WordColumn
from unrolled.data.files import Places
from unrolled.data.folders import read_folders
from unrolled.data.intern import Interned, intern
from unrolled.data.lines import read_lines, read_parallel
from unrolled.data.panel import Ends, Panel, Text, split_ends
from unrolled.data.ragged import Ragged
from unrolled.data.records import Records, iterate_records, read_records
from unrolled.data.series import Series, read_series
from unrolled.data.stream import Stream, Stretch
from unrolled.data.table import read_table, row_name, source_name
from unrolled.data.windows import WindowBatch, Windows

__all__ = [
    "CodeColumn",
    "Column",
    "Columns",
    "Ends",
    "Examples",
    "Interned",
    "PaddedColumn",
    "Panel",
    "PanelFields",
    "Places",
    "Ragged",
    "Records",
    "Sentences",
    "Series",
    "SeriesArrays",
    "Sizes",
    "Stream",
    "Stretch",
    "TagColumn",
    "Text",
    "WindowBatch",
    "Windows",
    "WordColumn",
    "build_panel",
    "extend_panel",
    "intern",
    "iterate_records",
    "read_conll",
    "read_folders",
    "read_lines",
    "read_parallel",
    "read_records",
    "read_series",
    "read_table",
    "row_name",
    "separate_targets",
    "source_name",
    "split_ends",
]
