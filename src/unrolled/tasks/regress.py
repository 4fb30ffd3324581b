"""Regression: a number, or several, for a whole text, series or sound, with intervals that hold what they promise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, cast

import numpy as np

from unrolled.align.pool import Labelled, PoolOptions
from unrolled.data.batch.examples import CodeColumn, Examples
from unrolled.data.panel.steps import StepColumns
from unrolled.data.read.files import Places
from unrolled.errors import OptionError
from unrolled.fields.number import Number
from unrolled.heads.number.head import NumberHead
from unrolled.inputs.columns import LabelColumns
from unrolled.score.regression import RegressionReport, regression_report
from unrolled.tasks.frame import Fields, Training, held_out
from unrolled.tasks.intervals import Intervals, NumberOptions, learned_intervals, regressor_tags, stretches, widened
from unrolled.tasks.laws import generators
from unrolled.tasks.pooled import PooledNotes, PooledTask
from unrolled.tasks.reading.measured import MeasuredExamples, read_measured
from unrolled.tasks.reading.options import InputOptions
from unrolled.train import Callback

__all__ = ["Regressor", "RegressorOptions"]

# Before the output where none is asked for: noise on a vector moves every number, where a class mostly stays.
DROPOUT = 0.0
# More rows than this part are not held out for the sake of a level.
MOST_HELD = 1 / 3


class RegressorOptions(InputOptions):
    """Every option of a `Regressor`, in groups; those of encoder and head are chosen by the kind of inputs.

    head: `NumberOptions`. The others are those of `InputOptions`.
    """

    owner = "Regressor"

    head: NumberOptions = NumberOptions()


@dataclass(frozen=True)
class RegressorNotes(PooledNotes):
    """As `PooledNotes`. more: the columns of targets beside the first. several: whether targets are lists. median: of
    each target. stretch: of each level and target, empty without rows held out; held: how many those were."""

    several: bool = False
    median: tuple[float, ...] = ()
    stretch: tuple[tuple[float, ...], ...] = ()
    held: int = 0
    more: tuple[str, ...] = ()

    def with_columns(self, columns: LabelColumns) -> Self:
        return replace(super().with_columns(columns), more=columns.more)

    def label_columns(self, source: object) -> LabelColumns:
        return replace(super().label_columns(source), more=self.more)


class Regressor(PooledTask[MeasuredExamples]):
    """Learns from examples which number belongs to a text, a series or a sound: a rating, a dose, a frequency.

    options: any of `RegressorOptions`, flat. Keeps scikit-learn's contract for estimators: `get_params`, `set_params`,
    `fit(X, y)`, `predict`, `score`.

    Intervals are calibrated by rows that were not learned from (split conformal prediction): of further rows like those
    a level of 80 holds 80 %, however wrong the network is, whatever the likelihood.

    Raises `OptionError` for an unknown option (with the nearest known one) or a bad value.

    Source: intervals: Lei et al. 2018, arXiv:1604.04173, with distances measured in the widths that were learned.
    """

    task = "regress"
    options_kind = RegressorOptions
    options: RegressorOptions
    notes_kind = RegressorNotes
    notes: RegressorNotes
    score_name = "the loss of the scaled numbers"
    # How scikit-learn before 1.6 knows a regressor.
    _estimator_type = "regressor"

    def fit(
        self,
        source: object,
        y: Iterable[object] | None = None,
        *,
        text: str | None = None,
        label: str | Sequence[str] | None = None,
        id: str | None = None,
        time: str | None = None,
        names: Sequence[str] | None = None,
        valid: object = 0.1,
        refit: bool = False,
        run: str | Path | None = None,
        progress: bool = False,
        resume: bool = False,
        callbacks: Sequence[Callback] = (),
    ) -> Self:
        """Learn from examples with a number each.

        Args:
            source: what a `Classifier` takes, with numbers as labels: a table with texts, or paths of sound files, and
                numbers (path, dataframe, dict or list of dicts), or a file of series (.ts, .npz, ...); or the inputs
                themselves, with numbers in `y`.
            y: one number for each input, or as many for each, (N, V).
            text, label, names: columns of a table, and the names of all columns where a file has no header; a list of
                labels: a number of each is learned.
            id, time: of a table of series, whose rows are their steps: which series, and when. Its other columns of
                numbers are the channels.
            valid: examples that decide when to stop and that calibrate the intervals: a part of these (0.1; more of a
                small set, as the widest level needs, but at most a third), a source of the same kind, or (inputs,
                numbers). 0: none, then `epochs` are trained to the end, and intervals are as they were learned.
            refit: learn from that part, too, in the end: of a second network the intervals no longer hold exactly.
            run, progress, resume, callbacks: as in `unrolled.train.fit`.

        Raises:
            DataError, OptionError: the data or an option cannot be used, in one sentence.
        """
        labels = () if label is None else (label,) if isinstance(label, str) else tuple(label)
        header = None if names is None else tuple(names)
        columns = LabelColumns(text, next(iter(labels), None), header, StepColumns(id, time), more=labels[1:])
        training = Training(None if run is None else Path(run), progress, resume, tuple(callbacks))
        return self.learn_from(source, y, columns, valid=valid, refit=refit, training=training)

    def predict(self, source: object) -> np.ndarray:
        """The number of each input, (N,), or (N, V) where targets are lists: of whatever `fit` takes."""
        corpus = self._asked(source, labelled=False)
        return self._shaped(self._decoded(self._learned(corpus).middle))

    def predict_interval(self, source: object) -> np.ndarray:
        """The lower and the upper end of the interval of each of `levels`: (N, L, 2), or (N, V, L, 2)."""
        corpus = self._asked(source, labelled=False)
        return self._shaped(np.stack(self._intervals(self._learned(corpus)), -1))

    def evaluate(self, source: object, y: Iterable[object] | None = None) -> RegressionReport:
        """Errors, R^2, and coverage and width of the intervals, beside constants, on examples as in `fit`."""
        corpus, truth = self._judged(source, y)
        intervals = self._learned(corpus)
        lower, upper = self._intervals(intervals) if self.has_intervals else (np.zeros((*truth.shape, 0)),) * 2
        levels = self.options.head.levels if self.has_intervals else ()
        field: Number = self.fields["target"]
        constants = {"training mean": field.center[0], "training median": np.array(self.notes.median)}
        return regression_report(truth, self._decoded(intervals.middle), lower, upper, levels, constants)

    def score(self, source: object, y: Iterable[object] | None = None) -> float:
        """R^2, at most 1, the mean over targets: what scikit-learn maximises."""
        corpus, truth = self._judged(source, y)
        guess = self._decoded(self._learned(corpus).middle)
        return regression_report(truth, guess, guess[..., :0], guess[..., :0], (), {}).r2

    def plot(self, source: object, path: str | Path, y: Iterable[object] | None = None) -> Path:
        """Draw what was predicted against what is true; the name's ending says which kind of picture."""
        from unrolled.inspect.regression import draw_regression

        corpus, truth = self._judged(source, y)
        intervals, levels = self._learned(corpus), self.options.head.levels
        widest = None
        if self.has_intervals and levels:
            lower, upper = self._intervals(intervals)
            place = int(np.argmax(levels))
            widest = (levels[place], lower[..., place], upper[..., place])
        return draw_regression(truth, self._decoded(intervals.middle), widest, path)

    @property
    def target_names(self) -> tuple[str, ...]:
        """What the targets are called: their columns in a table, else their numbers from 1."""
        first, more = self.notes.columns[1], self.notes.more
        named = more and first is not None
        return (str(first), *more) if named else tuple(f"{i + 1}" for i in range(self.fields["target"].width))

    @property
    def has_intervals(self) -> bool:
        """Whether there is anything to say of how far off a number may be."""
        return bool(self.notes.stretch) or self.options.head.likelihood != "point"

    def read(
        self, source: object, y: Iterable[object] | None, columns: LabelColumns, *, labelled: bool
    ) -> MeasuredExamples:
        return read_measured(source, y, columns, self.options, labelled=labelled)

    def check_learnable(self, corpus: MeasuredExamples) -> None:
        corpus.check_differ()

    def check_answers(self, corpus: MeasuredExamples) -> None:
        corpus.check_values(type(self).__name__, self.fields["target"].width)

    def first_notes(self, corpus: MeasuredExamples) -> RegressorNotes:
        return RegressorNotes(several=corpus.several)

    def make_fields(self, corpus: MeasuredExamples, rows: np.ndarray) -> Fields:
        targets = _targets(corpus)[rows]
        self.notes = replace(self.notes, median=tuple(np.median(targets, axis=0).tolist()))
        return {"target": Number.fit(targets), **corpus.inputs.fit(rows, self.options)}

    def answer_column(self, corpus: MeasuredExamples) -> CodeColumn:
        field: Number = self.fields["target"]
        known = np.full((len(corpus), field.width), np.nan) if corpus.targets is None else corpus.targets
        return CodeColumn(field.encode(known).astype(np.float32))

    def make_head(self, features: int) -> NumberHead:
        return NumberHead(features, self.fields["target"].width, self.options.head.make())

    @property
    def pooling(self) -> PoolOptions:
        return self.options.head.settled(DROPOUT)

    def split(self, corpus: MeasuredExamples, part: float) -> tuple[np.ndarray, np.ndarray]:
        """As for every task, but as many rows are held out as the widest level needs, where they are there."""
        needed = min(self.options.head.rows_needed / len(corpus), MOST_HELD)
        if held_out(len(corpus), part) < self.options.head.rows_needed:
            part = max(part, needed)
        return super().split(corpus, part)

    def finish(self, corpus: MeasuredExamples, rows: np.ndarray) -> None:
        """How far the intervals must be widened to hold what they promise of the rows that were held out."""
        likelihood, shares, field = self._head.likelihood, self.options.head.shares, self.fields["target"]
        intervals = learned_intervals(likelihood, self._parameters(self.make_data(corpus, rows)), shares)
        stretch = stretches(likelihood, intervals, field.encode(_targets(corpus)[rows]), shares)
        self.notes = replace(self.notes, stretch=tuple(map(tuple, stretch.tolist())), held=len(rows))

    def made_up(self, seed: int, rows: int) -> MeasuredExamples:
        draw = generators(seed, rows)
        field: Number = self.fields["target"]
        targets = np.array([field.decode(random.normal(size=(1, field.width)))[0] for random in draw])
        inputs = self.kind.made_up(self.fields, self.options, draw)
        places = Places("the made-up examples", "row", np.arange(rows))
        return MeasuredExamples(inputs, places, LabelColumns(), targets=targets, several=self.notes.several)

    def __sklearn_tags__(self) -> object:
        return regressor_tags()

    def _judged(self, source: object, y: Iterable[object] | None) -> tuple[MeasuredExamples, np.ndarray]:
        """A source with numbers, and those."""
        corpus = self._asked(source, y)
        return corpus, _targets(corpus)

    @property
    def _head(self) -> NumberHead:
        return cast(NumberHead, self._pool.head)

    def _parameters(self, data: Examples[Labelled]) -> np.ndarray:
        """(N, V, width) of the likelihood, in the space of scaled numbers."""
        head = self._head
        parameters = self._said_of_vectors(data, lambda vectors: head.distribution(vectors).float())
        return np.array(parameters, np.float64).reshape(len(data), head.values, head.likelihood.width)

    def _learned(self, corpus: MeasuredExamples) -> Intervals:
        parameters = self._parameters(self._every_row(corpus))
        return learned_intervals(self._head.likelihood, parameters, self.options.head.shares)

    def _intervals(self, intervals: Intervals) -> tuple[np.ndarray, np.ndarray]:
        """The lower and the upper ends, (N, V, L), in the unit of the targets."""
        if not self.has_intervals:
            raise OptionError(
                "Regressor: likelihood 'point' knows intervals by rows that were held out alone, and there were none; "
                "fit with valid=0.1, or choose another likelihood."
            )
        shares = self.options.head.shares
        ones = np.ones((len(shares), intervals.middle.shape[1]))
        stretch = np.array(self.notes.stretch).reshape(ones.shape) if self.notes.stretch else ones
        lower, upper = (np.moveaxis(self._decoded(np.moveaxis(end, 1, 2)), 2, 1)
                        for end in widened(intervals, stretch, shares))  # fmt: skip
        return lower, upper

    def _decoded(self, scaled: np.ndarray) -> np.ndarray:
        """Scaled numbers (..., V) in the unit of the targets."""
        field: Number = self.fields["target"]
        return field.decode(scaled)

    def _shaped(self, values: np.ndarray) -> np.ndarray:
        """(N, V, ...) as targets came: without V where each was one number."""
        return values if self.notes.several else values[:, 0]


def _targets(corpus: MeasuredExamples) -> np.ndarray:
    assert corpus.targets is not None
    return corpus.targets
