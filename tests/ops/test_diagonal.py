"""The diagonal recurrence in C++: every width and level, a long row on several threads, values that are not finite."""

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

    decay: Tensor
    drive: Tensor
    h0: Tensor
    lengths: Tensor | None = None
    reset: Tensor | None = None
    start_h: Tensor | None = None


def draw(batch: int, time: int, width: int, dtype: torch.dtype = torch.float64) -> Task:
    generator = torch.Generator().manual_seed(width)
    decay = torch.rand(batch, time, width, generator=generator, dtype=dtype)
    drive = torch.randn(batch, time, width, generator=generator, dtype=dtype)
    return Task(decay, drive, torch.randn(batch, width, generator=generator, dtype=dtype))


def remembering() -> Task:
    """One row that is long and narrow enough to be cut over time, and remembers its start to its end."""
    task = draw(1, 4096, 16, torch.float32)
    return task._replace(decay=1 - task.decay / 2048)


def steady(value: float, drive: float, h0: float) -> Task:
    """One such row with the same numbers at every step."""
    shape = (1, 4096, 16)
    return Task(torch.full(shape, value), torch.full(shape, drive), torch.full((1, 16), h0))


def grow(task: Task, begin: int, end: int) -> Task:
    """The task with decays above 1 in some steps."""
    decay = task.decay.clone()
    decay[:, begin:end] = 1.01
    return task._replace(decay=decay)


def with_reset(task: Task, *times: int) -> Task:
    """The task with resets, in valid steps, to a start of threes."""
    reset = torch.zeros(task.decay.shape[:2], dtype=torch.bool)
    reset[:, list(times)] = True
    if task.lengths is not None:
        reset &= valid_mask(task.lengths, reset.shape[1])
    return task._replace(reset=reset, start_h=torch.full((1, task.h0.shape[1]), 3.0, dtype=task.h0.dtype))


def everything(task: Task, kernel: str) -> list[Tensor]:
    """y, h and the gradients of all floating arguments."""
    given: list[Any] = [t.clone().requires_grad_() if t is not None and t.is_floating_point() else t for t in task]
    y, h = ops.find("diagonal")(*given, kernel=kernel)
    generator = torch.Generator().manual_seed(0)
    grads = [torch.randn(out.shape, generator=generator).to(out.dtype) for out in (y, h)]
    wanted = [t for t in given if t is not None and t.requires_grad]
    found = torch.autograd.grad([y, h], wanted, grads, allow_unused=True, materialize_grads=True)
    return [y.detach(), h.detach(), *found]


def assert_close(task: Task) -> None:
    """The C++ kernel loses no more than a few times what the reference loses in the same dtype."""
    truth = everything(Task(*(t.double() if t is not None and t.is_floating_point() else t for t in task)), "reference")
    plain, fast = everything(task, "reference"), everything(task, "cpp")
    for want, rough, got in zip(truth, plain, fast, strict=True):
        floor = 32 * torch.finfo(task.decay.dtype).eps * float(want.abs().max().clamp(min=1e-3))
        limit = 4 * float((rough.double() - want).abs().max()) + floor
        assert float((got.double() - want).abs().max()) <= limit


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
        ran = check_kernel("diagonal", opcheck=False)
    assert ran["cpp"] == ran["reference"] > 0


@compiled
@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("width", [1, 5, 16, 17, 33, 300])
def test_every_width_is_covered_exactly(level: str, width: int) -> None:
    task = with_reset(draw(3, 70, width)._replace(lengths=torch.tensor([70, 0, 41])), 3, 4, 40)
    with native.use_level(level):
        for got, want in zip(everything(task, "cpp"), everything(task, "reference"), strict=True):
            torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)


@compiled
@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("width", [1, 5, 16, 17, 33])
def test_a_long_row_agrees_whatever_the_threads(width: int, count: int, threads: Threads) -> None:
    threads(count)
    assert_close(draw(1, 2500, width, torch.float32))


@compiled
@pytest.mark.parametrize("count", [2, 5])
@pytest.mark.parametrize("times", [(), (5,), (2000,), (900, 2300, 4000)])
def test_a_row_cut_over_time_agrees(count: int, times: tuple[int, ...], threads: Threads) -> None:
    task = remembering()._replace(lengths=torch.tensor([4090]))
    threads(count)
    assert_close(with_reset(task, *times) if times else task)


@compiled
@pytest.mark.parametrize("count", [2, 5])
def test_a_long_and_narrow_row_is_cut_over_time(count: int, threads: Threads) -> None:
    threads(1)
    alone = everything(remembering(), "cpp")
    threads(count)
    assert not same_bits(everything(remembering(), "cpp"), alone), "it was walked in one, or the rest shows nothing"


@compiled
def test_the_same_call_on_the_same_threads_gives_the_same_bits(threads: Threads) -> None:
    threads(2)
    assert same_bits(everything(remembering(), "cpp"), everything(remembering(), "cpp"))


GROWING = {
    "a fixed point that a sum of large terms would lose": steady(2.0, -1.0, 1.0),
    "a product that overflows beside zero": steady(3.0, 0.0, 0.0),
    "an infinite state beside a product that vanishes": steady(0.5, 0.0, float("inf")),
    "decays above 1 between resets": with_reset(steady(1.01, 0.5, 1.0), 700, 1600, 1700, 2900, 3300),
    "a reset in one piece only": with_reset(steady(-1.01, 0.5, 1.0), 2100),
}


