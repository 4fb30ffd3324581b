"""Captions: what is to be seen in a picture or a video, or told by any other input, in words."""

from unrolled.tasks.caption.captioner import Captioner

__all__ = ["Captioner"]
