"""Inputs: what a task may read, a file for each kind. A task reads nothing itself and knows no kind by name.

`Input` is the contract, `register_input` makes a kind known to every task that takes any.
"""

from unrolled.inputs.audio import AudioInput
from unrolled.inputs.image_options import ImageOptions
from unrolled.inputs.images import ImageInput
from unrolled.inputs.ink import InkInput, InkOptions
from unrolled.inputs.input import Input, ReadSource, known_inputs, register_input
from unrolled.inputs.notes import NotesInput, NotesOptions
from unrolled.inputs.series import SeriesInput, SeriesOptions
from unrolled.inputs.text import TextInput
from unrolled.inputs.texts import SpellingOptions, TextOptions, Texts
from unrolled.inputs.video_options import VideoOptions
from unrolled.inputs.videos import VideoInput

__all__ = [
    "AudioInput",
    "ImageInput",
    "ImageOptions",
    "InkInput",
    "InkOptions",
    "Input",
    "NotesInput",
    "NotesOptions",
    "ReadSource",
    "SeriesInput",
    "SeriesOptions",
    "SpellingOptions",
    "TextInput",
    "TextOptions",
    "Texts",
    "VideoInput",
    "VideoOptions",
    "known_inputs",
    "register_input",
]

# A source is shown to the last one first: any table or file may be one of texts.
for _kind in (TextInput, SeriesInput, AudioInput, InkInput, NotesInput, ImageInput, VideoInput):
    register_input(_kind)
