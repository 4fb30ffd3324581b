"""Live steps: the same values as `layer.step`, streams and state of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from steppers import INPUT, LAYERS, ROUNDING, assert_near, expected, make, samples, steps
from torch import Tensor

from unrolled.errors import DtypeError, NonFiniteError, NotStreamable, OptionError, ShapeError
from unrolled.nn import GRU, LSTM, RNN, Bidirectional, Stack, Stepper
from unrolled.ops import native
from unrolled.state import leaves, map_state

pytestmark = pytest.mark.skipif(not native.available(), reason=native.reason() or "")


@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("batch", [1, 2, 13])
@pytest.mark.parametrize("name", LAYERS)
def test_steps_are_those_of_the_layer(name: str, batch: int, level: str) -> None:
    layer, xs = make(name), samples(batch)
    ys, final = expected(layer, xs)
    with native.use_level(level):
        stepper = Stepper(layer, batch)
    assert_near(steps(stepper, xs), ys)
    for got, want in zip(leaves(stepper.state()), leaves(final), strict=True):
        assert_near(got, want)


@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("name", LAYERS)
def test_steps_in_float32_lose_no_more_than_the_layers(name: str, level: str) -> None:
    xs = samples(3)
    truth, _ = expected(make(name), xs)
    single = make(name, dtype=torch.float32)
    theirs = (expected(single, xs.float())[0] - truth).abs().max().item()
    with native.use_level(level):
        ours = steps(Stepper(single, 3), xs.float())
    assert (ours - truth).abs().max().item() <= 4 * theirs + 32 * torch.finfo(torch.float32).eps


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("batch", "times"), [(1, 1), (1, 70), (13, 5), (40, 3)])
def test_a_run_is_its_steps(name: str, batch: int, times: int, threads: int) -> None:
    layer, xs = make(name), samples(batch, times)
    torch.set_num_threads(threads)
    try:
        one, other = Stepper(layer, batch), Stepper(layer, batch)
        ys = other.run(xs)
    finally:
        torch.set_num_threads(1)
    assert_near(ys, steps(one, xs), 256)
    assert_near(other.run(xs.numpy()), steps(one, xs), 256)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("cell", [LSTM, GRU, RNN])
def test_threads_share_the_columns_of_a_large_layer(cell: Any, threads: int) -> None:
    torch.manual_seed(0)
    layer, xs = cell(300, 403).eval(), torch.randn(30, 1, 300)
    with torch.no_grad():
        want = layer(xs.transpose(0, 1))[0].transpose(0, 1)
    torch.set_num_threads(threads)
    try:
        stepper = Stepper(layer)
        assert_near(torch.cat([steps(stepper, xs[:10]), stepper.run(xs[10:]).view(20, 1, 403)]).view(30, 1, 403), want)
    finally:
        torch.set_num_threads(1)


def test_threads_share_the_streams() -> None:
    layer, xs = make("lstm", 130), samples(9, 50)
    torch.set_num_threads(2)
    try:
        stepper = Stepper(layer, 9)
        ys = stepper.run(xs)
        state = stepper.state()
        stepper.reset([4, 7])
        after = stepper.state()
    finally:
        torch.set_num_threads(1)
    want, final = expected(layer, xs)
    assert_near(ys, want, 4 * ROUNDING)
    assert_near(state.c, final.c, 4 * ROUNDING)
    assert torch.equal(after.h.any(1), torch.tensor([row not in (4, 7) for row in range(9)]))


def test_numpy_and_torch_give_the_same_kind_and_values() -> None:
    layer, xs = make("gru after"), samples(2)
    one, other = Stepper(layer, 2), Stepper(layer, 2)
    for x in xs:
        array, tensor = one.step(x.numpy()), other.step(x)
        assert type(array) is np.ndarray
        assert type(tensor) is Tensor
        assert torch.equal(torch.from_numpy(array), tensor)
    assert type(one.run(xs.numpy())) is np.ndarray
    assert one.run(xs[:0]).shape == (0, 2, 19)


def test_outputs_are_fresh() -> None:
    stepper, xs = Stepper(make("lstm"), 2), samples(2)
    first = stepper.step(xs[0])
    kept = first.clone()
    stepper.step(xs[1])
    assert torch.equal(first, kept)


@pytest.mark.parametrize("name", LAYERS)
def test_streams_do_not_see_each_other(name: str) -> None:
    layer, xs = make(name), samples(5)
    ys = steps(Stepper(layer, 5), xs)
    other = xs.clone()
    other[:, 2] = 9.0
    touched = steps(Stepper(layer, 5), other)
    alone = [row for row in range(5) if row != 2]
    assert torch.equal(touched[:, alone], ys[:, alone])
    assert not torch.equal(touched[:, 2], ys[:, 2])


@pytest.mark.parametrize("name", LAYERS)
def test_a_state_goes_out_and_in(name: str) -> None:
    layer, xs = make(name), samples(3)
    stepper, fresh = Stepper(layer, 3), Stepper(layer, 3)
    steps(stepper, xs[:3])
    state = stepper.state()
    fresh.load_state(map_state(lambda leaf: leaf.transpose(0, -1).contiguous().transpose(0, -1), state))
    assert torch.equal(steps(fresh, xs[3:]), steps(stepper, xs[3:]))
    want, _ = expected(layer, xs[3:], state)
    fresh.load_state(state)
    assert_near(steps(fresh, xs[3:]), want)


@pytest.mark.parametrize("rows", [[1, 3], np.array([3, 1]), torch.tensor([1, 3], dtype=torch.int32)])
def test_a_reset_touches_its_rows_alone(rows: Any) -> None:
    layer, xs = make("lstm coupled"), samples(4)
    stepper, kept = Stepper(layer, 4), Stepper(layer, 4)
    steps(stepper, xs)
    steps(kept, xs)
    stepper.reset(rows)
    fresh, old = leaves(layer.initial_state(4)), leaves(kept.state())
    for got, first, before in zip(leaves(stepper.state()), fresh, old, strict=True):
        assert torch.equal(got[[1, 3]], first[[1, 3]])
        assert torch.equal(got[[0, 2]], before[[0, 2]])
    stepper.reset([])
    stepper.reset()
    assert torch.equal(stepper.state().c, layer.initial_state(4).c)


X = torch.zeros(2, INPUT)
WRONG = [
    (X.double(), DtypeError, "of float32 and shape .2, 6., got torch.float64; convert it to float32"),
    (X.double().numpy(), DtypeError, "got float64; convert"),
    (X.long().numpy(), DtypeError, "got int64; convert"),
    (X.numpy().astype(">f4"), DtypeError, "got >f4; convert"),
    (X.tolist(), DtypeError, "got list; convert it with"),
    (np.ma.masked_array(X.numpy()), DtypeError, "got MaskedArray; convert it with"),
    (None, DtypeError, "got NoneType"),
    (X[:1], ShapeError, r"got the shape \(1, 6\); give one row for each stream"),
    (X[0], ShapeError, r"got the shape \(6,\)"),
    (X[None].numpy(), ShapeError, r"got the shape \(1, 2, 6\)"),
    (torch.zeros(INPUT, 2), ShapeError, r"got the shape \(6, 2\)"),
    (torch.zeros(2, INPUT).to_sparse(), ShapeError, r"got a tensor that is torch.sparse_coo; call x.to_dense"),
    (torch.zeros(2, INPUT, device="meta"), ShapeError, "got one on meta"),
    (X.clone().fill_(float("nan")), NonFiniteError, "x must be finite"),
    (X.clone().fill_(-float("inf")).numpy(), NonFiniteError, "x must be finite"),
]


@pytest.mark.parametrize(("x", "error", "message"), WRONG)
def test_a_wrong_input_is_one_sentence_and_changes_nothing(x: Any, error: type[Exception], message: str) -> None:
    stepper = Stepper(make("lstm", dtype=torch.float32), 2)
    steps(stepper, samples(2, dtype=torch.float32))
    before = stepper.state()
    with pytest.raises(error, match=message):
        stepper.step(x)
    if not isinstance(x, np.ndarray) or x.ndim != 3:
        with pytest.raises((DtypeError, ShapeError, NonFiniteError)):
            stepper.run(x)
    assert torch.equal(stepper.state().c, before.c)


LAYOUTS: dict[str, Callable[[Tensor], Any]] = {
    "one time of many": lambda x: torch.stack([x, -x], 1)[:, 0],
    "transposed": lambda x: x.T.contiguous().T,
    "every second": lambda x: x.repeat_interleave(2, 1)[:, ::2],
    "one row expanded": lambda x: x[:1].expand(2, -1),
    "negated": lambda x: torch._neg_view(-x),
    "numpy turned over": lambda x: np.ascontiguousarray(x.numpy()[::-1, ::-1])[::-1, ::-1],
    "numpy transposed": lambda x: x.T.contiguous().numpy().T,
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_any_layout_of_x_is_taken(name: str) -> None:
    layer, x = make("lstm", dtype=torch.float32), samples(2, dtype=torch.float32)[0]
    given = LAYOUTS[name](x)
    plain = torch.from_numpy(np.ascontiguousarray(given)) if isinstance(given, np.ndarray) else given.clone()
    one, other = Stepper(layer, 2), Stepper(layer, 2)
    y = one.step(given)
    assert type(y) is type(given)
    assert torch.equal(torch.as_tensor(y), other.step(plain))
    ys = one.run(np.stack([given])[:, ::-1][:, ::-1] if isinstance(given, np.ndarray) else given[None])
    assert torch.equal(torch.as_tensor(ys)[0], other.step(plain))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("rows", [[2], [3, 0], np.array([1, 2, 0, 3]), []])
def test_the_rows_that_are_asked_for_advance_alone(name: str, rows: Any) -> None:
    layer, xs = make(name), samples(4)
    stepper, whole = Stepper(layer, 4), Stepper(layer, 4)
    steps(stepper, xs[:2])
    steps(whole, xs[:2])
    before, numbers = stepper.state(), torch.as_tensor(rows, dtype=torch.long)
    y, want = stepper.step(xs[2][numbers], rows=rows), whole.step(xs[2])
    assert torch.equal(y, want[numbers])
    stays = torch.ones(4, dtype=torch.bool).index_fill(0, numbers, False)
    for got, old, new in zip(leaves(stepper.state()), leaves(before), leaves(whole.state()), strict=True):
        assert torch.equal(got[numbers], new[numbers])
        assert torch.equal(got[stays], old[stays])


def test_a_state_of_some_rows_goes_out_and_in() -> None:
    layer, xs = make("lstm"), samples(4)
    stepper = Stepper(layer, 4)
    steps(stepper, xs)
    whole, some = stepper.state(), stepper.state([3, 1])
    assert torch.equal(some.c, whole.c[[3, 1]])
    stepper.load_state(some, [0, 2])
    assert torch.equal(stepper.state().h, whole.h[[3, 1, 1, 3]])
    with pytest.raises(ShapeError, match="a state leaf must be"):
        stepper.load_state(some, [0])


def test_wrong_rows_of_a_step_are_refused() -> None:
    stepper, x = Stepper(make("lstm"), 4), samples(4)[0]
    with pytest.raises(ShapeError, match=r"rows must name every stream once, got \[1, 1\]"):
        stepper.step(x[:2], rows=[1, 1])
    with pytest.raises(ShapeError, match=r"of float64 and shape \(2, 6\), got the shape \(4, 6\)"):
        stepper.step(x, rows=[1, 2])
    with pytest.raises(DtypeError, match=r"got torch\.float32; convert"):
        stepper.step(x[:1].float(), [1])
    with pytest.raises(NonFiniteError):
        stepper.step(x[:1] / 0, rows=[1])


def test_a_wrong_state_or_row_is_refused() -> None:
    stepper = Stepper(make("lstm"), 2)
    with pytest.raises(ShapeError, match="LSTMState"):
        stepper.load_state(stepper.state().h)
    with pytest.raises(ShapeError, match="a state leaf must be"):
        stepper.load_state(Stepper(make("lstm"), 3).state())
    with pytest.raises(DtypeError, match="a state leaf must be"):
        stepper.load_state(map_state(Tensor.long, stepper.state()))
    for rows in ([2], [-1], 1):
        with pytest.raises(ShapeError, match="numbers from 0 to 1"):
            stepper.reset(rows)  # type: ignore[arg-type]
    with pytest.raises(DtypeError, match="rows must be the numbers"):
        stepper.reset(torch.tensor([True, False]))
    beyond = torch.tensor([5])
    with pytest.raises(ValueError, match="no such row"):
        stepper._native.move(False, [0, 0], beyond.data_ptr(), 1)


def test_a_layer_that_cannot_be_stepped_is_refused() -> None:
    for layer in (Bidirectional(GRU(3, 4), GRU(3, 4)), Stack([LSTM(3, 4), Bidirectional(GRU(4, 4), GRU(4, 4))])):
        with pytest.raises(
            NotStreamable, match="Bidirectional cannot step, it needs the whole sequence; use a forward"
        ):
            Stepper(layer)
    with pytest.raises(OptionError, match="layer must be on the CPU, but weight_x is on meta"):
        Stepper(GRU(3, 4).to("meta"))
    with pytest.raises(DtypeError, match="all float32 or all float64"):
        Stepper(GRU(3, 4).to(torch.bfloat16))
    with pytest.raises(OptionError, match="weights must be one of"):
        Stepper(GRU(3, 4), weights="int4")
    with pytest.raises(OptionError, match="weights='int8' needs a layer in float32"):
        Stepper(GRU(3, 4).double(), weights="int8")
    broken = GRU(3, 4)
    broken.weight_h.detach()[0, 0] = float("nan")
    with pytest.raises(OptionError, match="needs finite weights, but weight_h"):
        Stepper(broken, weights="int8")
    with pytest.raises(OptionError, match="batch must be"):
        Stepper(GRU(3, 4), 0)
    with torch.inference_mode():
        layer = GRU(3, 4)
    with pytest.raises(OptionError, match="changes are not counted"):
        Stepper(layer)


def test_two_threads_step_two_steppers_at_once() -> None:
    layers, xs = [make("lstm", 150), make("gru before", 150)], samples(2, 200)

    def walk(number: int) -> Tensor:
        stepper = Stepper(layers[number], 2)
        return torch.cat([steps(stepper, xs[:100]), stepper.run(xs[100:])])

    alone, found = [walk(0), walk(1)], [torch.empty(0)] * 2

    def work(number: int) -> None:
        found[number] = walk(number)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(torch.equal(got, want) for got, want in zip(found, alone, strict=True))


def test_a_stepper_keeps_the_level_it_was_made_on() -> None:
    layer, xs = make("lstm"), samples(1)
    want = steps(Stepper(layer), xs)
    stepper = Stepper(layer)
    with native.use_level("baseline"):
        assert torch.equal(steps(stepper, xs), want)
