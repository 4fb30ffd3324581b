"""Every alignment keeps the laws, and every law is seen to fail on a seeded bug, under its own name.

A new alignment is one line in CASES: the arguments of `check_alignment`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from unrolled.align.decode import Decode, DecodeOptions, Pair
from unrolled.align.each import Each, EachOptions, Tagged
from unrolled.align.next import Next, NextOptions, Started
from unrolled.align.pool import Labelled, Pool, PoolOptions
from unrolled.heads.codes import CodeHead
from unrolled.heads.crf import CRFHead, LinearChainCRF
from unrolled.heads.grid import ConditionedNotesHead, NotesHead
from unrolled.heads.head import Head
from unrolled.heads.number.head import NumberHead
from unrolled.heads.number.likelihood import make_likelihood
from unrolled.heads.pen import PenHead
from unrolled.heads.softmax import OutputLayer, SoftmaxHead
from unrolled.nn import Told
from unrolled.nn.build import EncoderOptions, make_encoder
from unrolled.nn.reading.embedding import Embedding
from unrolled.nn.reading.reader import NumberReader, Reader, SeriesReader, WordReader
from unrolled.nn.reading.spelling import SpellingEncoder
from unrolled.padding import Padded, valid_mask
from unrolled.testing import LawBroken, check_alignment

LENGTHS = torch.tensor([6, 3, 1, 0, 5])
TIME = 6
CODES, CHARACTERS, CLASSES = 9, 8, 4
BOTH = {"bidirectional": True, "layers": 2}


class Walk(NamedTuple):
    """Codes, the code that follows each, and how many of them there are."""

    x: Tensor
    target: Tensor
    lengths: Tensor


def random() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def words() -> Padded:
    """Five rows of words out of six, each spelled with up to four characters; the padding holds zeros."""
    generator, valid = random(), valid_mask(LENGTHS, TIME)
    codes = torch.randint(1, CODES, (len(LENGTHS), TIME), generator=generator)
    forms = torch.randint(0, 6, (len(LENGTHS), TIME), generator=generator)
    spellings = torch.randint(1, CHARACTERS, (6, 4), generator=generator)
    spellings[1, 2:] = spellings[2, 1:] = 0
    return Padded(torch.where(valid, codes, 0), LENGTHS, torch.where(valid, forms, 0), spellings)


def series() -> Padded:
    return Padded(torch.randn(len(LENGTHS), TIME, 3, generator=random()), LENGTHS)


def labelled(x: Padded) -> Labelled:
    return Labelled(x, torch.tensor([1, 0, -1, 3, 2]))


def tagged(x: Padded) -> Tagged:
    tags = torch.randint(-1, CLASSES, (len(LENGTHS), TIME), generator=random())
    return Tagged(x, torch.where(valid_mask(LENGTHS, TIME), tags, -1))


def walk() -> Walk:
    codes = torch.randint(0, CLASSES, (len(LENGTHS), TIME + 1), generator=random())
    return Walk(codes[:, :-1], codes[:, 1:], LENGTHS)


def word_reader() -> Reader:
    return WordReader(Embedding(CODES, 4), SpellingEncoder(CHARACTERS, 3, 4))


def pool(pooling: str, reader: Any = word_reader, kind: type[Pool] = Pool, **options: Any) -> Pool:
    read = reader()
    encoder = make_encoder(read.output_size, EncoderOptions(**{"hidden_size": 5, "cell": "gru"} | options))
    return kind(read, encoder, SoftmaxHead(encoder.output_size, CLASSES), PoolOptions(pooling=pooling))


def legal() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    follow = np.ones((CLASSES, CLASSES), bool)
    follow[0, 1] = follow[2, 3] = False
    return np.array([True, True, True, False]), follow, np.array([False, True, True, True])


def each(crf: bool, reader: Any = word_reader, kind: type[Each] = Each, **options: Any) -> Each:
    read = reader()
    encoder = make_encoder(read.output_size, EncoderOptions(**{"hidden_size": 5} | options))
    width = encoder.output_size
    head = CRFHead(width, CLASSES, legal()) if crf else SoftmaxHead(width, CLASSES)
    return kind(read, encoder, head, EachOptions())


class Follow(nn.Module):
    """The code that follows: the smallest module that carries a state."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = Embedding(CLASSES, 3)
        self.encoder = make_encoder(3, EncoderOptions(hidden_size=5))
        self.head = nn.Linear(5, CLASSES)

    def loss(self, batch: Walk, state: Any) -> tuple[Tensor, Tensor, Any]:
        valid = valid_mask(batch.lengths, batch.x.shape[1])
        y, state = self.encoder(self.embedding(torch.where(valid, batch.x, 0)), state, lengths=batch.lengths)
        target = torch.where(valid, batch.target, -1)
        total = cross_entropy(self.head(y).flatten(0, 1), target.flatten(), ignore_index=-1, reduction="sum")
        return total, valid.sum(), state


