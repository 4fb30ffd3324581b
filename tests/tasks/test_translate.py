from __future__ import annotations

import itertools
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sacrebleu
import torch

from unrolled.errors import DataError, OptionError
from unrolled.fields.text import BEGIN, END
from unrolled.model import load
from unrolled.tasks import Translator
from unrolled.tasks.reading.pairs import PairColumns


def test_reversing_a_short_text_is_learned(mirror: Translator, toys: SimpleNamespace) -> None:
    sources, targets = toys.reversals(60, seed=1)
    said = mirror.predict(sources)
    assert np.mean([a == b for a, b in zip(said, targets, strict=True)]) > 0.8
    report = mirror.evaluate(sources, targets)
    assert report.bleu.value == pytest.approx(sacrebleu.corpus_bleu(said, [targets], force=True).score)
    assert report.chrf.value == pytest.approx(sacrebleu.corpus_chrf(said, [targets]).score)
    assert report.sentences == 60
    assert set(report.to_json()) == {"bleu", "chrf", "rouge", "sentences"}
    assert "ROUGE" in str(report)


@pytest.mark.parametrize(("copying", "right"), [("pointer", 0.9), ("unknown", 0.6), ("none", 0.0)])
def test_words_never_seen_are_copied(copying: str, right: float, toys: SimpleNamespace, tmp_path: Path) -> None:
    texts, others = toys.echoes(150), toys.echoes(50, seed=1)
    options = {**toys.pairs, "copying": copying, "min_count": 3, "epochs": 20, "split": "space"}
    model = Translator(**options).fit(texts, texts)
    said = model.predict(others)
    exact = np.mean([a == b for a, b in zip(said, others, strict=True)])
    assert exact >= right
    named = [text for text, source in zip(said, others, strict=True) if "name" in source]
    assert any("name" in text for text in named) == (copying != "none")
    again = load(model.save(tmp_path / "model.unrolled"))
    assert isinstance(again, Translator)
    assert again.predict(others) == said
    model.check()


@pytest.mark.parametrize("options", [
    {"level": "char"}, {"level": "subword", "max_size": 300}, {"attention": "additive"}, {"attention": "none"},
    {"feeding": True}, {"sampling": 0.3}, {"tied": False}, {"decoder_layers": 2, "layers": 2}, {"cell": "lstm"},
    {"bidirectional": False}, {"copying": "pointer", "level": "subword", "max_size": 300}, {"lower": True},
    {"label_smoothing": 0.1, "head_dropout": 0.2, "reading_dropout": 0.1},
])  # fmt: skip
def test_every_kind_of_translator_fits_saves_and_keeps_the_laws(
    options: dict[str, Any], toys: SimpleNamespace, tmp_path: Path
) -> None:
    sources, targets = toys.reversals(30)
    model = Translator(**{**toys.pairs, "epochs": 2, **options}).fit(sources, targets)
    again = load(model.save(tmp_path / "folder"))
    assert isinstance(again, Translator)
    assert again.candidates(sources[:5]) == model.candidates(sources[:5])
    model.check()
    again.check()


def test_a_wider_beam_finds_nothing_less_likely_and_lists_are_ranked(mirror: Translator) -> None:
    greedy, wide = (mirror.candidates(["a b c"], width=width, nbest=1, length_penalty=0) for width in (1, 8))
    assert wide[0][0][1] >= greedy[0][0][1] - 1e-6
    [many] = mirror.candidates(["a b c"], width=8, nbest=8)
    assert len({text for text, _ in many}) == 8
    assert [score for _, score in many] == sorted((score for _, score in many), reverse=True)
    assert mirror.predict(["a b c"], width=8) == [many[0][0]]


def test_the_score_is_the_log_probability_of_the_target(mirror: Translator) -> None:
    [[(said, score)]] = mirror.candidates(["a b c"], width=3, nbest=1, length_penalty=0)
    net: Any = mirror.fitted()
    batch = mirror.make_data(mirror._read(["a b c"], [said]), np.arange(1)).batch(np.arange(1))
    with torch.no_grad():
        state, total = net.begin(batch.source, batch.copies), 0.0
        codes = [BEGIN, *batch.target.values[0].tolist(), END]
        for code, after in itertools.pairwise(codes):
            log_probs, state = net.step(torch.tensor([code]), state)
            total += float(log_probs[0, after])
    assert score == pytest.approx(total, rel=1e-4, abs=1e-5)


