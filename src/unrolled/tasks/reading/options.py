"""Options of a task that reads inputs of any kind."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from unrolled.errors import OptionError
from unrolled.fields.sound import AudioOptions
from unrolled.inputs.audio import FEATURE_CACHE
from unrolled.inputs.augment import AugmentOptions
from unrolled.inputs.image_options import ImageOptions
from unrolled.inputs.ink import InkOptions
from unrolled.inputs.notes import NotesOptions
from unrolled.inputs.series import SeriesOptions
from unrolled.inputs.text import TextUse
from unrolled.inputs.texts import SpellingOptions, TextOptions
from unrolled.inputs.video_options import VideoOptions
from unrolled.nn.build import Rate
from unrolled.tasks.options import TaskOptions

__all__ = ["InputOptions", "SignalOptions"]


class SignalOptions(TaskOptions):
    """Options of a task that reads inputs of any kind but texts, those of every kind in a group.

    series: `SeriesOptions`. audio: `AudioOptions`. ink: `InkOptions`. notes: `NotesOptions`. image: `ImageOptions`.
    video: `VideoOptions`. augment: `AugmentOptions`. reading_dropout: of single features of what the encoder reads.
    feature_cache: megabytes of features of sounds, or of pixels of pictures and videos, that each process keeps, and as
    many of noise; those beyond are made anew when a batch asks for them, which changes nothing but the time.
    """

    series: SeriesOptions = SeriesOptions()
    audio: AudioOptions = AudioOptions()
    ink: InkOptions = InkOptions()
    notes: NotesOptions = NotesOptions()
    image: ImageOptions = ImageOptions()
    video: VideoOptions = VideoOptions()
    augment: AugmentOptions = AugmentOptions()
    reading_dropout: Rate | None = Field(
        default=None, description="Dropout of single features of what the encoder reads."
    )
    feature_cache: float = Field(
        default=FEATURE_CACHE,
        ge=0,
        allow_inf_nan=False,
        description="Megabytes of features of sounds, pictures or videos kept; others are made when needed.",
    )

    @property
    def live(self) -> bool:
        """Whether inputs are read while they come."""
        return False

    def check(self) -> None:
        super().check()
        self.notes.check(self.owner)


class InputOptions(SignalOptions):
    """Options of a task that reads inputs of any kind: as `SignalOptions`; text: `TextOptions`; spelled:
    `SpellingOptions`."""

    use: ClassVar[TextUse] = TextUse()

    text: TextOptions = TextOptions()
    spelled: SpellingOptions = SpellingOptions()

    def check(self) -> None:
        super().check()
        if self.spelled.spelling != "none" and self.text.level != "word":
            raise OptionError(
                f"{self.owner}: spelling={self.spelled.spelling!r} reads the characters of words, got "
                f"level={self.text.level!r}; choose level='word', or leave spelling out."
            )
