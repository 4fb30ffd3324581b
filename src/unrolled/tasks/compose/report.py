"""How well a composer foretells pieces."""

from __future__ import annotations

from typing import NamedTuple

from unrolled.errors import how_many

__all__ = ["MusicReport"]


class MusicReport(NamedTuple):
    """nats: -log p of all pieces. steps: of the grid; notes: that begin; events: codes, 0 where a grid is read.

    part: of the source that was judged by, None where it is not in parts.
    """

    nats: float
    pieces: int
    steps: int
    notes: int
    events: int = 0
    part: str | None = None

    @property
    def nats_per_step(self) -> float:
        """The usual number for music on a grid."""
        return self.nats / self.steps if self.steps else 0.0

    @property
    def nats_per_note(self) -> float:
        """Of each note that begins."""
        return self.nats / self.notes if self.notes else 0.0

    def __str__(self) -> str:
        events = f", {self.nats / self.events:.4f} nats an event" if self.events else ""
        where = "" if self.part is None else f", part {self.part!r}"
        return (
            f"{self.nats_per_step:.4f} nats a step, {self.nats_per_note:.4f} nats a note{events} "
            f"({how_many(self.pieces, 'piece')}, {how_many(self.steps, 'step')}, {how_many(self.notes, 'note')}{where})"
        )

    def to_json(self) -> dict[str, object]:
        """Plain JSON."""
        return {**self._asdict(), "nats_per_step": self.nats_per_step, "nats_per_note": self.nats_per_note}
