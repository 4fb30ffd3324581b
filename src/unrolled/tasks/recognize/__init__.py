"""Recognition: what is said in a sound or written by a pen, its options, its search, its live form."""

from unrolled.tasks.recognize.recognizer import Recognizer

__all__ = ["Recognizer"]
