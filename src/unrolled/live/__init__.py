"""Live steps: a layer's step as a program of compiled code, for a `Stepper` and behind `layer.step`.

Importing this room fills the slot of `unrolled.nn.slot`.
"""

from unrolled.live.behind import advance
from unrolled.live.stepper import Stepper
from unrolled.nn import slot

__all__ = ["Stepper"]

slot.advance = advance
