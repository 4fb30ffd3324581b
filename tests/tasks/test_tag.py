from __future__ import annotations

import gzip
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import seqeval.metrics

from unrolled.data.read.conll import read_conll
from unrolled.errors import DataError, OptionError
from unrolled.fields import to_iobes
from unrolled.fields.tokens import write_chunks
from unrolled.model import load
from unrolled.tasks import Tagger


def write(path: Path, sentences: Any, tags: Any) -> Path:
    blocks = ("".join(f"{w}\t{t}\n" for w, t in zip(*pair, strict=True)) for pair in zip(sentences, tags, strict=True))
    path.write_text("\n".join(blocks))
    return path


def test_a_tag_that_depends_on_suffix_and_left_neighbour_is_learned(grammarian: Tagger, toys: SimpleNamespace) -> None:
    report = grammarian.evaluate(toys.parts(40, seed=1))
    assert report.accuracy >= 0.97
    assert report.spans is None
    [tags] = grammarian.predict([["the", "walk"]])
    assert tags == ["DET", "NOUN"]
    # A word never seen is known by its suffix.
    assert grammarian.predict(["jump zorking the"]) == [["VERB", "GERUND", "DET"]]


def test_chunks_are_learned_and_scored_as_seqeval_scores_them(registrar: Tagger, toys: SimpleNamespace) -> None:
    sentences, gold = toys.names(40, seed=1)
    report = registrar.evaluate((sentences, gold))
    assert report.spans is not None
    assert report.spans.f1 >= 0.95
    found = registrar.predict(sentences)
    assert report.spans.f1 == pytest.approx(seqeval.metrics.f1_score(gold, found))
    assert report.accuracy == pytest.approx(seqeval.metrics.accuracy_score(gold, found))
    assert registrar.spans(["so Bob Jones saw Rome"]) == [[("PER", 1, 3), ("LOC", 4, 5)]]


@pytest.mark.parametrize("options", [
    {"crf": True}, {"crf": False}, {"spelling": "none"}, {"spelling": "lstm"}, {"lower": False, "min_count": 1},
    {"cell": "gru", "layers": 2, "recurrent_dropout": 0.1}, {"bidirectional": False}, {"scheme": "IOBES"},
])  # fmt: skip
def test_every_kind_of_tagger_fits_saves_and_keeps_the_laws(
    options: dict[str, Any], toys: SimpleNamespace, tmp_path: Path
) -> None:
    sentences, tags = toys.names(30)
    model = Tagger(**{**toys.tags, "epochs": 2, **options}).fit((sentences, tags))
    again = load(model.save(tmp_path / "model.unrolled"))
    assert isinstance(again, Tagger)
    assert again.predict(sentences) == model.predict(sentences)
    assert again.evaluate((sentences, tags)) == model.evaluate((sentences, tags))
    model.check()
    again.check()


def test_files_give_what_lists_give(toys: SimpleNamespace, tmp_path: Path) -> None:
    sentences, tags = toys.names(30)
    path = write(tmp_path / "x.conll", sentences, tags)
    with gzip.open(tmp_path / "x.conll.gz", "wt") as file:
        file.write(path.read_text())
    found = [
        Tagger(**{**toys.tags, "epochs": 2}).fit(source, valid=source).predict(sentences)
        for source in ((sentences, tags), path, tmp_path / "x.conll.gz", read_conll(path))
    ]
    assert found[0] == found[1] == found[2] == found[3]
    model = Tagger(**{**toys.tags, "epochs": 2}).fit(path)
    assert model.predict(path) == model.predict(sentences)
    assert model.evaluate(path) == model.evaluate((sentences, tags))


def test_columns_of_conllu_are_chosen_by_name(tmp_path: Path, toys: SimpleNamespace) -> None:
    head = "# text = x\n1-2\tword\t_\t_\t_\t_\t_\t_\t_\t_\n"
    lines = [f"{i}\tword{i}\t_\tNOUN\tNN{i % 2}\t_\t_\t_\t_\t_\n" for i in range(1, 4)]
    (tmp_path / "x.conllu").write_text((head + "".join(lines) + "\n") * 4)
    model = Tagger(**{**toys.tags, "epochs": 1}).fit(tmp_path / "x.conllu", column="xpos")
    assert model.fields["tags"].values == ("NN0", "NN1")
    assert Tagger(**{**toys.tags, "epochs": 1}).fit(tmp_path / "x.conllu").fields["tags"].values == ("NOUN",)
    with pytest.raises(DataError, match="Did you mean 'xpos'"):
        Tagger(**{**toys.tags, "epochs": 1}).fit(tmp_path / "x.conllu", column="xpo")


