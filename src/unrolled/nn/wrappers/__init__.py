"""Wrappers: layers that hold layers, and know no cell by name."""
