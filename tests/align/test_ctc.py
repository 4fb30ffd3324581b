"""Codes in the order of the frames: the kernel against forward-backward and against every path; what has no path."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from unrolled.align.ctc import CTC, CTCOptions, Transcribed
from unrolled.errors import DataError, LengthsError, NonFiniteError, NotStreamable, OptionError, ShapeError
from unrolled.nn import EncoderOptions, LineReader, Reader, SeriesReader, make_encoder
from unrolled.nn.reading.frames import StackedReader
from unrolled.padding import Padded, valid_mask
from unrolled.testing import check_alignment

SIZE = 4
EPSILON = 2.0**-52


def collapsed(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(code for code, _ in itertools.groupby(path) if code)


def enumerated(log_probs: Tensor, codes: tuple[int, ...]) -> Tensor:
    """-log p(codes) as the sum over every path, log_probs (frames, size); torch knows its slope."""
    paths = itertools.product(range(log_probs.shape[1]), repeat=len(log_probs))
    steps = torch.arange(len(log_probs))
    terms = [log_probs[steps, list(path)].sum() for path in paths if collapsed(path) == codes]
    return -torch.stack(terms).logsumexp(0)


def forward_backward(log_probs: np.ndarray, codes: tuple[int, ...]) -> tuple[float, np.ndarray]:
    """-log p(codes) and its slope by the scores under the softmax, both from the walks of Graves et al. 2006, eq. 6-16.

    A place is one of the codes or of the blanks around them; ahead[t, place] sums over the paths up to frame t, and
    behind[t, place] over those after it.
    """
    frames, places = len(log_probs), np.zeros(2 * len(codes) + 1, int)
    places[1::2] = codes
    emitted = log_probs[:, places]
    leaps = np.array([p >= 2 and places[p] and places[p] != places[p - 2] for p in range(len(places))], bool)
    ahead, behind = np.full((2, *emitted.shape), -np.inf)
    ahead[0, :2], behind[-1, -2:] = emitted[0, :2], 0
    for t in range(1, frames):
        for p in range(len(places)):
            before = [ahead[t - 1, q] for q in (p, p - 1, p - 2) if q >= 0 and (q > p - 2 or leaps[p])]
            ahead[t, p] = np.logaddexp.reduce(before) + emitted[t, p]
    for t in range(frames - 2, -1, -1):
        for p in range(len(places)):
            after = [q for q in (p, p + 1, p + 2) if q < len(places) and (q < p + 2 or leaps[q])]
            behind[t, p] = np.logaddexp.reduce([behind[t + 1, q] + emitted[t + 1, q] for q in after])
    log_prob = np.logaddexp.reduce(ahead[-1, -2:])
    slope = np.exp(log_probs)
    for p, code in enumerate(places):
        slope[:, code] -= np.exp(ahead[:, p] + behind[:, p] - log_prob)
    return -log_prob, slope


class Scored(CTC[Any]):
    """Its scores are chosen by a test."""

    def __init__(self, chosen: Tensor) -> None:
        super().__init__(SeriesReader(1), make_encoder(1, EncoderOptions(hidden_size=1)), SIZE, CTCOptions())
        self.chosen = chosen

    def scores(self, x: Padded, state: Any = None) -> tuple[Padded, Any]:
        return Padded(self.chosen.log_softmax(-1), x.lengths), state


def kernel_loss(scores: Tensor, targets: list[tuple[int, ...]], frames: list[int]) -> Tensor:
    """The loss of a CTC with these scores (batch, frames, size)."""
    x = Padded(scores.new_zeros(*scores.shape[:2], 1), torch.tensor(frames))
    return Scored(scores).loss(Transcribed(x, padded(targets)))[0]


def padded(targets: list[tuple[int, ...]]) -> Padded:
    lengths = torch.tensor([len(codes) for codes in targets])
    values = torch.full((len(targets), max(1, int(lengths.max()))), -1)
    for row, codes in enumerate(targets):
        values[row, : len(codes)] = torch.tensor(codes, dtype=torch.long)
    return Padded(values, lengths)


def drawn(seed: int) -> tuple[Tensor, list[tuple[int, ...]], list[int]]:
    """Scores, and for each of four rows a target that has a path."""
    random = np.random.default_rng(seed)
    frames = [int(n) for n in random.integers(1, 6, size=4)]
    paths = [tuple(random.integers(SIZE, size=n).tolist()) for n in frames]
    scores = 2 * torch.from_numpy(random.normal(size=(4, max(frames), SIZE)))
    return scores, [collapsed(path) for path in paths], frames


@pytest.mark.parametrize("seed", range(12))
def test_the_kernel_is_forward_backward_is_the_sum_over_every_path(seed: int) -> None:
    scores, targets, frames = drawn(seed)
    # A few sums and exponentials of at most five frames and eleven places, each within a few units of a value near 10.
    close = {"rtol": 0.0, "atol": 2**9 * EPSILON}
    for row, (codes, length) in enumerate(zip(targets, frames, strict=True)):
        given = scores[row : row + 1, :length].requires_grad_()
        (by_kernel,) = torch.autograd.grad(total := kernel_loss(given, [codes], [length]), given)
        (by_paths,) = torch.autograd.grad(every := enumerated(given[0].log_softmax(-1), codes), given)
        expected, slope = forward_backward(given[0].log_softmax(-1).detach().numpy(), codes)
        torch.testing.assert_close(total, every, **close)
        torch.testing.assert_close(total.detach(), torch.tensor(expected), **close)
        torch.testing.assert_close(by_kernel, by_paths, **close)
        torch.testing.assert_close(by_kernel[0], torch.from_numpy(slope), **close)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_long_rows_are_those_of_forward_backward(dtype: torch.dtype) -> None:
    random = np.random.default_rng(0)
    scores = (4 * torch.from_numpy(random.normal(size=(3, 63, SIZE)))).to(dtype).requires_grad_()
    targets = [tuple(random.integers(1, SIZE, size=n).tolist()) for n in (0, 17, 30)]
    frames = [63, 50, 63]
    total = kernel_loss(scores, targets, frames)
    (slopes,) = torch.autograd.grad(total, scores)
    expected = 0.0
    # A walk over 63 frames rounds each of its sums, which reach a few hundred, by half a unit in the last place.
    close = 63 * 512 * torch.finfo(dtype).eps
    for row, (codes, length) in enumerate(zip(targets, frames, strict=True)):
        loss, slope = forward_backward(scores[row, :length].double().log_softmax(-1).detach().numpy(), codes)
        expected += loss
        torch.testing.assert_close(slopes[row, :length].double(), torch.from_numpy(slope), rtol=0, atol=close)
        assert not slopes[row, length:].any()
    assert total.dtype == dtype
    assert total.item() == pytest.approx(expected, abs=3 * close)


def test_the_probabilities_of_all_labellings_add_up_to_one() -> None:
    scores = torch.randn(1, 4, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    labellings = {collapsed(path) for path in itertools.product(range(SIZE), repeat=4)}
    total = math.fsum(math.exp(-kernel_loss(scores, [codes], [4]).item()) for codes in labellings)
    assert total == pytest.approx(1, abs=2**6 * EPSILON)


LENGTHS = torch.tensor([6, 3, 1, 0, 5])
TARGETS = [(1, 1, 3), (2, 3), (), (), (3,)]


def batch(targets: list[tuple[int, ...]] = TARGETS) -> Transcribed:
    x = torch.randn(5, 6, 3, generator=torch.Generator().manual_seed(7))
    return Transcribed(Padded(x, LENGTHS), padded(targets))


def make(reader: Reader | None = None, **options: Any) -> CTC[Any]:
    read = reader or SeriesReader(3)
    encoder = make_encoder(read.output_size, EncoderOptions(**{"hidden_size": 5, "cell": "gru"} | options))
    return CTC(read, encoder, SIZE, CTCOptions())


def stacked(stride: int, **options: Any) -> CTC[Any]:
    return make(StackedReader(SeriesReader(3), stride), **options)


def found(model: CTC[Any], given: Transcribed) -> tuple[Tensor, ...]:
    """Log-probabilities, as many of them as six inputs can give, and the frames."""
    values, frames, *_ = model.log_probs(given.x)
    return values[:, : int(frames.max())], frames


CASES: dict[str, Any] = {
    "one way": (lambda: make(), TARGETS),
    "both ways": (lambda: make(bidirectional=True, layers=2), TARGETS),
    "two inputs a frame": (lambda: stacked(2), [(1, 3), (2,), (), (), (3, 3)]),
}


@pytest.mark.parametrize(("model", "targets"), CASES.values(), ids=CASES)
def test_the_alignment_keeps_every_law(model: Any, targets: list[tuple[int, ...]]) -> None:
    check_alignment(model, lambda: batch(targets), predict=found)


def test_the_count_is_that_of_the_codes_and_of_rows_that_say_nothing() -> None:
    total, count, state = make().loss(batch())
    assert (int(count), state) == (3 + 2 + 1 + 0 + 1, None)
    assert total > 0


@pytest.mark.parametrize(
    ("row", "codes", "message"),
    [
        (1, (1, 2, 3, 1), "row 1 has 3 frames, but its target needs 4: 4 codes, 0 of them"),
        (1, (2, 2, 3), "row 1 has 3 frames, but its target needs 4: 3 codes, 1 of them"),
        (2, (1, 1), "row 2 has 1 frames, but its target needs 3: 2 codes, 1 of them"),
        (3, (1,), "row 3 has 0 frames, but its target needs 1: 1 codes, 0 of them"),
    ],
)
def test_a_target_without_a_path_is_refused_with_its_row_and_both_numbers(row: int, codes: Any, message: str) -> None:
    targets = [*TARGETS]
    targets[row] = codes
    with pytest.raises(DataError, match=message):
        make().loss(batch(targets))


def test_a_target_is_refused_exactly_where_there_is_no_path() -> None:
    for frames in range(1, 5):
        for codes in itertools.chain.from_iterable(itertools.product((1, 2), repeat=n) for n in range(5)):
            possible = any(collapsed(path) == codes for path in itertools.product(range(3), repeat=frames))
            given = Transcribed(Padded(torch.zeros(1, frames, 3), torch.tensor([frames])), padded([codes]))
            if possible:
                assert make().loss(given)[0].isfinite()
            else:
                with pytest.raises(DataError, match=f"row 0 has {frames} frames"):
                    make().loss(given)


def test_stacked_inputs_are_fewer_frames() -> None:
    stacked(2).loss(batch([(1, 2, 3), (2, 3), (1,), (), ()]))
    with pytest.raises(DataError, match="row 1 has 2 frames, but its target needs 3"):
        stacked(2).loss(batch([(), (1, 2, 3), (), (), ()]))


@pytest.mark.parametrize("codes", [(0, 1), (1, SIZE), (-1, 1)])
def test_the_blank_and_unknown_codes_are_no_targets(codes: tuple[int, int]) -> None:
    with pytest.raises(DataError, match=r"every code must lie in 1\.\.3, got"):
        make().loss(batch([codes, *TARGETS[1:]]))


def test_targets_of_another_shape_are_refused() -> None:
    given = batch()
    with pytest.raises(ShapeError, match=r"targets must be \(batch, codes\) with 5 rows, got \(4, 3\)"):
        make().loss(given._replace(target=Padded(given.target.values[:4], given.target.lengths[:4])))
    with pytest.raises(LengthsError, match=r"CTC targets: lengths must lie in 0\.\.3"):
        make().loss(given._replace(target=given.target._replace(lengths=torch.tensor([4, 0, 0, 0, 0]))))
    with pytest.raises(OptionError, match="size must be at least 2, the blank and one code, got 1"):
        CTC(SeriesReader(3), make_encoder(3, EncoderOptions(hidden_size=5)), 1, CTCOptions())


@pytest.mark.parametrize("time", [0, 2])
def test_rows_without_frames_alone_have_no_loss_and_finite_gradients(time: int) -> None:
    model = make()
    x = Padded(torch.full((2, time, 3), float("nan")), torch.zeros(2, dtype=torch.long))
    total, count, _ = model.loss(Transcribed(x, padded([(), ()])))
    assert (total.item(), int(count)) == (0, 0)
    total.backward()
    assert all(bool((p.grad == 0).all()) for p in model.parameters() if p.grad is not None)
    assert model.log_probs(x).lengths.tolist() == [0, 0]


@pytest.mark.parametrize("weight", [1e38, float("inf"), float("nan")])
def test_scores_that_are_too_large_end_in_a_sentence(weight: float) -> None:
    model = make()
    with torch.no_grad():
        model.head.weight.copy_(torch.full_like(model.head.weight, weight) * torch.tensor([[-1.0], [1.0], [0.5], [0]]))
        model.head.bias.copy_(torch.tensor([-1.0, 1, 0.5, 0]) * 3e38)
    with pytest.raises(NonFiniteError, match=r"the loss of row [014] is (inf|nan), expected a number"):
        model.loss(batch())


def test_confident_frames_have_a_large_but_finite_loss() -> None:
    scores = torch.zeros(1, 50, SIZE)
    scores[..., 0] = 1e6
    total = kernel_loss(scores.requires_grad_(), [(1, 2)], [50])
    total.backward()
    assert total.item() == pytest.approx(2e6, rel=1e-5)
    assert scores.grad is not None
    assert bool(scores.grad.isfinite().all())


def test_mixed_precision_gives_a_finite_loss_in_single_precision() -> None:
    model = make()
    with torch.autocast("cpu", torch.bfloat16):
        total, _, _ = model.loss(batch())
    total.backward()
    assert total.dtype == torch.float32
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


def test_log_probs_are_those_of_a_softmax_and_zero_in_the_padding() -> None:
    model = make(bidirectional=True)
    values, frames, *_ = model.log_probs(batch().x)
    valid = valid_mask(frames, 6)
    torch.testing.assert_close(values[valid].exp().sum(-1), torch.ones(int(LENGTHS.sum())))
    assert not values[~valid].any()
    assert not values.requires_grad
    assert model.training


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("cuts", [[6], [2, 2, 2], [4, 0, 2], [2, 4]])
def test_live_pieces_say_what_the_whole_says(stride: int, cuts: list[int]) -> None:
    model, x = stacked(stride, layers=2).double(), batch().x
    whole, frames, *_ = model.log_probs(x._replace(values=x.values.double()))
    state, start = model.begin(5), 0
    parts: list[list[Tensor]] = [[] for _ in LENGTHS]
    for width in cuts:
        lengths = (LENGTHS - start).clamp(0, width)
        piece, state = model.step(Padded(x.values[:, start : start + width].double(), lengths), state)
        for row, part in enumerate(parts):
            part.append(piece.values[row, : piece.lengths[row]])
        start += width
    for row, part in enumerate(parts):
        torch.testing.assert_close(torch.cat(part), whole[row, : frames[row]])


def test_an_encoder_that_sees_what_follows_cannot_go_live() -> None:
    with pytest.raises(NotStreamable, match="use bidirectional=False"):
        make(bidirectional=True).begin(1)
    with pytest.raises(NotStreamable, match=r"a reader that does not see what follows.* use a causal one"):
        make(LineReader(3, 1, (4,))).begin(1)


@pytest.mark.parametrize("cuts", [[24], [6, 12, 6], [2, 2, 0, 2, 18], [2] * 12])
def test_a_reader_that_looks_back_is_shown_what_it_needs_again(cuts: list[int]) -> None:
    model = make(LineReader(3, 1, (4, 4), stride=2, causal=True)).double()
    x = torch.randn(3, 24, 3, dtype=torch.float64)
    # Two columns at the full rate, and two that are two each.
    assert model.reader.context == 6
    whole = model.log_probs(Padded(x, torch.full((3,), 24))).values
    state, start, found = model.begin(3), 0, []
    for width in cuts:
        seen = min(6, start)
        piece = x[:, start - seen : start + width]
        said, state = model.step(Padded(piece, torch.full((3,), piece.shape[1])), state, seen=seen // 2)
        found.append(said.values)
        start += width
    torch.testing.assert_close(torch.cat(found, 1), whole)


def test_it_learns_which_code_a_bump_is() -> None:
    random = torch.Generator().manual_seed(0)
    targets = [tuple(torch.randint(1, SIZE, (3,), generator=random).tolist()) for _ in range(24)]
    x = torch.zeros(24, 15, 3)
    for row, codes in enumerate(targets):
        for place, code in enumerate(codes):
            x[row, 5 * place + 1 : 5 * place + 3, code - 1] = 1
    torch.manual_seed(0)
    model, given = make(hidden_size=16), Transcribed(Padded(x, torch.full((24,), 15)), padded(targets))
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(120):
        optimizer.zero_grad()
        total, count, _ = model.loss(given)
        (total / count).backward()
        optimizer.step()
    best = model.log_probs(given.x).values.argmax(-1)
    assert [collapsed(tuple(path.tolist())) for path in best] == targets