class Stretched(NamedTuple):
    """As `Walk`, with the resets that `Next` asks for."""

    x: Tensor
    target: Tensor
    lengths: Tensor
    reset: Tensor


def stretched() -> Stretched:
    reset = torch.zeros(len(LENGTHS), TIME, dtype=torch.bool)
    reset[0, 3] = reset[4, 1] = True
    return Stretched(*walk(), reset)


def following(**options: Any) -> Next:
    encoder, embedding = make_encoder(3, EncoderOptions(hidden_size=5, layers=2)), Embedding(CLASSES, 3)
    tied = options.pop("tied", True)
    return Next(embedding, encoder, OutputLayer(5, CLASSES, embedding if tied else None), NextOptions(**options))


def following_numbers(likelihood: str) -> Next:
    reader = NumberReader(2, known=1)
    encoder = make_encoder(reader.output_size, EncoderOptions(hidden_size=5, layers=2))
    return Next(reader, encoder, NumberHead(5, 2, make_likelihood(likelihood, (0.5,))), NextOptions())


def following_notes(head: Callable[[int, int], Head]) -> Next:
    reader = NumberReader(2, known=1)
    encoder = make_encoder(reader.output_size, EncoderOptions(hidden_size=5, layers=2))
    return Next(reader, encoder, head(5, 3), NextOptions())


def stretched_notes() -> Stretched:
    """Grids of three notes; none of a place is known, or all."""
    x, target = torch.randint(2, (2, len(LENGTHS), TIME, 3), generator=random()).float()
    target[1, 2:] = torch.nan
    return Stretched(x, target, LENGTHS, stretched().reset)


def stretched_numbers() -> Stretched:
    """Numbers, some of them missing, beside one that is known."""
    x = torch.cat([numbers(len(LENGTHS), TIME), torch.ones(len(LENGTHS), TIME, 1)], -1)
    return Stretched(x, numbers(len(LENGTHS), TIME), LENGTHS, stretched().reset)


def told_moves() -> Next:
    reader = NumberReader(3)
    encoder = Told(make_encoder(reader.output_size + 4, EncoderOptions(hidden_size=5, layers=2)), 4)
    return Next(reader, encoder, PenHead(5, 2, floor=0.1), NextOptions(condition_size=4))


def moves() -> Started:
    """Moves of a pen and what it does after each, some of them not known, each row from a vector of its own."""
    pen = torch.randint(3, (len(LENGTHS), TIME, 1), generator=random()).float()
    x = torch.cat([numbers(len(LENGTHS), TIME), pen], -1)
    vector = torch.randn(len(LENGTHS), 4, generator=random())
    return Started(x, x.roll(-1, 1), LENGTHS, vector, stretched().reset)


def pair() -> Pair:
    codes = torch.randint(4, CODES, (len(LENGTHS), TIME - 1), generator=random())
    lengths = torch.tensor([2, 5, 0, 1, 3])
    target = Padded(torch.where(valid_mask(lengths, TIME - 1), codes, 0), lengths)
    copies = torch.where(
        valid_mask(LENGTHS, TIME), torch.randint(4, CODES + 2, (len(LENGTHS), TIME), generator=random()), -1
    )
    return Pair(words(), target, copies)


def translating(**options: Any) -> Decode:
    read = word_reader()
    encoder = make_encoder(read.output_size, EncoderOptions(hidden_size=5, bidirectional=True))
    return Decode(read, encoder, Embedding(CODES, 4), CODES, DecodeOptions(hidden_size=6, **options))


def pool_probabilities(module: Pool, batch: Labelled) -> Tensor:
    assert isinstance(module.head, CodeHead)
    return module.head.probabilities(module.vectors(batch.x))


def tags_and_probabilities(module: Each, batch: Tagged) -> tuple[Tensor, Tensor]:
    assert isinstance(module.head, CodeHead)
    return module.predict(batch.x), module.head.probabilities(module.vectors(batch.x), batch.x.lengths)


