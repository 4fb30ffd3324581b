"""Classification: the class of a text, or of a series of any length and any number of channels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from torch import nn

from unrolled.align.pool import Labelled, Pool, PoolOptions
from unrolled.data.batch.examples import CodeColumn, PaddedColumn, WordColumn
from unrolled.data.batch.examples import Examples as Rows
from unrolled.data.batch.ragged import Ragged
from unrolled.data.read.files import Places, suffix
from unrolled.data.read.table import DELIMITERS
from unrolled.errors import DataError
from unrolled.fields.category import Category
from unrolled.fields.numbers import Numbers
from unrolled.fields.spelling import Spelling
from unrolled.nn.build import EncoderOptions, Rate, make_encoder
from unrolled.nn.reading.reader import Reader, SeriesReader
from unrolled.score.calibration import fit_temperature, probabilities, reliability
from unrolled.score.classes import ClassReport, class_report, confusion_matrix
from unrolled.tasks.batches import per_row
from unrolled.tasks.frame import SequenceTask, Training, given_source
from unrolled.tasks.labelled import Columns, Examples, read_examples
from unrolled.tasks.options import enough_epochs
from unrolled.tasks.texts import TextOptions, Texts, make_words, random_texts, width_of
from unrolled.train import Callback, TrainOptions

__all__ = ["Classifier", "ClassifierOptions"]


class ClassifierOptions(TextOptions):
    """Every option of a `Classifier`.

    Text: those of `TextOptions`. Series: scaling (see `Number`). Network: every option of `EncoderOptions` (cell,
    hidden_size, layers, bidirectional, dropout, ...; left out: chosen by whether texts or series come), pooling,
    head_dropout, label_smoothing.
    Training: every option of `TrainOptions`.
    """

    owner = "Classifier"

    scaling: Literal["standard", "robust", "log", "scale", "none"] = "standard"
    pooling: Literal["last", "mean", "max", "attention"] | None = None
    head_dropout: Rate | None = None
    label_smoothing: Rate = 0.0


# What is chosen where nothing is asked for, by measurement on the data of benchmarks/tasks.py.
TEXT = {"cell": "lstm", "hidden_size": 128, "bidirectional": True}
# Of the head; of what the encoder reads of a text, and of its whole words.
TEXT_DROPOUT, SERIES_DROPOUT, READING_DROPOUT, WORD_DROPOUT = 0.5, 0.3, 0.5, 0.3
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
    # How scikit-learn before 1.6 knows a classifier, and so gives every class to every fold.
    _estimator_type = "classifier"

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
            y: one label for each input, also beside a table of texts alone. Whole numbers and booleans come back from
                `predict` as what they are, anything else as text.
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
        classes = set(corpus.labels or ())
        if len(classes) < 2:
            raise DataError(
                f"fit: expected at least two classes, got {sorted(classes)} alone; give examples of another."
            )
        training = Training(None if run is None else Path(run), progress, resume, tuple(callbacks))
        found = corpus.columns
        with self.anew({"columns": [found.text, found.label], "names": found.names, "labels": corpus.kind}):
            part, later = given_source(valid, self._read)
            if later is not None:
                _check_kind("valid", later, texts=corpus.texts is not None)
                others = set(later.labels or ())
                if classes.isdisjoint(others):
                    raise DataError(f"fit: expected valid to hold some of {sorted(classes)}, got {sorted(others)}.")
            return self.learn(corpus, later, part=part, refit=refit, training=training)

    def predict(self, source: Any) -> np.ndarray:
        """The class of each input, (N,): of a table, a file, a folder, texts or arrays, as in `fit`."""
        best = self.predict_proba(source).argmax(1)
        return np.asarray(self.classes_[best])

    def predict_proba(self, source: Any) -> np.ndarray:
        """(N, K) float64, the calibrated probability of each of `classes_`."""
        return self._probabilities(self._asked(source, labelled=False))

    def evaluate(self, source: Any, y: Iterable[Any] | None = None) -> ClassReport:
        """Accuracy, and precision, recall and F1 of each class, on labelled examples as in `fit`."""
        corpus = self._asked(source, y)
        return class_report(self._codes(corpus), self._probabilities(corpus).argmax(1), self.fields["label"].values)

    def plot(self, source: Any, path: str | Path, y: Iterable[Any] | None = None) -> Path:
        """Draw the confusion matrix on labelled examples; the name's ending says which kind of picture."""
        from unrolled.inspect.confusion import draw_confusion

        corpus, values = self._asked(source, y), self.fields["label"].values
        codes, found = self._codes(corpus), self._probabilities(corpus).argmax(1)
        counts = confusion_matrix(codes[codes >= 0], found[codes >= 0], len(values))
        return draw_confusion(counts, values, path)

    def plot_reliability(self, source: Any, path: str | Path, y: Iterable[Any] | None = None) -> Path:
        """Draw how often the classifier is right against how sure it is, before and after calibration."""
        from unrolled.inspect.reliability import draw_reliability

        corpus = self._asked(source, y)
        codes = self._codes(corpus)
        logits = self._logits(self.make_data(corpus, np.arange(len(corpus))))[codes >= 0]
        both = (("as trained", 1.0), ("calibrated", self.notes.get("temperature", 1.0)))
        return draw_reliability(
            [(title, reliability(probabilities(logits, heat), codes[codes >= 0])) for title, heat in both], path
        )

    @property
    def classes_(self) -> np.ndarray:
        """(K,) the classes, in the order of the columns of `predict_proba`. AttributeError before `fit`."""
        if self.net is None:
            raise AttributeError(
                f"{type(self).__name__}: classes_ are known after fit() has been called; call it first."
            )
        values: tuple[str, ...] = self.fields["label"].values
        if self.notes["labels"] == "whole":
            return np.array([int(value) for value in values])
        return np.array([value == "True" for value in values] if self.notes["labels"] == "truth" else list(values))

    def make_fields(self, corpus: Examples, rows: np.ndarray) -> dict[str, Any]:
        labels = corpus.labels or []
        fields: dict[str, Any] = {"label": Category.fit(labels[i] for i in rows.tolist())}
        if corpus.texts is None:
            series = corpus.series or []
            return {**fields, "series": Numbers.fit((series[i] for i in rows.tolist()), self.options.scaling)}
        vectors = corpus.texts.vectors(self.options)
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
        vectors = None if corpus is None or text is None else corpus.texts.vectors(chosen)
        usual = SERIES_DROPOUT if text is None else TEXT_DROPOUT
        reader: Reader
        if text is None:
            reader = SeriesReader(self.fields["series"].width, chosen.reading_dropout or 0.0)
        else:
            width = width_of(chosen, vectors, WIDTH, self.notes)
            reader = make_words(text, self.fields.get("spelling"), _dropping(chosen), width, vectors)
        pooled = PoolOptions(
            pooling=chosen.pooling or "max",
            dropout=usual if chosen.head_dropout is None else chosen.head_dropout,
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

    def split(self, corpus: Examples, part: float) -> tuple[np.ndarray, np.ndarray]:
        """As for every task, but no class is held out whole: what is never learned from is never predicted."""
        rows, held = super().split(corpus, part)
        labels = np.array(corpus.labels)
        lone = ~np.isin(labels[held], labels[rows])
        return np.sort(np.concatenate([rows, held[lone]])), held[~lone]

    def finish(self, corpus: Examples, rows: np.ndarray) -> None:
        """The temperature that makes the probabilities right on the rows that were held out."""
        heat = fit_temperature(self._logits(self.make_data(corpus, rows)), self._codes(corpus)[rows])
        # A few examples that happen to be all right say nothing for being surer than the network is.
        self.notes["temperature"] = heat if len(rows) >= ENOUGH else max(1.0, heat)

    def made_up(self, seed: int, rows: int) -> Examples:
        draw = [np.random.default_rng([seed if i >= rows // 2 else 0, i]) for i in range(rows)]
        classes = self.fields["label"].values
        labels = [classes[i % len(classes)] for i in range(rows)]
        places = Places("the made-up examples", "row", np.arange(rows))
        if "text" in self.fields:
            texts = Texts(random_texts(self.fields["text"], draw), self.options.shape)
            return Examples(texts, None, labels, "text", places, Columns())
        series = [self.fields["series"].draw(random) for random in draw]
        return Examples(None, series, labels, "text", places, Columns())

    def score(self, source: Any, y: Iterable[Any] | None = None) -> float:
        """The accuracy on labelled examples, in [0, 1]: what scikit-learn maximises."""
        return self.evaluate(source, y).accuracy

    def __sklearn_is_fitted__(self) -> bool:
        return self.net is not None

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
        # Other sources than delimited text have names of their own.
        bare = isinstance(source, str | Path) and suffix(source) in DELIMITERS
        columns = Columns(text, label, self.notes["names"] if bare else None)
        return read_examples(source, y, columns, self.options.shape, labelled=labelled)

    def _asked(self, source: Any, y: Iterable[Any] | None = None, *, labelled: bool = True) -> Examples:
        """A source for the fitted model."""
        self.fitted()
        corpus = self._read(source, y, labelled=labelled)
        _check_kind(type(self).__name__, corpus, texts="text" in self.fields)
        return corpus

    def _codes(self, corpus: Examples) -> np.ndarray:
        """(N,) the codes of the labels, -1 where unknown or missing."""
        labels: list[str | None] = [None] * len(corpus) if corpus.labels is None else list(corpus.labels)
        return np.asarray(self.fields["label"].encode_all(labels) - 1)

    def _logits(self, data: Rows[Labelled]) -> np.ndarray:
        net: Any = self.fitted()
        return np.stack(per_row(data, net, lambda batch: net.scores(batch.x))).astype(np.float64)

    def _probabilities(self, corpus: Examples) -> np.ndarray:
        if not len(corpus):
            return np.zeros((0, len(self.fields["label"].values)))
        logits = self._logits(self.make_data(corpus, np.arange(len(corpus))))
        return np.asarray(probabilities(logits, self.notes.get("temperature", 1.0)))


def _check_kind(owner: str, corpus: Examples, *, texts: bool) -> None:
    if len(corpus) and texts != (corpus.texts is not None):
        wanted, came = ("texts", "series") if texts else ("series", "texts")
        raise DataError(f"{owner}: expected {wanted}, as in training, got {came}; give {wanted}.")


def _dropping(options: ClassifierOptions) -> ClassifierOptions:
    """The options with the usual rates of what is dropped of a text, where none were given."""
    rates = {"reading_dropout": READING_DROPOUT, "embedding_dropout": WORD_DROPOUT}
    missing = {name: rate for name, rate in rates.items() if getattr(options, name) is None}
    return options.model_copy(update=missing)
