from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from unrolled.errors import DataError, OptionError
from unrolled.fields.text import END, SPECIALS
from unrolled.model import load
from unrolled.search import greedy
from unrolled.tasks import LanguageModel


def by_hand(model: LanguageModel, codes: list[int], first: int) -> float:
    """-log p of the codes, in float64, without windows."""
    net: Any = model.fitted()
    with torch.no_grad():
        log_probs, _ = net(torch.tensor([[first, *codes[:-1]]]), state=net.begin(1))
    return -float(log_probs[0].double()[torch.arange(len(codes)), torch.tensor(codes)].sum())


def codes_of(model: LanguageModel, text: str) -> list[int]:
    """The codes of a document, the end of each line included."""
    field = model.fields["text"]
    if model.options.text.level != "word":
        return [code for line in text.split("\n") for code in field.encode(line + "\n").tolist()]
    return [code for line in text.split("\n") for code in [*field.encode(line).tolist(), END]]


def test_a_line_that_repeats_is_learned(writer: LanguageModel, toys: SimpleNamespace) -> None:
    report = writer.evaluate(toys.rhymes(5))
    assert report.perplexity < 1.2
    assert report.unknown == 0
    assert writer.evaluate(["mat the did on, cat not"]).perplexity > 5


def test_a_text_is_scored_as_the_sum_of_its_terms(writer: LanguageModel) -> None:
    # More codes than one window of the evaluation holds.
    text = "\n".join(["the cat sat, the dog", "", "on zzz the mat"] * 60)
    codes = codes_of(writer, text)
    assert len(codes) > 512
    report = writer.evaluate([text])
    assert report.tokens == len(codes)
    assert report.characters == len(text) + 1
    assert report.nats == pytest.approx(by_hand(writer, codes, writer._first), rel=1e-5)
    assert report.perplexity == pytest.approx(math.exp(report.nats / report.tokens))
    assert report.bits_per_character == pytest.approx(report.nats / (len(text) + 1) / math.log(2))
    assert writer.score(text) == -report.nats
    assert report.unknown == pytest.approx(codes.count(1) / len(codes))


def test_every_document_is_read_from_its_own_beginning(writer: LanguageModel) -> None:
    texts = ["the cat sat\non the mat", "the dog did not", "", "sat"]
    together, alone = writer.evaluate(texts), [writer.evaluate([text]) for text in texts]
    assert together.nats == pytest.approx(sum(one.nats for one in alone), rel=1e-5)
    assert together.tokens == sum(one.tokens for one in alone)
    assert together.nats != pytest.approx(writer.evaluate(["\n".join(texts)]).nats, rel=1e-3)


def test_a_file_is_scored_like_its_text(writer: LanguageModel, tmp_path: Path) -> None:
    text = "the cat sat\non the mat\n\nthe dog\u2028did not"
    for ends, name in (("\n", "plain.txt"), ("\r\n", "windows.txt")):
        (tmp_path / name).write_bytes((text + "\n").replace("\n", ends).encode())
        assert writer.evaluate(tmp_path / name) == writer.evaluate([text])
        assert writer.evaluate([text.replace("\n", ends)]) == writer.evaluate([text])


def test_probabilities_of_short_texts_sum_to_one(toys: SimpleNamespace) -> None:
    model = LanguageModel(level="word", **{**toys.running, "epochs": 1}).fit(["a b", "b a", "a", "b", "a a"] * 3)
    words = ["<unk>", "a", "b"]
    # All lines of at most one word, and all others by their first two codes.
    short = [math.exp(model.score(text)) for text in ["", *words]]
    net: Any = model.fitted()
    with torch.no_grad():
        first, _ = net(torch.tensor([[END]]), state=net.begin(1))
    codes = [END, *model.fields["text"].codes_of(words).tolist()]
    allowed = float(first[0, 0, codes].exp().sum())
    assert sum(short) < allowed <= 1


def test_one_seed_gives_one_text_however_many_are_asked_for(writer: LanguageModel, tmp_path: Path) -> None:
    many = writer.generate("the cat", length=12, samples=5, seed=7, temperature=4.0)
    assert writer.generate("the cat", length=12, samples=2, seed=7, temperature=4.0) == many[:2]
    assert writer.generate("the cat", length=12, seed=7, temperature=4.0) == many[:1]
    assert len(set(many)) > 1
    assert writer.generate("the cat", length=12, samples=5, seed=8, temperature=4.0) != many
    again = load(writer.save(tmp_path / "model.unrolled"))
    assert isinstance(again, LanguageModel)
    assert again.generate("the cat", length=12, samples=5, seed=7, temperature=4.0) == many
    assert again.evaluate(["the cat sat"]) == writer.evaluate(["the cat sat"])


