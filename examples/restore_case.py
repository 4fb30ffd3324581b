"""A new task as a preset: which letters of a text in lower case are capital ones.

python examples/restore_case.py
python examples/restore_case.py fit case lines.txt -o runs/case
echo 'eve met ann in oslo.' | python examples/restore_case.py predict runs/case -

Everything but the preset is there already: fields, encoder, alignment, training, laws, commands. What is written here
is what this task is: every character has a tag, small or large. Registered, it is saved, loaded and run like any other.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, NamedTuple, Self

import numpy as np
from torch import nn

from unrolled.align.each import Each, EachOptions, Tagged
from unrolled.cli import main
from unrolled.data.batch.examples import Examples, TagColumn
from unrolled.data.batch.ragged import Ragged
from unrolled.data.read.lines import read_lines
from unrolled.heads.softmax import SoftmaxHead
from unrolled.inputs.texts import TextOptions, Texts, make_embedding, random_texts
from unrolled.model.describe import Answer, Asked, Call, Command, Description, Whole, Word
from unrolled.model.registry import register_task
from unrolled.nn.reading.reader import WordReader
from unrolled.tasks.batches import per_row
from unrolled.tasks.commands.results import learning, scored
from unrolled.tasks.commands.words import Cell, File, HiddenSize, Test, Truth
from unrolled.tasks.frame import Fields, SequenceTask, Training
from unrolled.tasks.laws import generators
from unrolled.tasks.options import TaskOptions
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


class CaseReport(NamedTuple):
    """right: the share of the letters whose case is right."""

    right: float

    def __str__(self) -> str:
        return f"{self.right:.4f} of the letters are right"

    def to_json(self) -> dict[str, float]:
        return self._asdict()


Source = Annotated[str, Word("Well-written text, a line each.", "FILE", placed=True)]


def fit(file: Source, test: Test = None, cell: Cell = None, hidden_size: HiddenSize = None) -> Asked:
    """Learn from well-written lines where capital letters belong.

    \b
      python examples/restore_case.py fit case lines.txt --test others.txt -o runs/case
    """
    return Asked({"source": file, "test": test}, options={"cell": cell, "hidden_size": hidden_size})


def predict(call: Call[CaseRestorer], file: File) -> Iterator[Answer]:
    """each line with its capital letters"""
    for line in call.model.predict(list(read_lines(file))):
        yield Answer(f"{line}\n", line)


def evaluate(call: Call[CaseRestorer], file: Truth) -> Whole:
    """the share of letters whose case is right"""
    return scored(call.model.evaluate(file))


@register_task
class CaseRestorer(SequenceTask[Lines, Examples[Tagged]]):
    """Learns from well-written lines where capital letters belong."""

    task = "case"
    options_kind = CaseOptions
    options: CaseOptions
    description = Description(
        fit, {"predict": Command(predict), "evaluate": Command(evaluate)}, pictures={"learning": learning}
    )

    def fit(self, source: str | Iterable[str], **training: Any) -> Self:
        lines = Lines(read_lines(source), self.options)
        return self.learn(lines, None, part=0.1, refit=False, training=Training(**training))

    def predict(self, lines: list[str]) -> list[str]:
        data = self.make_data(Lines([line.lower() for line in lines], self.options), np.arange(len(lines)))
        net: Any = self.fitted()
        large = per_row(data, net, lambda batch: net.predict(batch.x))
        return [
            "".join(np.where(tags[: len(line)] == 1, list(line.upper()), list(line)))
            for tags, line in zip(large, lines, strict=True)
        ]

    def evaluate(self, source: str | Iterable[str]) -> CaseReport:
        lines = list(read_lines(source))
        pairs = zip("".join(lines), "".join(self.predict(lines)), strict=True)
        return CaseReport(float(np.mean([a == b for a, b in pairs if a.isalpha()])))

    def make_fields(self, corpus: Lines, rows: np.ndarray) -> Fields:
        return {"text": corpus.fit(rows, self.options.text)}

    def make_data(self, corpus: Lines, rows: np.ndarray) -> Examples[Tagged]:
        column = corpus.column(self.fields["text"])
        return Examples(Tagged, (column, TagColumn(corpus.large)), corpus.lengths(column)).select(rows)

    def make_net(self, corpus: Lines | None = None) -> nn.Module:
        reader = WordReader(make_embedding(self.fields["text"], self.options.text, 32, None))
        encoder = self.options.make_encoder(reader.output_size, cell="gru", hidden_size=64, bidirectional=True)
        return Each(reader, encoder, SoftmaxHead(encoder.output_size, 2), EachOptions())

    def make_training(self, data: Examples[Tagged], *, scored: bool) -> TrainOptions:
        return self.options.training(epochs=8, learning_rate=5e-3)

    def made_up(self, seed: int, rows: int) -> Lines:
        return Lines(random_texts(self.fields["text"], generators(seed, rows)), self.options)


if __name__ == "__main__" and len(sys.argv) > 1:
    main()
elif __name__ == "__main__":
    people, places = ["Ann", "Bob", "Eve", "Tom"], ["Rome", "Oslo", "Lima", "Kiel"]
    known = [f"{a} met {b} in {c}. They left for {d}." for a in people for b in people for c in places for d in places]
    print(CaseRestorer().fit(known).predict(["eve met ann in oslo. they left for rome."]))
