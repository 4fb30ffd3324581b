"""How what comes next in a text is told, and what is chosen where nothing is asked for."""

from __future__ import annotations

from pydantic import Field

from unrolled.align.next import NextOptions
from unrolled.heads.softmax import OutputLayer
from unrolled.nn.build import Rate
from unrolled.nn.reading.embedding import Embedding
from unrolled.options import Options

__all__ = ["SuccessorOptions"]

# Chosen by measurement on the data of benchmarks/tasks.py: dropout of what is read and of what the encoder gives.
DROPOUT = {"word": (0.2, 0.4), "subword": (0.2, 0.4), "char": (0.0, 0.3)}
# From so many codes on, the softmax in training is over some of them.
MANY, SAMPLES = 4000, 1000


class SuccessorOptions(Options):
    """How what comes next is told.

    tied: the output reads with the rows that the input is written with. input_dropout, output_dropout: one mask a
    window, on the vectors read and on what the encoder gives. samples: sampled softmax in training: so many words stand
    for all; 0: all of them; left out: 1000 where there are 4000 or more. activation_penalty, slowness_penalty: alpha
    and beta of AWD-LSTM, which also has weight_dropout, embedding_dropout, and average="asgd" with optimizer="sgd".
    """

    tied: bool = Field(default=True, description="Read and write with the same vectors.")
    input_dropout: Rate | None = Field(default=None, description="Dropout of what is read, one mask a window.")
    output_dropout: Rate | None = Field(
        default=None, description="Dropout of what the encoder gives, one mask a window."
    )
    samples: int | None = Field(
        default=None, ge=0, description="Words that stand for all in training (sampled softmax); 0: all."
    )
    activation_penalty: float = Field(default=0.0, ge=0, description="Penalty on large outputs (AR of AWD-LSTM).")
    slowness_penalty: float = Field(
        default=0.0, ge=0, description="Penalty on outputs that change fast (TAR of AWD-LSTM)."
    )

    def settled(self, level: str) -> NextOptions:
        """The options of the alignment, everything decided, for a text that is read at a level."""
        read, given = DROPOUT[level]
        return NextOptions(
            input_dropout=read if self.input_dropout is None else self.input_dropout,
            output_dropout=given if self.output_dropout is None else self.output_dropout,
            activation_penalty=self.activation_penalty,
            slowness_penalty=self.slowness_penalty,
        )

    def make_head(self, embedding: Embedding, width: int, size: int) -> OutputLayer:
        """The head over `width` features for `size` codes that are read by an embedding."""
        wanted = (SAMPLES if size >= MANY else 0) if self.samples is None else self.samples
        return OutputLayer(width, size, embedding if self.tied else None, samples=min(wanted, size) or None)