@pytest.mark.parametrize("how", [{}, {"temperature": 3.0}, {"temperature": 0.0}, {"top_k": 3}, {"top_p": 0.9}])
@pytest.mark.parametrize("prompt", ["", "the ca", "the cat ", "the cat\nthe", "the (", "zzz the", "the cat\n"])
def test_what_is_streamed_is_what_is_generated(writer: LanguageModel, prompt: str, how: dict[str, Any]) -> None:
    pieces = list(writer.stream(prompt, length=15, seed=3, **how))
    assert ["".join(pieces)] == writer.generate(prompt, length=15, seed=3, **how)


def test_streamed_pieces_hold_whole_characters(toys: SimpleNamespace) -> None:
    lines = ["äöü 😀 猫が好き ñ"] * 12
    model = LanguageModel(level="subword", **{**toys.running, "max_size": 256, "epochs": 2}).fit(lines)
    for seed in range(3):
        whole = model.generate("", length=40, seed=seed, temperature=3.0)
        pieces = list(model.stream("", length=40, seed=seed, temperature=3.0))
        assert "".join(pieces) == whole[0]
    good = LanguageModel(level="subword", **{**toys.running, "max_size": 256, "epochs": 25}).fit(lines)
    pieces = list(good.stream("ä", length=40, temperature=0))
    assert "".join(pieces) == good.generate("ä", length=40, temperature=0)[0]
    assert "".join(pieces).startswith("öü 😀 猫が好き ñ\n")


def test_temperature_zero_is_greedy(writer: LanguageModel) -> None:
    net: Any = writer.fitted()
    field, prompt = writer.fields["text"], "the cat sat on"
    prefix = field.encode(prompt).tolist()
    [found] = greedy(net.step, net.begin(1), begin=writer._first, end=None, limit=10, prefix=[prefix])
    said = writer.generate(prompt, length=10, temperature=0)[0]
    assert codes_of(writer, prompt + said)[: len(found.codes)] == found.codes.tolist()


def test_generate_gives_so_many_tokens_and_stops_at_the_line(writer: LanguageModel) -> None:
    for prompt in ("", "the", "the cat sat on the mat, the"):
        texts = prompt + writer.generate(prompt, length=4)[0], prompt
        whole, before = (codes_of(writer, text) for text in texts)
        assert len(whole) == len(before) + 4
    whole = writer.generate("the cat", length=60, temperature=0)[0]
    assert "\n" in whole
    assert writer.generate("the cat", length=60, temperature=0, one_line=True) == [whole.split("\n")[0]]
    assert writer.generate("the cat", length=0) == [""]
    # A prompt of several lines goes on in its last one.
    two = writer.generate("the dog\nthe cat", length=60, temperature=0, one_line=True)[0]
    assert "\n" not in two
    assert two != ""


def test_text_that_goes_on_joins_its_prompt(writer: LanguageModel) -> None:
    for prompt in ("the cat", "the cat ", "the cat sat on the mat", "the cat sat on the mat,"):
        text = prompt + writer.generate(prompt, length=60, temperature=0, one_line=True)[0]
        assert text.replace("  ", " ") == text
        assert text == "the cat sat on the mat, the dog did not"


def test_no_run_of_tokens_comes_twice(writer: LanguageModel) -> None:
    text = writer.generate("", length=60, temperature=0.5, no_repeat=3)[0]
    codes = codes_of(writer, text)[:-1]
    runs = [tuple(codes[i : i + 3]) for i in range(len(codes) - 2)]
    assert len(set(runs)) >= len(runs) - 1


def test_generated_text_reads_back_as_its_codes(writer: LanguageModel) -> None:
    field = writer.fields["text"]
    for text in writer.generate("", length=30, samples=4, temperature=2.0, seed=1):
        for line in text.split("\n"):
            assert field.decode(field.encode(line)) == field.normalise(line)
            assert "<unk>" not in line
            assert not any(special in line for special in SPECIALS)


def test_what_is_held_out_stays_unknown(toys: SimpleNamespace) -> None:
    lines = [f"word{i} and so on" for i in range(20)]
    model = LanguageModel(**{**toys.running, "epochs": 1}).fit(["\n".join(lines)], valid=0.25)
    assert "word14" in model.fields["text"].tokens
    assert "word15" not in model.fields["text"].tokens
    again = LanguageModel(**{**toys.running, "epochs": 1}).fit(["\n".join(lines)], valid=0.25, refit=True)
    assert "word19" in again.fields["text"].tokens
    other = LanguageModel(**{**toys.running, "epochs": 1}).fit(lines, valid=["unheard of", "unseen", "unknown"])
    assert not {"unheard", "unseen", "unknown"} & set(other.fields["text"].tokens)
    assert "word19" in other.fields["text"].tokens