def test_company_and_order_change_no_translation(mirror: Translator, toys: SimpleNamespace) -> None:
    sources, _ = toys.reversals(20, seed=3)
    said = mirror.predict(sources)
    assert mirror.predict(sources[::-1]) == said[::-1]
    assert [mirror.predict([source])[0] for source in sources] == said


def test_sources_may_be_empty_unknown_or_longer_than_any_seen(mirror: Translator) -> None:
    said = mirror.predict(["", "q r s", "a b c d e f " * 20])
    assert len(said) == 3
    assert all("<unk>" not in text for text in said)
    assert mirror.predict([]) == []
    assert mirror.candidates([]) == []


def test_what_is_held_out_changes_no_vocabulary_and_no_limit(toys: SimpleNamespace) -> None:
    sources, targets = toys.reversals(30)
    model = Translator(**{**toys.pairs, "epochs": 1})
    model.fit(sources, targets, valid=(["a quux"], ["quuz " * 50]))
    assert "quux" not in model.fields["source"].tokens
    assert "quuz" not in model.fields["target"].tokens
    assert model.notes.longest == 4
    model.attention("a b", "a " * 40)
    model.evaluate(["a"], ["b " * 60])
    assert model.notes.longest == 4
    part = Translator(**{**toys.pairs, "epochs": 1}).fit([*sources, "a"], [*targets, "only " * 9], valid=0.5)
    assert ("only" in part.fields["target"].tokens) == (part.notes.longest == 9)


def test_two_trainings_forget_the_longest_target_of_the_first(toys: SimpleNamespace) -> None:
    model = Translator(**{**toys.pairs, "epochs": 1}).fit(["a", "b", "c"], ["x " * 30] * 3, valid=0)
    assert model.notes.longest == 30
    assert model.fit(["a", "b", "c"], ["x"] * 3, valid=0).notes.longest == 1


def test_several_references_count_the_best(mirror: Translator) -> None:
    said = mirror.predict(["a b c d", "b c d e"])
    several = mirror.evaluate(["a b c d", "b c d e"], [["x y z", said[0]], [said[1]]])
    assert several.bleu.value == pytest.approx(100)
    assert several.rouge.rouge1 == 1


def test_tables_and_files_are_translated_and_scored(mirror: Translator, toys: SimpleNamespace, tmp_path: Path) -> None:
    sources, targets = toys.reversals(8, seed=5)
    said = mirror.predict(sources)
    table = pd.DataFrame({"source": sources, "target": targets})
    table.to_csv(tmp_path / "x.csv", index=False)
    (tmp_path / "x.de").write_text("\n".join(sources) + "\n")
    (tmp_path / "x.en").write_text("\n".join(targets) + "\n")
    for source in (table, tmp_path / "x.csv", str(tmp_path / "x.de"), np.array(sources), table["source"]):
        assert mirror.predict(source) == said
    report = mirror.evaluate(sources, targets)
    for given in ((table,), (tmp_path / "x.csv",), (tmp_path / "x.de", tmp_path / "x.en"), ((sources, targets),)):
        assert mirror.evaluate(*given) == report
    (tmp_path / "x.en").write_text("\n".join(targets[:5]) + "\n")
    with pytest.raises(DataError, match="8 and 5"):
        mirror.evaluate(tmp_path / "x.de", tmp_path / "x.en")
    with pytest.raises(DataError, match="8 sources and 5"):
        mirror.evaluate(sources, targets[:5])
    with pytest.raises(DataError, match="targets"):
        mirror.evaluate(sources)
    with pytest.raises(DataError):
        mirror.evaluate([], [])


def test_a_file_without_a_header_is_read_under_its_names(toys: SimpleNamespace, tmp_path: Path) -> None:
    sources, targets = toys.reversals(20)
    (tmp_path / "x.tsv").write_text("".join(f"{t}\t{s}\n" for s, t in zip(sources, targets, strict=True)))
    columns = PairColumns(source="de", target="en", names=("en", "de"))
    model = Translator(**{**toys.pairs, "epochs": 1})
    model.fit(tmp_path / "x.tsv", columns=columns, valid=tmp_path / "x.tsv")
    assert model.predict(tmp_path / "x.tsv") == model.predict(sources)
    assert model.predict({"de": sources, "id": sources}) == model.predict(sources)
    assert model.evaluate(tmp_path / "x.tsv") == model.evaluate(sources, targets)


