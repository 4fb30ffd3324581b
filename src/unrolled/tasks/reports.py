"""What tasks say of how good their models are: readable as text, and plain JSON."""

from __future__ import annotations

from typing import NamedTuple

from unrolled.errors import how_many
from unrolled.score.captions import CaptionScores
from unrolled.score.spans import SpanReport
from unrolled.score.text import Rouge, TextScore, bits, perplexity

__all__ = ["CaptionReport", "LanguageReport", "TagReport", "TranslatorReport"]


class TagReport(NamedTuple):
    """accuracy: of the single tags. spans: precision, recall and F1 of whole chunks; None where tags form none."""

    accuracy: float
    spans: SpanReport | None

    def __str__(self) -> str:
        chunks = "" if self.spans is None else f"\n{self.spans}"
        return f"accuracy of the tags {self.accuracy:.4f}{chunks}"

    def to_json(self) -> dict[str, object]:
        """Plain JSON."""
        return {"accuracy": self.accuracy, "spans": None if self.spans is None else self.spans.to_json()}


class LanguageReport(NamedTuple):
    """nats: -log p of all tokens, ends of lines included. unknown: the share of tokens that are not known."""

    nats: float
    tokens: int
    characters: int
    unknown: float

    @property
    def perplexity(self) -> float:
        """exp of the nats a token."""
        return perplexity(self.nats, self.tokens)

    @property
    def bits_per_character(self) -> float:
        """Bits for one character of the text, whatever the tokens are."""
        return bits(self.nats, self.characters)

    def __str__(self) -> str:
        return (
            f"perplexity {self.perplexity:.2f} a token, {self.nats / self.tokens:.4f} nats a token, "
            f"{self.bits_per_character:.4f} bits a character ({self.tokens} tokens, {self.unknown:.1%} unknown)"
        )

    def to_json(self) -> dict[str, object]:
        """Plain JSON."""
        return {**self._asdict(), "perplexity": self.perplexity, "bits_per_character": self.bits_per_character}


class TranslatorReport(NamedTuple):
    """Scores of the corpus, by sacrebleu with its signature, and ROUGE (F1 in percent)."""

    bleu: TextScore
    chrf: TextScore
    rouge: Rouge
    sentences: int

    def __str__(self) -> str:
        parts = " / ".join(f"{100 * part:.2f}" for part in self.rouge)
        return f"BLEU {self.bleu}\nchrF {self.chrf}\nROUGE-1/2/L {parts}\n{self.sentences} texts"

    def to_json(self) -> dict[str, object]:
        """Plain JSON."""
        parts = {"bleu": self.bleu._asdict(), "chrf": self.chrf._asdict(), "rouge": self.rouge._asdict()}
        return {**parts, "sentences": self.sentences}


class CaptionReport(NamedTuple):
    """Scores of captions, of words as `unrolled.score.captions.caption_words` parts them.

    captions: how many inputs were scored; references: how many texts they were compared with.
    """

    scores: CaptionScores
    captions: int
    references: int

    def __str__(self) -> str:
        bleu, rouge, cider, f1, exact = self.scores
        counted = "-" if cider is None else f"{cider:.3f}"
        return (
            f"BLEU-4 {100 * bleu:.2f}, ROUGE-L {100 * rouge:.2f}, CIDEr-D {counted}\n"
            f"F1 of words {f1:.4f}, exact {exact:.2%}\n"
            f"{how_many(self.captions, 'caption')}, {how_many(self.references, 'reference')}; words in lower case, "
            "without punctuation marks"
        )

    def to_json(self) -> dict[str, object]:
        """Plain JSON."""
        return {**self.scores._asdict(), "captions": self.captions, "references": self.references}
