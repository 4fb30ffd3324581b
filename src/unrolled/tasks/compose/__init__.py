"""Composing: which notes come next in a piece of music; pieces that go on, and new ones."""

from unrolled.tasks.compose.composer import Composer

__all__ = ["Composer"]
