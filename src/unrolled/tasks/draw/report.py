"""How well a drawer predicts drawings that it has not learned from."""

from __future__ import annotations

from typing import NamedTuple

from unrolled.errors import listed

__all__ = ["DrawerReport"]

UNITS = {"point": "nats a point", "pixel": "bits a pixel"}
MEANING = {"point": "moves in deviations of those of training, and what the pen does", "pixel": "codes of the palette"}


class DrawerReport(NamedTuple):
    """score: nats a point, or bits a pixel, each step given all before it and what the drawing is called.

    unit: "point" or "pixel". steps: how many were predicted. alone: the score where nothing is said of what is drawn;
    None where nothing ever is. retrieval: how often the caption's own drawing is found among ten by likelihood; None
    where there are no ten names. deviation: of the moves of training, in the units of the drawings; None of pictures.
    unknown: words that training has not seen, and that say nothing therefore.
    """

    score: float
    unit: str
    steps: int
    alone: float | None
    retrieval: float | None
    deviation: float | None
    unknown: tuple[str, ...]

    def __str__(self) -> str:
        name = UNITS[self.unit]
        alone = "" if self.alone is None else f"; without what it is called {self.alone:.4f}"
        found = "" if self.retrieval is None else f"\nits own drawing among 10 by likelihood: {self.retrieval:.4f}"
        strange = f"\nnever seen in training: {listed(map(repr, self.unknown))}" if self.unknown else ""
        return f"{self.score:.4f} {name}{alone} ({self.steps:,} steps; {MEANING[self.unit]}){found}{strange}"

    def to_json(self) -> dict[str, object]:
        """Plain JSON."""
        return {**self._asdict(), "unknown": list(self.unknown), "metric": UNITS[self.unit]}