def pool_of_numbers(likelihood: str) -> Pool:
    encoder = make_encoder(3, EncoderOptions(hidden_size=5))
    head = NumberHead(5, 2, make_likelihood(likelihood, (0.5,)))
    return Pool(SeriesReader(3), encoder, head, PoolOptions(pooling="mean"))


def each_of_numbers(likelihood: str) -> Each:
    encoder = make_encoder(3, EncoderOptions(hidden_size=5))
    return Each(SeriesReader(3), encoder, NumberHead(5, 2, make_likelihood(likelihood, (0.5,))), EachOptions())


def numbers(*shape: int) -> Tensor:
    found = torch.randn(*shape, 2, generator=random())
    return torch.where(found > 1, torch.nan, found)


def valued(x: Padded) -> Tagged:
    """Numbers for every step, some of them not known; all in the padding are."""
    return Tagged(x, numbers(len(LENGTHS), TIME))


POOLED: dict[str, Any] = {"batch": lambda: labelled(words()), "predict": pool_probabilities}
OF_EACH: dict[str, Any] = {
    "batch": lambda: tagged(words()),
    "aligned": lambda batch: {"tags": batch.x.lengths},
    "predict": tags_and_probabilities,
}
FOLLOWED: dict[str, Any] = {
    "batch": walk,
    "aligned": lambda batch: {"x": batch.lengths, "target": batch.lengths},
    "carries": True,
}
STRETCHED: dict[str, Any] = {
    "batch": stretched,
    "aligned": lambda batch: {"x": batch.lengths, "target": batch.lengths, "reset": batch.lengths},
    "carries": True,
}
PAIRED: dict[str, Any] = {"batch": pair, "aligned": lambda batch: {"copies": batch.source.lengths}}
SERIES: dict[str, Any] = {"batch": lambda: labelled(series())}
SERIES_OF_EACH: dict[str, Any] = {"batch": lambda: tagged(series())}