def test_chunks_that_break_their_scheme_are_repaired(toys: SimpleNamespace) -> None:
    sentences, tags = toys.names(60)
    # IOB1: B only where a chunk follows another of its type.
    iob1 = [[tag.replace("B-", "I-") for tag in own] for own in tags]
    model = Tagger(**toys.tags).fit((sentences, iob1))
    assert "B-PER" in model.fields["tags"].values
    found = model.predict(sentences)
    assert not any(tag.startswith("B-") for own in found for tag in own)
    # The same chunks, whichever way they are written; repaired tags are the right ones.
    report = model.evaluate((sentences, iob1))
    assert report.spans is not None
    assert report.spans.f1 > 0.9
    assert report.accuracy == pytest.approx(seqeval.metrics.accuracy_score(repaired(iob1), repaired(found)))


def repaired(tags: list[list[str]]) -> list[list[str]]:
    from unrolled.fields import to_bio

    return [to_bio(own) for own in tags]


@pytest.mark.parametrize("memory", [True, False])
def test_another_scheme_is_learned_but_the_one_that_came_comes_back(
    memory: bool, toys: SimpleNamespace, tmp_path: Path
) -> None:
    sentences, tags = toys.names(60)
    source = (sentences, tags) if memory else write(tmp_path / "x.conll", sentences, tags)
    model = Tagger(**toys.tags, scheme="IOBES").fit(source)
    assert {"S-LOC", "E-PER"} <= set(model.fields["tags"].values)
    found = model.predict(sentences)
    assert {tag for own in found for tag in own} == {"O", "B-PER", "I-PER", "B-LOC"}
    report = model.evaluate(source)
    assert report.accuracy == pytest.approx(seqeval.metrics.accuracy_score(tags, found))
    assert report.accuracy >= 0.95
    back = Tagger(**toys.tags, scheme="BIO").fit((sentences, [to_iobes(own) for own in tags]))
    assert "S-LOC" not in back.fields["tags"].values
    assert back.predict(["so saw Rome"]) == [["O", "O", "S-LOC"]]


def test_with_a_crf_no_illegal_tags_are_predicted(registrar: Tagger) -> None:
    strange = [["Smith", "Jones", "Smith"], ["Smith"], ["so", "Smith", "Rome", "Jones"]]
    for tags in registrar.predict(strange):
        for before, after in zip(["O", *tags], tags, strict=False):
            assert after != "I-PER" or before in ("B-PER", "I-PER")


def test_tags_of_held_out_sentences_are_not_learned(toys: SimpleNamespace) -> None:
    sentences, tags = toys.parts(30)
    model = Tagger(**{**toys.tags, "epochs": 2})
    model.fit((sentences, tags), valid=([["unheard", "the"]], [["STRANGE", "DET"]]))
    assert "STRANGE" not in model.fields["tags"].values
    assert "unheard" not in model.fields["text"].tokens
    # A tag that is not known counts as wrong.
    assert model.evaluate(([["the", "the"]], [["STRANGE", "NOUN"]])).accuracy <= 0.5
    with pytest.raises(DataError, match="but all are others \\(STRANGE\\)"):
        model.evaluate(([["the", "the"]], [["STRANGE", "STRANGE"]]))


def test_the_order_and_the_company_of_sentences_change_no_tag(grammarian: Tagger, toys: SimpleNamespace) -> None:
    sentences, _ = toys.parts(30, seed=2)
    found = grammarian.predict(sentences)
    assert grammarian.predict(sentences[::-1]) == found[::-1]
    assert [grammarian.predict([sentence])[0] for sentence in sentences] == found


def test_an_empty_sentence_has_no_tags(grammarian: Tagger, registrar: Tagger) -> None:
    for model in (grammarian, registrar):
        assert model.predict([]) == []
        assert model.predict([[], ["the"], ""]) == [[], model.predict(["the"])[0], []]
    model = Tagger(hidden_size=4, epochs=1, spelling_size=4).fit(([["a", "b"], [], ["c"]], [["x", "y"], [], ["x"]]))
    assert len(model.predict(["a b"])[0]) == 2


def test_a_model_that_knows_no_word_still_tags(toys: SimpleNamespace) -> None:
    model = Tagger(**{**toys.tags, "epochs": 1, "min_count": 1000}).fit(toys.parts(10))
    assert model.fields["text"].size == 4
    assert len(model.predict(["some quite unknown words"])[0]) == 4
    model.check()


