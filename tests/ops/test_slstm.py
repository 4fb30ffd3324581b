"""The scalar long short-term memory in C++: every width, level and way to divide the work; gates of any size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from unrolled import ops
from unrolled.errors import KernelError, ShapeError
from unrolled.ops import native
from unrolled.padding import valid_mask
from unrolled.testing import check_kernel

compiled = pytest.mark.skipif(not native.available(), reason=str(native.reason()))

Threads = Callable[[int], None]


class Task(NamedTuple):
    """Arguments of the op."""

    gates: Tensor
    h0: Tensor
    c0: Tensor
    n0: Tensor
    m0: Tensor
    weight_h: Tensor
    lengths: Tensor | None = None
    reset: Tensor | None = None
    start_h: Tensor | None = None
    start_c: Tensor | None = None
    start_n: Tensor | None = None
    start_m: Tensor | None = None
    exponential: bool = False


def draw(
    batch: int,
    time: int,
    heads: int,
    width: int,
    *,
    size: float = 1.0,
    exponential: bool = False,
    dtype: torch.dtype = torch.float64,
) -> Task:
    """Gates of the given size, and a state that some steps could have left."""
    generator = torch.Generator().manual_seed(width)
    hidden = heads * width

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    gates = (size * normal(batch, time, 4 * hidden)).clamp(-50, 50)
    h, c, n, m = (normal(batch, hidden) for _ in range(4))
    weight_h = normal(heads, 4 * width, width) * width**-0.5
    return Task(gates, h, c, 1 + n.abs(), m, weight_h, exponential=exponential)


def fresh(task: Task) -> Task:
    """The task from the state that has seen nothing."""
    return task._replace(**{name: torch.zeros_like(task.h0) for name in ("h0", "c0", "n0", "m0")})


def with_reset(task: Task, *places: tuple[int, int]) -> Task:
    """The task with resets, in valid steps, of (row, time) to the state that has seen nothing."""
    reset = torch.zeros(task.gates.shape[:2], dtype=torch.bool)
    for row, time in places:
        reset[row, time] = True
    if task.lengths is not None:
        reset &= valid_mask(task.lengths, reset.shape[1])
    zero = torch.zeros_like(task.h0[:1])
    return task._replace(reset=reset, start_h=zero, start_c=zero, start_n=zero, start_m=zero)


def everything(task: Task, kernel: str) -> list[Tensor]:
    """All outputs and the gradients of all floating arguments."""
    given: list[Any] = [
        t.clone().requires_grad_() if isinstance(t, Tensor) and t.is_floating_point() else t for t in task
    ]
    outputs = ops.find("slstm")(*given, kernel=kernel)
    generator = torch.Generator().manual_seed(0)
    grads = [torch.randn(out.shape, generator=generator, dtype=torch.float64).to(out.dtype) for out in outputs]
    wanted = [t for t in given if isinstance(t, Tensor) and t.requires_grad]
    found = torch.autograd.grad(outputs, wanted, grads, allow_unused=True, materialize_grads=True)
    return [*(out.detach() for out in outputs), *found]


def assert_same(task: Task) -> None:
    """In float64 the C++ kernel and the reference differ by rounding alone, relative to each tensor's largest value."""
    for got, want in zip(everything(task, "cpp"), everything(task, "reference"), strict=True):
        assert got.isfinite().all()
        assert float((got - want).abs().max()) <= 1e-11 * float(want.abs().max().clamp(min=1.0))


