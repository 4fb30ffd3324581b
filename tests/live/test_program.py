"""Recorded functions: every instruction against torch, for odd widths, many rows, and every level."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from recorded import Step, plain, ran, recorded, run
from torch import Tensor
from torch.nn import functional

from unrolled.nn.blocks.causal import window_step
from unrolled.ops import native
from unrolled.ops.delta.reference import DeltaOperands, DeltaState, delta_step
from unrolled.ops.mlstm.reference import MLSTMOperands, MLSTMState, mlstm_step
from unrolled.ops.slstm.reference import SLSTMOperands, SLSTMState, slstm_step
from unrolled.state import leaves

pytestmark = pytest.mark.skipif(not native.available(), reason=native.reason() or "")

ROWS = [1, 2, 13, 17]
DTYPES = [torch.float32, torch.float64]
EXTREMES = [-1000.0, -120.0, -88.5, -50.0, -20.5, -1e-4, 0.0, 1e-9, 0.3, 20.5, 50.0, 88.5]


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


UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "copy": Tensor.clone,
    "negative": lambda x: -x,
    "affine": lambda x: 3 - 2 * x,
    "number": lambda x: (x + 1.5) - 0.25,
    "divided": lambda x: x / 3,
    "inverse": lambda x: 1 / (x.abs() + 1),
    "exp": torch.exp,
    "expm1": torch.expm1,
    "log": lambda x: torch.log(x.abs() + 1e-9),
    "log1p": lambda x: torch.log1p(x.abs()),
    "sqrt": lambda x: x.square().sqrt(),
    "rsqrt": lambda x: torch.rsqrt(x.abs() + 1e-3),
    "sin": torch.sin,
    "cos": torch.cos,
    "abs": torch.abs,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "log sigmoid": functional.logsigmoid,
    "silu": functional.silu,
    "softplus": lambda x: functional.softplus(x, threshold=50),
    "softplus beta": lambda x: functional.softplus(x, beta=2, threshold=50),
    "gelu": functional.gelu,
    "relu": torch.relu,
    "leaky relu": functional.leaky_relu,
    "elu": functional.elu,
    "softsign": functional.softsign,
    "square": lambda x: x * x,
    "cube": lambda x: x**3,
    "power": lambda x: x.abs() ** 0.5,
    "two to the power": lambda x: 2 ** x.clamp(-9, 9),
    "clamp": lambda x: x.clamp(-1, 0.5),
    "hard tanh": functional.hardtanh,
    "at least": lambda x: torch.where(x >= 0.3, x, -x),
    "above": lambda x: torch.where(x > 0, 2.0, x),
    "below": lambda x: torch.where(x < 0.3, x, 1.0),
    "at most": lambda x: torch.where(x <= 0, x + 1, x),
    "equal": lambda x: torch.where(x == 0, 5.0, x),
    "unequal": lambda x: x.masked_fill(x != 0, 5.0),
    "both": lambda x: torch.where((x > -1) & ~(x > 1), x, 0.0),
    "either": lambda x: ((x < -1) | (x > 1)).to(x.dtype) * x,
}


@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNARY)
def test_a_function_of_one_number_is_that_of_torch(name: str, dtype: torch.dtype, level: str) -> None:
    function = UNARY[name]
    for rows, width in ((1, 33), (2, 7), (13, 130), (17, 1)):
        x = numbers(rows, width).to(dtype)
        with native.use_level(level):
            y, _ = run(plain(function), x)
        # In float64, of the same numbers; what float32 cannot hold is infinite there.
        assert_near(y, function(x.double()).to(dtype).double())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["exp", "expm1"])
def test_what_leaves_the_range_is_infinite_or_zero(name: str, dtype: torch.dtype) -> None:
    x = torch.tensor([[-1e30, -800.0, 88.7, 200.0, 709.5, 1e30]], dtype=dtype)
    torch.testing.assert_close(run(plain(UNARY[name]), x)[0], UNARY[name](x))


OTHERS: dict[str, Callable[..., Tensor]] = {
    "add": lambda a, b, c: a + b,
    "subtract": lambda a, b, c: a - b,
    "multiply": lambda a, b, c: a * b,
    "divide": lambda a, b, c: a / (b.square() + 1),
    "maximum": lambda a, b, c: torch.maximum(a, b),
    "minimum": lambda a, b, c: torch.minimum(a, b),
    "multiply add": lambda a, b, c: torch.addcmul(c, a, b),
    "fused multiply add": lambda a, b, c: c + b * a,
    "lerp": torch.lerp,
    "choose": lambda a, b, c: torch.where(a >= 0, b, c),
    "compare": lambda a, b, c: torch.where(a > b, a, c),
    "join": lambda a, b, c: torch.cat([c, a, b], -1),
    "stack": lambda a, b, c: torch.stack([a, b + c], 2).flatten(1),
    "flip": lambda a, b, c: (a * b).flip(-1),
    "scaled add": lambda a, b, c: torch.add(a, b, alpha=3) - torch.sub(b, c, alpha=2),
}


@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("width", [1, 16, 33])
@pytest.mark.parametrize("name", OTHERS)
def test_a_function_of_several_numbers_is_that_of_torch(name: str, width: int, rows: int, level: str) -> None:
    function = OTHERS[name]
    x = torch.randn(rows, 3 * width, dtype=torch.float64)
    constant = torch.randn(width, dtype=torch.float64)
    with native.use_level(level):
        for step in (
            plain(lambda x: function(*x.chunk(3, -1))),
            plain(lambda x: function(x[:, :width], *(constant.expand(len(x), -1) for _ in "bc"))),
        ):
            assert_near(run(step, x)[0], step(x, ())[0])


def blocks(weight: Tensor, x: Tensor) -> Tensor:
    """x in groups, each times a matrix of its own."""
    return torch.einsum("bgi,goi->bgo", x.view(len(x), len(weight), -1), weight).flatten(1)


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
        given, product = x.to(dtype), partial(blocks, weight.to(dtype))
        bare, _ = run(plain(product), given)
        moved, _ = run(plain(lambda x: product(x) + bias.to(dtype)), given)
        assert [one.op for one in recorded(plain(lambda x: product(x) + bias.to(dtype)), given).instructions] == [
            "linear"
        ]
    assert_near(bare, want, 8 * width)
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
        y, _ = run(plain(lambda x: blocks(weight, x) + bias), x, stored=stored)
    want = torch.einsum("bgi,goi->bgo", x.view(13, groups, 9).double(), rounded).flatten(1) + bias
    assert_near(y, want, 8 * 9)


NORMS: dict[str, Callable[[Tensor], Tensor]] = {
    "layer_norm": lambda x: functional.layer_norm(x, x.shape[-1:]),
    "rms_norm": lambda x: functional.rms_norm(x, x.shape[-1:], eps=1e-5),
    "rms_norm ": lambda x: x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-5),
    "unit_norm": lambda x: functional.normalize(x, dim=-1),
    "l2_norm": lambda x: x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6),
    "group_sum": lambda x: x.sum(-1),
    "group_max": lambda x: x.amax(-1),
    "mean": lambda x: x.mean(2),
    "over the groups": lambda x: x.sum(1),
    "spread": lambda x: x[..., None].expand(*x.shape, 3).flatten(1),
    "softmax": lambda x: x.softmax(-1),
    "log softmax": lambda x: functional.log_softmax(x, -1),
    "vector norm": lambda x: torch.linalg.vector_norm(x, dim=-1),
}


@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(("groups", "width"), [(1, 33), (3, 7), (4, 32), (2, 2)])
@pytest.mark.parametrize("name", NORMS)
def test_a_norm_is_that_of_torch(name: str, groups: int, width: int, rows: int, level: str) -> None:
    function = NORMS[name]
    torch.manual_seed(0)
    x = 3 + torch.randn(rows, groups * width, dtype=torch.float64)
    x[0] = 0
    # Numbers that are close to one another lose as much when their mean goes.
    apart = x[1:].view(-1, groups, width).std(-1, correction=0).min().item() if rows > 1 and width > 1 else 1.0
    step = plain(lambda x: function(x.view(len(x), groups, width)).flatten(1))
    with native.use_level(level):
        y, _ = run(step, x)
    assert_near(y, step(x, ())[0], 4 * width * max(1.0, 3 / apart))
    word = name.strip()
    if word in native.compiled().PROGRAM_OPS and width > 2:
        assert [one.op for one in recorded(step, x).instructions] == [word]


@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("lines", [0, 1, 3])
def test_a_window_is_a_causal_convolution(lines: int, rows: int, level: str) -> None:
    x, past = torch.randn(rows, 19, dtype=torch.float64), torch.randn(rows, lines, 19, dtype=torch.float64)
    weight, bias = torch.randn(lines + 1, 19, dtype=torch.float64), torch.randn(19, dtype=torch.float64)
    with native.use_level(level):
        y, (after,) = run(lambda x, state: pair(window_step(x, state[0], weight, bias)), x, (past,))
    joined = torch.cat([past, x[:, None]], 1)
    assert torch.equal(after, joined[:, 1:])
    assert_near(y, (joined * weight.flip(0)).sum(1) + bias)


def pair(found: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor]]:
    """y and a state of one leaf."""
    return found[0], (found[1],)


def walk(step: Step, xs: Tensor, state: Any, units: float) -> None:
    """A few steps by one instruction are those of torch."""
    program, want_state = recorded(step, xs[0], state), state
    assert sum(one.op in ("slstm", "mlstm", "delta") for one in program.instructions) == 1
    for x in xs:
        y, state = ran(program, x, state)
        want, want_state = step(x, want_state)
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
        walk(lambda x, old: slstm_step(SLSTMOperands(x), old, weight, exponential), xs, state, 256 * scale)


@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(("heads", "keys", "values"), [(1, 3, 5), (3, 7, 19), (4, 32, 32)])
@pytest.mark.parametrize("scale", [1.0, 50.0])
def test_mlstm_is_its_reference(scale: float, heads: int, keys: int, values: int, rows: int, level: str) -> None:
    sizes = [heads * keys, heads * keys, heads * values, heads, heads]

    def step(x: Tensor, old: MLSTMState) -> tuple[Tensor, MLSTMState]:
        q, k, v, i, f = x.split(sizes, -1)
        parts = (part.unflatten(-1, (heads, -1)) for part in (q, k, v))
        y, new = mlstm_step(MLSTMOperands(*parts, scale * i, scale * f), old)
        return y.flatten(1), new

    xs = torch.randn(6, rows, sum(sizes), dtype=torch.float64)
    shapes = ((rows, heads, keys, values), (rows, heads, keys), (rows, heads))
    state = MLSTMState(*(torch.zeros(shape, dtype=torch.float64) for shape in shapes))
    with native.use_level(level):
        walk(step, xs, state, 4096 * scale)


@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(("heads", "keys", "values"), [(1, 3, 5), (3, 7, 19), (4, 32, 32), (2, 64, 64)])
def test_delta_is_its_reference(heads: int, keys: int, values: int, rows: int, level: str) -> None:
    sizes = [heads * keys] * 3 + [heads * values] + [heads * keys] * 2

    def step(x: Tensor, old: DeltaState) -> tuple[Tensor, DeltaState]:
        q, w, k, v, a, b = (part.unflatten(-1, (heads, -1)) for part in x.split(sizes, -1))
        y, new = delta_step(DeltaOperands(q, -w.abs(), k, v, a / keys, b), old)
        return y.flatten(1), new

    xs = torch.randn(4, rows, sum(sizes), dtype=torch.float64)
    state = DeltaState(torch.randn(rows, heads, keys, values, dtype=torch.float64))
    with native.use_level(level):
        walk(step, xs, state, 64 * keys)


def test_rows_do_not_see_each_other_in_products_of_large_numbers() -> None:
    x = torch.ones(2, 5)
    x[0] = 3e38
    weight = torch.ones(40, 5)
    y, _ = run(plain(lambda x: (x @ weight.T) @ weight), x)
    assert bool(y[0].isinf().all())
    assert torch.equal(y[1], torch.full((5,), 200.0))


def test_nested_states_go_in_and_out_as_they_are() -> None:
    x = torch.ones(2, 3)
    state = (DeltaState(torch.zeros(2, 3)), (None, (torch.zeros(2, 3), torch.full((2, 3), 5.0))))

    def step(x: Tensor, state: Any) -> tuple[Tensor, Any]:
        first, (_, (second, third)) = state
        return third, (DeltaState(first.s + x), (None, (third, second)))

    y, after = run(step, x, state)
    assert type(after[0]) is DeltaState
    assert after[1][0] is None
    assert torch.equal(after[0].s, x)
    assert torch.equal(after[1][1][0], y)
    assert y.min() == 5
    assert after[1][1][1].max() == 0


def test_a_table_gives_its_rows_and_nan_where_it_has_none() -> None:
    table = torch.randn(5, 19)
    step = plain(lambda x: functional.embedding(x.long(), table).flatten(1))
    x = torch.tensor([[0.0, 4.0], [3.0, 3.0]])
    program = recorded(step, x)
    assert torch.equal(ran(program, x)[0], step(x, ())[0])
    y, _ = ran(program, torch.tensor([[5.0, 1.0], [2.0, -1.0]]))
    assert bool(y[0, :19].isnan().all() & y[1, 19:].isnan().all())
    assert torch.equal(y[0, 19:], table[1])
