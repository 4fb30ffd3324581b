"""Drawing: strokes or small pictures, from a keyword or from nothing."""

from unrolled.tasks.draw.drawer import Drawer

__all__ = ["Drawer"]
