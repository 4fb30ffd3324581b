"""Rows of texts and of words with a class each: sentiment, parts of speech, names."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import simple
from common import data_folder
from tasks_row import Contest, Score, notes

import unrolled as ur
from unrolled.data.read.conll import read_conll
from unrolled.data.read.records import read_records

__all__ = ["GLOVE", "glove", "sst2", "sst2_simple", "tagged"]

GLOVE = "glove.twitter.25d.12k.txt.gz"


def glove() -> str:
    """The path of GLOVE."""
    return str(data_folder("glove_twitter_25d_12k") / GLOVE)


def sst2_parts() -> list[dict[str, list[Any]]]:
    folder = data_folder("sst2")
    return [read_records(folder / f"{part}.tsv", names=("text", "label")).columns for part in ("train", "dev", "test")]


def sst2(seed: int, **options: Any) -> Score:
    train, dev, test = sst2_parts()
    model = ur.Classifier(seed=seed, **options).fit(train, valid=dev)
    return Score("accuracy", model.evaluate(test).accuracy, notes(model))


def sst2_simple() -> dict[str, float]:
    train, _, test = sst2_parts()
    return {"tf-idf": simple.text_accuracy(train["text"], train["label"], test["text"], test["label"])}


def tagged(name: str) -> Contest:
    """The words of a data set, each with a tag: names as spans (wnut17), or parts of speech."""
    return partial(tag, name), partial(tag_simple, name)


def tag_files(name: str) -> list[Path]:
    folder = data_folder(name)
    if name == "wnut17":
        return [folder / file for file in ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated")]
    return [folder / f"en_ewt-ud-{part}" for part in ("train.conllu.gz", "dev.conllu", "test.conllu")]


def tag(name: str, seed: int, **options: Any) -> Score:
    train, dev, test = tag_files(name)
    model = ur.Tagger(seed=seed, **options).fit(train, valid=dev)
    found = model.evaluate(test)
    if found.spans is None:
        return Score("accuracy", found.accuracy, notes(model))
    return Score("entity F1", 100 * found.spans.f1, {"accuracy": found.accuracy, **notes(model)})


def tag_simple(name: str) -> dict[str, float]:
    train, _, test = (read_conll(path) for path in tag_files(name))
    parts = (train.words, train.tags, test.words, test.tags)
    if name == "wnut17":
        return {"gazetteer and capitals": 100 * simple.gazetteer_f1(*parts)}
    return {"most frequent tag and suffix": simple.suffix_tags_accuracy(*parts)}
