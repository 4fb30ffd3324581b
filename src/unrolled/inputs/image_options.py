"""The options of pictures: how they are read, and what training makes of each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator

from unrolled.fields.image import LONGEST, Colour, Image, Steps
from unrolled.fields.picture import usual_size
from unrolled.nn.reading.backbone import ResNet
from unrolled.nn.reading.picture import WIDTHS, GridNet, LineReader, PictureNet, PictureReader
from unrolled.nn.reading.reader import Reader, SeriesReader
from unrolled.nn.reading.varied import VariedReader
from unrolled.options import Options

__all__ = ["ImageOptions"]

Pixels = Annotated[int, Field(ge=1, le=4096)]
# The height of lines where nobody asked for another: letters of print are some 20 pixels of it.
LINE_HEIGHT = 32


class ImageOptions(Options):
    """How a task reads pictures, see `Image`, and what training makes of each, see `VariedReader`.

    image_size: of the longer side, of lines the height; or height and width. image_steps: what the encoder takes one
    after another: the cells of the grid that a `PictureNet` or a `ResNet` gives, the rows, the columns or the pixels as
    they are, or, of lines, the columns that a `LineReader` gives. image_widths: of the first and the last of those.
    """

    image_size: Pixels | tuple[Pixels, Pixels] | None = Field(
        default=None, description="Pixels of the longer side, of lines the height; or height and width.  [64, 32]"
    )
    image_colour: Colour | None = Field(default=None, description="Read in grey or colour.  [by the pictures]")
    image_steps: Literal["grid", "rows", "columns", "pixels", "lines"] = Field(
        default="grid", description="What is read one after another: cells that a network sees, or what stands there."
    )
    image_network: Literal["small", "resnet18", "resnet34", "resnet50"] = Field(
        default="small", description="What sees the cells: a small network, or one that has learned elsewhere."
    )
    image_backbone: Path | None = Field(
        default=None, description="Weights of that network, a safetensors file with torchvision's names."
    )
    image_widths: tuple[Pixels, ...] = Field(
        default=WIDTHS, min_length=1, max_length=8, description="Features after each convolution over a picture."
    )
    image_flip: bool = Field(default=False, description="Pictures mirrored in training, left and right, every second.")
    image_shift: float = Field(default=0.0, ge=0, le=1, description="Pictures moved in training, by up to this part.")
    image_degrees: float = Field(default=0.0, ge=0, le=180, description="Pictures turned in training, up to so much.")
    image_slant: float = Field(default=0.0, ge=0, le=10, description="Pictures slanted in training, by up to so much.")
    image_stretch: float = Field(
        default=0.0, ge=0, le=10, description="Width and height each changed in training, by a factor up to 1 + this."
    )
    image_light: float = Field(default=0.0, ge=0, le=10, description="Brightness and contrast changed in training.")

    @model_validator(mode="after")
    def _of_lines(self) -> Self:
        if self.image_steps == "lines" and (self.image_flip or self.image_degrees):
            raise ValueError(
                f"lines are neither mirrored nor turned, got image_flip={self.image_flip} and "
                f"image_degrees={self.image_degrees:g}; choose image_shift, image_slant, image_stretch or image_light"
            )
        borrowed = self.image_network != "small"
        if borrowed != (self.image_backbone is not None) or (borrowed and self.image_steps != "grid"):
            raise ValueError(
                f"weights from elsewhere need a network of theirs and image_steps='grid', got "
                f"image_network={self.image_network!r}, image_backbone={str(self.image_backbone)!r} and "
                f"image_steps={self.image_steps!r}; give both, or neither"
            )
        if self.image_steps == "lines" and isinstance(self.image_size, tuple):
            raise ValueError(f"lines have a height alone, got image_size={self.image_size}; give one number")
        return self

    @property
    def field_steps(self) -> Steps:
        """What the steps of the field are."""
        if self.image_steps in ("columns", "lines"):
            return "columns"
        return "pixels" if self.image_steps == "pixels" else "rows"

    def size_of(self, sizes: Sequence[tuple[int, int]]) -> tuple[int, int | None]:
        """The size (height, width) that these are read in; a width of None: each line keeps its own."""
        asked = self.image_size
        if isinstance(asked, tuple):
            return asked
        if self.image_steps == "lines":
            return asked or LINE_HEIGHT, None
        if not sizes:
            return asked or LONGEST, asked or LONGEST
        return usual_size(sizes, asked or LONGEST, grow=asked is not None)

    def net(self, field: Image, *, fresh: bool) -> GridNet:
        """What sees the pictures of a field; fresh: it begins to learn, else its weights come later."""
        if self.image_network == "small":
            return PictureNet(field.channels, self.image_widths)
        made = ResNet(self.image_network, field.number.center[0].tolist(), field.number.scale[0].tolist())
        if fresh and self.image_backbone is not None:
            made.read(self.image_backbone)
        return made

    def grid(self, field: Image) -> tuple[int, int] | None:
        """Rows and columns of the cells that a network gives; None where something else is read."""
        height, width = field.size
        if width is None or self.image_steps != "grid":
            return None
        # Its shape alone is asked for.
        with torch.device("meta"):
            return self.net(field, fresh=False).grid(height, width)

    def reader(self, field: Image, stride: int, dropout: float, *, causal: bool, fresh: bool) -> Reader:
        """What reads the steps of a field, so many of them at once; causal: nothing that follows is seen. fresh: as for
        `net`."""
        height, width = field.size
        plain: Reader
        if width is None:
            plain = LineReader(height, field.channels, self.image_widths, stride=stride, causal=causal, dropout=dropout)
        elif self.image_steps == "grid":
            plain = PictureReader(self.net(field, fresh=fresh), height, width, dropout)
        else:
            plain = SeriesReader(field.width, dropout)
        return VariedReader(
            plain, height, field.channels, by=field.steps, lines=width is None, flip=self.image_flip,
            shift=self.image_shift, degrees=self.image_degrees, slant=self.image_slant, stretch=self.image_stretch,
            light=self.image_light,
        )  # fmt: skip
