"""Pictures in memory: what may be one, its pixels, and other sizes and colours of it."""

from unrolled.fields.picture.pixels import checked_picture, is_pillow, pillow, pixels_of
from unrolled.fields.picture.sizes import coloured, fitted_into, line_width, resized, usual_size

__all__ = [
    "checked_picture",
    "coloured",
    "fitted_into",
    "is_pillow",
    "line_width",
    "pillow",
    "pixels_of",
    "resized",
    "usual_size",
]