def test_dialogues_are_answered(toys: SimpleNamespace, tmp_path: Path) -> None:
    talks = [{"turns": ["hi", "hello", "bye", "see you"]}] * 30
    model = Translator(**{**toys.pairs, "epochs": 15}).fit(talks, columns=PairColumns(turns="turns", context=1))
    assert model.predict([["hi"], ["x", "y", "bye"], "hi"]) == ["hello", "see you", "hello"]
    again = load(model.save(tmp_path / "m.unrolled"))
    assert isinstance(again, Translator)
    assert again.predict([["x", "y", "bye"]]) == ["see you"]
    assert again.evaluate(talks).rouge.rouge1 == 1


def test_attention_has_a_row_for_each_token_written(mirror: Translator, tmp_path: Path) -> None:
    found = mirror.attention("a b c")
    assert found.weights.shape == (len(found.target), 3)
    assert found.target[-1] == "</s>"
    np.testing.assert_allclose(found.weights.sum(1), 1, rtol=1e-5)
    # The last letter is written first: that is where it looks.
    assert found.weights[0].argmax() == 2
    forced = mirror.attention("a b", "f f f")
    assert forced.target == ["f", "f", "f", "</s>"]
    assert mirror.attention("a b", "").weights.shape == (1, 2)
    assert mirror.plot("a b c", tmp_path / "attention.png").stat().st_size > 0


def test_without_attention_there_is_no_map(toys: SimpleNamespace) -> None:
    model = Translator(**{**toys.pairs, "epochs": 1, "attention": "none"}).fit(*toys.reversals(10))
    with pytest.raises(OptionError, match="attention"):
        model.attention("a b")


def test_no_run_of_tokens_is_written_twice(mirror: Translator) -> None:
    for text in mirror.predict(["a a a a", "a a a", "b b b b"], no_repeat=1):
        assert len(set(text.split())) == len(text.split())


@pytest.mark.parametrize(("call", "message"), [
    ({"width": 0}, "width"), ({"width": 2, "nbest": 3}, "nbest must be from 1 to the width of 2, got 3"),
    ({"nbest": 0}, "nbest"), ({"length_penalty": -1}, "length_penalty"), ({"no_repeat": 0}, "length"),
    ({"length_penalty": math.nan}, "length_penalty"), ({"width": 2.5, "nbest": 1}, "width"),
])  # fmt: skip
def test_a_way_to_search_that_makes_no_sense_is_refused(mirror: Translator, call: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        mirror.candidates(["a"], **call)


@pytest.mark.parametrize(("options", "message"), [
    ({"copying": "pointers"}, "copying"), ({"attention": "none", "copying": "pointer"}, "attention"),
    ({"attention": "none", "feeding": True}, "attention"), ({"spelling": "cnn", "level": "word"}, "spelling"),
    ({"cell": "gruu"}, "Did you mean 'gru'"), ({"decoder_layer": 2}, "Did you mean 'decoder_layers'"),
])  # fmt: skip
def test_an_option_that_makes_no_sense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Translator(**options)


def test_vectors_are_for_the_sources(toys: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "vectors.txt").write_text("".join(f"{letter} {i} 0 1\n" for i, letter in enumerate("abcdef")))
    options = {**toys.pairs, "epochs": 1, "vectors": tmp_path / "vectors.txt"}
    del options["embedding_size"]
    model = Translator(**options).fit(*toys.reversals(10))
    again = load(model.save(tmp_path / "m.unrolled"))
    assert isinstance(again, Translator)
    assert again.predict(["a b"]) == model.predict(["a b"])


@pytest.mark.parametrize("level", ["word", "char", "subword"])
def test_nothing_to_read_gives_nothing_and_changes_no_neighbour(level: str) -> None:
    words = [f"{a} {b}" for a in "abcdef" for b in "abcdef"]
    model = Translator(max_steps=5, hidden_size=8, level=level).fit((words, [each.upper() for each in words]))
    said = model.predict(["a b", "", " \u3000", "c d"])
    assert said[1:3] == ["", ""]
    assert said[0] == model.predict(["a b"])[0]
    assert said[3] == model.predict(["c d"])[0]
    assert model.candidates([""], nbest=3) == [[("", 0.0)]]
    assert model.predict([]) == []
    assert model.evaluate(["", " "], ["A", "B"]).chrf.value == 0


def test_tables_are_no_lines_of_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n")
    with pytest.raises(DataError, match=r"expected lines of text, got the table a\.csv"):
        Translator().fit(tmp_path / "a.csv", tmp_path / "a.csv")
