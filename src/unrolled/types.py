"""Names that several rooms share: of types, and of files."""

from __future__ import annotations

from typing import Any, TypeAlias

__all__ = ["TABLES", "Json"]

Json: TypeAlias = dict[str, Any]
"""A JSON object as `json.loads` gives it: what it holds is known to those who wrote it."""

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".pq")
"""The endings of files of rows; any other is one of lines."""