@compiled
@pytest.mark.parametrize("count", [2, 5])
@pytest.mark.parametrize("name", GROWING)
def test_what_pieces_may_not_be_joined_for_is_walked_in_one(name: str, count: int, threads: Threads) -> None:
    threads(1)
    alone = everything(GROWING[name], "cpp")
    threads(count)
    for got, want in zip(everything(GROWING[name], "cpp"), alone, strict=True):
        # A row's start gathers its gradient piece by piece, which is another order of the same sum.
        torch.testing.assert_close(got, want, rtol=1e-6, atol=0.0, equal_nan=True)


MIXED = {
    "decays above 1 for a while": grow(remembering(), 1000, 1200),
    "decays above 1 for a while, and a reset later": with_reset(grow(remembering(), 1000, 1200), 2600),
    "decays above 1 for a while, and a reset before": with_reset(grow(remembering(), 2800, 3000), 1500),
}


@compiled
@pytest.mark.parametrize("count", [2, 5])
@pytest.mark.parametrize("name", MIXED)
def test_pieces_that_may_be_joined_stand_beside_those_that_may_not(name: str, count: int, threads: Threads) -> None:
    threads(count)
    assert_close(MIXED[name])


@compiled
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_flows_as_in_torch_and_stops_at_a_reset(value: float, count: int, threads: Threads) -> None:
    threads(count)
    task = with_reset(draw(1, 4096, 16, torch.float32), 3000)
    task.drive[0, 1000, 3] = value
    for got, want in zip(everything(task, "cpp"), everything(task, "reference"), strict=True):
        assert torch.equal(got.isnan(), want.isnan())
        assert torch.equal(got.isinf(), want.isinf())
    assert everything(task, "cpp")[0][0, 3000:].isfinite().all()


@compiled
def test_padding_reaches_no_value_and_no_gradient() -> None:
    clean = draw(2, 9, 5)._replace(lengths=torch.tensor([4, 0]))
    dirty = clean._replace(decay=clean.decay.clone(), drive=clean.drive.clone())
    for tensor in (dirty.decay, dirty.drive):
        tensor[0, 4:] = float("nan")
        tensor[1] = float("nan")
    assert same_bits(everything(dirty, "cpp"), everything(clean, "cpp"))


@compiled
def test_large_outputs_hold_the_running_sum() -> None:
    drive = torch.randint(-4, 5, (1, 40_000, 40)).float()
    y, h = ops.find("diagonal")(torch.ones_like(drive), drive, torch.zeros(1, 40), None, None, None, kernel="cpp")
    assert torch.equal(y, drive.cumsum(1))
    assert torch.equal(h, y[:, -1])


REFUSED = [
    ({"decay": torch.rand(2, 3, 4).half()}, r"decay is torch\.float16, it runs on float32 and float64"),
    ({"decay": torch.rand(3, 4)}, r"decay has the shape \(3, 4\), expected \(2, 3, 4\)"),
    ({"drive": torch.rand(2, 3, 5)}, r"drive has the shape \(2, 3, 5\), expected \(2, 3, 4\)"),
    ({"h0": torch.rand(2, 4).double()}, r"h0 is torch\.float64, expected torch\.float32"),
    ({"h0": torch.rand(1, 4)}, r"h0 has the shape \(1, 4\), expected \(2, 4\)"),
    ({"h0": torch.empty(2, 4, device="meta")}, r"h0 is on meta, it runs on the CPU"),
    ({"lengths": torch.tensor([1, 2], dtype=torch.int32)}, r"lengths is torch\.int32, expected torch\.int64"),
    ({"reset": torch.zeros(2, 3, dtype=torch.bool)}, "reset is given without start_h"),
    (
        {"reset": torch.zeros(2, 3, dtype=torch.bool), "start_h": torch.zeros(3, 4)},
        r"start_h has the shape \(3, 4\), expected \(2, 4\)",
    ),
]


@compiled
@pytest.mark.parametrize(("changed", "reason"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
def test_what_does_not_fit_is_refused_in_words(changed: dict[str, Tensor], reason: str) -> None:
    task = draw(2, 3, 4, torch.float32)._replace(**changed)
    with pytest.raises(KernelError, match=f"diagonal: kernel 'cpp' refuses: {reason}"):
        ops.find("diagonal")(*task, kernel="cpp")


def test_a_reset_without_a_start_is_an_error() -> None:
    task = draw(2, 3, 4)._replace(reset=torch.zeros(2, 3, dtype=torch.bool))
    with pytest.raises(ShapeError, match="reset needs start"):
        ops.find("diagonal")(*task)


def test_a_transform_of_functions_runs_the_reference() -> None:
    task = draw(2, 3, 4)
    stacked = torch.stack([task.drive, 2 * task.drive])
    mapped = torch.vmap(lambda drive: ops.find("diagonal")(*task._replace(drive=drive))[0])(stacked)
    torch.testing.assert_close(mapped[1], ops.find("diagonal")(*task._replace(drive=2 * task.drive))[0])
