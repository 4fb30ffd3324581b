"""Tasks that say something of a whole input of any kind: how they read, what they note, how they are trained."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, replace
from typing import Any, Generic, Self, TypeVar, cast

import numpy as np
from torch import Tensor

from unrolled.align.pool import Labelled, Pool, PoolOptions
from unrolled.data.batch.examples import CodeColumn, Examples
from unrolled.data.panel.steps import StepColumns
from unrolled.data.read.sources import is_delimited
from unrolled.heads.head import Head
from unrolled.inputs.columns import LabelColumns
from unrolled.inputs.input import version_rows
from unrolled.tasks.batches import per_row
from unrolled.tasks.frame import SequenceTask, Training, given_source
from unrolled.tasks.notes import Notes
from unrolled.tasks.options import enough_epochs
from unrolled.tasks.reading.corpus import InputCorpus
from unrolled.tasks.reading.options import InputOptions
from unrolled.train import TrainOptions

__all__ = ["ENOUGH", "PooledNotes", "PooledTask"]

C = TypeVar("C", bound=InputCorpus)

# Chosen by measurement on the data of benchmarks/tasks.py.
BATCH, EPOCHS, PATIENCE = 16, 60, 6
# Steps that a small set is trained for at least.
STEPS = 200
# Fewer held-out examples than this say nothing about when to stop.
ENOUGH = 100
# Examples from which on larger batches pay.
SMALL = 1000


@dataclass(frozen=True)
class PooledNotes(Notes):
    """columns: of the texts and of the answers; names: of all columns, where a file had no header. width: of the file
    of vectors. steps: the parts of `StepColumns`."""

    columns: tuple[str | None, str | None] = (None, None)
    names: tuple[str, ...] | None = None
    width: int | None = None
    steps: tuple[str | None, str | None, tuple[str, ...] | None] = (None, None, None)

    def with_columns(self, columns: LabelColumns) -> Self:
        """The same notes, with the columns that were found in the training data."""
        inputs_and_answers, names = columns.parts
        return replace(self, columns=inputs_and_answers, names=names, steps=astuple(columns.steps))

    def label_columns(self, source: object) -> LabelColumns:
        """Those columns, as another source has them; only delimited text has no names of its own."""
        names = self.names if is_delimited(source) else None
        return LabelColumns(*self.columns, names, StepColumns(*self.steps))


class PooledTask(SequenceTask[C, Examples[Labelled]], Generic[C]):
    """A task that answers one question about a whole input of any kind: which class it is of, which numbers it has.

    A subclass says how its corpora C are read and checked, and how their answers are learned: it writes `read`,
    `check_learnable`, `first_notes`, `answer_column`, `make_head` and `pooling`, and like every task `make_fields` and
    `made_up`.
    """

    options: InputOptions
    notes: PooledNotes

    @abstractmethod
    def read(self, source: object, y: Iterable[object] | None, columns: LabelColumns, *, labelled: bool) -> C:
        """A source of any kind, with answers in it or in `y`. labelled: each must have one; else none is looked for."""

    @abstractmethod
    def check_learnable(self, corpus: C) -> None:
        """Raises `DataError` where nothing can be learned of these answers."""

    def check_answers(self, corpus: C) -> None:
        """Raises `DataError` where the answers of a corpus have another form than those that were learned."""

    @abstractmethod
    def first_notes(self, corpus: C) -> PooledNotes:
        """What is noted of the answers before a fit."""

    @abstractmethod
    def answer_column(self, corpus: C) -> CodeColumn:
        """The answer to each input as the head takes it, also where none is known."""

    @abstractmethod
    def make_head(self, features: int) -> Head:
        """The head over vectors of so many features."""

    @property
    @abstractmethod
    def pooling(self) -> PoolOptions:
        """How the steps of an input become one vector."""

    def learn_from(
        self, source: object, y: Iterable[object] | None, columns: LabelColumns, *, valid: object, refit: bool,
        training: Training,
    ) -> Self:  # fmt: skip
        """Read a source and learn from it: a `fit` whose arguments are sorted."""
        corpus = self.read(source, y, columns, labelled=True)
        columns.steps.check_used(corpus.columns.steps)
        self.check_learnable(corpus)
        with self.anew(self.first_notes(corpus).with_columns(corpus.columns)):
            part, later = given_source(valid, self._read)
            corpus.check_held(later)
            return self.learn(corpus, later, part=part, refit=refit, training=training, remarks=corpus.remarks)

    def make_data(self, corpus: C, rows: np.ndarray) -> Examples[Labelled]:
        inputs, lengths = corpus.inputs.column(self.fields)
        return Examples(Labelled, (inputs, self.answer_column(corpus)), lengths).select(rows)

    def make_training_data(self, corpus: C, rows: np.ndarray) -> Examples[Labelled]:
        """The rows in all versions, see `Input.versions`."""
        versions = corpus.versions(self.options)
        return self.make_data(versions, version_rows(rows, len(corpus), len(versions)))

    def make_net(self, corpus: C | None = None) -> Pool[Any]:
        inputs = None if corpus is None else corpus.inputs
        if inputs is not None:
            self.notes = replace(self.notes, width=inputs.width(self.options))
        reader = self.kind.reader(inputs, self.fields, self.options, self.notes.width)
        encoder = self.options.make_encoder(reader.output_size, **self.kind.encoder)
        return Pool(reader, encoder, self.make_head(encoder.output_size), self.pooling)

    def make_training(self, data: Examples[Labelled], *, scored: bool) -> TrainOptions:
        batch = BATCH if len(data) < SMALL else 2 * BATCH
        epochs = enough_epochs(EPOCHS, len(data) // batch, STEPS)
        usual: dict[str, object] = {"learning_rate": 2e-3, "epochs": epochs}
        usual |= {"patience": PATIENCE} if scored else {"schedule": "cosine"}
        if "token_budget" not in self.options.train.given():
            usual["batch_size"] = batch
        return self.options.training(**usual)

    def stops_by(self, held: int) -> bool:
        return held >= ENOUGH

    def __sklearn_is_fitted__(self) -> bool:
        return self.net is not None

    @property
    def _pool(self) -> Pool[Any]:
        """The fitted network."""
        return cast("Pool[Any]", self.fitted())

    def _read(self, source: object, y: Iterable[object] | None = None, *, labelled: bool = True) -> C:
        """A source as `fit` reads it, with the columns that it found."""
        return self.read(source, y, self.notes.label_columns(source), labelled=labelled)

    def _asked(self, source: object, y: Iterable[object] | None = None, *, labelled: bool = True) -> C:
        """A source for the fitted model."""
        self.fitted()
        corpus = self._read(source, y, labelled=labelled)
        corpus.check_kind(type(self).__name__, self.kind.kind)
        self.check_answers(corpus)
        return corpus

    def _every_row(self, corpus: C) -> Examples[Labelled]:
        return self.make_data(corpus, np.arange(len(corpus)))

    def _said_of_vectors(self, data: Examples[Labelled], say: Callable[[Tensor], Tensor]) -> list[np.ndarray]:
        """What `say` makes of the vector of each row; it takes those of a batch, (batch, features)."""
        net = self._pool
        return per_row(data, net, lambda batch: say(net.vectors(batch.x)))
