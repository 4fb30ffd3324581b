"""Programs of live steps: every instruction against torch, for odd widths, many rows, and every level."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from unrolled.errors import OptionError, ShapeError
from unrolled.live import binding as live
from unrolled.live.program import Program, Value
from unrolled.ops import native
from unrolled.ops.delta.reference import DeltaOperands, DeltaState, delta_step
from unrolled.ops.mlstm.reference import MLSTMOperands, MLSTMState, mlstm_step
from unrolled.ops.slstm.reference import SLSTMOperands, SLSTMState, slstm_step
from unrolled.state import leaves, map_state

pytestmark = pytest.mark.skipif(not native.available(), reason=native.reason() or "")

ROWS = [1, 2, 13, 17]
DTYPES = [torch.float32, torch.float64]
EXTREMES = [-1000.0, -120.0, -88.5, -50.0, -20.5, -1e-4, 0.0, 1e-9, 0.3, 20.5, 50.0, 88.5]

Write = Callable[[Program], Value]


def run(write: Write, x: Tensor, state: Any = (), stored: str = "float32") -> tuple[Tensor, Any]:
    """One step of a program: y and the next state."""
    like = map_state(lambda leaf: leaf[:1], state)
    program = Program(x.shape[1], like, x.shape[0], x.dtype, live.STORED.index(stored))
    stepper = native.compiled().Stepper([program.fields(write(program), live.TYPES[x.dtype])], [], native.threads)
    stepper.shape_state(state)
    answer: tuple[Tensor, Any] = stepper.step_from(x, state)
    return answer


def numbers(*shape: int, seed: int = 0) -> Tensor:
    """The extremes first, then normal numbers; float64 that float32 holds exactly."""
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    count = min(len(EXTREMES), drawn.numel() // 2)
    drawn.view(-1)[:count] = torch.tensor(EXTREMES[:count])
    return drawn.double()


def assert_near(got: Tensor, want: Tensor, units: float = 16) -> None:
    """Equal but for some units in the last place of the dtype of `got`, of a number or of 1."""
    error = torch.finfo(got.dtype).eps
    torch.testing.assert_close(got.double(), want.double(), rtol=units * error, atol=units * error)


UNARY: dict[str, tuple[Callable[[Value], Value], Callable[[Tensor], Tensor]]] = {
    "copy": (Value.copy, Tensor.clone),
    "negative": (lambda x: -x, torch.neg),
    "affine": (lambda x: 3 - 2 * x, lambda x: 3 - 2 * x),
    "number": (lambda x: (x + 1.5) - 0.25, lambda x: x + 1.25),
    "exp": (Value.exp, torch.exp),
    "expm1": (Value.expm1, torch.expm1),
    "sqrt": (lambda x: x.square().sqrt(), torch.abs),
    "tanh": (Value.tanh, torch.tanh),
    "sigmoid": (Value.sigmoid, torch.sigmoid),
    "silu": (Value.silu, functional.silu),
    "softplus": (Value.softplus, lambda x: torch.logaddexp(x, torch.zeros_like(x))),
    "gelu": (Value.gelu, functional.gelu),
    "relu": (Value.relu, torch.relu),
    "square": (Value.square, torch.square),
}


@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNARY)
def test_a_function_of_one_number_is_that_of_torch(name: str, dtype: torch.dtype, level: str) -> None:
    ours, theirs = UNARY[name]
    for rows, width in ((1, 33), (2, 7), (13, 130), (17, 1)):
        x = numbers(rows, width)
        with native.use_level(level):
            y, _ = run(lambda p: ours(p.x), x.to(dtype))
        assert_near(y, theirs(x))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["exp", "expm1"])
def test_what_leaves_the_range_is_infinite_or_zero(name: str, dtype: torch.dtype) -> None:
    ours, theirs = UNARY[name]
    x = torch.tensor([[-1e30, -800.0, 88.7, 200.0, 709.5, 1e30]], dtype=dtype)
    torch.testing.assert_close(run(lambda p: ours(p.x), x)[0], theirs(x))


OTHERS: dict[str, tuple[Callable[..., Value], Callable[..., Tensor]]] = {
    "add": (lambda a, b, c: a + b, lambda a, b, c: a + b),
    "subtract": (lambda a, b, c: a - b, lambda a, b, c: a - b),
    "multiply": (lambda a, b, c: a * b, lambda a, b, c: a * b),
    "divide": (lambda a, b, c: a / (b.square() + 1), lambda a, b, c: a / (b.square() + 1)),
    "maximum": (lambda a, b, c: a.maximum(b), lambda a, b, c: a.maximum(b)),
    "multiply add": (lambda a, b, c: a.multiply_add(b, c), lambda a, b, c: a * b + c),
    "lerp": (lambda a, b, c: a.lerp(b, c), lambda a, b, c: a + c * (b - a)),
    "choose": (lambda a, b, c: a.choose(b, c), lambda a, b, c: torch.where(a >= 0, b, c)),
    "join": (lambda a, b, c: a.program.join(c, a, b), lambda a, b, c: torch.cat([c, a, b], -1)),
}


@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("width", [1, 16, 33])
@pytest.mark.parametrize("name", OTHERS)
def test_a_function_of_several_numbers_is_that_of_torch(name: str, width: int, rows: int, level: str) -> None:
    ours, theirs = OTHERS[name]
    x = torch.randn(rows, 3 * width, dtype=torch.float64)
    with native.use_level(level):
        y, _ = run(lambda p: ours(*p.x.chunk(3)), x)
    assert_near(y, theirs(*x.chunk(3, -1)))
    constant = torch.randn(width, dtype=torch.float64)
    y, _ = run(lambda p: ours(p.x[:width], constant, constant) if name != "join" else p.x[:width] + constant, x)
    assert_near(y, theirs(x[:, :width], constant, constant) if name != "join" else x[:, :width] + constant)


@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(("groups", "out", "width"), [(1, 1, 1), (1, 70, 33), (3, 5, 7), (8, 4, 4), (2, 33, 16)])
def test_a_product_is_that_of_torch(
    groups: int, out: int, width: int, rows: int, dtype: torch.dtype, level: str
) -> None:
    x, weight = torch.randn(rows, groups * width), torch.randn(groups, out, width)
    bias = torch.randn(groups * out)
    want = torch.einsum("bgi,goi->bgo", x.view(rows, groups, width).double(), weight.double()).flatten(1)
    with native.use_level(level):
        plain, _ = run(lambda p: p.linear(p.x, weight.to(dtype)), x.to(dtype))
        moved, _ = run(lambda p: p.linear(p.x, weight.to(dtype), bias.to(dtype)), x.to(dtype))
    assert_near(plain, want, 8 * width)
    assert_near(moved, want + bias, 8 * width)


@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("stored", ["bf16", "int8"])
@pytest.mark.parametrize("groups", [1, 4])
def test_coarse_weights_are_rounded_ones(groups: int, stored: str, level: str) -> None:
    x, weight, bias = torch.randn(13, groups * 9), torch.randn(groups, 21, 9), torch.randn(groups * 21)
    if stored == "bf16":
        rounded = weight.bfloat16().double()
    else:
        scale = weight.abs().amax(-1, keepdim=True).double() / 127
        rounded = (weight / scale).round() * scale
    with native.use_level(level):
        y, _ = run(lambda p: p.linear(p.x, weight, bias), x, stored=stored)
    want = torch.einsum("bgi,goi->bgo", x.view(13, groups, 9).double(), rounded).flatten(1) + bias
    assert_near(y, want, 8 * 9)


NORMS: dict[str, tuple[Callable[[Value, int], Value], Callable[[Tensor], Tensor]]] = {
    "layer_norm": (lambda x, n: x.layer_norm(n, 1e-5), lambda x: functional.layer_norm(x, x.shape[-1:])),
    "rms_norm": (lambda x, n: x.rms_norm(n, 1e-5), lambda x: functional.rms_norm(x, x.shape[-1:], eps=1e-5)),
    "unit_norm": (lambda x, n: x.unit_norm(n, 1e-12), lambda x: functional.normalize(x, dim=-1)),
    "l2_norm": (lambda x, n: x.l2_norm(n, 1e-6), lambda x: x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6)),
    "group_sum": (lambda x, n: x.group_sum(n), lambda x: x.sum(-1)),
    "spread": (lambda x, n: x.spread(3), lambda x: x[..., None].expand(*x.shape, 3)),
}


@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(("groups", "width"), [(1, 33), (3, 7), (4, 32), (2, 2)])
@pytest.mark.parametrize("name", NORMS)
def test_a_norm_is_that_of_torch(name: str, groups: int, width: int, rows: int, level: str) -> None:
    ours, theirs = NORMS[name]
    torch.manual_seed(0)
    x = 3 + torch.randn(rows, groups * width, dtype=torch.float64)
    x[0] = 0
    # Numbers that are close to one another lose as much when their mean goes.
    apart = x[1:].view(-1, groups, width).std(-1, correction=0).min().item() if rows > 1 and width > 1 else 1.0
    with native.use_level(level):
        y, _ = run(lambda p: ours(p.x, groups), x)
    assert_near(y, theirs(x.view(rows, groups, width)).reshape(rows, -1), 4 * width * max(1.0, 3 / apart))


@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("lines", [0, 1, 3])
def test_a_window_is_a_causal_convolution(lines: int, rows: int, level: str) -> None:
    x, past = torch.randn(rows, 19, dtype=torch.float64), torch.randn(rows, lines, 19, dtype=torch.float64)
    weight, bias = torch.randn(lines + 1, 19, dtype=torch.float64), torch.randn(19, dtype=torch.float64)
    with native.use_level(level):
        if lines:
            y, (after,) = run(lambda p: p.window(p.x, p.state[0], weight, bias), x, (past,))
            assert torch.equal(after, torch.cat([past, x[:, None]], 1)[:, 1:])
        else:
            y, _ = run(lambda p: p.window(p.x, p.x, weight, bias), x)
    assert_near(y, (torch.cat([past, x[:, None]], 1) * weight).sum(1) + bias)


def walk(
    write: Write, xs: Tensor, state: Any, recur: Callable[[Tensor, Any], tuple[Tensor, Any]], units: float
) -> None:
    """A few steps by program are those of the reference."""
    want_state = state
    for x in xs:
        y, state = run(write, x, state)
        want, want_state = recur(x, want_state)
        assert bool(torch.isfinite(y).all())
        assert_near(y, want, units)
        for got, kept in zip(leaves(state), leaves(want_state), strict=True):
            assert_near(got, kept, units)


@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("exponential", [False, True])
@pytest.mark.parametrize("scale", [1.0, 50.0])
def test_slstm_is_its_reference(scale: float, exponential: bool, rows: int, level: str) -> None:
    xs = scale * torch.randn(6, rows, 4 * 19, dtype=torch.float64)
    state = SLSTMState(*torch.randn(4, rows, 19, dtype=torch.float64))
    seen = torch.arange(rows)[:, None] % 2 == 0
    # Every second row is fresh, with an m that must not count.
    n, c = (torch.where(seen, 0.0, leaf) for leaf in (state.n.abs() + 0.5, state.c))
    state = state._replace(n=n, c=c, m=40 * state.m)
    weight = torch.zeros(1, 4 * 19, 19, dtype=torch.float64)
    with native.use_level(level):
        walk(
            lambda p: p.slstm(p.x.chunk(4), p.state, exponential), xs, state,
            lambda x, old: slstm_step(SLSTMOperands(x), old, weight, exponential), 256 * scale,
        )  # fmt: skip


@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(("heads", "keys", "values"), [(1, 3, 5), (3, 7, 19), (4, 32, 32)])
@pytest.mark.parametrize("scale", [1.0, 50.0])
def test_mlstm_is_its_reference(scale: float, heads: int, keys: int, values: int, rows: int, level: str) -> None:
    sizes = [heads * keys, heads * keys, heads * values, heads, heads]

    def parts(x: Tensor) -> MLSTMOperands:
        q, k, v, i, f = x.split(sizes, -1)
        return MLSTMOperands(*(part.unflatten(-1, (heads, -1)) for part in (q, k, v)), scale * i, scale * f)

    def write(p: Program) -> Value:
        q, k, v, i, f = p.x.split(sizes)
        return p.mlstm(q, k, v, i * scale, f * scale, p.state)

    def recur(x: Tensor, old: MLSTMState) -> tuple[Tensor, MLSTMState]:
        y, new = mlstm_step(parts(x), old)
        return y.flatten(1), new

    xs = torch.randn(6, rows, sum(sizes), dtype=torch.float64)
    shapes = ((rows, heads, keys, values), (rows, heads, keys), (rows, heads))
    state = MLSTMState(*(torch.zeros(shape, dtype=torch.float64) for shape in shapes))
    with native.use_level(level):
        walk(write, xs, state, recur, 4096 * scale)


@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(("heads", "keys", "values"), [(1, 3, 5), (3, 7, 19), (4, 32, 32), (2, 64, 64)])
def test_delta_is_its_reference(heads: int, keys: int, values: int, rows: int, level: str) -> None:
    sizes = [heads * keys] * 3 + [heads * values] + [heads * keys] * 2

    def recur(x: Tensor, old: DeltaState) -> tuple[Tensor, DeltaState]:
        q, w, k, v, a, b = (part.unflatten(-1, (heads, -1)) for part in x.split(sizes, -1))
        y, new = delta_step(DeltaOperands(q, -w.abs(), k, v, a / keys, b), old)
        return y.flatten(1), new

    def write(p: Program) -> Value:
        q, w, k, v, a, b = p.x.split(sizes)
        return p.delta(q, (-w.maximum(-w)).exp(), k, v, a * (1 / keys), b, p.state.s, heads)

    xs = torch.randn(4, rows, sum(sizes), dtype=torch.float64)
    state = DeltaState(torch.randn(rows, heads, keys, values, dtype=torch.float64))
    with native.use_level(level):
        walk(write, xs, state, recur, 64 * keys)


def test_rows_do_not_see_each_other_in_products_of_large_numbers() -> None:
    x = torch.ones(2, 5)
    x[0] = 3e38
    weight = torch.ones(40, 5)
    y, _ = run(lambda p: p.linear(p.linear(p.x, weight), weight.T.contiguous()), x)
    assert bool(y[0].isinf().all())
    assert torch.equal(y[1], torch.full((5,), 200.0))


def test_nested_states_go_in_and_out_as_they_are() -> None:
    x = torch.ones(2, 3)
    state = (DeltaState(torch.zeros(2, 3)), (None, (torch.zeros(2, 3), torch.full((2, 3), 5.0))))

    def write(p: Program) -> Value:
        first, (_, (second, third)) = p.state
        p.store(first.s, first.s + p.x)
        p.store(second, third)
        return third.copy()

    y, after = run(write, x, state)
    assert type(after[0]) is DeltaState
    assert after[1][0] is None
    assert torch.equal(after[0].s, x)
    assert torch.equal(after[1][1][0], y)
    assert y.max() == 5


def test_what_does_not_fit_is_refused() -> None:
    program = Program(4, (torch.zeros(1, 2, 3),), 1, torch.float32, 0)
    with pytest.raises(ShapeError, match="takes 1 \\* 3 numbers"):
        program.linear(program.x, torch.zeros(2, 3))
    with pytest.raises(ShapeError, match="add takes one line of 4"):
        program.x + program.x[:2]
    with pytest.raises(ShapeError, match="cannot take 4"):
        program.store(program.state[0], program.x)
    with pytest.raises(ShapeError, match="neighbours alone"):
        program.x[::2]
    with pytest.raises(OptionError, match=r"weights must be torch\.float32"):
        program.linear(program.x, torch.zeros(2, 4).double())
    with pytest.raises(OptionError, match=r"a leaf of torch\.int64"):
        Program(4, (torch.zeros(1, 2, dtype=torch.long),), 1, torch.float32, 0)
