"""Toys that the tests of the tasks share: small made-up languages, and a model of each kind fitted to one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from unrolled.tasks import Classifier, LanguageModel, Tagger, Translator

# Nothing is dropped from toys: what is usual for real data would keep them from being learned.
KEPT: dict[str, Any] = {"head_dropout": 0.0, "reading_dropout": 0.0, "embedding_dropout": 0.0}
SMALL: dict[str, Any] = {"hidden_size": 8, "embedding_size": 8, "learning_rate": 0.02}
QUICK: dict[str, Any] = {**SMALL, **KEPT}
SERIES: dict[str, Any] = {"hidden_size": 8, "layers": 1, "learning_rate": 0.02, **KEPT}
TAGS: dict[str, Any] = {**QUICK, "spelling_size": 8, "batch_size": 8, "epochs": 15}
PAIRS: dict[str, Any] = {
    **QUICK, "hidden_size": 16, "embedding_size": 16, "level": "word", "epochs": 30, "batch_size": 16, "warmup": 0,
    "label_smoothing": 0.0,
}  # fmt: skip
RUNNING: dict[str, Any] = {
    **SMALL, "hidden_size": 16, "steps": 20, "streams": 4, "warmup": 0, "input_dropout": 0.0, "output_dropout": 0.0,
    "epochs": 12,
}  # fmt: skip
FILL = ["the", "film", "was", "long", "and", "we", "saw", "it"]
STEMS = ["walk", "talk", "jump", "look", "open", "play"]


def reviews(count: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Texts of which each holds "good" or "bad", and which of them it is."""
    random, texts, labels = np.random.default_rng(seed), list[str](), list[str]()
    for i in range(count):
        words = random.choice(FILL, random.integers(2, 6)).tolist()
        words.insert(int(random.integers(len(words) + 1)), ("bad", "good")[i % 2])
        texts.append(" ".join(words))
        labels.append(("neg", "pos")[i % 2])
    return texts, labels


def slopes(count: int, seed: int = 0, channels: int = 1) -> tuple[list[np.ndarray], list[str]]:
    """Series that rise or fall, of 4 to 11 steps, each at a height of its own."""
    random, series, labels = np.random.default_rng(seed), list[np.ndarray](), list[str]()
    for i in range(count):
        time = np.linspace(0, 4, int(random.integers(4, 12)))[:, None] * (1 if i % 2 else -1)
        series.append(time + 0.05 * random.normal(size=(len(time), channels)) + random.normal())
        labels.append(("down", "up")[i % 2])
    return series, labels


def parts(count: int, seed: int = 0) -> tuple[list[list[str]], list[list[str]]]:
    """Sentences whose tags follow from the suffix, and, for a bare stem, from the word on its left."""
    random, sentences, tags = np.random.default_rng(seed), list[list[str]](), list[list[str]]()
    for _ in range(count):
        words, own = list[str](), list[str]()
        for kind in random.integers(0, 4, random.integers(2, 7)).tolist():
            stem = STEMS[int(random.integers(len(STEMS)))]
            noun = bool(words) and words[-1] == "the"
            own.append(["NOUN" if noun else "VERB", "GERUND", "PAST", "DET"][kind])
            words.append([stem, f"{stem}ing", f"{stem}ed", "the"][kind])
        sentences.append(words)
        tags.append(own)
    return sentences, tags


def names(count: int, seed: int = 0) -> tuple[list[list[str]], list[list[str]]]:
    """Sentences with persons of two words and places of one, tagged in BIO."""
    random, sentences, tags = np.random.default_rng(seed), list[list[str]](), list[list[str]]()
    for _ in range(count):
        words, own = ["so"], ["O"]
        for kind in random.integers(0, 3, random.integers(1, 4)).tolist():
            person = [str(random.choice(["Ann", "Bob", "Eve"])), str(random.choice(["Smith", "Jones"]))]
            words += [["saw"], person, [str(random.choice(["Rome", "Oslo"]))]][kind]
            own += [["O"], ["B-PER", "I-PER"], ["B-LOC"]][kind]
        sentences.append(words)
        tags.append(own)
    return sentences, tags


def reversals(count: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Texts of one to four letters, and the same letters from the end."""
    random = np.random.default_rng(seed)
    sources = [" ".join(random.choice(list("abcdef"), random.integers(1, 5))) for _ in range(count)]
    return sources, [" ".join(reversed(source.split())) for source in sources]


def echoes(count: int, seed: int = 0) -> list[str]:
    """Texts of letters, and of names that hardly ever come twice."""
    random = np.random.default_rng(seed)
    words = [
        f"name{random.integers(10**6)}" if random.random() < 0.3 else "abcd"[random.integers(4)] for _ in range(999)
    ]
    sizes = random.integers(2, 5, count)
    return [" ".join(words[end - size : end]) for end, size in zip(np.cumsum(sizes) % 990 + 5, sizes, strict=True)]


def rhymes(count: int) -> list[str]:
    """One line again and again."""
    return ["the cat sat on the mat, the dog did not"] * count


@pytest.fixture(scope="session")
def toys() -> SimpleNamespace:
    """The made-up data, and options under which a toy is learned in a second."""
    return SimpleNamespace(
        reviews=reviews, slopes=slopes, parts=parts, names=names, reversals=reversals, echoes=echoes,
        rhymes=rhymes,
        quick=QUICK, series=SERIES, tags=TAGS, pairs=PAIRS, running=RUNNING,
    )  # fmt: skip


@pytest.fixture(scope="session")
def critic() -> Classifier:
    return Classifier(**QUICK, epochs=12).fit(*reviews(60))


@pytest.fixture(scope="session")
def climber() -> Classifier:
    return Classifier(**SERIES, epochs=20).fit(*slopes(60))


@pytest.fixture(scope="session")
def grammarian() -> Tagger:
    return Tagger(**TAGS).fit(parts(150))


@pytest.fixture(scope="session")
def registrar() -> Tagger:
    return Tagger(**TAGS).fit(names(60))


@pytest.fixture(scope="session", params=["word", "char", "subword"])
def writer(request: pytest.FixtureRequest) -> LanguageModel:
    """A language model of each level."""
    return LanguageModel(level=request.param, **{**RUNNING, "max_size": 300}).fit(rhymes(40))


@pytest.fixture(scope="session")
def mirror() -> Translator:
    return Translator(**PAIRS).fit(*reversals(250))
