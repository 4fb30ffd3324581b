"""The options of a composer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from unrolled.align.next import NextOptions
from unrolled.errors import OptionError
from unrolled.inputs.notes import NotesOptions
from unrolled.nn.build import ForwardOptions, Rate
from unrolled.options import Options
from unrolled.tasks.options import TaskOptions

__all__ = ["ComposerOptions", "VoicingOptions"]

# Of grids chosen on the valid part of the chorales, see docs/tasks.md; events have the same, untried.
DROPOUT = {"grid": (0.1, 0.4), "events": (0.1, 0.4)}
# What means nothing where events are told.
GRID = {"voicing", "voicing_size", "metre_beats"}


class VoicingOptions(Options):
    """How the notes of a step are told. Of a grid alone: voicing: "independent" of one another, or "conditioned" on
    those below them, by `voicing_size` hidden units; metre_beats: see `Metre`. input_dropout, output_dropout: one mask
    a piece, on what is read and on what the encoder gives.
    """

    voicing: Literal["independent", "conditioned"] = Field(
        default="conditioned", description="Notes of a step by themselves, or each given those below it."
    )
    voicing_size: int = Field(default=128, ge=1, description="Hidden units by which a note knows those below it.")
    metre_beats: int = Field(
        default=12, ge=0, le=64, description="Beats counted round and round, 12 for bars of 2, 3 and 4; 0: not told."
    )
    input_dropout: Rate | None = Field(default=None, description="Dropout of what is read, one mask a piece.")
    output_dropout: Rate | None = Field(
        default=None, description="Dropout of what the encoder gives, one mask a piece."
    )

    def settled(self, encoding: str) -> NextOptions:
        """The options of the alignment, everything decided."""
        read, given = DROPOUT[encoding]
        return NextOptions(
            input_dropout=read if self.input_dropout is None else self.input_dropout,
            output_dropout=given if self.output_dropout is None else self.output_dropout,
        )


class ComposerOptions(TaskOptions):
    """Every option of a `Composer`, in groups.

    notes: `NotesOptions`. head: `VoicingOptions`. encoder: `ForwardOptions`, but for the two masks that the head draws.
    """

    owner = "Composer"
    absent: ClassVar[Mapping[str, str]] = {
        "bidirectional": "for what comes next is what is learned",
        "reading_dropout": "use input_dropout",
    }

    notes: NotesOptions = NotesOptions()
    head: VoicingOptions = VoicingOptions()
    encoder: ForwardOptions = ForwardOptions()

    def check(self) -> None:
        super().check()
        self.notes.check(self.owner)
        if self.notes.notes_encoding == "events" and GRID & self.head.model_fields_set:
            raise OptionError(
                f"{self.owner}: voicing is of a grid, and events are told one by one; leave {', '.join(sorted(GRID))} "
                "out, or choose notes_encoding='grid'."
            )
