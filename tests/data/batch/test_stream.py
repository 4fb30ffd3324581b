"""A stream: every code is predicted once, from the code before it, with the state carried."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unrolled import nn as layers
from unrolled.align.next import Next, NextOptions
from unrolled.data import NumberStream, Stream, Stretch, rows_before
from unrolled.data.batch.batching import fingerprint, plan_batches
from unrolled.errors import DataError, OptionError
from unrolled.heads.number.head import NumberHead
from unrolled.heads.number.likelihood import make_likelihood
from unrolled.nn.reading.reader import NumberReader
from unrolled.train import TrainOptions, fit

FIRST = 2
SHAPES = [(1, 1, 1), (10, 1, 4), (63, 4, 5), (100, 3, 7), (60, 4, 5), (7, 7, 3), (5, 8, 2), (64, 8, 100), (9, 4, 2)]
STARTS: list[Any] = [None, [], [0], [0, 3, 4]]


def codes(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(4, 50, count).astype(np.int32)


def batches(stream: Stream) -> list[Stretch]:
    rows = plan_batches(stream, batch_size=stream.batch_size, token_budget=None, seed=0, epoch=0)
    return [stream.batch(chosen) for chosen in rows]


def rows_in_order(stream: Stream) -> list[tuple[list[int], list[int], list[int]]]:
    """(inputs, targets, resets) of each parallel stream, all its windows joined."""
    joined = []
    for b in range(stream.batch_size):
        parts: list[list[int]] = [[], [], []]
        for batch in batches(stream):
            length = int(batch.lengths[b])
            for part, tensor in zip(parts, (batch.x, batch.target, batch.reset), strict=True):
                part += [] if tensor is None else tensor[b, :length].tolist()
        joined.append((parts[0], parts[1], parts[2]))
    return joined


@pytest.mark.parametrize(("count", "batch_size", "steps"), SHAPES)
@pytest.mark.parametrize("starts", STARTS, ids=str)
def test_every_code_is_a_target_once_and_its_input_the_code_before(
    count: int, batch_size: int, steps: int, starts: list[int] | None
) -> None:
    text = codes(count)
    starts = None if starts is None else [at for at in starts if at < count]
    stream = Stream(text, batch_size, steps, first=FIRST, starts=starts)
    inputs, targets, resets = (list(chain(*part)) for part in zip(*rows_in_order(stream), strict=True))
    assert targets == text.tolist()
    begins = {0, *(starts or [])}
    assert inputs == [FIRST if at in begins else text[at - 1] for at in range(count)]
    assert resets == ([] if starts is None else [at in starts for at in range(count)])


@pytest.mark.parametrize(("count", "batch_size", "steps"), SHAPES)
def test_windows_are_full_until_their_stream_ends(count: int, batch_size: int, steps: int) -> None:
    stream = Stream(codes(count), batch_size, steps, first=FIRST)
    lengths = stream.lengths.reshape(-1, batch_size)
    assert len(stream) == lengths.size
    assert lengths.sum() == count
    assert np.ptp(lengths.sum(axis=0)) <= 1
    assert (lengths[:-1] == steps).all()
    for batch, expected in zip(batches(stream), lengths, strict=True):
        assert batch.lengths.tolist() == expected.tolist()
        assert batch.x.shape == batch.target.shape == (batch_size, max(1, expected.max()))
        padding = torch.arange(batch.x.shape[1]) >= batch.lengths[:, None]
        assert not batch.x[padding].any()
        assert not batch.target[padding].any()
        assert {batch.x.dtype, batch.target.dtype, batch.lengths.dtype} == {torch.int64}


def test_a_window_depends_on_its_number_alone() -> None:
    stream = Stream(codes(63), 4, 5, first=FIRST, starts=[0, 30])
    some = stream.batch([6, 1, 15])
    for b, row in enumerate([6, 1, 15]):
        alone = stream.batch(np.array([row]))
        length = int(alone.lengths[0])
        for whole, part in zip(some, alone, strict=True):
            if whole.ndim == 2:
                assert torch.equal(whole[b, :length], part[0, :length])
    assert fingerprint(stream) != fingerprint(Stream(codes(63), 4, 5, first=FIRST, starts=[1, 30]))


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 9])
def test_chunks_join_to_the_batch(piece: int) -> None:
    # The last windows have 3, 3, 2 and 2 steps.
    stream = Stream(codes(70), 4, 5, first=FIRST, starts=[0, 30])
    for batch in batches(stream):
        parts = list(stream.chunks(batch, piece))
        assert all(part.x.shape[1] <= piece for part in parts)
        assert torch.equal(torch.cat([part.x for part in parts], 1), batch.x)
        assert torch.equal(torch.cat([part.target for part in parts], 1), batch.target)
        assert torch.equal(torch.cat([part.reset for part in parts if part.reset is not None], 1), batch.reset)
        assert torch.equal(sum(part.lengths for part in parts), batch.lengths)
        width = torch.tensor([part.x.shape[1] for part in parts])
        assert (torch.stack([part.lengths for part in parts], 1) <= width).all()


def test_codes_mapped_from_a_file_give_the_same_windows(tmp_path: Any) -> None:
    text = codes(63).astype(np.uint8)
    path = tmp_path / "codes"
    text.tofile(path)
    mapped = Stream(np.memmap(path, np.uint8, "r"), 4, 5, first=300)
    for one, two in zip(batches(mapped), batches(Stream(text.astype(np.int64), 4, 5, first=300)), strict=True):
        assert torch.equal(one.x, two.x)
        assert torch.equal(one.target, two.target)


class Model(nn.Module):
    """A small language model, float64."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.embedding = nn.Embedding(50, 6, dtype=torch.float64)
            self.encoder = layers.GRU(6, 8).double()
            self.head = nn.Linear(8, 50, dtype=torch.float64)

    def loss(self, batch: Stretch, state: Any) -> tuple[Tensor, int, Any]:
        y, state = self.encoder(self.embedding(batch.x), state, lengths=batch.lengths, reset=batch.reset)
        valid = torch.arange(batch.x.shape[1]) < batch.lengths[:, None]
        total = nn.functional.cross_entropy(self.head(y)[valid], batch.target[valid], reduction="sum")
        return total, int(valid.sum()), state


