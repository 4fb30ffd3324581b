"""The options of a captioner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from unrolled.inputs.text import TextUse
from unrolled.inputs.texts import SpellingOptions, TextOptions
from unrolled.tasks.reading.options import SignalOptions
from unrolled.tasks.writing.targets import WriterOptions

__all__ = ["CaptionerOptions"]


class CaptionerOptions(SignalOptions):
    """Every option of a `Captioner`, in groups.

    text: `TextOptions`, of the captions. head: `WriterOptions`. encode: whether a recurrent encoder reads the inputs
    before the decoder looks at them; left out: where their steps are times, and not where they are places of a picture.
    encoder: its cell and its size, which are those of the decoder. The others are those of `SignalOptions`.
    """

    owner: ClassVar[str] = "Captioner"
    absent: ClassVar[Mapping[str, str]] = {
        "copying": "for there are no words in what is read",
        "spelling": "for captions are written, not read",
        "spelling_size": "for captions are written, not read",
    }

    use: ClassVar[TextUse] = TextUse(word_dropout=0.0, dropout=0.0, extended=False)
    spelled: ClassVar[SpellingOptions] = SpellingOptions()

    text: TextOptions = TextOptions()
    head: WriterOptions = WriterOptions()
    encode: bool | None = Field(
        default=None, description="Read the inputs by a recurrent encoder first.  [by what their steps are]"
    )
