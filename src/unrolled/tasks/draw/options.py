"""The options of a drawer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from unrolled.inputs.augment import MaskOptions
from unrolled.inputs.ink import InkOptions
from unrolled.inputs.texts import WordOptions
from unrolled.nn.build import ForwardOptions, Rate
from unrolled.options import Options
from unrolled.tasks.options import TaskOptions
from unrolled.train import BatchedOptions

__all__ = ["DrawerOptions", "KeywordOptions", "PenOptions", "PictureOptions"]


class PenOptions(Options):
    """How strokes are read and drawn.

    distance: of points along a stroke, in sizes of a drawing; None: as they came. mixtures: of normal distributions
    that tell where the pen goes next. floor: the least deviation of one of them, in units of moves about 1 long, see
    `PenHead`. places: where the pen is, from where it began, is read beside its moves. pen_degrees, pen_slant,
    pen_stretch: other hands in training, see `PenReader`.
    """

    distance: float | None = Field(
        default=None, ge=0.001, le=1, description="Distance of points, in sizes of a drawing; None: as they came."
    )
    mixtures: int = Field(default=20, ge=1, le=100, description="Normal distributions that tell where a pen goes.")
    floor: float = Field(default=0.01, gt=0, allow_inf_nan=False, description="Least deviation of one of these.")
    pen_degrees: float = Field(default=0.0, ge=0, le=180, description="Drawings turned by up to so much in training.")
    pen_slant: float = Field(default=0.0, ge=0, le=10, description="Drawings slanted by up to so much in training.")
    places: bool = Field(default=True, description="Read where the pen is, beside its moves.")
    # As Ha and Eck 2017, arXiv:1704.03477, stretch their sketches; no other value was tried.
    pen_stretch: float = Field(
        default=0.1, ge=0, le=10, description="Width and height each changed in training, by a factor up to 1 + this."
    )


class PictureOptions(Options):
    """How pictures become small ones, see `Palette`: size: pixels of a side; colours: how many there are."""

    size: int = Field(default=16, ge=2, le=128, description="Pixels of a side of a picture that is painted.")
    colours: int = Field(default=16, ge=2, le=256, description="Colours of a picture that is painted.")


class KeywordOptions(Options):
    """How drawings are called.

    keywords: "words": a caption is the words in it; "whole": it is the name of a class; "none": what drawings are
    called is not learned; left out: whole where names come again and again, words otherwise. keyword_size: features of
    the vector of a caption. silence: the part of the drawings in training that are learned without their caption, so
    that one can also draw without any.
    """

    keywords: Literal["words", "whole", "none"] | None = Field(
        default=None, description="What drawings are called: words, the name of a class, or nothing.  [by the data]"
    )
    keyword_size: int = Field(default=64, ge=1, description="Features of the vector of what a drawing is called.")
    silence: Rate = Field(
        default=0.1, description="Part of the drawings that are learned without what they are called."
    )


class DrawerOptions(TaskOptions):
    """Every option of a `Drawer`, in groups.

    keyword: `KeywordOptions`. words: `WordOptions`, of captions; embedding_dropout left out: 0.2 of words, 0 of names,
    of which each is all that a caption says. pen: `PenOptions`. picture: `PictureOptions`.
    encoder: `ForwardOptions`. head_dropout: on what the encoder gives, one mask a drawing.
    """

    owner: ClassVar[str] = "Drawer"
    absent: ClassVar[Mapping[str, str]] = {"bidirectional": "for what comes next is what is learned"}

    keyword: KeywordOptions = KeywordOptions()
    words: WordOptions = WordOptions()
    pen: PenOptions = PenOptions()
    picture: PictureOptions = PictureOptions()
    encoder: ForwardOptions = ForwardOptions()
    train: BatchedOptions = BatchedOptions()
    head_dropout: Rate | None = Field(
        default=None, description="Dropout of what the encoder gives, one mask a drawing.  [0.1; 0.2 of pictures]"
    )

    @property
    def ink(self) -> InkOptions:
        """How drawings are read from files."""
        return InkOptions(ink_size="training", ink_distance=self.pen.distance, ink_position=False)

    @property
    def augment(self) -> MaskOptions:
        """Nothing is left out of what is drawn."""
        return MaskOptions()

    @property
    def reading_dropout(self) -> float | None:
        """Of single features: none."""
        return None

    @property
    def live(self) -> bool:
        """A drawing is read while it is drawn."""
        return True
