"""What a fit finds out besides weights and fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self, get_type_hints

from unrolled.options import typed

__all__ = ["Notes"]


@dataclass(frozen=True)
class Notes:
    """Base of a task's notes: a frozen dataclass of plain values and tuples, each with a default for before the fit."""

    def to_json(self) -> dict[str, Any]:
        """The notes as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        values = {name: _tuples(value) for name, value in data.items()}
        kinds = get_type_hints(cls)
        return cls(**{name: typed(kinds.get(name, object), value, name) for name, value in values.items()})


def _tuples(value: Any) -> Any:
    """JSON knows lists alone."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
