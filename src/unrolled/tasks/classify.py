"""Classification: the class of a text, or of a series of any length and any number of channels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, cast

import numpy as np
from torch import Tensor

from unrolled.align.pool import Labelled, PoolOptions
from unrolled.data.batch.examples import CodeColumn, Examples
from unrolled.data.panel.steps import StepColumns
from unrolled.data.read.files import Places
from unrolled.fields.category import Category
from unrolled.fields.spoken import spelled_as
from unrolled.heads.softmax import SoftmaxHead
from unrolled.inputs.columns import LabelColumns
from unrolled.score.calibration import fit_temperature, probabilities
from unrolled.score.classes import ClassReport, class_report
from unrolled.tasks.batches import unit_length
from unrolled.tasks.classes import ClassOptions, as_they_came, draw_calibration, draw_confusions, sklearn_tags
from unrolled.tasks.frame import Fields, Training
from unrolled.tasks.laws import generators
from unrolled.tasks.pooled import ENOUGH, PooledNotes, PooledTask
from unrolled.tasks.reading.labelled import LabelledExamples, read_examples
from unrolled.tasks.reading.options import InputOptions
from unrolled.train import Callback

__all__ = ["Classifier", "ClassifierOptions"]


class ClassifierOptions(InputOptions):
    """Every option of a `Classifier`, in groups; those of encoder and head are chosen by the kind of inputs.

    head: `ClassOptions`. The others are those of `InputOptions`.
    """

    owner = "Classifier"

    head: ClassOptions = ClassOptions()


@dataclass(frozen=True)
class ClassifierNotes(PooledNotes):
    """As `PooledNotes`. labels: what they were, as in `LabelledExamples`. temperature: what makes the probabilities
    right."""

    labels: str = "text"
    temperature: float = 1.0


class Classifier(PooledTask[LabelledExamples]):
    """Learns from examples which class a text, a series, a sound, a drawing, a picture or a video belongs to.

    options: any of `ClassifierOptions`, flat. Keeps scikit-learn's contract for estimators: `get_params`, `set_params`,
    `fit(X, y)`, `predict`, `predict_proba`, `score`, `classes_`.

    Raises `OptionError` for an unknown option (with the nearest known one) or a bad value.
    """

    task = "classify"
    options_kind = ClassifierOptions
    options: ClassifierOptions
    notes_kind = ClassifierNotes
    notes: ClassifierNotes
    # How scikit-learn before 1.6 knows a classifier, and so gives every class to every fold.
    _estimator_type = "classifier"

    def fit(
        self,
        source: object,
        y: Iterable[object] | None = None,
        *,
        text: str | None = None,
        label: str | None = None,
        id: str | None = None,
        time: str | None = None,
        names: Sequence[str] | None = None,
        valid: object = 0.1,
        refit: bool = True,
        run: str | Path | None = None,
        progress: bool = False,
        resume: bool = False,
        callbacks: Sequence[Callback] = (),
    ) -> Self:
        """Learn from labelled examples.

        Args:
            source: a table with texts, or paths of sounds, pictures or videos, and labels (path, dataframe, dict or
                list of dicts), a folder with a folder for each class, a file of series (.ts, .arff, .npz, or a label
                and values a row in .tsv); or the inputs themselves, with labels in `y`: texts, an array (N, T, D), a
                list of arrays (T_i, D), of `Sound`s, of pictures (height, width) uint8 and the like, or of videos
                (frames, height, width, channels), see docs/data.md.
            y: one label for each input, also beside a table of texts alone. Whole numbers and booleans come back from
                `predict` as what they are, anything else as text.
            text, label, names: columns of a table, and the names of all columns where a file has no header.
            id, time: of a table of series, whose rows are their steps: which series, and when. Its other columns of
                numbers are the channels.
            valid: examples that decide when to stop and that calibrate the probabilities: a part of these (0.1), a
                source of the same kind, or (inputs, labels). 0: none, then `epochs` are trained to the end.
            refit: learn from the part that decided when to stop, too, in the end.
            run, progress, resume, callbacks: as in `unrolled.train.fit`.

        Raises:
            DataError, OptionError: the data or an option cannot be used, in one sentence.
        """
        columns = LabelColumns(text, label, None if names is None else tuple(names), StepColumns(id, time))
        training = Training(None if run is None else Path(run), progress, resume, tuple(callbacks))
        return self.learn_from(source, y, columns, valid=valid, refit=refit, training=training)

    def predict(self, source: object) -> np.ndarray:
        """The class of each input, (N,): of a table, a file, a folder, texts or arrays, as in `fit`."""
        best = self.predict_proba(source).argmax(1)
        return np.asarray(self.classes_[best])

    def predict_proba(self, source: object) -> np.ndarray:
        """(N, K) float64, the calibrated probability of each of `classes_`."""
        return self._probabilities(self._asked(source, labelled=False))

    def embed(self, source: object) -> np.ndarray:
        """A vector of unit length for each input, (N, D) float64: what the encoder makes of it, before any class.

        Inputs of one class point the same way, and so do those of a class that training has never seen, such as another
        speaker; the product of two vectors is their `similarity`. An input without a step is all zeros.

        Args:
            source: a table, a file, a folder, texts, arrays or sounds, as in `fit`; labels are not looked for.

        Raises:
            DataError: inputs of another kind than in training, or that cannot be read.
        """
        corpus = self._asked(source, labelled=False)
        if not len(corpus):
            return np.zeros((0, self._pool.encoder.output_size))
        vectors = np.stack(self._said_of_vectors(self._every_row(corpus), Tensor.float)).astype(np.float64)
        return unit_length(vectors)

    def similarity(self, source: object, other: object) -> np.ndarray:
        """(N, M) float64, the cosine in [-1, 1] of each input of `source` with each of `other`, by `embed`.

        For verification two inputs are of one class where it reaches a threshold, which
        `unrolled.score.speech.equal_error_rate` finds on pairs of known answers.
        """
        return np.asarray(np.clip(self.embed(source) @ self.embed(other).T, -1.0, 1.0))

    def evaluate(self, source: object, y: Iterable[object] | None = None) -> ClassReport:
        """Accuracy, and precision, recall and F1 of each class, on labelled examples as in `fit`."""
        corpus, codes = self._judged(source, y)
        return class_report(codes, self._probabilities(corpus).argmax(1), self.fields["label"].values)

    def plot(self, source: object, path: str | Path, y: Iterable[object] | None = None) -> Path:
        """Draw the confusion matrix on labelled examples; the name's ending says which kind of picture."""
        corpus, codes = self._judged(source, y)
        predicted = self._probabilities(corpus).argmax(1)
        return draw_confusions(codes, predicted, self.fields["label"].values, path)

    def plot_reliability(self, source: object, path: str | Path, y: Iterable[object] | None = None) -> Path:
        """Draw how often the classifier is right against how sure it is, before and after calibration."""
        corpus, codes = self._judged(source, y)
        logits = self._logits(self._every_row(corpus))
        return draw_calibration(logits, codes, self.notes.temperature, path)

    @property
    def classes_(self) -> np.ndarray:
        """(K,) the classes, in the order of the columns of `predict_proba`. AttributeError before `fit`."""
        if self.net is None:
            raise AttributeError(
                f"{type(self).__name__}: classes_ are known after fit() has been called; call it first."
            )
        return self._classes

    @property
    def _classes(self) -> np.ndarray:
        return as_they_came(self.fields["label"].values, self.notes.labels)

    def read(
        self, source: object, y: Iterable[object] | None, columns: LabelColumns, *, labelled: bool
    ) -> LabelledExamples:
        return read_examples(source, y, columns, self.options, labelled=labelled)

    def check_learnable(self, corpus: LabelledExamples) -> None:
        corpus.check_classes()

    def first_notes(self, corpus: LabelledExamples) -> ClassifierNotes:
        return ClassifierNotes(labels=corpus.label_kind)

    def make_fields(self, corpus: LabelledExamples, rows: np.ndarray) -> Fields:
        return {"label": corpus.classes(rows), **corpus.inputs.fit(rows, self.options)}

    def answer_column(self, corpus: LabelledExamples) -> CodeColumn:
        return CodeColumn(self._codes(corpus))

    def make_head(self, features: int) -> SoftmaxHead:
        return SoftmaxHead(features, len(self._classes), self.options.head.label_smoothing)

    @property
    def pooling(self) -> PoolOptions:
        return self.options.head.settled(self.kind.head_dropout)

    def split(self, corpus: LabelledExamples, part: float) -> tuple[np.ndarray, np.ndarray]:
        """As for every task, but no class is held out whole: what is never learned from is never predicted."""
        rows, held = super().split(corpus, part)
        labels = np.array(corpus.labels)
        lone = ~np.isin(labels[held], labels[rows])
        return np.sort(np.concatenate([rows, held[lone]])), held[~lone]

    def finish(self, corpus: LabelledExamples, rows: np.ndarray) -> None:
        """The temperature that makes the probabilities right on the rows that were held out."""
        heat = fit_temperature(self._logits(self.make_data(corpus, rows)), self._codes(corpus)[rows])
        # A few examples that happen to be all right say nothing for being surer than the network is.
        self.notes = replace(self.notes, temperature=heat if len(rows) >= ENOUGH else max(1.0, heat))

    def made_up(self, seed: int, rows: int) -> LabelledExamples:
        draw = generators(seed, rows)
        classes = self.fields["label"].values
        labels = [classes[i % len(classes)] for i in range(rows)]
        places = Places("the made-up examples", "row", np.arange(rows))
        inputs = self.kind.made_up(self.fields, self.options, draw)
        return LabelledExamples(inputs, places, LabelColumns(), labels=labels)

    def score(self, source: object, y: Iterable[object] | None = None) -> float:
        """The accuracy on labelled examples, in [0, 1]: what scikit-learn maximises."""
        return self.evaluate(source, y).accuracy

    def __sklearn_tags__(self) -> object:
        return sklearn_tags()

    def _codes(self, corpus: LabelledExamples) -> np.ndarray:
        """(N,) the codes of the labels, -1 where unknown or missing."""
        field: Category = self.fields["label"]
        labels = [None] * len(corpus) if corpus.labels is None else spelled_as(corpus.labels, field.values)
        return np.asarray(field.encode_all(labels) - 1)

    def _judged(self, source: object, y: Iterable[object] | None) -> tuple[LabelledExamples, np.ndarray]:
        """A source with labels, of which some are known, and their codes."""
        corpus = self._asked(source, y)
        codes = self._codes(corpus)
        if len(codes) and codes.max() < 0:
            raise corpus.unknown_labels(self.fields["label"].values)
        return corpus, codes

    def _logits(self, data: Examples[Labelled]) -> np.ndarray:
        """(n, K) float64, before any calibration; there must be rows."""
        head = cast(SoftmaxHead, self._pool.head)
        return np.stack(self._said_of_vectors(data, head.scores)).astype(np.float64)

    def _probabilities(self, corpus: LabelledExamples) -> np.ndarray:
        if not len(corpus):
            return np.zeros((0, len(self.fields["label"].values)))
        logits = self._logits(self._every_row(corpus))
        return np.asarray(probabilities(logits, self.notes.temperature))
