"""Names of types that several rooms share."""

from __future__ import annotations

from typing import Any, TypeAlias

__all__ = ["Json"]

Json: TypeAlias = dict[str, Any]
"""A JSON object as `json.loads` gives it: what it holds is known to those who wrote it."""
