"""Ink: drawings of a pen, as a field, and live.

`Ink` makes steps of drawings and back, `InkFront` does so while the pen moves.
"""

from unrolled.fields.ink.drawing import Drawing, Fault, boxed, fault_of, held_clock, measured, without_times
from unrolled.fields.ink.field import Ink
from unrolled.fields.ink.front import InkFront

__all__ = [
    "Drawing",
    "Fault",
    "Ink",
    "InkFront",
    "boxed",
    "fault_of",
    "held_clock",
    "measured",
    "without_times",
]
