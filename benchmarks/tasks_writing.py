"""Rows of networks that write: language models, translations, summaries and dialogues."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import simple
import simple_ngrams
from common import data_folder
from tasks_row import Score, notes

import unrolled as ur
from unrolled.data.read.lines import read_lines
from unrolled.data.read.records import read_records
from unrolled.score.text import rouge

__all__ = [
    "dialogue", "dialogue_simple", "multi30k", "multi30k_simple", "ptb", "ptb_simple", "scitldr", "scitldr_simple",
    "shakespeare", "shakespeare_parts", "shakespeare_simple",
]  # fmt: skip


def ptb_files() -> list[Path]:
    folder = data_folder("ptb")
    return [folder / f"ptb.{part}" for part in ("train.txt.gz", "valid.txt", "test.txt")]


def ptb(seed: int, **options: Any) -> Score:
    train, valid, test = ptb_files()
    model = ur.LanguageModel(split="space", seed=seed, **options).fit(train, valid=valid)
    found = model.evaluate(test)
    more = {"valid": model.evaluate(valid).perplexity, "tokens": found.tokens}
    return Score("perplexity", found.perplexity, {**more, **notes(model)})


def ptb_simple() -> dict[str, float]:
    train, _, test = ptb_files()
    return {"Kneser-Ney 3": simple_ngrams.word_perplexity(read_lines(train), read_lines(test))}


def shakespeare_parts() -> tuple[str, str]:
    text = next(data_folder("tinyshakespeare").glob("*.txt")).read_text()
    cut = int(0.9 * len(text))
    return text[:cut], text[cut:]


def shakespeare(seed: int, **options: Any) -> Score:
    train, valid = shakespeare_parts()
    model = ur.LanguageModel(level="char", seed=seed, **options).fit([train], valid=[valid])
    found = model.evaluate([valid])
    return Score("nats per character", found.nats / found.tokens, notes(model))


def shakespeare_simple() -> dict[str, float]:
    return {"Kneser-Ney 7": simple_ngrams.character_nats(*shakespeare_parts())}


def multi30k_files(part: str) -> tuple[Path, Path]:
    folder = data_folder("multi30k_en_de")
    return folder / f"{part}.en.gz", folder / f"{part}.de.gz"


def multi30k(seed: int, **options: Any) -> Score:
    model = ur.Translator(seed=seed, **options).fit(*multi30k_files("train"), valid=multi30k_files("val"))
    found = model.evaluate(*multi30k_files("test_2016_flickr"))
    more = {"signature": found.bleu.signature, "chrF": found.chrf.value}
    return Score("BLEU", found.bleu.value, {**more, **notes(model)})


def multi30k_simple() -> dict[str, float]:
    sides = [[list(read_lines(file)) for file in multi30k_files(part)] for part in ("train", "test_2016_flickr")]
    return {"nearest training source": simple.nearest_bleu(*sides[0], *sides[1])}


def scitldr_parts() -> list[dict[str, list[Any]]]:
    folder = data_folder("scitldr_a")
    return [read_records(folder / f"{part}.jsonl.gz").columns for part in ("train", "dev", "test")]


def scitldr(seed: int, **options: Any) -> Score:
    train, dev, test = (pairs_of(part) for part in scitldr_parts())
    model = ur.Translator(seed=seed, **options).fit(
        (train[0], [t[0] for t in train[1]]), valid=(dev[0], [t[0] for t in dev[1]])
    )
    said = model.predict(test[0], no_repeat=3)
    found = rouge(said, test[1])
    # The baseline's tokens, which count punctuation; beside it the usual ones, which do not.
    more = {"usual ROUGE-1/2/L": [round(100 * part, 2) for part in found], "first": said[:3]}
    return Score("ROUGE-1", simple.summary_rouge_1(said, test[1]), {**more, **notes(model)})


def pairs_of(part: dict[str, list[Any]]) -> tuple[list[str], list[list[str]]]:
    return [" ".join(sentences) for sentences in part["source"]], part["target"]


def scitldr_simple() -> dict[str, float]:
    test = scitldr_parts()[2]
    return {"first sentence": simple.lead_rouge_1(test["source"], test["target"])}


def dialogues(part: str) -> list[list[str]]:
    path = data_folder("self_dialogue_movies") / f"{part}.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line)["turns"] for line in file]


def dialogue(seed: int, **options: Any) -> Score:
    # A turn is a line and a dialogue a document, of the very tokens that the baseline counts.
    train, valid, test = (
        ["\n".join(" ".join(simple_ngrams.dialogue_tokens(turn)) for turn in turns) for turns in dialogues(part)]
        for part in ("train", "valid", "test")
    )
    model = ur.LanguageModel(split="space", min_count=5, seed=seed, **options).fit(train, valid=valid)
    found = model.evaluate(test)
    more = {"vocabulary": model.fields["text"].size, "tokens": found.tokens}
    return Score("perplexity", found.perplexity, {**more, **notes(model)})


def dialogue_simple() -> dict[str, float]:
    train, test = ([turn for turns in dialogues(part) for turn in turns] for part in ("train", "test"))
    return {"Kneser-Ney 3, single turns": simple_ngrams.dialogue_perplexity(train, test)}
