"""The options of a recogniser, and those of its search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from unrolled.errors import OptionError
from unrolled.inputs.augment import AugmentOptions
from unrolled.inputs.image_options import ImageOptions
from unrolled.inputs.ink import InkOptions
from unrolled.nn.build import EncoderOptions, Rate
from unrolled.options import Options
from unrolled.tasks.reading.options import SignalOptions

__all__ = ["RecognizerOptions", "SearchOptions", "TranscriptOptions"]


# Steps that a network that reads forwards alone may still write after the end: of sound 0.24 s.
LINGER = 24


class TranscriptOptions(Options):
    """What is written: level: "char", "subword" or "word"; lower: everything in lower case; min_count, max_size: how
    often one of them must stand in the training part to be written, and how many are."""

    level: Literal["char", "subword", "word"] = Field(
        default="char", description="What is written at a time: a character, a piece of a word or a word."
    )
    lower: bool = Field(default=False, description="Write lower case alone.")
    min_count: int = Field(
        default=1, ge=1, description="How often a token must stand in the training data to be written."
    )
    max_size: int | None = Field(default=None, ge=1, description="How many tokens are written at most.")


class RecognizerOptions(SignalOptions):
    """Every option of a `Recognizer`, in groups.

    transcript: `TranscriptOptions`. streaming: the encoder reads forwards alone, so that it can go live. stride: so
    many steps of the input are read at once, and one token is written in that time at most. linger: steps after the end
    of an input in which what was said last may still be written; left out: none, and 24 with streaming, for who reads
    forwards alone must wait for what makes a sound clear. head_dropout: before the output.
    The others are those of `SignalOptions`.
    """

    owner: ClassVar[str] = "Recognizer"

    transcript: TranscriptOptions = TranscriptOptions()
    # As in the trials of docs/tasks.md. Letters are parts of a word, and of one size however long it is.
    ink: InkOptions = InkOptions(ink_size="training", ink_distance=0.02, pen_degrees=12, pen_slant=0.3, pen_stretch=0.3)
    image: ImageOptions = ImageOptions(image_steps="lines", image_widths=(16, 32, 64))
    augment: AugmentOptions = AugmentOptions(feature_noise=0.4)
    streaming: bool = Field(default=False, description="Read forwards alone, to recognise while it is said.")
    stride: int = Field(default=3, ge=1, le=16, description="Steps that are read at once.")
    linger: int | None = Field(
        default=None, ge=0, description="Steps after the end in which may still be written.  [24 with streaming]"
    )
    head_dropout: Rate = Field(default=0.2, description="Dropout before the output.")

    @property
    def after(self) -> int:
        """The steps after the end of an input."""
        return (LINGER if self.streaming else 0) if self.linger is None else self.linger

    @property
    def live(self) -> bool:
        return self.streaming

    def check(self) -> None:
        super().check()
        both = isinstance(self.encoder, EncoderOptions) and self.encoder.given().get("bidirectional")
        if self.streaming and both:
            raise OptionError(
                "Recognizer: streaming=True reads forwards alone, got bidirectional=True; choose one of them."
            )
        if self.image.image_steps == "grid":
            raise OptionError(
                "Recognizer: what is written has an order, got image_steps='grid', whose cells have none; use 'lines', "
                "'columns', 'rows' or 'pixels'."
            )
        if self.streaming and self.ink.ink_size == "drawing":
            raise OptionError(
                "Recognizer: streaming=True reads while it is written, got ink_size='drawing', which needs the end; "
                "use ink_size='training'."
            )
        if self.streaming and self.series.scaling == "recording":
            raise OptionError(
                "Recognizer: streaming=True hears while it is said, got scaling='recording', which needs the end; use "
                "scaling='running'."
            )
        if self.streaming and not self.audio.streamable:
            raise OptionError(
                f"Recognizer: streaming=True hears while it is said, got normalise={self.audio.normalise!r} and "
                f"loudness={self.audio.loudness!r}; what needs the end cannot be had: use 'training' and 'recorded'."
            )


class SearchOptions(Options):
    """How texts are searched for.

    beam: hypotheses followed; 1 without anything else is the likeliest path alone. nbest: how many are told, at most
    the beam. language_model: a fitted `LanguageModel`, or where one is saved; lm_weight: its weight (alpha);
    word_bonus: added for every word, or for every piece where pieces are written (beta). lexicon: the only words that
    may be written: a list, a file with a word a line, or "training". hot_words: words or phrases that are expected, and
    what each is worth in nats; a list gives each 4.
    """

    beam: int | None = Field(default=None, ge=1, description="Hypotheses followed.")
    nbest: int = Field(default=1, ge=1, description="Hypotheses told.")
    language_model: object = Field(default=None, description="A language model that has a say.")
    lm_weight: float = Field(default=0.5, ge=0, allow_inf_nan=False, description="Weight of the language model.")
    word_bonus: float = Field(default=0.0, allow_inf_nan=False, description="Added for every word.")
    lexicon: str | Path | Sequence[str] | None = Field(default=None, description="The only words that may be written.")
    hot_words: Mapping[str, float] | Sequence[str] | None = Field(default=None, description="Words that are expected.")

    @model_validator(mode="after")
    def _told(self) -> Self:
        if self.beam is not None and self.nbest > self.beam:
            raise ValueError(f"got nbest={self.nbest} and beam={self.beam}; give a beam at least as wide")
        return self

    @property
    def width(self) -> int:
        """The hypotheses that are followed."""
        return self.beam or max(self.nbest, 16 if self.searches else 1)

    @property
    def searches(self) -> bool:
        """Has anything but the network a say?"""
        return any((self.language_model, self.word_bonus, self.lexicon is not None, self.hot_words))
