"""Fields: raw values become arrays, and back. Fitted on the training part only; plain JSON."""

from unrolled.fields.category import Category
from unrolled.fields.number import Number
from unrolled.fields.step import Step, infer_step
from unrolled.fields.time import Calendar

__all__ = ["Calendar", "Category", "Number", "Step", "infer_step"]
