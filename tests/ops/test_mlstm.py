"""The matrix memory by every kernel: any chunk length, odd widths, gates and resets of any size, threads, refusals."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from unrolled import ops
from unrolled.errors import KernelError
from unrolled.ops import native
from unrolled.ops.core.register import Op
from unrolled.padding import valid_mask
from unrolled.testing import check_kernel
from unrolled.testing.kernels import samples_of

compiled = pytest.mark.skipif(not native.available(), reason=str(native.reason()))

KERNELS = [pytest.param("cpp", marks=compiled), "chunkwise"]

Threads = Callable[[int], None]


class Task(NamedTuple):
    """Tensors of the op."""

    q: Tensor
    c0: Tensor
    n0: Tensor
    m0: Tensor
    k: Tensor
    v: Tensor
    i: Tensor
    f: Tensor
    lengths: Tensor | None = None
    reset: Tensor | None = None
    start_c: Tensor | None = None
    start_n: Tensor | None = None
    start_m: Tensor | None = None


def draw(
    batch: int,
    time: int,
    heads: int,
    keys: int,
    values: int,
    *,
    gates: float = 1.0,
    resets: float = 0.0,
    lengths: list[int] | None = None,
    dtype: torch.dtype = torch.float64,
) -> Task:
    """Normal numbers, the gates times `gates` within +-50; so many resets a step, to a start of its own a row."""
    generator = torch.Generator().manual_seed(time)

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        return (scale * torch.randn(*shape, generator=generator, dtype=torch.float64)).to(dtype)

    def state() -> tuple[Tensor, Tensor, Tensor]:
        return normal(batch, heads, keys, values), normal(batch, heads, keys), normal(batch, heads)

    steps, gate = (batch, time, heads), (batch, time, heads)
    task = Task(
        normal(*steps, keys), *state(), normal(*steps, keys), normal(*steps, values),
        normal(*gate, scale=gates).clamp(-50, 50), normal(*gate, scale=gates).clamp(-50, 50),
        None if lengths is None else torch.tensor(lengths),
    )  # fmt: skip
    if resets == 0:
        return task
    reset = torch.rand(batch, time, generator=generator) < resets
    if task.lengths is not None:
        reset &= valid_mask(task.lengths, time)
    return task._replace(reset=reset, **dict(zip(("start_c", "start_n", "start_m"), state(), strict=True)))


def everything(task: Task, kernel: str, chunk: int = 64) -> list[Tensor]:
    """y, c, n, m and the gradients of all floating arguments."""
    given: list[Any] = [t.clone().requires_grad_() if t is not None and t.is_floating_point() else t for t in task]
    outputs = ops.find("mlstm")(*given, chunk, kernel=kernel)
    generator = torch.Generator().manual_seed(0)
    grads = [torch.randn(out.shape, generator=generator).to(out.dtype) for out in outputs]
    wanted = [t for t in given if t is not None and t.requires_grad]
    found = torch.autograd.grad(outputs, wanted, grads, allow_unused=True, materialize_grads=True)
    return [*(out.detach() for out in outputs), *found]


def assert_equal(got: list[Tensor], want: list[Tensor]) -> None:
    """To 1e-10 of each tensor's largest value, or of 1e-3 where that is less: what cancels keeps some rounding."""
    for one, other in zip(got, want, strict=True):
        assert bool(torch.isfinite(one).all())
        assert float((one - other).abs().max()) <= 1e-10 * max(1e-3, float(other.abs().max()))


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


def alone(kernel: str) -> Op:
    """The op with one kernel beside the reference."""
    return dataclasses.replace(
        ops.find("mlstm"), kernels=tuple(k for k in ops.find("mlstm").kernels if k.name in (kernel, "reference"))
    )


@compiled
@pytest.mark.parametrize("level", native.levels()[1:])  # the first of them is that of test_kernels.py
def test_every_level_keeps_the_law_of_kernels(level: str) -> None:
    with native.use_level(level):
        ran = check_kernel(alone("cpp"), samples=samples_of("mlstm"), opcheck=False)
    assert ran["cpp"] == ran["reference"] > 0


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("chunk", [1, 3, 7, 64, 100])
def test_every_chunk_length_equals_the_steps(chunk: int, kernel: str) -> None:
    task = draw(3, 100, 2, 6, 5, resets=0.05, lengths=[100, 0, 71])
    assert_equal(everything(task, kernel, chunk), everything(task, "reference"))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("time", [1, 2, 63, 100])
def test_every_length_of_time_equals_the_steps(time: int, kernel: str) -> None:
    task = draw(2, time, 2, 5, 7)
    for chunk in (16, time):
        assert_equal(everything(task, kernel, chunk), everything(task, "reference"))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("chunk", [5, 32, 100])
@pytest.mark.parametrize("resets", [0.0, 0.03, 0.5, 1.0])
def test_gates_from_minus_50_to_50_and_any_resets_equal_the_steps(resets: float, chunk: int, kernel: str) -> None:
    task = draw(4, 100, 1, 4, 3, gates=20, resets=resets, lengths=[100, 3, 99, 0])
    assert_equal(everything(task, kernel, chunk), everything(task, "reference"))


