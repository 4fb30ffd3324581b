"""Grids of notes against every grid written out, and against a loop over the notes, one by one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import TypeVar

import pytest
import torch
from torch import Tensor

from unrolled.errors import DataError, OptionError, ShapeError
from unrolled.heads import grid
from unrolled.heads.grid import ConditionedNotesHead, GridHead, NotesHead

H = TypeVar("H", bound=GridHead)

WIDTH = 3
# Sums of a few hundred terms of size 1 in float64.
EXACT = {"rtol": 2**10 * 2.0**-52, "atol": 2**10 * 2.0**-52}


def independent(notes: int) -> GridHead:
    return moved(NotesHead(WIDTH, notes))


def conditioned(notes: int, beam: int = 8, layers: int = 2) -> ConditionedNotesHead:
    return moved(ConditionedNotesHead(WIDTH, notes, 5, layers=layers, beam=beam))


def moved(head: H) -> H:
    """Notes say a lot about those above them."""
    torch.manual_seed(0)
    for parameter in head.double().parameters():
        parameter.data.normal_()
    return head.eval()


both = pytest.mark.parametrize("make", [independent, conditioned])


def trial(notes: int, *shape: int, share: float = 0.4) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    y = torch.randn(*shape, WIDTH, generator=random, dtype=torch.float64)
    return y, (torch.rand(*shape, notes, generator=random) < share).double()


def all_grids(notes: int) -> Tensor:
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=notes)), dtype=torch.float64)


def by_hand(head: ConditionedNotesHead, y: Tensor, values: Tensor) -> Tensor:
    """log p of one grid by the equations, note by note."""
    total = y.new_zeros(())
    for note in range(head.notes):
        a = head.hidden.weight @ y + head.hidden.bias
        for below in range(note):
            a = a + values[below] * head.below[below]
        h = a.tanh()
        for layer in head.further:
            h = h + torch.tanh(layer.weight @ h + layer.bias)
        logit = head.above[note] @ h + head.weight[note] @ y + head.bias[note]
        p = torch.sigmoid(logit)
        total = total + (p.log() if values[note] else (1 - p).log())
    return total


@both
@pytest.mark.parametrize("notes", [1, 2, 7])
def test_the_probabilities_of_all_grids_sum_to_one(make: Callable[[int], GridHead], notes: int) -> None:
    y, _ = trial(notes, 4)
    for place in y:
        grids = all_grids(notes)
        total = make(notes).log_prob(place.expand(len(grids), -1), grids).exp().sum()
        torch.testing.assert_close(total, torch.ones_like(total), **EXACT)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_conditioned_notes_are_those_of_a_plain_loop_with_their_gradients(share: float, layers: int) -> None:
    head = conditioned(11, layers=layers)
    y, target = trial(11, 2, 4, share=share)
    y.requires_grad_()
    wanted = [y, *head.parameters()]
    expected = torch.stack([by_hand(head, *pair) for pair in zip(y.flatten(0, 1), target.flatten(0, 1), strict=True)])
    torch.testing.assert_close(head.log_prob(y, target), expected.view(2, 4), **EXACT)
    total, count = head.loss(y, target)
    assert int(count) == 8
    found, slopes = (torch.autograd.grad(x, wanted, allow_unused=True) for x in (total, -expected.sum()))
    for got, want, tensor in zip(found, slopes, wanted, strict=True):
        torch.testing.assert_close(got, torch.zeros_like(tensor) if want is None else want, **EXACT)


def test_independent_notes_are_those_of_torchs_own_loss() -> None:
    head = independent(11)
    y, target = trial(11, 2, 4)
    oracle = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.nn.functional.linear(y, head.weight, head.bias), target, reduction="none"
    )
    torch.testing.assert_close(head.log_prob(y, target), -oracle.sum(-1), **EXACT)


def test_a_large_batch_goes_in_parts_and_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    head = conditioned(6)
    y, target = trial(6, 5, 3)
    y.requires_grad_()
    wanted = [y, *head.parameters()]
    whole, best = head.loss(y, target)[0], head.best(y)
    slopes = torch.autograd.grad(whole, wanted)
    parts = list[int]()
    of_part = head._log_prob_of_part

    def counted(y: Tensor, grids: Tensor) -> Tensor:
        parts.append(len(y))
        return of_part(y, grids)

    monkeypatch.setattr(grid, "NUMBERS", 200)
    monkeypatch.setattr(head, "_log_prob_of_part", counted)
    total = head.loss(y, target)[0]
    assert len(parts) > 3
    assert sum(parts) == 15
    torch.testing.assert_close(total, whole, **EXACT)
    for got, want in zip(torch.autograd.grad(total, wanted), slopes, strict=True):
        torch.testing.assert_close(got, want, **EXACT)
    assert torch.equal(head.best(y), best)


@both
def test_the_loss_counts_places_not_notes(make: Callable[[int], GridHead]) -> None:
    head = make(5)
    y, target = trial(5, 2, 3)
    target[1, 2] = torch.nan
    assert int(head.loss(y, target)[1]) == 5
    assert int(head.loss(y, target, torch.tensor([2, 0]))[1]) == 2


def test_of_independent_notes_some_may_be_unknown() -> None:
    head = independent(5)
    y, target = trial(5, 2, 3)
    some = target.clone()
    some[0, 0, 1:3] = torch.nan
    total, count = head.loss(y, some)
    assert int(count) == 6
    # What is not known is summed over: all four ways to fill it in.
    ways = [head.log_prob(y, some.masked_scatter(some.isnan(), fill))[0, 0] for fill in all_grids(2)]
    torch.testing.assert_close(head.log_prob(y, some)[0, 0], torch.stack(ways).logsumexp(0), **EXACT)
    torch.testing.assert_close(total, -head.log_prob(y, some).sum(), **EXACT)


def test_of_conditioned_notes_a_place_that_is_partly_known_is_refused() -> None:
    y, target = trial(5, 2, 3)
    target[0, 1, 4] = torch.nan
    with pytest.raises(DataError, match="expected all notes of a place known, or none, got one with 4 of 5; fill"):
        conditioned(5).loss(y, target)


@both
@pytest.mark.parametrize("wrong", [0.5, 2.0, -1.0, math.inf])
def test_what_is_neither_on_nor_off_is_refused(make: Callable[[int], GridHead], wrong: float) -> None:
    y, target = trial(5, 2, 3)
    target[1, 1, 1] = wrong
    with pytest.raises(DataError, match=rf"is 1 \(on\), 0 \(off\) or NaN \(not known\), got {wrong}; encode"):
        make(5).loss(y, target)


@both
def test_grids_of_another_size_or_of_codes_are_refused(make: Callable[[int], GridHead]) -> None:
    y, target = trial(5, 2, 3)
    with pytest.raises(ShapeError, match=r"expected grids \(2, 3, 5\), 5 notes a place, got \(2, 3, 4\)"):
        make(5).loss(y, target[..., :4])
    with pytest.raises(DataError, match=r"grids must be floating, got torch.int64; give"):
        make(5).loss(y, target.long())


@pytest.mark.parametrize("notes", [1, 4])
def test_best_is_the_mode_of_all_grids_where_the_beam_holds_them(notes: int) -> None:
    head = conditioned(notes)
    y, _ = trial(notes, 20)
    grids = all_grids(notes)
    modes = torch.stack([grids[head.log_prob(place.expand(len(grids), -1), grids).argmax()] for place in y])
    assert torch.equal(head.best(y), modes)


def test_a_wider_beam_finds_grids_that_are_no_less_likely_and_greedy_ones_are_worse() -> None:
    y, _ = trial(12, 200)
    likely = [head.log_prob(y, head.best(y)).mean() for head in (conditioned(12, beam) for beam in (1, 2, 8, 64))]
    assert likely[0] < likely[1] < likely[2] <= likely[3]
    assert torch.equal(conditioned(12, 1).best(y), conditioned(12, 1).choose(y, temperature=0))


@both
def test_a_temperature_divides_every_logit(make: Callable[[int], GridHead]) -> None:
    """At temperature T the odds of each note are those to the power of 1 / T: frequencies of all grids tell."""
    notes, draws, temperature = 3, 40_000, 0.5
    head = make(notes)
    y, _ = trial(notes, 1)
    drawn = head.choose(y.expand(draws, -1), torch.Generator().manual_seed(2), temperature=temperature)
    for values in all_grids(notes):
        chance = 1.0
        for note in range(notes):
            # log p of a beginning is that of all grids that begin so.
            with torch.no_grad():
                off, on = (
                    head.log_prob(y.expand(len(grids), -1), grids).logsumexp(0)
                    for grids in (beginning(values[:note], bit, notes) for bit in (0.0, 1.0))
                )
            p = torch.sigmoid((on - off) / temperature)
            chance *= float(p if values[note] else 1 - p)
        share = float((drawn == values).all(-1).double().mean())
        # Five and a half standard deviations, 4e-8 for each of 8 grids.
        assert abs(share - chance) <= 5.5 * math.sqrt(chance * (1 - chance) / draws) + 1 / draws


def beginning(values: Tensor, bit: float, notes: int) -> Tensor:
    """All grids that begin with values, then bit."""
    rest = all_grids(notes - len(values) - 1)
    return torch.cat([torch.cat([values, torch.tensor([bit])]).double().expand(len(rest), -1), rest], 1)


@both
def test_given_notes_stand_and_the_others_are_drawn_around_them(make: Callable[[int], GridHead]) -> None:
    head = make(6)
    y, _ = trial(6, 2, 500)
    given = torch.tensor([torch.nan, 1, torch.nan, 0, 1, torch.nan])
    drawn = head.choose(y, torch.Generator().manual_seed(1), given=given)
    assert drawn.shape == (2, 500, 6)
    assert (drawn[..., given.isfinite()] == given[given.isfinite()]).all()
    free = drawn[..., given.isnan()]
    assert ((free == 0) | (free == 1)).all()
    assert (free.flatten(0, 1).std(0) > 0).all()
    everything = head.choose(y, given=given.nan_to_num(0))
    assert torch.equal(everything, given.nan_to_num(0).double().expand_as(everything))


def test_a_forced_note_counts_for_those_above_it() -> None:
    head = conditioned(2)
    y, _ = trial(2, 1)
    forced = head.choose(y.expand(20_000, -1), torch.Generator().manual_seed(1), given=torch.tensor([1.0, torch.nan]))
    pair = head.log_prob(y.expand(2, -1), torch.tensor([[1.0, 0.0], [1.0, 1.0]], dtype=torch.float64))
    chance = float(pair.detach().softmax(0)[1])
    assert abs(float(forced[:, 1].mean()) - chance) <= 5.5 * math.sqrt(chance * (1 - chance) / 20_000)


@both
def test_given_notes_of_another_shape_or_value_are_refused(make: Callable[[int], GridHead]) -> None:
    y, _ = trial(4, 2, 3)
    for shape in ((3,), (2, 4), (1, 2, 3, 4), ()):
        with pytest.raises(ShapeError, match=r"given must be \(2, 3, 4\) or its last dimensions, got"):
            make(4).choose(y, given=torch.zeros(shape))
    with pytest.raises(DataError, match=r"is 1 \(on\), 0 \(off\) or NaN \(not known\), got 0.5"):
        make(4).choose(y, given=torch.full((4,), 0.5))


@both
def test_a_note_that_is_all_but_impossible_is_not_drawn_where_the_random_number_is_0(
    make: Callable[[int], GridHead], monkeypatch: pytest.MonkeyPatch
) -> None:
    head = make(4).float()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
        head.get_parameter("bias").copy_(torch.tensor([-30.0, -10.0, 0.0, 30.0]))
    monkeypatch.setattr(torch.Tensor, "uniform_", lambda values, generator: values.zero_())
    assert head.choose(torch.zeros(1, WIDTH)).tolist() == [[0, 1, 1, 1]]


@both
def test_at_temperature_0_nothing_is_left_to_chance(make: Callable[[int], GridHead]) -> None:
    y, _ = trial(9, 40)
    before = torch.random.get_rng_state()
    assert torch.equal(make(9).choose(y, temperature=0), make(9).choose(y, temperature=0))
    head = independent(9)
    before = torch.random.get_rng_state()
    assert torch.equal(head.choose(y, temperature=0), head.best(y))
    assert torch.equal(before, torch.random.get_rng_state())


@both
@pytest.mark.parametrize("temperature", [-0.1, math.nan, math.inf, True])
def test_no_other_temperature_is_taken(make: Callable[[int], GridHead], temperature: float) -> None:
    with pytest.raises(OptionError, match=r"temperature must be a number of at least 0, got .+; 1 draws as"):
        make(3).choose(torch.zeros(1, WIDTH, dtype=torch.float64), temperature=temperature)


@both
def test_no_place_and_half_precision_are_taken(make: Callable[[int], GridHead]) -> None:
    head = make(4)
    y, target = trial(4, 0)
    assert [float(x.detach()) for x in head.loss(y, target)] == [0, 0]
    assert head.best(y).shape == head.draw(y).shape == (0, 4)
    y, target = trial(4, 2, 3)
    head, y = head.float(), y.float()
    exact = head.log_prob(y, target.float())
    with torch.autocast("cpu", torch.bfloat16):
        half = head.log_prob(y, target.float())
        assert head.draw(y).dtype == head.best(y).dtype == half.dtype == torch.float32
    # bfloat16 has 8 bits; a grid's log p here is a sum of a few products of size 1 for each of 4 notes.
    torch.testing.assert_close(half, exact, rtol=2**-4, atol=2**-2)
