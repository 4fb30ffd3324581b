"""A task of one answer to a whole input that nobody foresaw: what `PooledTask` asks of it is enough."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

import unrolled as ur
from unrolled.align.pool import PoolOptions
from unrolled.data.batch.examples import CodeColumn
from unrolled.data.read.files import Places
from unrolled.errors import DataError, OptionError
from unrolled.fields.number import Number
from unrolled.heads.number.head import NumberHead
from unrolled.heads.number.likelihood import make_likelihood
from unrolled.inputs.columns import LabelColumns
from unrolled.model import registry
from unrolled.tasks.frame import Fields, Training
from unrolled.tasks.laws import generators
from unrolled.tasks.pooled import PooledNotes, PooledTask
from unrolled.tasks.reading.measured import MeasuredExamples, read_measured
from unrolled.tasks.reading.options import InputOptions


@dataclass(frozen=True)
class WeigherNotes(PooledNotes):
    heaviest: float = 0.0


class Weigher(PooledTask[MeasuredExamples]):
    """Learns one number for each input, without any interval; a weight is above 0."""

    task = "weigh"
    options_kind = InputOptions
    notes_kind = WeigherNotes
    notes: WeigherNotes

    def fit(self, source: object, y: Iterable[object] | None = None, valid: object = 0.1, **columns: Any) -> Self:
        return self.learn_from(source, y, LabelColumns(**columns), valid=valid, refit=False, training=Training())

    def predict(self, source: object) -> np.ndarray:
        data = self._every_row(self._asked(source, labelled=False))
        scaled = np.array(self._said_of_vectors(data, self._pool.head.best), np.float64)
        return np.asarray(self.fields["weight"].decode(scaled)[:, 0])

    def weights(self, source: object) -> np.ndarray:
        """The weights of a source that has them."""
        targets = self._asked(source).targets
        assert targets is not None
        return targets[:, 0]

    def read(
        self, source: object, y: Iterable[object] | None, columns: LabelColumns, *, labelled: bool
    ) -> MeasuredExamples:
        return read_measured(source, y, columns, self.options, labelled=labelled)

    def check_learnable(self, corpus: MeasuredExamples) -> None:
        corpus.check_differ()

    def check_answers(self, corpus: MeasuredExamples) -> None:
        if corpus.targets is not None and corpus.targets.min() <= 0:
            raise DataError("Weigher: expected weights above 0, got one below; weigh again.")

    def first_notes(self, corpus: MeasuredExamples) -> WeigherNotes:
        assert corpus.targets is not None
        return WeigherNotes(heaviest=float(corpus.targets.max()))

    def make_fields(self, corpus: MeasuredExamples, rows: np.ndarray) -> Fields:
        assert corpus.targets is not None
        return {"weight": Number.fit(corpus.targets[rows]), **corpus.inputs.fit(rows, self.options)}

    def answer_column(self, corpus: MeasuredExamples) -> CodeColumn:
        known = np.full((len(corpus), 1), np.nan) if corpus.targets is None else corpus.targets
        return CodeColumn(self.fields["weight"].encode(known).astype(np.float32))

    def make_head(self, features: int) -> NumberHead:
        return NumberHead(features, 1, make_likelihood("point", loss="mse"))

    @property
    def pooling(self) -> PoolOptions:
        return PoolOptions(pooling="mean")

    def made_up(self, seed: int, rows: int) -> MeasuredExamples:
        draw = generators(seed, rows)
        targets = np.array([[random.random() + 1] for random in draw])
        inputs = self.kind.made_up(self.fields, self.options, draw)
        return MeasuredExamples(inputs, Places("the rows", "row", np.arange(rows)), LabelColumns(), targets=targets)


WORDS = {"feather": 1, "stone": 5, "iron": 9}


def table(path: Path, count: int = 60, *, weight: float = 1.0) -> Path:
    """Texts of three words and their weight together, a line each, without a header."""
    random = np.random.default_rng(0)
    lines = [random.choice(list(WORDS), 3).tolist() for _ in range(count)]
    path.write_text("".join(f"{' '.join(line)},{weight * sum(map(WORDS.__getitem__, line))}\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def weigher(tmp_path_factory: pytest.TempPathFactory) -> Weigher:
    model = Weigher(hidden_size=8, embedding_size=8, epochs=25, learning_rate=0.02, reading_dropout=0.0)
    source = table(tmp_path_factory.mktemp("weights") / "weights.csv")
    return model.fit(source, names=("things", "kilos"), text="things", label="kilos")


def test_a_task_of_its_six_parts_learns_saves_and_keeps_the_laws(
    weigher: Weigher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_TASKS", {**registry._TASKS, "weigh": Weigher})
    light, heavy = weigher.predict(["feather feather feather", "iron iron iron"])
    assert heavy - light > 12
    again = ur.load(weigher.save(tmp_path / "model.unrolled"))
    assert isinstance(again, Weigher)
    assert again.notes == weigher.notes
    np.testing.assert_array_equal(again.predict(["stone iron"]), weigher.predict(["stone iron"]))
    weigher.check()


def test_the_columns_of_training_are_those_of_a_later_file_without_a_header(weigher: Weigher, tmp_path: Path) -> None:
    assert (weigher.notes.columns, weigher.notes.names) == (("things", "kilos"), ("things", "kilos"))
    later = table(tmp_path / "later.csv", count=4)
    weights = [float(line.split(",")[1]) for line in later.read_text().splitlines()]
    assert weigher.weights(later).tolist() == weights
    # What has names of its own is not given those.
    named = tmp_path / "named.jsonl"
    named.write_text('{"kilos": 9, "note": "", "things": "iron"}\n')
    assert weigher.weights(named).tolist() == [9.0]


def test_answers_of_another_form_are_refused_of_a_fitted_task(weigher: Weigher, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected weights above 0"):
        weigher.weights(table(tmp_path / "wrong.csv", weight=-1.0))
    assert weigher.predict(table(tmp_path / "unasked.csv", count=4, weight=-1.0)).shape == (4,)


def test_a_fit_that_fails_leaves_the_model_as_it_was(weigher: Weigher) -> None:
    notes = weigher.notes
    with pytest.raises(DataError, match="valid: expected texts, as in training, got series"):
        weigher.fit(["iron", "stone"], [9, 5], valid=([np.ones((3, 1))], [1.0]))
    with pytest.raises(DataError, match="expected numbers that differ"):
        weigher.fit(["iron", "stone"], [9, 9])
    assert weigher.notes is notes


def test_what_a_task_has_not_learned_from_has_no_kind() -> None:
    with pytest.raises(OptionError, match=r"Classifier: expected a fitted model"):
        _ = ur.Classifier().kind