@pytest.mark.parametrize("kernel", KERNELS)
def test_gates_at_both_ends_give_finite_gradients_in_float32(kernel: str) -> None:
    ends = torch.tensor([-50.0, 50.0])
    task = draw(4, 40, 2, 4, 4, resets=0.1, dtype=torch.float32)
    picked = torch.randint(0, 2, (2, *task.i.shape), generator=torch.Generator().manual_seed(0))
    task = task._replace(i=ends[picked[0]], f=ends[picked[1]])
    assert all(bool(torch.isfinite(found).all()) for found in everything(task, kernel, 7))


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_reset_row_starts_afresh_and_its_neighbours_see_nothing(kernel: str) -> None:
    task = draw(3, 40, 2, 4, 4, gates=20)
    start = [leaf[:1] for leaf in draw(1, 1, 2, 4, 4)[1:4]]
    reset = torch.zeros(3, 40, dtype=torch.bool)
    reset[1, 17] = True
    y, *state = ops.find("mlstm")(*task[:9], reset, *start, 16, kernel=kernel)
    plain, *states = ops.find("mlstm")(*task, 16, kernel=kernel)
    rest = [leaf[1:2, 17:] for leaf in (task.q, *task[4:8])]
    fresh, *ends = ops.find("mlstm")(rest[0], *start, *rest[1:], *[None] * 5, 16, kernel=kernel)
    assert_equal([y[1:2, 17:], *(leaf[1:2] for leaf in state)], [fresh, *ends])
    assert torch.equal(y[1, :17], plain[1, :17])
    assert same_bits([leaf[[0, 2]] for leaf in (y, *state)], [leaf[[0, 2]] for leaf in (plain, *states)])


@compiled
@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize(("keys", "values"), [(1, 1), (5, 17), (16, 16), (17, 33), (33, 5), (64, 64)])
def test_every_width_is_covered_exactly(keys: int, values: int, level: str) -> None:
    task = draw(3, 70, 2, keys, values, resets=0.05, lengths=[70, 0, 41])
    with native.use_level(level):
        assert_equal(everything(task, "cpp", 32), everything(task, "reference"))


@compiled
def test_float32_stays_as_close_to_the_truth_as_the_steps_over_many() -> None:
    task = draw(1, 3000, 1, 8, 8, dtype=torch.float32)
    task = task._replace(f=task.f + 5, i=task.i - 3)
    truth = everything(Task(*(t if t is None else t.double() for t in task)), "reference")
    rough, fast = everything(task, "reference"), everything(task, "cpp")
    for want, plain, got in zip(truth, rough, fast, strict=True):
        floor = 32 * torch.finfo(torch.float32).eps * float(want.abs().max())
        assert float((got - want).abs().max()) <= 4 * float((plain - want).abs().max()) + floor


@compiled
def test_results_do_not_depend_on_the_number_of_threads(threads: Threads) -> None:
    task = draw(5, 200, 3, 32, 32, lengths=[200, 3, 150, 0, 199])
    threads(1)
    alone = everything(task, "cpp")
    threads(3)
    assert same_bits(everything(task, "cpp"), alone)


@compiled
@pytest.mark.parametrize("chunk", [1, 16, 40, 300])
def test_chunks_longer_than_the_sequence_and_single_steps_keep_the_memory_inside(chunk: int) -> None:
    task = draw(2, 50, 2, 3, 3, lengths=[50, 33])
    y, _, _, _, memory = next(k for k in ops.find("mlstm").kernels if k.name == "cpp").forward(*task, chunk, True)
    assert memory.shape == (2, 2, -(-50 // chunk) * 13)
    assert bool(torch.isfinite(y).all())


@compiled
def test_the_kernel_refuses_in_words_what_it_cannot_run() -> None:
    task = draw(2, 3, 1, 4, 4)
    with pytest.raises(KernelError, match=r"mlstm: kernel 'cpp' refuses: v is torch.float32, expected torch.float64"):
        ops.find("mlstm")(*task._replace(v=task.v.float()), 64, kernel="cpp")
    with pytest.raises(KernelError, match=r"i has the shape \(2, 3, 2\), expected \(2, 3, 1\)"):
        ops.find("mlstm")(*task._replace(i=task.i.expand(2, 3, 2)), 64, kernel="cpp")
    with pytest.raises(KernelError, match=r"it runs on float32 and float64"):
        ops.find("mlstm")(*(t if t is None else t.bfloat16() for t in task), 64, kernel="cpp")


@pytest.mark.parametrize("kernel", KERNELS)
def test_resets_without_a_start_are_refused(kernel: str) -> None:
    task = draw(2, 3, 1, 4, 4)._replace(reset=torch.zeros(2, 3, dtype=torch.bool))
    with pytest.raises(KernelError, match="reset is given without start_c"):
        ops.find("mlstm")(*task, 64, kernel=kernel)
