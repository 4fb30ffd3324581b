"""Ink: drawings of a pen, as a field, live, as pictures, and varied.

`Ink` makes steps of drawings and back, `InkFront` does so while the pen moves; `to_svg` draws.
"""

from unrolled.fields.ink.augment import jittered, restroked, rotated, sheared, stretched, thinned, varied
from unrolled.fields.ink.drawing import Drawing, Fault, boxed, fault_of, held_clock, measured, without_times
from unrolled.fields.ink.field import Ink
from unrolled.fields.ink.front import InkFront
from unrolled.fields.ink.svg import to_svg

__all__ = [
    "Drawing",
    "Fault",
    "Ink",
    "InkFront",
    "boxed",
    "fault_of",
    "held_clock",
    "jittered",
    "measured",
    "restroked",
    "rotated",
    "sheared",
    "stretched",
    "thinned",
    "to_svg",
    "varied",
    "without_times",
]
