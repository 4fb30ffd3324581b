"""Classification: the class of a text, or of a series of any length and any number of channels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from torch import nn

from unrolled.align.pool import Labelled, Pool, PoolOptions
from unrolled.align.score.calibration import fit_temperature, probabilities, reliability
from unrolled.align.score.classification import ClassReport, class_report, confusion_matrix
from unrolled.data.examples import CodeColumn, PaddedColumn, WordColumn
from unrolled.data.examples import Examples as Rows
from unrolled.data.files import Places
from unrolled.data.ragged import Ragged
from unrolled.errors import DataError
from unrolled.fields.category import Category
from unrolled.fields.numbers import Numbers
from unrolled.fields.spelling import Spelling
from unrolled.nn.build import EncoderOptions, Rate, make_encoder
from unrolled.nn.reader import Reader, SeriesReader
from unrolled.tasks.batches import per_row
from unrolled.tasks.frame import SequenceTask, Training, given_source
from unrolled.tasks.labelled import Columns, Examples, read_examples
from unrolled.tasks.options import enough_epochs
from unrolled.tasks.texts import TextOptions, Texts, make_words, random_texts
from unrolled.train import Callback, TrainOptions

__all__ = ["Classifier", "ClassifierOptions"]


class ClassifierOptions(TextOptions):
    """Every option of a `Classifier`.

    Text: those of `TextOptions`. Series: scaling (a kind of `Number`). Network: every option of `EncoderOptions` (cell,
    hidden_size, layers, bidirectional, dropout, ...; left out: chosen by whether texts or series come), pooling,
    head_dropout, label_smoothing.
    Training: every option of `TrainOptions`.
    """

    owner = "Classifier"

    scaling: str = "standard"
    pooling: str | None = None
    head_dropout: Rate | None = None
    label_smoothing: Rate = 0.0


# What is chosen where nothing is asked for, by measurement on the data of benchmarks/tasks.py.
TEXT = {"cell": "lstm", "hidden_size": 128, "bidirectional": True}
SERIES = {"cell": "gru", "hidden_size": 64, "bidirectional": True, "layers": 2, "dropout": 0.2}
WIDTH = 100
BATCH, EPOCHS, PATIENCE = 16, 60, 6
# Steps that a small set is trained for at least.
STEPS = 200
# Fewer held-out examples than this say nothing about when to stop.
ENOUGH = 100
# Examples from which on larger batches pay.
SMALL = 1000


class Classifier(SequenceTask):
    """Learns from examples which class a text or a series belongs to: sentiment, speaker, action, gesture.

    options: any of `ClassifierOptions`, flat. Keeps scikit-learn's contract for estimators: `get_params`, `set_params`,
    `fit(X, y)`, `predict`, `predict_proba`, `score`, `classes_`.

    Raises `OptionError` for an unknown option (with the nearest known one) or a bad value.
    """

    task = "classify"
    options_kind = ClassifierOptions

    def fit(
        self,
        source: Any,
        y: Iterable[Any] | None = None,
        *,
        text: str | None = None,
        label: str | None = None,
        names: Sequence[str] | None = None,
        valid: Any = 0.1,
        refit: bool = True,
        run: str | Path | None = None,
        progress: bool = False,
        resume: bool = False,
        callbacks: Sequence[Callback] = (),
    ) -> Self:
        """Learn from labelled examples.

        Args:
            source: a table with a text and a label column (path, dataframe, dict or list of dicts), a folder with a
                folder for each class, a .ts or .npz file of series; or the inputs themselves, with their labels in `y`:
                texts, an array (N, T, D), or a list of arrays (T_i, D).
            y: one label for each input.
            text, label, names: columns of a table, and the names of all columns where a file has no header.
            valid: examples that decide when to stop and that calibrate the probabilities: a part of these (0.1), a
                source of the same kind, or (inputs, labels). 0: none, then `epochs` are trained to the end.
            refit: learn from the part that decided when to stop, too, in the end.
            run, progress, resume, callbacks: as in `unrolled.train.fit`.

        Raises:
            DataError, OptionError: the data or an option cannot be used, in one sentence.
        """
        columns = Columns(text, label, None if names is None else tuple(names))
        corpus = read_examples(source, y, columns, self.options.shape, labelled=True)
        if len(set(corpus.labels or ())) < 2:
            only = sorted(set(corpus.labels or ()))
            raise DataError(f"fit: expected examples of at least two classes, got {only}; give examples of another.")
        self.notes = {"columns": [corpus.columns.text, corpus.columns.label], "numbers": corpus.numbers}
        part, later = given_source(valid, self._read)
        training = Training(None if run is None else Path(run), progress, resume, tuple(callbacks))
        return self.learn(corpus, later, part=part, refit=refit, training=training)

    def predict(self, source: Any) -> np.ndarray:
        """The class of each input, (N,): of a table, a file, a folder, texts or arrays, as in `fit`."""
        return np.asarray(self.classes_[self.predict_proba(source).argmax(1)])

    def predict_proba(self, source: Any) -> np.ndarray:
        """(N, K) float64, the calibrated probability of each of `classes_`."""
        return self._probabilities(self._read(source, labelled=False))

    def evaluate(self, source: Any, y: Iterable[Any] | None = None) -> ClassReport:
        """Accuracy, and precision, recall and F1 of each class, on labelled examples as in `fit`."""
        corpus = self._read(source, y)
        return class_report(self._codes(corpus), self._probabilities(corpus).argmax(1), self.fields["label"].values)

    def plot(self, source: Any, path: str | Path, y: Iterable[Any] | None = None) -> Path:
        """Draw the confusion matrix on labelled examples; the name's ending says which kind of picture."""
        from unrolled.inspect.confusion import draw_confusion

        corpus, values = self._read(source, y), self.fields["label"].values
        codes, found = self._codes(corpus), self._probabilities(corpus).argmax(1)
        counts = confusion_matrix(codes[codes >= 0], found[codes >= 0], len(values))
        return draw_confusion(counts, values, path)

    def plot_reliability(self, source: Any, path: str | Path, y: Iterable[Any] | None = None) -> Path:
        """Draw how often the classifier is right against how sure it is, before and after calibration."""
        from unrolled.inspect.reliability import draw_reliability

        corpus = self._read(source, y)
        codes = self._codes(corpus)
        logits = self._logits(self.make_data(corpus, np.arange(len(corpus))))[codes >= 0]
        both = (("as trained", 1.0), ("calibrated", self.notes.get("temperature", 1.0)))
        return draw_reliability(
            [(title, reliability(probabilities(logits, heat), codes[codes >= 0])) for title, heat in both], path
        )

    @property
    def classes_(self) -> np.ndarray:
        """(K,) the classes, in the order of the columns of `predict_proba`."""
        values: tuple[str, ...] = self.fields["label"].values
        return np.array([int(value) for value in values] if self.notes["numbers"] else list(values))

    def make_fields(self, corpus: Examples, rows: np.ndarray) -> dict[str, Any]:
        labels = corpus.labels or []
        fields: dict[str, Any] = {"label": Category.fit(labels[i] for i in rows.tolist())}
        if corpus.texts is None:
            series = corpus.series or []
            return {**fields, "series": Numbers.fit((series[i] for i in rows.tolist()), self.options.scaling)}
        vectors = self.options.read_vectors()
        fields["text"] = corpus.texts.fit(rows, self.options, () if vectors is None else vectors.words)
        if self.options.spelling != "none":
            fields["spelling"] = Spelling.fit(corpus.texts.spelled(rows))
        return fields

    def make_data(self, corpus: Examples, rows: np.ndarray) -> Rows[Labelled]:
        inputs: PaddedColumn | WordColumn
        if corpus.texts is None:
            series = (self.fields["series"].encode(values) for values in corpus.series or ())
            inputs = PaddedColumn(Ragged.from_list(series))
            lengths = inputs.ragged.lengths
        else:
            inputs = corpus.texts.column(self.fields["text"], self.fields.get("spelling"))
            lengths = corpus.texts.lengths(inputs)
        labels = CodeColumn(self._codes(corpus))
        return Rows(Labelled, (inputs, labels), lengths).select(rows)

    def make_net(self, corpus: Any | None = None) -> nn.Module:
        chosen, text = self.options, self.fields.get("text")
        defaults = SERIES if text is None else TEXT
        vectors = None if corpus is None or text is None else chosen.read_vectors()
        reader: Reader
        if text is None:
            reader = SeriesReader(self.fields["series"].width, chosen.reading_dropout)
        else:
            reader = make_words(text, self.fields.get("spelling"), chosen, WIDTH, vectors)
        pooled = PoolOptions(
            pooling=chosen.pooling or "max",
            dropout=0.3 if chosen.head_dropout is None else chosen.head_dropout,
            label_smoothing=chosen.label_smoothing,
        )
        encoder = make_encoder(reader.output_size, EncoderOptions(**{**defaults, **chosen.encoder}))
        return Pool(reader, encoder, len(self.fields["label"].values), pooled)

    def make_training(self, data: Any, *, scored: bool) -> TrainOptions:
        batch = BATCH if len(data) < SMALL else 2 * BATCH
        epochs = enough_epochs(EPOCHS, len(data) // batch, STEPS)
        chosen: dict[str, Any] = {"seed": self.options.seed, "learning_rate": 2e-3, "epochs": epochs}
        chosen |= {"patience": PATIENCE} if scored else {"schedule": "cosine"}
        if "token_budget" not in self.options.train:
            chosen["batch_size"] = batch
        return TrainOptions.from_json({**chosen, **self.options.train})

    def stops_by(self, held: int) -> bool:
        return held >= ENOUGH

    def finish(self, corpus: Examples, rows: np.ndarray) -> None:
        """The temperature that makes the probabilities right on the rows that were held out."""
        data = self.make_data(corpus, rows)
        codes = self._codes(corpus)[rows]
        logits = self._logits(data)
        heat = fit_temperature(logits[codes >= 0], codes[codes >= 0])
        # A few examples that happen to be all right say nothing for being surer than the network is.
        self.notes["temperature"] = heat if len(rows) >= ENOUGH else max(1.0, heat)

    def made_up(self, seed: int, rows: int) -> Examples:
        draw = [np.random.default_rng([seed if i >= rows // 2 else 0, i]) for i in range(rows)]
        classes = self.fields["label"].values
        labels = [classes[i % len(classes)] for i in range(rows)]
        places = Places("the made-up examples", "row", np.arange(rows))
        if "text" in self.fields:
            texts = Texts(random_texts(self.fields["text"], draw), self.options.shape)
            return Examples(texts, None, labels, False, places, Columns())
        width = self.fields["series"].channels
        return Examples(
            None, [r.normal(size=(int(r.integers(1, 9)), width)) for r in draw], labels, False, places, Columns()
        )

    def score(self, source: Any, y: Iterable[Any] | None = None) -> float:
        """The accuracy on labelled examples, in [0, 1]: what scikit-learn maximises."""
        return self.evaluate(source, y).accuracy

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(),
            input_tags=InputTags(string=True, three_d_array=True, two_d_array=True, allow_nan=True),
        )

    def _read(self, source: Any, y: Iterable[Any] | None = None, *, labelled: bool = True) -> Examples:
        """A source as `fit` reads it, with the columns that it found."""
        text, label = self.notes["columns"]
        return read_examples(source, y, Columns(text, label), self.options.shape, labelled=labelled)

    def _codes(self, corpus: Examples) -> np.ndarray:
        """(N,) the codes of the labels, -1 where unknown or missing."""
        labels: list[str | None] = [None] * len(corpus) if corpus.labels is None else list(corpus.labels)
        return np.asarray(self.fields["label"].encode(labels) - 1)

    def _logits(self, data: Rows[Labelled]) -> np.ndarray:
        net: Any = self.fitted()
        found = per_row(data, net, lambda batch: net.scores(batch.x))
        return np.stack(found).astype(np.float64) if found else np.zeros((0, net.classes))

    def _probabilities(self, corpus: Examples) -> np.ndarray:
        logits = self._logits(self.make_data(corpus, np.arange(len(corpus))))
        return np.asarray(probabilities(logits, self.notes.get("temperature", 1.0)))
