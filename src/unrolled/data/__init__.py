"""Readers, panels, windows, and batches cut from them."""

from unrolled.data.arrays import PanelFields, SeriesArrays, Sizes, separate_targets
from unrolled.data.build import build_panel, extend_panel
from unrolled.data.columns import Columns
from unrolled.data.panel import Ends, Panel, Text, split_ends
from unrolled.data.table import read_table, row_name, source_name
from unrolled.data.windows import WindowBatch, Windows

__all__ = [
    "Columns",
    "Ends",
    "Panel",
    "PanelFields",
    "SeriesArrays",
    "Sizes",
    "Text",
    "WindowBatch",
    "Windows",
    "build_panel",
    "extend_panel",
    "read_table",
    "row_name",
    "separate_targets",
    "source_name",
    "split_ends",
]