def total(model: Model, stream: Stream) -> tuple[float, int]:
    state, sums, terms = None, 0.0, 0
    with torch.no_grad():
        for batch in batches(stream):
            loss, count, state = model.loss(batch, state)
            sums, terms = sums + float(loss), terms + count
    return sums, terms


@pytest.mark.parametrize("steps", [1, 7, 100])
@pytest.mark.parametrize("starts", [None, [0, 20, 21, 57]], ids=str)
def test_the_loss_of_one_stream_is_that_of_one_long_pass(steps: int, starts: list[int] | None) -> None:
    model, text = Model(), codes(100)
    target = torch.from_numpy(text).long()[None]
    x = torch.cat([torch.full((1, 1), FIRST), target[:, :-1]], 1)
    reset = torch.zeros(1, 100, dtype=torch.bool)
    if starts is not None:
        x[0, starts], reset[0, starts] = FIRST, True
    with torch.no_grad():
        expected = float(model.loss(Stretch(x, target, torch.tensor([100]), reset), None)[0])
    sums, terms = total(model, Stream(text, 1, steps, first=FIRST, starts=starts))
    assert terms == 100
    # One hundred terms added in another order: their rounding errors are at most a hundred halves of the total's.
    assert sums == pytest.approx(expected, rel=100 * np.finfo(np.float64).eps)


def test_the_training_loop_counts_every_code() -> None:
    model, stream = Model(), Stream(codes(63), 4, 5, first=FIRST)
    expected, terms = total(model, stream)
    assert terms == 63
    options = TrainOptions(epochs=1, batch_size=4, learning_rate=1e-12)
    history = fit(model, stream, options, valid=stream)
    # The weights move by 1e-12 in each of 4 steps, the loss by no more than about 1e-10.
    assert history.evaluations[0].valid_loss == pytest.approx(expected / 63, rel=1e-9)
    assert history.evaluations[0].loss == pytest.approx(expected / 63, rel=1e-9)


