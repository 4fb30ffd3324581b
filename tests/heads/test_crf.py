"""The chain of tags against brute force: every sequence of tags written out, for few tags and short rows."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from unrolled.errors import DataError, OptionError, ShapeError
from unrolled.heads.crf import ILLEGAL, CRFHead, LinearChainCRF

LENGTHS = torch.tensor([5, 3, 1, 0, 4])
TIME = 5
# Brute force adds up at most 4**5 terms in float64, the walk some 5 * 4 * 4: both lose a few hundred units at most.
EXACT = {"rtol": 2**12 * 2.0**-52, "atol": 2**12 * 2.0**-52}


def some_legal(classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The last tag may not begin, may not follow the first, and the first may not end."""
    begin, end = np.ones(classes, bool), np.ones(classes, bool)
    follow = np.ones((classes, classes), bool)
    begin[-1] = follow[0, -1] = end[0] = False
    return begin, follow, end


def make(classes: int, legal: Any = None) -> LinearChainCRF:
    torch.manual_seed(classes)
    crf = LinearChainCRF(classes, legal).double()
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.normal_()
    return crf


def trial(classes: int) -> Tensor:
    return torch.randn(len(LENGTHS), TIME, classes, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def path_score(crf: LinearChainCRF, scores: Tensor, path: tuple[int, ...]) -> Tensor:
    """The score of one sequence of tags, term by term; scores (time, K)."""
    begin = torch.where(crf.may_begin, crf.begin, ILLEGAL)
    follow = torch.where(crf.may_follow, crf.follow, ILLEGAL)
    end = torch.where(crf.may_end, crf.end, ILLEGAL)
    total = begin[path[0]] + end[path[-1]]
    for t, tag in enumerate(path):
        total = total + scores[t, tag] + (follow[path[t - 1], tag] if t else 0)
    return total


def all_paths(crf: LinearChainCRF, scores: Tensor, length: int) -> tuple[list[tuple[int, ...]], Tensor]:
    paths = list(itertools.product(range(crf.classes), repeat=length))
    return paths, torch.stack([path_score(crf, scores, path) for path in paths])


def brute_likelihood(crf: LinearChainCRF, scores: Tensor, tags: Tensor) -> Tensor:
    found = []
    for row, length in enumerate(LENGTHS.tolist()):
        if not length:
            found.append(scores.new_zeros(()))
            continue
        paths, totals = all_paths(crf, scores[row], length)
        known = tags[row, :length].tolist()
        agrees = [all(k in (-1, tag) for k, tag in zip(known, path, strict=True)) for path in paths]
        found.append(totals[torch.tensor(agrees)].logsumexp(0) - totals.logsumexp(0))
    return torch.stack(found)


def gold(classes: int, unknown: bool) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randint(-1 if unknown else 0, classes, (len(LENGTHS), TIME), generator=generator)


CASES = [(2, None), (3, None), (4, None), (2, some_legal(2)), (3, some_legal(3)), (4, some_legal(4))]
NAMES = [f"{classes} tags, {'all legal' if legal is None else 'some illegal'}" for classes, legal in CASES]
every_case = pytest.mark.parametrize(("classes", "legal"), CASES, ids=NAMES)


@every_case
@pytest.mark.parametrize("unknown", [False, True], ids=["all tags known", "some tags unknown"])
def test_likelihood_and_gradients_are_those_of_all_sequences_written_out(
    classes: int, legal: Any, unknown: bool
) -> None:
    crf, scores, tags = make(classes, legal), trial(classes).requires_grad_(), gold(classes, unknown)
    wanted = [scores, *crf.parameters()]
    expected = brute_likelihood(crf, scores, tags)
    got = crf.log_likelihood(scores, tags, LENGTHS)
    # An illegal gold tag costs 200, of which rounding takes its share.
    torch.testing.assert_close(got, expected, rtol=EXACT["rtol"], atol=EXACT["atol"] * 4)
    weights = torch.arange(1.0, 6.0, dtype=torch.float64)
    slopes = torch.autograd.grad((got * weights).sum(), wanted)
    for slope, want in zip(slopes, torch.autograd.grad((expected * weights).sum(), wanted), strict=True):
        torch.testing.assert_close(slope, want, rtol=EXACT["rtol"], atol=EXACT["atol"] * 4)


def test_gradients_agree_with_differences_of_the_values() -> None:
    crf, scores, tags = make(3, some_legal(3)), trial(3).requires_grad_(), gold(3, True)
    names = [name for name, _ in crf.named_parameters()]

    def likelihood(scores: Tensor, *values: Tensor) -> Tensor:
        arguments = (scores, tags, LENGTHS)
        result = torch.func.functional_call(Likelihood(crf), dict(zip(names, values, strict=True)), arguments)
        assert isinstance(result, Tensor)
        return result

    assert torch.autograd.gradcheck(likelihood, (scores, *crf.parameters()))


class Likelihood(torch.nn.Module):
    """`log_likelihood` as a module's forward, under the same parameter names."""

    def __init__(self, crf: LinearChainCRF) -> None:
        super().__init__()
        self.begin, self.follow, self.end = crf.begin, crf.follow, crf.end
        self._held = (crf,)

    def forward(self, scores: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        crf = self._held[0]
        own = crf.begin, crf.follow, crf.end
        crf.begin, crf.follow, crf.end = self.begin, self.follow, self.end
        try:
            return crf.log_likelihood(scores, tags, lengths)
        finally:
            crf.begin, crf.follow, crf.end = own


@every_case
def test_viterbi_finds_the_best_of_all_sequences(classes: int, legal: Any) -> None:
    crf, scores = make(classes, legal), trial(classes)
    tags, score = crf.viterbi(scores, LENGTHS)
    assert tags.shape == scores.shape[:2]
    for row, length in enumerate(LENGTHS.tolist()):
        assert (tags[row, length:] == -1).all()
        if not length:
            assert score[row] == 0
            continue
        paths, totals = all_paths(crf, scores[row], length)
        best = int(totals.argmax())
        assert tuple(tags[row, :length].tolist()) == paths[best]
        torch.testing.assert_close(score[row], totals[best].detach(), **EXACT)


@every_case
def test_marginals_are_sums_over_all_sequences(classes: int, legal: Any) -> None:
    crf, scores = make(classes, legal), trial(classes)
    got = crf.marginals(scores, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        assert (got[row, length:] == 0).all()
        if not length:
            continue
        paths, totals = all_paths(crf, scores[row], length)
        chances = totals.detach().softmax(0)
        for t, tag in itertools.product(range(length), range(classes)):
            through = torch.tensor([path[t] == tag for path in paths])
            torch.testing.assert_close(got[row, t, tag], chances[through].sum(), **EXACT)


def test_viterbi_never_makes_an_illegal_move_where_a_legal_path_exists() -> None:
    legal = some_legal(4)
    crf, scores = make(4, legal), 30 * trial(4)
    tags, _ = crf.viterbi(scores, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        path = tags[row, :length].tolist()
        if path:
            assert legal[0][path[0]]
            assert legal[2][path[-1]]
            assert all(legal[1][a, b] for a, b in itertools.pairwise(path))


def test_a_row_without_a_legal_path_keeps_all_finite_and_takes_the_fewest_illegal_moves() -> None:
    nothing = (np.array([True, False]), np.zeros((2, 2), bool), np.array([False, True]))
    nothing[1][0, 1] = True
    crf, scores = LinearChainCRF(2, nothing), torch.randn(2, 4, 2, requires_grad=True)
    lengths = torch.tensor([4, 1])
    total = crf.log_likelihood(scores, torch.tensor([[1, 1, 1, 1], [0, 0, 0, 0]]), lengths)
    slopes = torch.autograd.grad(total.sum(), [scores, *crf.parameters()])
    assert all(bool(torch.isfinite(value).all()) for value in (total, *slopes))
    # Gold makes one illegal move at the beginning and three between; the best, 0 1 0 1, makes one, in the middle. The
    # scores themselves move that by a few units.
    assert total[0].item() == pytest.approx(3 * ILLEGAL, abs=50)
    tags, score = crf.viterbi(scores, lengths)
    assert tags[0].tolist() == [0, 1, 0, 1]
    assert bool(torch.isfinite(score).all())
    assert bool(torch.isfinite(crf.marginals(scores, lengths)).all())


@pytest.mark.parametrize("size", [1e2, 3e2])
def test_scores_of_any_size_in_float32_keep_likelihood_and_gradients_finite(size: float) -> None:
    crf = LinearChainCRF(3, some_legal(3))
    scores = (size * trial(3)).float().requires_grad_()
    total = crf.log_likelihood(scores, gold(3, False), LENGTHS)
    (slope,) = torch.autograd.grad(total.sum(), scores)
    assert total.dtype == torch.float32
    assert bool(torch.isfinite(total).all())
    assert bool(torch.isfinite(slope).all())


def test_a_thousand_steps_neither_overflow_nor_lose_the_sum() -> None:
    crf = LinearChainCRF(2)
    scores = torch.zeros(1, 1000, 2, dtype=torch.float64)
    got = crf.log_likelihood(scores, torch.zeros(1, 1000).long(), torch.tensor([1000]))
    # 2**1000 equal sequences; 1000 rounded logarithms add up.
    assert got.item() == pytest.approx(-1000 * math.log(2), rel=1000 * 2.0**-52)


def test_half_precision_scores_give_single_precision_results() -> None:
    crf, scores = LinearChainCRF(3), trial(3).bfloat16()
    assert crf.log_likelihood(scores, gold(3, False), LENGTHS).dtype == torch.float32
    assert crf.marginals(scores, LENGTHS).dtype == torch.float32
    assert crf.viterbi(scores, LENGTHS)[1].dtype == torch.float32


def test_marginals_work_where_gradients_are_switched_off() -> None:
    crf, scores = make(3), trial(3)
    expected = crf.marginals(scores, LENGTHS)
    with torch.no_grad():
        assert torch.equal(crf.marginals(scores, LENGTHS), expected)
    with torch.inference_mode():
        inside = crf.marginals(scores + 0, LENGTHS + 0)
    assert torch.equal(inside.clone(), expected)


def test_a_batch_of_empty_rows_has_likelihood_zero() -> None:
    crf, scores = LinearChainCRF(3), torch.zeros(2, 0, 3)
    lengths = torch.zeros(2, dtype=torch.long)
    assert crf.log_likelihood(scores, torch.zeros(2, 0).long(), lengths).tolist() == [0, 0]
    tags, score = crf.viterbi(scores, lengths)
    assert tags.shape == (2, 0)
    assert score.tolist() == [0, 0]
    assert crf.marginals(scores, lengths).shape == (2, 0, 3)


def test_a_saved_chain_holds_what_is_learned_and_no_masks() -> None:
    assert list(LinearChainCRF(3, some_legal(3)).state_dict()) == ["begin", "follow", "end"]


def test_what_is_illegal_is_not_learned() -> None:
    crf, scores = make(3, some_legal(3)), trial(3)
    total = crf.log_likelihood(scores, gold(3, False), LENGTHS).sum()
    begin, follow, end = torch.autograd.grad(total, [crf.begin, crf.follow, crf.end])
    assert begin[-1] == follow[0, -1] == end[0] == 0
    assert (follow[1:] != 0).any()


def test_mistakes_are_told_in_one_sentence() -> None:
    crf, scores = LinearChainCRF(3), torch.zeros(2, 4, 3)
    lengths = torch.tensor([4, 2])
    with pytest.raises(ShapeError, match=r"scores must be \(batch, time, 3\) beside tags"):
        crf.log_likelihood(scores[..., :2], torch.zeros(2, 4).long(), lengths)
    with pytest.raises(ShapeError, match=r"got \(2, 4, 3\) and \(2, 3\)"):
        crf.log_likelihood(scores, torch.zeros(2, 3).long(), lengths)
    with pytest.raises(DataError, match=r"every tag must lie in -1..2, got 3"):
        crf.log_likelihood(scores, torch.full((2, 4), 3), lengths)
    with pytest.raises(OptionError, match="legal must be three bool masks"):
        LinearChainCRF(3, some_legal(2))


@pytest.mark.parametrize("legal", [False, True], ids=["all", "some"])
def test_draws_come_as_often_as_the_enumeration_of_all_paths_says(legal: bool) -> None:
    crf, scores, draws = make(3, some_legal(3) if legal else None), trial(3), 4000
    random = torch.Generator().manual_seed(0)
    for row, length in enumerate(LENGTHS.tolist()):
        drawn = crf.sample(scores[row].expand(draws, -1, -1), torch.full((draws,), length), random)
        assert (drawn[:, length:] == -1).all()
        if not length:
            continue
        paths, totals = all_paths(crf, scores[row], length)
        code = (drawn[:, :length] * 3 ** torch.arange(length - 1, -1, -1)).sum(1)
        shares = torch.bincount(code, minlength=len(paths)) / draws
        p = totals.softmax(0)
        # Six deviations of a share, and one draw for what is expected less than once.
        assert ((shares - p).abs() <= 6 * (p * (1 - p) / draws).sqrt() + 1 / draws).all()


def test_draws_of_ragged_rows_are_those_of_each_row() -> None:
    crf, scores = make(3), trial(3)
    drawn = crf.sample(scores, LENGTHS, torch.Generator().manual_seed(0))
    garbage = torch.where((torch.arange(TIME) < LENGTHS[:, None])[..., None], scores, torch.nan)
    assert torch.equal(drawn >= 0, torch.arange(TIME) < LENGTHS[:, None])
    assert torch.equal(drawn, crf.sample(garbage, LENGTHS, torch.Generator().manual_seed(0)))
    assert crf.sample(scores[:, :0], torch.zeros(len(LENGTHS), dtype=torch.long)).shape == (len(LENGTHS), 0)


def test_the_head_is_the_chain_over_its_own_scores() -> None:
    torch.manual_seed(0)
    head, y = CRFHead(4, 3, some_legal(3)).double(), torch.randn(len(LENGTHS), TIME, 4, dtype=torch.float64)
    scores, tags = y @ head.weight.T + head.bias, gold(3, True)
    total, count = head.loss(y, tags, LENGTHS)
    torch.testing.assert_close(total, -head.chain.log_likelihood(scores, tags, LENGTHS).sum())
    assert int(count) == int((tags[torch.arange(TIME) < LENGTHS[:, None]] >= 0).sum())
    assert torch.equal(head.best(y, LENGTHS), head.chain.viterbi(scores, LENGTHS)[0])
    with pytest.raises(ShapeError, match=r"CRFHead: expected y \(batch, time, features\), got \(6, 4\)"):
        head.best(torch.zeros(6, 4).double())
    with pytest.raises(ShapeError, match=r"CRFHead: expected codes \(2, 3\), one a place, got \(2, 4\)"):
        head.loss(torch.zeros(2, 3, 4).double(), torch.zeros(2, 4).long())
