"""What a translator reads is any kind of input: here series of numbers, which it writes down in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from unrolled.errors import OptionError
from unrolled.inputs import SeriesInput, SeriesOptions, TextInput
from unrolled.inputs.augment import MaskOptions
from unrolled.tasks import Translator
from unrolled.tasks.frame import Training
from unrolled.tasks.laws import sequence_laws
from unrolled.tasks.reading.pairs import Pairs
from unrolled.tasks.translate import TranslatorNotes, TranslatorOptions
from unrolled.tasks.writing.targets import Search

QUICK: dict[str, Any] = {
    "level": "word", "hidden_size": 16, "embedding_size": 8, "learning_rate": 0.02, "epochs": 60, "batch_size": 16,
    "head_dropout": 0.0, "reading_dropout": 0.0, "label_smoothing": 0.0, "warmup": 0, "max_steps": 300,
}  # fmt: skip


class TellerOptions(TranslatorOptions):
    """Options of a `Teller`: those of series, too."""

    owner = "Teller"
    series: SeriesOptions = SeriesOptions()
    augment: MaskOptions = MaskOptions()


class Teller(Translator):
    """Writes down in words which way a series goes."""

    options_kind = TellerOptions
    options: TellerOptions


def steps(count: int, model: Teller) -> tuple[Pairs, list[str]]:
    """Series that go up and down, and the words for it."""
    random = np.random.default_rng(0)
    ways = [random.integers(0, 2, int(random.integers(1, 4))).tolist() for _ in range(count)]
    texts = [" ".join(("down", "up")[way] for way in own) for own in ways]
    series = SeriesInput([np.array(own, float)[:, None] * 2 - 1 for own in ways])
    return Pairs(series, TextInput.of(texts, model.options)), texts


def test_sources_of_another_kind_are_learned_from_and_written_down() -> None:
    model = Teller(**QUICK)
    pairs, texts = steps(60, model)
    with model.anew(TranslatorNotes()):
        model.learn(pairs, None, part=0.0, refit=False, training=Training(None, False, False, ()))
    assert model.kind is SeriesInput
    assert set(model.fields) == {"series", "target"}
    rows = np.arange(len(pairs))
    found = model._writer().write(model.make_data(pairs, rows), Search(3, 1, 1.0, None))
    right = np.mean([best[0][0] == text for best, text in zip(found, texts, strict=True)])
    assert right > 0.9
    laws = {law.name: law for law in sequence_laws(model)}
    for name in ("padding", "batch", "leak"):
        assert laws[name].error() <= laws[name].tolerance


def test_words_are_copied_from_texts_alone() -> None:
    model = Teller(**QUICK, copying="pointer")
    pairs, _ = steps(3, model)
    with model.anew(TranslatorNotes()), pytest.raises(OptionError, match="words are copied from texts, got series"):
        model.learn(pairs, None, part=0.0, refit=False, training=Training(None, False, False, ()))