def same_bits(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture(autouse=True)
def poisoned() -> Iterator[None]:
    """Fresh memory holds NaN, so that what a kernel forgets to write shows."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def threads() -> Iterator[Threads]:
    """Sets torch's number of threads until the test ends."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@compiled
@pytest.mark.parametrize("level", native.levels()[1:])  # the first of them is that of test_kernels.py
def test_every_level_keeps_the_law_of_kernels(level: str) -> None:
    with native.use_level(level):
        ran = check_kernel("slstm", opcheck=False)
    assert ran["cpp"] == ran["reference"] > 0


@compiled
@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize(("heads", "width"), [(1, 1), (3, 5), (2, 16), (1, 17), (5, 8), (2, 33), (4, 32)])
def test_every_width_is_covered_exactly(level: str, heads: int, width: int) -> None:
    task = draw(4, 21, heads, width)._replace(lengths=torch.tensor([21, 0, 13, 21]))
    with native.use_level(level):
        assert_same(with_reset(task, (0, 3), (0, 4), (2, 11), (3, 0)))


@compiled
@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("batch", [1, 2, 7, 13, 30])
@pytest.mark.parametrize("heads", [1, 3, 4])
def test_any_way_to_divide_rows_and_heads_agrees(heads: int, batch: int, count: int, threads: Threads) -> None:
    threads(count)
    task = draw(batch, 40, heads, 24)
    assert_same(task)
    assert_same(task._replace(lengths=torch.arange(batch) * 17 % 41))


@compiled
def test_work_is_divided_where_there_is_enough_of_it(threads: Threads) -> None:
    # Sums over rows are taken in another order, which shows that there were two of them.
    task = draw(26, 40, 1, 24, dtype=torch.float32)
    threads(1)
    alone = everything(task, "cpp")
    threads(2)
    shared = everything(task, "cpp")
    assert same_bits(alone[:5], shared[:5])
    assert not same_bits(alone, shared)
    assert same_bits(everything(task, "cpp"), shared), "the same call on the same threads gives the same bits"


@compiled
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("exponential", [False, True])
@pytest.mark.parametrize("level", native.levels())
def test_gates_up_to_fifty_and_resets_leave_everything_finite(
    level: str, exponential: bool, dtype: torch.dtype
) -> None:
    task = with_reset(fresh(draw(3, 50, 2, 5, size=40, exponential=exponential, dtype=dtype)), (1, 20), (1, 21), (2, 7))
    with native.use_level(level):
        assert all(value.isfinite().all() for value in everything(task, "cpp"))
        if dtype == torch.float64:
            assert_same(task)


@compiled
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("level", native.levels())
def test_what_lies_ten_thousand_below_the_stabiliser_counts_for_nothing(level: str, dtype: torch.dtype) -> None:
    task = fresh(draw(1, 3, 1, 4, dtype=dtype))
    gates = torch.zeros(1, 3, 4, 4, dtype=dtype)
    # Steps whose input gates are 1e4, then -1e4, then 2e4: the second adds exactly nothing, the third forgets it all.
    gates[0, :, 0] = torch.tensor([1e4, -1e4, 2e4], dtype=dtype)[:, None]
    gates[0, :, 2] = torch.tensor([0.5, 3.0, -0.25], dtype=dtype)[:, None]
    given = task._replace(gates=gates.flatten(2), weight_h=torch.zeros_like(task.weight_h))
    with native.use_level(level):
        y, _, c, n, _ = ops.find("slstm")(*given, kernel="cpp")
        assert all(value.isfinite().all() for value in everything(given, "cpp"))
    want = torch.tensor([0.5, 0.5, -0.25], dtype=dtype).tanh() / 2
    torch.testing.assert_close(y[0, :, 0], want, rtol=1e-6, atol=0.0)
    assert torch.equal(n, torch.ones_like(n))
    torch.testing.assert_close(c[0, 0], 2 * want[2], rtol=1e-6, atol=0.0)


@compiled
def test_where_both_set_the_stabiliser_each_has_half_of_its_gradient() -> None:
    task = draw(2, 1, 1, 3)
    # exp(f) with f = 0 keeps m as it is, and i is just that m.
    gates = torch.zeros(2, 1, 4, 3, dtype=torch.float64)
    gates[:, 0, 0] = task.m0
    assert_same(task._replace(gates=gates.flatten(2), weight_h=torch.zeros_like(task.weight_h), exponential=True))


@compiled
@pytest.mark.parametrize("kernel", ["cpp", "reference"])
def test_one_reset_row_leaves_the_others_as_they_are(kernel: str) -> None:
    task = draw(3, 9, 2, 5, size=40)
    whole, cut = everything(task, kernel), everything(with_reset(task, (1, 4)), kernel)
    assert all(torch.equal(a[[0, 2]], b[[0, 2]]) for a, b in zip(whole[:5], cut[:5], strict=True))
    later = fresh(Task(*(t[1:2] if isinstance(t, Tensor) and t.shape[0] == 3 else t for t in task)))
    alone = ops.find("slstm")(*later._replace(gates=later.gates[:, 4:]), kernel=kernel)
    torch.testing.assert_close(cut[0][1:2, 4:], alone[0], rtol=1e-12, atol=1e-12)
    for got, want in zip(cut[1:5], alone[1:], strict=True):
        torch.testing.assert_close(got[1:2], want, rtol=1e-12, atol=1e-12)


@compiled
def test_padding_reaches_no_value_and_no_gradient() -> None:
    clean = draw(3, 9, 2, 5)._replace(lengths=torch.tensor([4, 0, 9]))
    gates = clean.gates.clone()
    gates[0, 4:] = float("nan")
    gates[1] = float("nan")
    assert same_bits(everything(clean._replace(gates=gates), "cpp"), everything(clean, "cpp"))


REFUSED = [
    ({"gates": torch.rand(2, 3, 24).half()}, r"gates is torch\.float16, it runs on float32 and float64"),
    ({"gates": torch.rand(3, 24)}, r"gates has the shape \(3, 24\), expected \(2, time, 24\)"),
    ({"gates": torch.rand(2, 3, 20)}, r"gates has the shape \(2, 3, 20\), expected \(2, 3, 24\)"),
    ({"h0": torch.rand(6)}, r"h0 has the shape \(6,\), expected \(2, 6\)"),
    ({"c0": torch.rand(2, 6).double()}, r"c0 is torch\.float64, expected torch\.float32"),
    ({"n0": torch.rand(1, 6)}, r"n0 has the shape \(1, 6\), expected \(2, 6\)"),
    ({"m0": torch.empty(2, 6, device="meta")}, r"m0 is on meta, it runs on the CPU"),
    ({"weight_h": torch.rand(2, 9, 3)}, r"weight_h has the shape \(2, 9, 3\), expected \(2, 12, 3\)"),
    ({"lengths": torch.tensor([1, 2], dtype=torch.int32)}, r"lengths is torch\.int32, expected torch\.int64"),
    (
        {"reset": torch.zeros(2, 3, dtype=torch.bool)},
        "reset is given without start_h, start_c, start_n and start_m",
    ),
]


@compiled
@pytest.mark.parametrize(("changed", "reason"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
def test_what_does_not_fit_is_refused_in_words(changed: dict[str, Tensor], reason: str) -> None:
    task = draw(2, 3, 2, 3, dtype=torch.float32)._replace(**changed)
    with pytest.raises(KernelError, match=f"slstm: kernel 'cpp' refuses: {reason}"):
        ops.find("slstm")(*task, kernel="cpp")


def test_a_reset_without_a_start_is_an_error() -> None:
    task = draw(2, 3, 2, 3)._replace(reset=torch.zeros(2, 3, dtype=torch.bool))
    with pytest.raises(ShapeError, match="reset needs start"):
        ops.find("slstm")(*task)


def test_a_transform_of_functions_runs_the_reference() -> None:
    task = draw(2, 3, 2, 3)
    stacked = torch.stack([task.gates, 2 * task.gates])
    mapped = torch.vmap(lambda gates: ops.find("slstm")(*task._replace(gates=gates))[0])(stacked)
    torch.testing.assert_close(mapped[1], ops.find("slstm")(*task._replace(gates=2 * task.gates))[0])