CASES: dict[str, dict[str, Any]] = {
    "pool last": POOLED | {"make": lambda: pool("last")},
    "pool last, both ways": POOLED | {"make": lambda: pool("last", **BOTH)},
    "pool mean": POOLED | {"make": lambda: pool("mean")},
    "pool max": POOLED | {"make": lambda: pool("max", **BOTH)},
    "pool attention": POOLED | {"make": lambda: pool("attention")},
    "pool of series": POOLED | SERIES | {"make": lambda: pool("last", lambda: SeriesReader(3), **BOTH)},
    "pool of series, mean": POOLED | SERIES | {"make": lambda: pool("mean", lambda: SeriesReader(3))},
    "pool of series, attention": POOLED | SERIES | {"make": lambda: pool("attention", lambda: SeriesReader(3))},
    "each": OF_EACH | {"make": lambda: each(False, **BOTH)},
    "each of series": OF_EACH | SERIES_OF_EACH | {"make": lambda: each(False, lambda: SeriesReader(3))},
    "each, chain": OF_EACH | {"make": lambda: each(True, **BOTH)},
    "each of series, chain": OF_EACH | SERIES_OF_EACH | {"make": lambda: each(True, lambda: SeriesReader(3))},
    "pool of numbers": SERIES
    | {
        "make": lambda: pool_of_numbers("gaussian"),
        "batch": lambda: Labelled(series(), numbers(len(LENGTHS))),
        "predict": lambda module, batch: module.predict(batch.x),
    },
    "each of numbers": OF_EACH
    | {
        "make": lambda: each_of_numbers("quantile"),
        "batch": lambda: valued(series()),
        "predict": lambda module, batch: module.predict(batch.x).nan_to_num(),
    },
    "a state carried": FOLLOWED | {"make": Follow},
    "next": STRETCHED | {"make": following},
    "next, rows of its own": STRETCHED | {"make": lambda: following(tied=False)},
    "next, numbers": STRETCHED | {"make": lambda: following_numbers("student-t"), "batch": stretched_numbers},
    "next, quantiles": STRETCHED | {"make": lambda: following_numbers("quantile"), "batch": stretched_numbers},
    "next, notes": STRETCHED | {"make": lambda: following_notes(NotesHead), "batch": stretched_notes},
    "next, conditioned notes": STRETCHED
    | {"make": lambda: following_notes(ConditionedNotesHead), "batch": stretched_notes},
    "next, moves of a pen, told a vector": STRETCHED | {"make": told_moves, "batch": moves},
    "decode": PAIRED | {"make": translating},
    "decode, additive and fed back": PAIRED | {"make": lambda: translating(attention="additive", feeding=True)},
    "decode, dot": PAIRED | {"make": lambda: translating(attention="dot", tied=True)},
    "decode without attention": PAIRED | {"make": lambda: translating(attention="none")},
    "decode, pointer": PAIRED | {"make": lambda: translating(copying="pointer")},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_alignment_keeps_the_laws(case: dict[str, Any]) -> None:
    check_alignment(**case)


class AveragesPadding(Pool):
    """Divides by the time of the batch."""

    def pooled(self, y: Tensor, lengths: Tensor) -> Tensor:
        return y.mean(1)


class LastTime(Pool):
    """Takes the last time of the batch, which is padding for a short row."""

    def pooled(self, y: Tensor, lengths: Tensor) -> Tensor:
        return y[:, -1]


class MeanOverRows(Pool):
    """Shifts what the head sees by what the other rows of the batch have."""

    def vectors(self, x: Padded) -> Tensor:
        y = super().vectors(x)
        return y - y.mean(0) * torch.arange(y.shape[1])


class FullChain(LinearChainCRF):
    """Takes every row for a full one."""

    def log_likelihood(self, scores: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        return super().log_likelihood(scores, tags, torch.full_like(lengths, scores.shape[1]))


class IgnoresLengths(Each):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        assert isinstance(self.head, CRFHead)
        self.head.chain = FullChain(CLASSES)


class MeanLoss(Each):
    """A mean where a sum belongs."""

    def loss(self, batch: Tagged, state: Any = None) -> tuple[Tensor, Tensor, None]:
        total, count, _ = super().loss(batch)
        return total / count.clamp(min=1), count.clamp(max=1), None


class CountsPadding(Each):
    def loss(self, batch: Tagged, state: Any = None) -> tuple[Tensor, Tensor, None]:
        total, count, _ = super().loss(batch)
        return total, torch.full_like(count, batch.tags.numel()), None


class DropsState(Follow):
    def loss(self, batch: Walk, state: Any) -> tuple[Tensor, Tensor, Any]:
        return super().loss(batch, None)


class SeesAhead(Follow):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = make_encoder(3, EncoderOptions(hidden_size=5, bidirectional=True))
        self.head = nn.Linear(10, CLASSES)


class RemembersInside(Follow):
    """Carries on from a state of its own, whatever it is given."""

    kept: Any = None

    def loss(self, batch: Walk, state: Any) -> tuple[Tensor, Tensor, Any]:
        total, count, self.kept = super().loss(batch, None if state is None else self.kept)
        return total, count, self.kept


class WeightBeside(Follow):
    """Scales the loss by a number that no state dict holds."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.rand(()).item() + 1

    def loss(self, batch: Walk, state: Any) -> tuple[Tensor, Tensor, Any]:
        total, count, state = super().loss(batch, state)
        return total * self.scale, count, state


CAUGHT: list[tuple[str, dict[str, Any]]] = [
    ("padding", POOLED | {"make": lambda: pool("mean", kind=AveragesPadding)}),
    ("batch", POOLED | {"make": lambda: pool("mean", kind=AveragesPadding)}),
    ("batch", POOLED | {"make": lambda: pool("last", kind=LastTime)}),
    ("batch", POOLED | {"make": lambda: pool("last", kind=MeanOverRows)}),
    ("padding", OF_EACH | {"make": lambda: each(True, kind=IgnoresLengths)}),
    ("batch", OF_EACH | {"make": lambda: each(True, kind=IgnoresLengths)}),
    ("batch", OF_EACH | {"make": lambda: each(False, kind=MeanLoss)}),
    ("padding", OF_EACH | {"make": lambda: each(False, kind=CountsPadding)}),
    ("chunk", FOLLOWED | {"make": DropsState}),
    ("chunk", FOLLOWED | {"make": SeesAhead}),
    ("resume", FOLLOWED | {"make": RemembersInside}),
    ("round trip", FOLLOWED | {"make": WeightBeside}),
]


@pytest.mark.parametrize(
    ("law", "case"), CAUGHT, ids=[f"{law} {type(case['make']()).__name__}" for law, case in CAUGHT]
)
def test_the_law_catches_the_bug_and_says_its_name(law: str, case: dict[str, Any]) -> None:
    with pytest.raises(LawBroken, match=f"law '{law}' broken by {type(case['make']()).__name__}: ") as caught:
        check_alignment(**case, laws=[law])
    assert caught.value.law == law


def test_the_laws_leave_the_global_random_state_alone() -> None:
    before = torch.random.get_rng_state()
    check_alignment(**CASES["pool mean"])
    assert torch.equal(before, torch.random.get_rng_state())
