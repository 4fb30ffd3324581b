"""Readers, panels, windows, texts, series, and batches cut from them."""

from unrolled.data.batch.examples import CodeColumn, Column, Examples, PaddedColumn, TagColumn, WordColumn
from unrolled.data.batch.intern import Interned, intern
from unrolled.data.batch.lazy import LazyRagged
from unrolled.data.batch.ragged import Ragged
from unrolled.data.batch.stream import NumberStream, Stream, Stretch, rows_before
from unrolled.data.panel.arrays import PanelFields, SeriesArrays, Sizes, separate_targets
from unrolled.data.panel.build import build_panel, extend_panel
from unrolled.data.panel.calendar import Calendar
from unrolled.data.panel.columns import Columns
from unrolled.data.panel.panel import Ends, Panel, TextColumn, split_ends
from unrolled.data.panel.step import Step, infer_step
from unrolled.data.panel.windows import WindowBatch, Windows
from unrolled.data.read.conll import Sentences, read_conll
from unrolled.data.read.files import Places
from unrolled.data.read.folders import read_folders
from unrolled.data.read.lines import read_lines, read_parallel
from unrolled.data.read.records import Records, iterate_records, read_records
from unrolled.data.read.series import Series, read_series
from unrolled.data.read.table import read_table, row_name, source_name
from unrolled.data.read.vectors import Vectors, read_vectors, vectors_for, words_wanted

__all__ = [
    "Calendar",
    "Step",
    "Vectors",
    "infer_step",
    "read_vectors",
    "vectors_for",
    "words_wanted",
    "CodeColumn",
    "Column",
    "Columns",
    "Ends",
    "Examples",
    "Interned",
    "LazyRagged",
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
    "NumberStream",
    "Stream",
    "Stretch",
    "TagColumn",
    "TextColumn",
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
    "rows_before",
]