def test_a_tuple_of_texts_is_documents_like_a_list(toys: SimpleNamespace) -> None:
    models = [
        LanguageModel(**{**toys.running, "epochs": 1}).fit(kind(toys.rhymes(6)), valid=kind(["the cat", "the dog"]))
        for kind in (list, tuple)
    ]
    assert models[0].history is not None
    assert models[1].history is not None
    assert models[0].history.best_score == models[1].history.best_score


@pytest.mark.parametrize("options", [
    {"tied": False}, {"samples": 4}, {"cell": "gru", "layers": 2, "dropout": 0.1}, {"embedding_dropout": 0.1},
    {"weight_dropout": 0.2, "activation_penalty": 2.0, "slowness_penalty": 1.0},
    {"average": "asgd", "optimizer": "sgd", "average_after": 1, "patience": 3},
    {"min_count": 100}, {"lower": True, "split": "space"}, {"zoneout": 0.1}, {"schedule": "plateau"},
])  # fmt: skip
def test_every_kind_of_model_fits_saves_and_keeps_the_laws(
    options: dict[str, Any], toys: SimpleNamespace, tmp_path: Path
) -> None:
    model = LanguageModel(level="word", **{**toys.running, "epochs": 2, **options}).fit(toys.rhymes(10))
    again = load(model.save(tmp_path / "folder"))
    assert isinstance(again, LanguageModel)
    assert again.evaluate(["the cat sat"]) == model.evaluate(["the cat sat"])
    assert again.generate(seed=2) == model.generate(seed=2)
    model.check()


def test_one_long_line_is_a_text(toys: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "line.txt").write_text("ab" * 300)
    model = LanguageModel(level="char", **{**toys.running, "epochs": 4}).fit(tmp_path / "line.txt", valid=0)
    assert model.evaluate(["ab" * 20]).perplexity < 2
    with pytest.raises(DataError, match="one line"):
        LanguageModel(level="char", **toys.running).fit(tmp_path / "line.txt")
    other = LanguageModel(level="char", **{**toys.running, "epochs": 1})
    other.fit(tmp_path / "line.txt", valid=["abab"])
    assert other.history is not None
    assert other.history.best_score is not None


def test_a_vocabulary_may_hold_nothing(toys: SimpleNamespace) -> None:
    for level, text in (("word", ["", "", ""]), ("char", ["", "", ""])):
        model = LanguageModel(level=level, **{**toys.running, "epochs": 1}).fit(text)
        assert model.evaluate(["", "quite unknown"]).perplexity > 1
        assert model.generate(length=3)[0].strip("\n") == ""
        assert model.complete("any") == []


def test_a_prompt_of_unknown_words_goes_on(writer: LanguageModel) -> None:
    [text] = writer.generate("ЖЖЖ qqq", length=10, temperature=0)
    assert "<unk>" not in text
    assert math.isfinite(writer.score("ЖЖЖ qqq"))


@pytest.mark.parametrize(("options", "message"), [
    ({"spelling": "cnn"}, "spelling"), ({"batch_size": 4}, "streams"), ({"token_budget": 4}, "streams"),
    ({"reading_dropout": 0.1}, "input_dropout"), ({"level": "chars"}, "level"), ({"streems": 3}, "mean 'streams'"),
    ({"cell": "lstmm"}, "Did you mean 'lstm'"), ({"bidirectional": True}, "bidirectional"),
])  # fmt: skip
def test_an_option_that_makes_no_sense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        LanguageModel(**options)


@pytest.mark.parametrize(("call", "message"), [
    ({"samples": 0}, "samples"), ({"length": -1}, "length"), ({"temperature": -1}, "temperature"),
    ({"top_p": 0}, "top_p"), ({"top_k": 0}, "top_k"), ({"no_repeat": 0}, "length"),
])  # fmt: skip
def test_a_way_to_generate_that_makes_no_sense_is_refused(
    writer: LanguageModel, call: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        writer.generate("the", **call)
    if set(call) <= {"length", "temperature", "top_p", "top_k"}:
        with pytest.raises(OptionError, match=message):
            # At the call, not at the first piece.
            writer.stream("the", **call)


def test_numpy_strings_are_texts(writer: LanguageModel) -> None:
    assert writer.evaluate(np.array(["the cat", "sat"])) == writer.evaluate(["the cat", "sat"])


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.tsv.gz", "folder/a.parquet"])
def test_a_table_is_no_running_text(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text('{"text": "a"}\n' * 9)
    with pytest.raises(DataError, match=f"expected lines of text, got the table {path.name}"):
        LanguageModel().fit(path.parent if "/" in name else path)