def test_what_makes_no_stream_is_refused() -> None:
    with pytest.raises(DataError, match=r"one row of integers, got float64 of shape \(3,\)"):
        Stream(np.zeros(3), 1, 1, first=FIRST)
    with pytest.raises(DataError, match=r"shape \(2, 2\)"):
        Stream(np.zeros((2, 2), int), 1, 1, first=FIRST)
    for starts in ([3], [-1, 0]):
        with pytest.raises(DataError, match=r"expected starts in 0\.\.2"):
            Stream(np.zeros(3, int), 1, 1, first=FIRST, starts=starts)
    with pytest.raises(OptionError, match="batch_size must be"):
        Stream(np.zeros(3, int), 0, 1, first=FIRST)
    with pytest.raises(OptionError, match="steps must be"):
        Stream(np.zeros(3, int), 1, 0, first=FIRST)
    with pytest.raises(DataError, match="empty"):
        plan_batches(Stream(np.zeros(0, int), 2, 3, first=2), batch_size=2, token_budget=None, seed=0, epoch=0)


def running(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Values with gaps, and what is known of their rows."""
    random = np.random.default_rng(count)
    values = random.normal(size=(count, 2))
    values[random.random((count, 2)) < 0.2] = np.nan
    return values, random.normal(size=(count, 3))


@pytest.mark.parametrize(("count", "batch_size", "steps"), SHAPES)
@pytest.mark.parametrize("starts", STARTS, ids=str)
def test_every_row_of_numbers_is_a_target_once_after_the_row_before(
    count: int, batch_size: int, steps: int, starts: list[int] | None
) -> None:
    values, known = running(count)
    starts = None if starts is None else [at for at in starts if at < count]
    stream = NumberStream(rows_before(values, starts, known), values, batch_size, steps, starts=starts)
    order = [k * batch_size + b for b in range(batch_size) for k in range(len(stream) // batch_size)]
    windows = [stream.batch([item]) for item in order]
    pieces = [(window.x[0, : int(window.lengths[0])], window.target[0, : int(window.lengths[0])]) for window in windows]
    x, target = (np.concatenate([piece[side].numpy() for piece in pieces]) for side in (0, 1))
    np.testing.assert_array_equal(target, values.astype(np.float32))
    earlier = np.concatenate([np.full((1, 2), np.nan), values[:-1]])
    earlier[starts or []] = np.nan
    np.testing.assert_array_equal(x, np.concatenate([earlier, known], 1).astype(np.float32))


def test_numbers_in_windows_with_the_state_carried_lose_as_the_whole() -> None:
    values, known = running(53)
    reader = NumberReader(2, known=3)
    head = NumberHead(6, 2, make_likelihood("student-t"))
    net = Next(reader, layers.GRU(reader.output_size, 6), head, NextOptions()).double().eval()
    starts = [0, 20, 21]
    x = rows_before(values, starts, known)
    whole = NumberStream(x, values, 1, 53, starts=starts).batch([0])
    total, count, _ = net.loss(_double(whole))
    stream, sums, terms, state = NumberStream(x, values, 1, 6, starts=starts), 0.0, 0, None
    for row in range(len(stream)):
        loss, number, state = net.loss(_double(stream.batch([row])), state)
        sums, terms = sums + loss.item(), terms + int(number)
    # 106 terms of size ten at most.
    assert sums == pytest.approx(total.item(), abs=106 * 2**4 * 2.0**-52)
    assert terms == int(count) == np.isfinite(values).sum()


def _double(batch: Stretch) -> Stretch:
    return batch._replace(x=batch.x.double(), target=batch.target.double())


def test_numbers_that_are_none_are_refused() -> None:
    numbers = np.zeros((3, 1))
    with pytest.raises(DataError, match=r"expected targets as numbers \(3, features\), got float64 of shape \(3,\)"):
        NumberStream(numbers, np.zeros(3), 1, 1)
    with pytest.raises(DataError, match=r"expected inputs as numbers \(3, features\), got float64 of shape \(2, 1\)"):
        NumberStream(numbers[:2], numbers, 1, 1)
    with pytest.raises(DataError, match=r"finite known numbers \(N, K\), got \(3, 1\) and \(3, 1\)"):
        rows_before(numbers, known=np.full((3, 1), np.nan))
    with pytest.raises(DataError, match=r"NumberStream: expected starts in 0\.\.2, .* got 0 to 3"):
        NumberStream(numbers, numbers, 1, 1, starts=[0, 3])
