"""How much of what is said was heard."""

from __future__ import annotations

from typing import NamedTuple

from unrolled.errors import listed
from unrolled.score.speech import ErrorRate

__all__ = ["RecognitionReport"]


class RecognitionReport(NamedTuple):
    """words, characters: error rates, with what was substituted, deleted and inserted, and the normaliser named.

    unknown: what stands in the references and cannot be written, for training has not seen it: it counts as errors.
    """

    words: ErrorRate
    characters: ErrorRate
    unknown: tuple[str, ...]

    def __str__(self) -> str:
        told = f"\nnever seen in training, so they count as errors: {listed(map(repr, self.unknown))}"
        return f"{self.words}\n{self.characters}{told if self.unknown else ''}"

    def to_json(self) -> dict[str, object]:
        """Plain JSON."""
        return {"wer": self.words.rate, "cer": self.characters.rate, "words": self.words.to_json(),
                "characters": self.characters.to_json(), "unknown": list(self.unknown)}  # fmt: skip
