"""Every head of the house keeps the laws of heads; each law is seen to fail on a head with a fault of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from unrolled.heads.crf import CRFHead, LinearChainCRF
from unrolled.heads.grid import ConditionedNotesHead, NotesHead
from unrolled.heads.head import Head
from unrolled.heads.number.head import NumberHead
from unrolled.heads.number.likelihood import make_likelihood
from unrolled.heads.softmax import OutputLayer, SoftmaxHead
from unrolled.nn.reading.embedding import Embedding
from unrolled.padding import zero_padding
from unrolled.testing import HEAD_LAWS, LawBroken, check_head

WIDTH, CODES, NOTES, LEVELS = 4, 3, 4, (0.1, 0.5, 0.9)
FOLLOW = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]], bool)
LEGAL = (np.array([True, True, False]), FOLLOW, np.array([True, False, True]))


def codes(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    return torch.randint(CODES, shape, generator=random)


def numbers(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    return torch.randn(*shape, 2, generator=random, dtype=torch.float64)


def counts(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    return torch.randint(5, (*shape, 1), generator=random).double()


ROWS = {width: Embedding(CODES, width).double() for width in (WIDTH, WIDTH + 1)}


def tied(width: int) -> OutputLayer:
    """Its rows are those of an embedding, which is no part of it."""
    return OutputLayer(WIDTH, CODES, ROWS[width])


def number(likelihood: str, **options: Any) -> dict[str, Any]:
    made = make_likelihood(likelihood, LEVELS if likelihood == "quantile" else (0.5,), **options)
    return {
        # Counts are drawn slowly.
        "make": lambda: NumberHead(WIDTH, 1 if made.counts else 2, made),
        "values": counts if made.counts else numbers,
        "best": "mean" if made.counts else "mode",
        "distribution": bool(made.noise),
    }


def grids(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    return torch.randint(2, (*shape, NOTES), generator=random).double()


HEADS: dict[str, dict[str, Any]] = {
    "softmax": {"make": lambda: SoftmaxHead(WIDTH, CODES), "values": codes},
    "softmax of one code": {
        "make": lambda: SoftmaxHead(WIDTH, 1),
        "values": lambda shape, _: torch.zeros(shape).long(),
    },
    "softmax, smoothed": {"make": lambda: SoftmaxHead(WIDTH, CODES, smoothing=0.3), "values": codes},
    "many codes": {"make": lambda: OutputLayer(WIDTH, CODES), "values": codes},
    "many codes, tied": {"make": lambda: tied(WIDTH), "values": codes},
    "many codes, projected": {"make": lambda: tied(WIDTH + 1), "values": codes},
    "chain": {"make": lambda: CRFHead(WIDTH, CODES), "values": codes, "rows": True},
    "chain of legal moves": {"make": lambda: CRFHead(WIDTH, CODES, LEGAL), "values": codes, "rows": True},
    "gaussian": number("gaussian"),
    "student-t": number("student-t"),
    "negative-binomial": number("negative-binomial"),
    "quantile": number("quantile"),
    "point": number("point"),
    "point, mse": number("point", loss="mse"),
    "point, huber": number("point", loss="huber"),
    "notes": {"make": lambda: NotesHead(WIDTH, NOTES), "values": grids},
    "conditioned notes": {"make": lambda: ConditionedNotesHead(WIDTH, NOTES, 5), "values": grids},
}


@pytest.mark.parametrize("name", HEADS)
def test_a_head_of_the_house_keeps_every_law(name: str) -> None:
    check_head(**HEADS[name])


def test_the_laws_leave_the_global_random_state_alone() -> None:
    before = torch.random.get_rng_state()
    check_head(**HEADS["chain"])
    assert torch.equal(before, torch.random.get_rng_state())


class ReadsPadding(SoftmaxHead):
    def loss(self, y: Tensor, target: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total, count = super().loss(y, target, lengths)
        return total + 0 * y.sum(), count


class NamesPadding(SoftmaxHead):
    """Says a code where there is no place."""

    def best(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        return super().best(y).clamp(min=0)


class DrawsPadding(SoftmaxHead):
    def draw(self, y: Tensor, generator: torch.Generator | None = None, lengths: Tensor | None = None) -> Tensor:
        return super().draw(zero_padding(y, lengths), generator)


class AgainstOtherRows(SoftmaxHead):
    """Shifts the scores of a row by those of all rows."""

    def scores(self, y: Tensor) -> Tensor:
        scores = super().scores(y)
        return scores - scores.mean(0) * torch.arange(self.size)


class MeanLoss(SoftmaxHead):
    def loss(self, y: Tensor, target: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total, count = super().loss(y, target, lengths)
        return total / count.clamp(min=1), count.clamp(max=1)


class TakesUnknownForFirst(SoftmaxHead):
    def loss(self, y: Tensor, target: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return super().loss(y, target.clamp(min=0), lengths)


class CountsPlaces(SoftmaxHead):
    def loss(self, y: Tensor, target: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total, _ = super().loss(y, target, lengths)
        return total, torch.tensor(target.numel()) if lengths is None else lengths.sum()


class SmoothsAlways(SoftmaxHead):
    """A loss that is not minus the log probability in evaluation either."""

    def loss(self, y: Tensor, target: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        known = self.known(y, target, lengths)
        scores = self.scores(zero_padding(y, lengths)).flatten(0, -2)
        total = cross_entropy(scores, known.flatten(), ignore_index=-1, reduction="sum", label_smoothing=0.1)
        return total, (known >= 0).sum()


class LosesGradient(SoftmaxHead):
    """Half of the scores are taken from the graph."""

    def scores(self, y: Tensor) -> Tensor:
        scores = super().scores(y)
        return (scores + scores.detach()) / 2


class NamesTheLeast(SoftmaxHead):
    def best(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        worst = (-self.scores(y)).argmax(-1)
        return worst if lengths is None else torch.where(super().best(y, lengths) >= 0, worst, -1)


class EachByItself(CRFHead):
    """The best of each step, which is not the best of the row."""

    def best(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        best = self.probabilities(y, lengths).argmax(-1)
        return best if lengths is None else torch.where(super().best(y, lengths) >= 0, best, -1)


class DrawsTheBest(SoftmaxHead):
    def draw(self, y: Tensor, generator: torch.Generator | None = None, lengths: Tensor | None = None) -> Tensor:
        return self.best(y, lengths)


class DrawsTooBoldly(SoftmaxHead):
    """At a temperature of 0.75."""

    def draw(self, y: Tensor, generator: torch.Generator | None = None, lengths: Tensor | None = None) -> Tensor:
        weight, bias = self.weight.data, self.bias.data
        self.weight.data, self.bias.data = weight / 0.75, bias / 0.75
        drawn = super().draw(y, generator, lengths)
        self.weight.data, self.bias.data = weight, bias
        return drawn


class DrawsByTheClock(SoftmaxHead):
    def draw(self, y: Tensor, generator: torch.Generator | None = None, lengths: Tensor | None = None) -> Tensor:
        return super().draw(y, None, lengths)


class DrawsStepsAlone(CRFHead):
    """Each step by its own probability: right at every step, wrong of the row."""

    def draw(self, y: Tensor, generator: torch.Generator | None = None, lengths: Tensor | None = None) -> Tensor:
        chances = self.probabilities(y, lengths).flatten(0, 1) + 1e-12
        drawn = torch.multinomial(chances, 1, generator=generator).view(y.shape[:2])
        return drawn if lengths is None else torch.where(super().best(y, lengths) >= 0, drawn, -1)


class NoMass(SoftmaxHead):
    """Probabilities that sum to e^0.1, in the loss, too."""

    def log_prob(self, y: Tensor, value: Tensor, lengths: Tensor | None = None) -> Tensor:
        found = super().log_prob(y, value, lengths)
        return torch.where(self.known(y, value, lengths) >= 0, found + 0.1, 0)

    def loss(self, y: Tensor, target: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return -self.log_prob(y, target, lengths).sum(), (self.known(y, target, lengths) >= 0).sum()


class WiderThanItSays(NumberHead):
    """Draws with deviations a quarter too large."""

    def draw(self, y: Tensor, generator: torch.Generator | None = None, lengths: Tensor | None = None) -> Tensor:
        best = self.best(y, lengths)
        return best + 1.25 * (super().draw(y, generator, lengths) - best)


class NamesTheMedian(NumberHead):
    """Of counts, whose mean is larger."""

    def best(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        median = self.likelihood.quantiles(self.distribution(y), (0.5,))[..., 0].double()
        return torch.where(super().best(y, lengths).isnan(), torch.nan, median)


class MakesUpDraws(NumberHead):
    def draw(self, y: Tensor, generator: torch.Generator | None = None, lengths: Tensor | None = None) -> Tensor:
        return self.best(y, lengths)


class ScaleBeside(SoftmaxHead):
    """Scores are scaled by a number that no state dict holds."""

    def __init__(self, input_size: int, size: int) -> None:
        super().__init__(input_size, size)
        self.scale = 1 + torch.rand(()).item()

    def scores(self, y: Tensor) -> Tensor:
        return super().scores(y) * self.scale


class DrawsNotesAlone(ConditionedNotesHead):
    """Each note as often as it is on, whatever is below it."""

    def draw(self, y: Tensor, generator: torch.Generator | None = None, lengths: Tensor | None = None) -> Tensor:
        drawn = super().draw(y, generator, lengths)
        return torch.stack([drawn[:, :, note].roll(note, 0) for note in range(self.notes)], -1)


class DrawsGuessesBelow(ConditionedNotesHead):
    """Each note given those that are likely below it, not those that were drawn."""

    def draw(self, y: Tensor, generator: torch.Generator | None = None, lengths: Tensor | None = None) -> Tensor:
        best, drawn = self.best(y, lengths), super().draw(y, generator, lengths)
        for note in range(self.notes):
            given = torch.where(torch.arange(self.notes) < note, best, torch.nan)
            drawn[..., note] = self.choose(zero_padding(y, lengths), generator, given=given)[..., note]
        return drawn


class NamesTheGreedy(ConditionedNotesHead):
    """Each note as is likelier, given those below, which here say a lot."""

    def __init__(self, input_size: int, notes: int) -> None:
        super().__init__(input_size, notes, 8)
        self.below.data *= 8
        self.above.data *= 8

    def best(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        return torch.where(super().best(y, lengths).isnan(), torch.nan, self.choose(y, temperature=0))


class FullChain(LinearChainCRF):
    """Takes every row for a full one."""

    def log_likelihood(self, scores: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        return super().log_likelihood(scores, tags, torch.full_like(lengths, scores.shape[1]))


class IgnoresLengths(CRFHead):
    def __init__(self, input_size: int, size: int) -> None:
        super().__init__(input_size, size)
        self.chain = FullChain(size)


def broken(kind: type[SoftmaxHead] | type[CRFHead], **more: Any) -> dict[str, Any]:
    return {"make": lambda: kind(WIDTH, CODES), "values": codes, "rows": issubclass(kind, CRFHead), **more}


def broken_number(kind: type[NumberHead], likelihood: str) -> dict[str, Any]:
    levels = LEVELS if likelihood == "quantile" else (0.5,)
    made = make_likelihood(likelihood, levels)
    return number(likelihood) | {"make": lambda: kind(WIDTH, 1 if made.counts else 2, made)}


def broken_notes(kind: Callable[[int, int], Head]) -> dict[str, Any]:
    return {"make": lambda: kind(WIDTH, NOTES), "values": grids}


CAUGHT: list[tuple[str, dict[str, Any]]] = [
    ("padding", broken(ReadsPadding)),
    ("padding", broken(NamesPadding)),
    ("padding", broken(DrawsPadding)),
    ("padding", broken(IgnoresLengths)),
    ("batch", broken(IgnoresLengths)),
    ("batch", broken(AgainstOtherRows)),
    ("batch", broken(MeanLoss)),
    ("loss", broken(MeanLoss)),
    ("unknown", broken(TakesUnknownForFirst)),
    ("unknown", broken(CountsPlaces)),
    ("loss", broken(SmoothsAlways)),
    ("gradient", broken(LosesGradient)),
    ("best", broken(NamesTheLeast)),
    ("best", broken(EachByItself)),
    ("best", broken_number(NamesTheMedian, "negative-binomial")),
    ("draw", broken(DrawsTheBest)),
    ("draw", broken(DrawsTooBoldly)),
    ("draw", broken(DrawsByTheClock)),
    ("draw", broken(DrawsStepsAlone)),
    ("draw", broken(NoMass)),
    ("draw", broken_number(WiderThanItSays, "gaussian")),
    ("draw", broken_number(WiderThanItSays, "student-t")),
    ("draw", broken_notes(DrawsNotesAlone)),
    ("draw", broken_notes(DrawsGuessesBelow)),
    ("best", broken_notes(NamesTheGreedy)),
    ("refusal", broken_number(MakesUpDraws, "quantile")),
    ("round trip", broken(ScaleBeside)),
]


@pytest.mark.parametrize(
    ("law", "case"), CAUGHT, ids=[f"{law} {type(case['make']()).__name__}" for law, case in CAUGHT]
)
def test_the_law_catches_the_fault_and_says_its_name(law: str, case: dict[str, Any]) -> None:
    with pytest.raises(LawBroken, match=f"law '{law}' broken by {type(case['make']()).__name__}: ") as caught:
        check_head(**case, laws=[law])
    assert caught.value.law == law


def test_every_law_of_a_head_is_seen_to_fail() -> None:
    assert {law for law, _ in CAUGHT} == set(HEAD_LAWS)
