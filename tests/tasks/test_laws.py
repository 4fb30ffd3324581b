"""What `check` promises of a fitted task: it passes, and a bug put in on purpose breaks the law that it should."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import unrolled.align.pool
import unrolled.heads.crf
import unrolled.heads.head
from unrolled.align.decode import Decode
from unrolled.align.pool import Pool
from unrolled.fields.tags import Tags
from unrolled.inputs.texts import Texts
from unrolled.model import BrokenLaw
from unrolled.nn.reading.attention import Attention
from unrolled.nn.reading.reader import Reader, SeriesReader
from unrolled.nn.recurrent import Recurrent
from unrolled.padding import Padded
from unrolled.tasks import Classifier, LanguageModel, Tagger, Translator

LAWS = ["padding", "batch", "round trip of the fields", "round trip of the model", "leak"]


def test_every_task_keeps_the_laws(
    critic: Classifier, climber: Classifier, grammarian: Tagger, registrar: Tagger, writer: LanguageModel,
    mirror: Translator,
) -> None:  # fmt: skip
    for model in (critic, climber, grammarian, registrar, mirror):
        assert [verdict.name for verdict in model.check().verdicts][-5:] == LAWS
    assert [verdict.name for verdict in writer.check().verdicts][-4:] == [LAWS[0], *LAWS[2:]]


def test_checking_a_model_leaves_it_as_it_was(
    critic: Classifier, climber: Classifier, grammarian: Tagger, registrar: Tagger, writer: LanguageModel,
    mirror: Translator,
) -> None:  # fmt: skip
    for model in (critic, climber, grammarian, registrar, writer, mirror):
        before = copy.deepcopy(model.pack()[0])
        model.check()
        assert model.pack()[0] == before


FIT: Any = Texts.fit


def fitted_on_all(self: Texts, rows: np.ndarray, *rest: Any, **more: Any) -> Any:
    return FIT(self, np.arange(len(self)), *rest, **more)


@pytest.mark.parametrize("name", ["critic", "grammarian", "mirror"])
def test_a_vocabulary_of_all_rows_is_caught(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = request.getfixturevalue(name)
    monkeypatch.setattr(Texts, "fit", fitted_on_all)
    with pytest.raises(BrokenLaw, match="leak"):
        model.check()


def test_a_vocabulary_of_the_whole_text_is_caught(writer: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Texts, "fit", fitted_on_all)
    with pytest.raises(BrokenLaw, match="leak"):
        writer.check()


def test_a_scaling_of_all_rows_is_caught(climber: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Classifier.make_fields

    def leaky(self: Classifier, corpus: Any, rows: np.ndarray) -> dict[str, Any]:
        return plain(self, corpus, np.arange(len(corpus)))

    monkeypatch.setattr(Classifier, "make_fields", leaky)
    with pytest.raises(BrokenLaw, match="leak"):
        climber.check()


def test_a_vector_pooled_over_the_padding_is_caught(
    critic: Classifier, climber: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pool, "pooled", lambda self, y, lengths: y.mean(1))
    for model in (critic, climber):
        with pytest.raises(BrokenLaw, match="batch"):
            model.check()


def test_a_network_that_sees_the_padding_is_caught(
    critic: Classifier, climber: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:

    def everything(reader: Reader, encoder: Recurrent[Any], x: Padded) -> tuple[Tensor, Tensor, Any]:
        y, state = encoder(reader(x))
        return y, x.lengths, state

    monkeypatch.setattr(unrolled.align.pool, "encode", everything)
    monkeypatch.setattr(SeriesReader, "forward", lambda self, x: x.values.nan_to_num(1.0))
    for model in (critic, climber):
        with pytest.raises(BrokenLaw, match="padding"):
            model.check()


@pytest.mark.parametrize("name", ["grammarian", "registrar"])
def test_tags_learned_in_the_padding_are_caught(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = request.getfixturevalue(name)

    def everywhere(lengths: Tensor, steps: int) -> Tensor:
        return torch.ones(len(lengths), steps, dtype=torch.bool)

    monkeypatch.setattr(unrolled.heads.head, "valid_mask", everywhere)
    if model.fields["tags"].scheme != "none":
        monkeypatch.setattr(unrolled.heads.crf, "valid_mask", everywhere)
        monkeypatch.setattr(unrolled.heads.crf, "zero_padding", lambda x, lengths: x)
    with pytest.raises(BrokenLaw, match="padding"):
        model.check()


def test_codes_learned_in_the_padding_are_caught(writer: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def everywhere(lengths: Tensor, steps: int) -> Tensor:
        return torch.ones(len(lengths), steps, dtype=torch.bool)

    monkeypatch.setattr(unrolled.heads.head, "valid_mask", everywhere)
    with pytest.raises(BrokenLaw, match="padding"):
        writer.check()


def test_attention_to_the_padding_is_caught(mirror: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Attention.remember

    def blind(self: Attention, values: Tensor, lengths: Tensor) -> Any:
        return plain(self, values, torch.full_like(lengths, values.shape[1]))

    monkeypatch.setattr(Attention, "remember", blind)
    with pytest.raises(BrokenLaw, match="padding"):
        mirror.check()


def test_a_row_that_reads_its_neighbours_is_caught(mirror: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Decode._read

    def mixed(self: Decode, source: Any) -> Any:
        values, lengths, summary = plain(self, source)
        return values, lengths, summary - summary.mean(0, keepdim=True)

    monkeypatch.setattr(Decode, "_read", mixed)
    with pytest.raises(BrokenLaw, match="batch"):
        mirror.check()


def test_a_field_that_forgets_is_caught(registrar: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tags, "to_json", lambda self: {"values": list(self.values), "scheme": "none"})
    plain = Tags.from_json

    def forgetful(data: dict[str, Any]) -> Tags:
        return plain({**data, "values": data["values"][1:]})

    monkeypatch.setattr(Tags, "from_json", forgetful)
    with pytest.raises(BrokenLaw, match="round trip of the fields"):
        run_fields(registrar)


def run_fields(model: Any) -> None:
    """The laws of the fields alone: a model with such a field cannot be loaded at all."""
    from unrolled.model.laws import run_laws

    run_laws([law for law in model.laws() if "fields" in law.name])


def test_weights_that_come_back_rounded_are_caught(climber: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    plain: Any = torch.nn.Module.load_state_dict

    def rounded(self: Any, weights: dict[str, Tensor], *rest: Any) -> Any:
        return plain(self, {name: value.bfloat16().float() for name, value in weights.items()}, *rest)

    monkeypatch.setattr(Pool, "load_state_dict", rounded, raising=False)
    with pytest.raises(BrokenLaw, match="round trip of the model"):
        climber.check()


def test_vectors_are_not_read_again_for_the_laws(toys: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "vectors.txt").write_text("good 1 0 0\nbad 0 1 0\n")
    options = {**toys.quick, "vectors": str(tmp_path / "vectors.txt"), "epochs": 1, "embedding_size": None}
    model = Classifier(**options).fit(*toys.reviews(12))
    (tmp_path / "vectors.txt").unlink()
    model.check()


def test_a_model_without_a_known_word_keeps_the_laws(toys: SimpleNamespace) -> None:
    texts: Sequence[str] = ["a b", "c d", "e f", "g h"]
    model = Classifier(**toys.quick, min_count=5, epochs=1).fit(texts, ["x", "y", "x", "y"])
    assert model.fields["text"].size == 4
    model.check()
