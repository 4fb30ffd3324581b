from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from unrolled.data.read.files import Places
from unrolled.errors import DataError
from unrolled.inputs import SeriesInput, TextInput
from unrolled.inputs.columns import LabelColumns
from unrolled.inputs.texts import Texts
from unrolled.tasks import Classifier, Recognizer, Regressor
from unrolled.tasks.reading.corpus import InputCorpus
from unrolled.tasks.reading.labelled import LabelledExamples
from unrolled.tasks.reading.measured import MeasuredExamples
from unrolled.tasks.reading.transcripts import Utterances

COUNT = 3
# A corpus of each kind, what its answers are called, those, and the task that reads it.
CORPORA: list[Any] = [
    (LabelledExamples, {"labels": ["a", "b", "c"]}, Classifier),
    (MeasuredExamples, {"targets": np.array([[1.0], [2.0], [3.0]])}, Regressor),
    (Utterances, {"texts": ["one", "", "two"]}, Recognizer),
]
EACH = pytest.mark.parametrize(("kind", "answers", "task"), CORPORA, ids=lambda value: getattr(value, "__name__", ""))


def corpus(kind: Any, answers: dict[str, Any]) -> InputCorpus:
    series = SeriesInput([np.arange(8.0)[:, None] + row for row in range(COUNT)])
    made = kind(series, Places("the arrays", "row", np.arange(COUNT)), LabelColumns(), **answers)
    assert isinstance(made, InputCorpus)
    return made


@EACH
def test_every_version_of_an_input_has_its_answer_and_its_place(kind: Any, answers: dict[str, Any], task: Any) -> None:
    whole = corpus(kind, answers)
    several = whole.versions(task(speeds=(0.5, 2.0)).options)
    assert (type(several), len(several)) == (kind, 3 * COUNT)
    assert [len(values) for values in several.inputs.values] == [8] * COUNT + [16] * COUNT + [4] * COUNT
    assert [several.places.of(row) for row in range(3 * COUNT)] == [whole.places.of(row) for row in range(COUNT)] * 3
    [(name, known)] = answers.items()
    assert list(getattr(several, name)) == list(known) * 3


@EACH
def test_inputs_without_answers_have_versions_too(kind: Any, answers: dict[str, Any], task: Any) -> None:
    several = corpus(kind, {}).versions(task(speeds=(2.0,)).options)
    [name] = answers
    assert (len(several), getattr(several, name)) == (2 * COUNT, None)


@EACH
def test_no_other_version_is_the_corpus_itself(kind: Any, answers: dict[str, Any], task: Any) -> None:
    whole = corpus(kind, answers)
    assert whole.versions(task().options) is whole


@EACH
def test_examples_held_out_are_of_the_kind_that_is_learned(kind: Any, answers: dict[str, Any], task: Any) -> None:
    whole = corpus(kind, answers)
    whole.check_held(None)
    whole.check_held(whole)
    texts = TextInput(Texts(["a b"] * COUNT, Classifier().options.text.shape))
    with pytest.raises(DataError, match="valid: expected series, as in training, got texts; give series"):
        whole.check_held(kind(texts, whole.places, LabelColumns(), **answers))
