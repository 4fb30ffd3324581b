"""A new task as a preset: which letters of a text in lower case are capital ones.

python examples/restore_case.py

Everything but the preset is there already: fields, encoder, alignment, training, laws. What is written here is what
this task is: every character has a tag, small or large.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from torch import nn

from unrolled.align.each import Each, EachOptions, Tagged
from unrolled.data.batch.examples import Examples, TagColumn
from unrolled.data.batch.ragged import Ragged
from unrolled.nn.reading.reader import WordReader
from unrolled.tasks.batches import per_row
from unrolled.tasks.frame import SequenceTask, Training
from unrolled.tasks.options import TaskOptions
from unrolled.tasks.texts import TextOptions, Texts, make_embedding, random_texts
from unrolled.train import TrainOptions


class CaseOptions(TaskOptions):
    """Options of a `CaseRestorer`: those of texts, of encoders and of training."""

    owner = "CaseRestorer"
    text: TextOptions = TextOptions(level="char")


class Lines(Texts):
    """Texts in lower case, and which of their letters were capital ones."""

    def __init__(self, lines: Iterable[str], options: CaseOptions) -> None:
        whole = [line for line in lines if len(line.lower()) == len(line)]
        super().__init__(whole, options.text.shape)
        self.large = Ragged.from_list(([letter.isupper() for letter in line] for line in whole), np.int64)


class CaseRestorer(SequenceTask):
    """Learns from well-written lines where capital letters belong."""

    task = "case"
    options_kind = CaseOptions
    options: CaseOptions

    def fit(self, lines: Iterable[str]) -> Self:
        return self.learn(Lines(lines, self.options), None, part=0.1, refit=False, training=Training())

    def predict(self, lines: list[str]) -> list[str]:
        data = self.make_data(Lines([line.lower() for line in lines], self.options), np.arange(len(lines)))
        net: Any = self.fitted()
        large = per_row(data, net, lambda batch: net.predict(batch.x))
        return [
            "".join(np.where(tags[: len(line)] == 1, list(line.upper()), list(line)))
            for tags, line in zip(large, lines, strict=True)
        ]

    def make_fields(self, corpus: Lines, rows: np.ndarray) -> dict[str, Any]:
        return {"text": corpus.fit(rows, self.options.text)}

    def make_data(self, corpus: Lines, rows: np.ndarray) -> Examples[Tagged]:
        column = corpus.column(self.fields["text"])
        return Examples(Tagged, (column, TagColumn(corpus.large)), corpus.lengths(column)).select(rows)

    def make_net(self, corpus: Lines | None = None) -> nn.Module:
        reader = WordReader(make_embedding(self.fields["text"], self.options.text, 32, None))
        encoder = self.options.make_encoder(reader.output_size, cell="gru", hidden_size=64, bidirectional=True)
        return Each(reader, encoder, 2, EachOptions())

    def make_training(self, data: Any, *, scored: bool) -> TrainOptions:
        return self.options.training(epochs=8, learning_rate=5e-3)

    def made_up(self, seed: int, rows: int) -> Lines:
        draw = [np.random.default_rng([seed if i >= rows // 2 else 0, i]) for i in range(rows)]
        return Lines(random_texts(self.fields["text"], draw), self.options)


if __name__ == "__main__":
    people, places = ["Ann", "Bob", "Eve", "Tom"], ["Rome", "Oslo", "Lima", "Kiel"]
    known = [f"{a} met {b} in {c}. They left for {d}." for a in people for b in people for c in places for d in places]
    print(CaseRestorer().fit(known).predict(["eve met ann in oslo. they left for rome."]))
