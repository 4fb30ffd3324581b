"""Regression: a number, or several, for a whole text, series or sound, with intervals that hold what they promise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Self, cast

import numpy as np
from torch import Tensor, nn

from unrolled.align.pool import Labelled, Pool
from unrolled.data.batch.examples import CodeColumn, Examples
from unrolled.data.panel.steps import StepColumns
from unrolled.data.read.files import Places
from unrolled.data.read.sources import is_delimited
from unrolled.errors import OptionError
from unrolled.fields.number import Number
from unrolled.heads.number.head import NumberHead
from unrolled.inputs.columns import LabelColumns
from unrolled.inputs.input import check_kind, version_rows
from unrolled.score.regression import RegressionReport, regression_report
from unrolled.tasks.batches import per_row
from unrolled.tasks.frame import Fields, SequenceTask, Training, given_source, held_out
from unrolled.tasks.intervals import Intervals, NumberOptions, learned_intervals, regressor_tags, stretches, widened
from unrolled.tasks.laws import generators
from unrolled.tasks.notes import Notes
from unrolled.tasks.pooled import ENOUGH, pooled_net, pooled_training
from unrolled.tasks.reading.measured import MeasuredExamples, read_measured
from unrolled.tasks.reading.options import InputOptions
from unrolled.train import Callback, TrainOptions

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
class RegressorNotes(Notes):
    """columns: of the texts and of the numbers; names: of all columns, where a file had no header. several: whether
    targets are lists. median: of each target. stretch: of each level and target, empty without rows held out; held: how
    many those were. width: of the file of vectors. steps: the parts of `StepColumns`."""

    columns: tuple[str | None, str | None] = (None, None)
    names: tuple[str, ...] | None = None
    several: bool = False
    median: tuple[float, ...] = ()
    stretch: tuple[tuple[float, ...], ...] = ()
    held: int = 0
    width: int | None = None
    steps: tuple[str | None, str | None, tuple[str, ...] | None] = (None, None, None)


class Regressor(SequenceTask[MeasuredExamples, Examples[Labelled]]):
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
        label: str | None = None,
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
            text, label, names: columns of a table, and the names of all columns where a file has no header.
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
        columns = LabelColumns(text, label, None if names is None else tuple(names), StepColumns(id, time))
        corpus = read_measured(source, y, columns, self.options, labelled=True)
        columns.steps.check_used(corpus.columns.steps)
        corpus.check_differ()
        training = Training(None if run is None else Path(run), progress, resume, tuple(callbacks))
        steps = astuple(corpus.columns.steps)
        with self.anew(RegressorNotes(*corpus.columns.parts, corpus.several, steps=steps)):
            part, later = given_source(valid, self._read)
            corpus.check_held(later)
            return self.learn(corpus, later, part=part, refit=refit, training=training, remarks=corpus.remarks)

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
    def has_intervals(self) -> bool:
        """Whether there is anything to say of how far off a number may be."""
        return bool(self.notes.stretch) or self.options.head.likelihood != "point"

    def make_fields(self, corpus: MeasuredExamples, rows: np.ndarray) -> Fields:
        targets = _targets(corpus)[rows]
        self.notes = replace(self.notes, median=tuple(np.median(targets, axis=0).tolist()))
        return {"target": Number.fit(targets), **corpus.inputs.fit(rows, self.options)}

    def make_data(self, corpus: MeasuredExamples, rows: np.ndarray) -> Examples[Labelled]:
        inputs, lengths = corpus.inputs.column(self.fields)
        field: Number = self.fields["target"]
        known = np.full((len(corpus), field.width), np.nan) if corpus.targets is None else corpus.targets
        targets = CodeColumn(field.encode(known).astype(np.float32))
        return Examples(Labelled, (inputs, targets), lengths).select(rows)

    def make_training_data(self, corpus: MeasuredExamples, rows: np.ndarray) -> Examples[Labelled]:
        heard = corpus.versions(self.options)
        return self.make_data(heard, version_rows(rows, len(corpus), len(heard)))

    def make_net(self, corpus: MeasuredExamples | None = None) -> nn.Module:
        chosen, head = self.options, self.options.head
        inputs = None if corpus is None else corpus.inputs
        if inputs is not None:
            self.notes = replace(self.notes, width=inputs.width(chosen))
        pooling = head.settled(DROPOUT)

        def numbers(features: int) -> NumberHead:
            return NumberHead(features, self.fields["target"].width, head.make())

        return pooled_net(inputs, self.fields, chosen, self.notes.width, pooling, numbers)

    def make_training(self, data: Examples[Labelled], *, scored: bool) -> TrainOptions:
        return pooled_training(self.options, data, scored=scored)

    def stops_by(self, held: int) -> bool:
        return held >= ENOUGH

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
        found = stretches(likelihood, intervals, field.encode(_targets(corpus)[rows]), shares)
        self.notes = replace(self.notes, stretch=tuple(map(tuple, found.tolist())), held=len(rows))

    def made_up(self, seed: int, rows: int) -> MeasuredExamples:
        draw = generators(seed, rows)
        field: Number = self.fields["target"]
        targets = np.array([field.decode(random.normal(size=(1, field.width)))[0] for random in draw])
        inputs = self.kind.made_up(self.fields, self.options, draw)
        places = Places("the made-up examples", "row", np.arange(rows))
        return MeasuredExamples(inputs, places, LabelColumns(), targets=targets, several=self.notes.several)

    def __sklearn_is_fitted__(self) -> bool:
        return self.net is not None

    def __sklearn_tags__(self) -> object:
        return regressor_tags()

    def _read(self, source: object, y: Iterable[object] | None = None, *, labelled: bool = True) -> MeasuredExamples:
        """A source as `fit` reads it, with the columns that it found."""
        names = self.notes.names if is_delimited(source) else None
        columns = LabelColumns(*self.notes.columns, names, StepColumns(*self.notes.steps))
        return read_measured(source, y, columns, self.options, labelled=labelled)

    def _asked(self, source: object, y: Iterable[object] | None = None, *, labelled: bool = True) -> MeasuredExamples:
        """A source for the fitted model."""
        self.fitted()
        corpus = self._read(source, y, labelled=labelled)
        check_kind(type(self).__name__, self.kind.kind, corpus.inputs)
        corpus.check_values(type(self).__name__, self.fields["target"].width)
        return corpus

    def _judged(self, source: object, y: Iterable[object] | None) -> tuple[MeasuredExamples, np.ndarray]:
        """A source with numbers, and those."""
        corpus = self._asked(source, y)
        return corpus, _targets(corpus)

    @property
    def _head(self) -> NumberHead:
        return cast(NumberHead, cast("Pool[object]", self.fitted()).head)

    def _parameters(self, data: Examples[Labelled]) -> np.ndarray:
        """(N, V, width) of the likelihood, in the space of scaled numbers."""
        net, head = cast("Pool[object]", self.fitted()), self._head

        def predict(batch: Labelled) -> Tensor:
            return head.distribution(net.vectors(batch.x)).float()

        found = per_row(data, net, predict)
        shape = (len(found), head.values, head.likelihood.width)
        return np.array(found, np.float64).reshape(shape)

    def _learned(self, corpus: MeasuredExamples) -> Intervals:
        data = self.make_data(corpus, np.arange(len(corpus)))
        return learned_intervals(self._head.likelihood, self._parameters(data), self.options.head.shares)

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