@pytest.mark.parametrize(("options", "message"), [
    ({"level": "char"}, "level"), ({"level": "subword"}, "level"), ({"scheme": "BOI"}, "scheme"),
    ({"spelling": "cn"}, "spelling"), ({"split": "spaces"}, "split"), ({"hiden_size": 3}, "Did you mean 'hidden_size'"),
])  # fmt: skip
def test_an_option_that_makes_no_sense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Tagger(**options)


def test_what_is_no_tagged_text_is_refused(toys: SimpleNamespace, grammarian: Tagger) -> None:
    model = Tagger(**toys.tags)
    for source, message in [
        ((["a b", "c"], [["x", "y"]]), "2 sentences, got 1"),
        ((["a b"], [["x"]]), "row 0 of the sentences has 2 words but 1 tags"),
        ((["a b", "c d"], [["x", "y"], ["x", None]]), "row 1 of the sentences"),
        ((["a b", "c d"], [["x", "y"], ["x", ""]]), "row 1 of the sentences"),
        ((["a b", None], [["x", "y"], ["x", "y"]]), "row 1 of the sentences"),
        ((["a b", ["c", 3.5]], [["x", "y"], ["x", "y"]]), "row 1 of the sentences"),
        ((["a b"], ["x y"]), "row 0 of the sentences"),
        (["a b", "c d", "e f"], "tags"), ({"words": [["a"]], "tags": [["x"]]}, "tags"), (([], []), "2 examples"),
        (3, "tags"), ("the cat sat", "list"),
    ]:  # fmt: skip
        with pytest.raises(DataError, match=message):
            model.fit(source)
    for source in (None, 3, [None], [3]):
        with pytest.raises(DataError):
            grammarian.predict(source)
    with pytest.raises(DataError, match="list"):
        grammarian.predict("the cat sat")
    with pytest.raises(DataError, match="tags"):
        grammarian.evaluate(["a b"])


def test_arrays_of_tags_and_words_do_as_well(grammarian: Tagger) -> None:
    words, tags = [["the", "walk"], ["walked", "the"]], [["DET", "NOUN"], ["PAST", "DET"]]
    assert grammarian.evaluate((np.array(words), np.array(tags))) == grammarian.evaluate((words, tags))
    assert grammarian.predict(np.array(words)) == grammarian.predict(words)


@pytest.mark.parametrize("scheme", ["BILOU", "BMEWO", "IOE2"])
def test_tags_come_back_in_the_scheme_that_came(scheme: str, toys: SimpleNamespace, tmp_path: Path) -> None:
    sentences, tags = toys.names(60)
    came = [write_chunks(own, scheme) for own in tags]
    model = Tagger(**toys.tags).fit((sentences, came))
    assert {tag for own in model.predict(sentences) for tag in own} == {tag for own in came for tag in own}
    report = model.evaluate((sentences, came))
    assert report.spans is not None
    assert report.spans.f1 > 0.9
    # The same chunks in another scheme score the same.
    assert model.evaluate((sentences, tags)) == report
    assert any(scheme in remark for remark in model.understood)
    again = load(model.save(tmp_path / "x.unrolled"))
    assert isinstance(again, Tagger)
    assert again.predict(sentences) == model.predict(sentences)
    assert again.understood == model.understood


def test_one_odd_tag_is_said_with_its_line_and_chunks_are_scored(toys: SimpleNamespace, tmp_path: Path) -> None:
    sentences, tags = toys.names(60)
    tags[1][0] = "naem"
    path = write(tmp_path / "x.conll", sentences, tags)
    model = Tagger(**{**toys.tags, "epochs": 1}).fit(path)
    assert model.evaluate(path).spans is not None
    line = len(sentences[0]) + 2
    assert any(f"'naem' fits BIO not, 1 time: first in line {line} of x.conll" in each for each in model.understood)


def test_empty_words_are_left_out_of_what_is_learned_and_counted(toys: SimpleNamespace) -> None:
    sentences, tags = toys.parts(30)
    holes = ([[*line, ""] for line in sentences], [[*own, own[0]] for own in tags])
    model, whole = (Tagger(**{**toys.tags, "epochs": 1}).fit(source) for source in (holes, (sentences, tags)))
    assert model.predict(sentences) == whole.predict(sentences)
    assert "30 empty words left out, first in row 0 of the sentences" in model.understood
    assert model.evaluate(holes) == whole.evaluate((sentences, tags))
    assert len(model.predict([["the", "", "walk"]])[0]) == 3


def test_a_sentence_as_a_text_is_parted_at_spaces_alone(grammarian: Tagger) -> None:
    assert len(grammarian.predict(["10\u00a0000 walk\u3000ed"])[0]) == 2
