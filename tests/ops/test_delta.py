"""The delta rule on a matrix state: every kernel at every chunk length, width, level and number of threads."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from unrolled import ops
from unrolled.errors import KernelError, ShapeError
from unrolled.ops import native
from unrolled.ops.delta.memory import memory_shape
from unrolled.padding import valid_mask
from unrolled.testing import check_kernel
from unrolled.testing.kernels import samples_of

compiled = pytest.mark.skipif(not native.available(), reason=str(native.reason()))

KERNELS = [pytest.param("cpp", marks=compiled), "chunkwise"]

Threads = Callable[[int], None]


class Task(NamedTuple):
    """Tensors of the op."""

    q: Tensor
    s0: Tensor
    w: Tensor
    k: Tensor
    v: Tensor
    a: Tensor
    b: Tensor
    lengths: Tensor | None = None
    reset: Tensor | None = None
    start_s: Tensor | None = None


def draw(
    batch: int, time: int, heads: int, keys: int, values: int, dtype: torch.dtype = torch.float64, scale: float = 0.3
) -> Task:
    """What is taken away is never more than what is there, as with RWKV-7 and the delta rule."""
    generator = torch.Generator().manual_seed(time + keys + values)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    many = (batch, time, heads, keys)
    a = normalize(normal(*many), dim=-1)
    drawn = Task(
        normal(*many),
        normal(batch, heads, keys, values),
        -scale * normal(*many).abs(),
        0.5 * normal(*many),
        normal(batch, time, heads, values),
        a,
        -a * normal(*many).sigmoid(),
    )
    return Task(*(tensor.to(dtype) for tensor in drawn if tensor is not None))


def with_reset(task: Task, *times: int) -> Task:
    """The task with every other row reset, in valid steps, to a start of its own."""
    reset = torch.zeros(task.q.shape[:2], dtype=torch.bool)
    for t in times:
        reset[::2, t] = True
    if task.lengths is not None:
        reset &= valid_mask(task.lengths, reset.shape[1])
    return task._replace(reset=reset, start_s=torch.linspace(-1, 1, task.s0.numel()).to(task.s0).view_as(task.s0))


def everything(task: Task, kernel: str, chunk: int = 64) -> list[Tensor]:
    """y, s and the gradients of all floating arguments."""
    given: list[Any] = [t.clone().requires_grad_() if t is not None and t.is_floating_point() else t for t in task]
    y, s = ops.find("delta")(*given, chunk, kernel=kernel)
    generator = torch.Generator().manual_seed(0)
    grads = [torch.randn(out.shape, generator=generator).to(out.dtype) for out in (y, s)]
    wanted = [t for t in given if t is not None and t.requires_grad]
    found = torch.autograd.grad([y, s], wanted, grads, allow_unused=True, materialize_grads=True)
    return [y.detach(), s.detach(), *found]


def assert_same(got: list[Tensor], want: list[Tensor], relative: float = 1e-10) -> None:
    """Finite, and equal up to a share of the largest value."""
    for one, other in zip(got, want, strict=True):
        assert one.isfinite().all()
        assert float((one - other).abs().max()) <= relative * max(1.0, float(other.abs().max()))


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
    without = tuple(kernel for kernel in ops.find("delta").kernels if kernel.name in ("cpp", "reference"))
    with native.use_level(level):
        op = dataclasses.replace(ops.find("delta"), kernels=without)
        ran = check_kernel(op, samples=samples_of("delta"), opcheck=False)
    assert ran["cpp"] == ran["reference"] > 0


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("chunk", [1, 3, 7, 64, 100])
def test_every_chunk_length_gives_what_single_steps_give(kernel: str, chunk: int) -> None:
    task = with_reset(draw(3, 100, 2, 5, 7)._replace(lengths=torch.tensor([100, 0, 71])), 3, 6, 40, 64)
    assert_same(everything(task, kernel, chunk), everything(task, "reference"))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("time", [1, 2, 63, 100])
def test_every_number_of_steps_is_exact(kernel: str, time: int) -> None:
    task = with_reset(draw(2, time, 3, 8, 4), 0, time // 2, time - 1)
    for chunk in (1, 16, 64):
        assert_same(everything(task, kernel, chunk), everything(task, "reference"))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_decays_of_any_size_and_resets_inside_a_chunk_are_exact(kernel: str, dtype: torch.dtype) -> None:
    task = draw(4, 70, 2, 6, 5)
    kinds = torch.tensor([0.0, -1e-6, -0.1, -5.0, -50.0, -2500.0, -math.inf]).to(task.w)
    drawn = torch.randint(len(kinds), task.w.shape, generator=torch.Generator().manual_seed(0))
    task = with_reset(task._replace(w=kinds[drawn]), 0, 11, 12, 33, 69)
    want = everything(task, "reference")
    rounded = Task(*(t.to(dtype) if t is not None and t.is_floating_point() else t for t in task))
    got = [tensor.double() for tensor in everything(rounded, kernel, 32)]
    assert_same(got, want, 1e-10 if dtype == torch.float64 else 1e-4)


@pytest.mark.parametrize("kernel", KERNELS)
def test_small_decays_are_kept_beside_large_ones(kernel: str) -> None:
    task = draw(1, 64, 1, 4, 4, torch.float32)
    task.w[:, :32] = -50.0
    task.w[:, 32:] = -1e-3
    rough = everything(task, "reference")
    truth = everything(Task(*(tensor.double() for tensor in task if tensor is not None)), "reference")
    for got, plain, want in zip(everything(task, kernel), rough, truth, strict=True):
        limit = 4 * float((plain - want).abs().max()) + 64 * 2**-23 * float(want.abs().max())
        assert float((got - want).abs().max()) <= limit


@compiled
@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize(("keys", "values"), [(1, 1), (5, 16), (64, 17), (128, 3), (7, 70), (33, 128), (64, 64)])
def test_every_width_is_covered_exactly(level: str, keys: int, values: int) -> None:
    task = with_reset(draw(2, 9, 2, keys, values)._replace(lengths=torch.tensor([9, 6])), 4)
    single = Task(*(t.float() if t is not None and t.is_floating_point() else t for t in task))
    want = everything(task, "reference")
    with native.use_level(level):
        assert_same(everything(task, "cpp", 5), want)
        assert_same([tensor.double() for tensor in everything(single, "cpp", 5)], want, 1e-4)


@pytest.mark.parametrize(("keys", "values"), [(1, 1), (64, 17), (128, 3), (33, 128)])
def test_matrix_products_take_every_width(keys: int, values: int) -> None:
    task = with_reset(draw(2, 9, 2, keys, values), 4)
    assert_same(everything(task, "chunkwise", 5), everything(task, "reference"))


@compiled
@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("rows", [(1, 1), (1, 3), (5, 2)])
def test_any_number_of_threads_gives_the_same(rows: tuple[int, int], count: int, threads: Threads) -> None:
    batch, heads = rows
    lengths = torch.tensor([300, 17, 0, 299, 150])[:batch]
    task = with_reset(draw(batch, 300, heads, 33, 70)._replace(lengths=lengths), 100, 290)
    threads(1)
    want = everything(task, "cpp")
    threads(count)
    got = everything(task, "cpp")
    assert_same(got, want, 1e-12)
    assert all(torch.equal(one, other) for one, other in zip(everything(task, "cpp"), got, strict=True))


@compiled
@pytest.mark.parametrize("count", [1, 5])
def test_gradients_nobody_wants_are_left_out(count: int, threads: Threads) -> None:
    task = with_reset(draw(1, 300, 1, 33, 70), 100)
    want = everything(task, "reference")[2 + Task._fields.index("w")]
    threads(count)
    w = task.w.clone().requires_grad_()
    y, s = ops.find("delta")(*task._replace(w=w), 64, kernel="cpp")
    generator = torch.Generator().manual_seed(0)
    grads = [torch.randn(out.shape, generator=generator).to(out.dtype) for out in (y, s)]
    assert_same(list(torch.autograd.grad([y, s], w, grads)), [want])


@pytest.mark.parametrize("kernel", KERNELS)
def test_padding_reaches_no_value_and_no_gradient(kernel: str) -> None:
    clean = draw(2, 9, 2, 5, 3)._replace(lengths=torch.tensor([4, 0]))
    dirty = Task(*(None if t is None else t.clone() for t in clean))
    for tensor in (dirty.q, dirty.w, dirty.k, dirty.v, dirty.a, dirty.b):
        tensor[0, 4:] = float("nan")
        tensor[1] = float("nan")
    for got, want in zip(everything(dirty, kernel, 3), everything(clean, kernel, 3), strict=True):
        assert torch.equal(got, want)


@compiled
def test_what_is_not_finite_stops_at_a_reset() -> None:
    task = with_reset(draw(1, 30, 2, 5, 3), 20)
    task.v[0, 10, 0] = float("nan")
    y = ops.find("delta")(*task, 64, kernel="cpp")[0]
    assert y[0, 10:20, 0].isnan().all()
    assert y[0, 20:].isfinite().all()
    assert y[0, :, 1].isfinite().all()


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_memory_holds_one_state_a_chunk(kernel: str) -> None:
    task = draw(2, 100, 3, 5, 4)
    chosen = next(found for found in ops.find("delta").kernels if found.name == kernel)
    for chunk, chunks in ((1, 100), (7, 15), (64, 2), (1000, 1)):
        *_, memory = chosen.forward(*task, chunk, True)
        assert memory.shape == memory_shape(*task, chunk) == (2 * 3 * chunks * 5 * 4,)
        assert torch.equal(memory.view(2, 3, chunks, 5, 4)[:, :, 0], task.s0)


@compiled
def test_the_best_kernel_is_chosen_and_another_one_where_it_cannot_run() -> None:
    task = draw(1, 3, 1, 2, 2)
    assert ops.find("delta").choose("auto", *task, 64).name == "cpp"
    elsewhere = Task(*(None if t is None else t.to("meta") for t in task))
    assert ops.find("delta").choose("auto", *elsewhere, 64).name == "chunkwise"
    half = Task(*(None if t is None else t.half() for t in task))
    assert ops.find("delta").choose("auto", *half, 64).name == "reference"


single = draw(2, 3, 1, 4, 5, torch.float32)
REFUSED = [
    ({"q": single.q.half()}, r"q is torch\.float16, it runs on float32 and float64"),
    ({"q": torch.rand(3, 4)}, r"q has the shape \(3, 4\), expected \(2, 3, 1, 4\)"),
    ({"k": torch.rand(2, 3, 1, 3)}, r"k has the shape \(2, 3, 1, 3\), expected \(2, 3, 1, 4\)"),
    ({"v": torch.rand(2, 3, 1, 0)}, r"v has the shape \(2, 3, 1, 0\), expected \(2, 3, 1, 5\)"),
    ({"v": torch.rand(2, 3, 2, 5)}, r"v has the shape \(2, 3, 2, 5\), expected \(2, 3, 1, 5\)"),
    ({"s0": torch.rand(2, 1, 5, 4)}, r"s0 has the shape \(2, 1, 5, 4\), expected \(2, 1, 4, 5\)"),
    ({"s0": single.s0.double()}, r"s0 is torch\.float64, expected torch\.float32"),
    ({"w": torch.empty(2, 3, 1, 4, device="meta")}, r"w is on meta, it runs on the CPU"),
    ({"lengths": torch.tensor([1, 2], dtype=torch.int32)}, r"lengths is torch\.int32, expected torch\.int64"),
    ({"reset": torch.zeros(2, 3, dtype=torch.bool)}, "reset is given without start_s"),
    (
        {"reset": torch.zeros(2, 3, dtype=torch.bool), "start_s": torch.zeros(3, 1, 4, 5)},
        r"start_s has the shape \(3, 1, 4, 5\), expected \(2, 1, 4, 5\)",
    ),
]


@compiled
@pytest.mark.parametrize(("changed", "reason"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
def test_what_does_not_fit_is_refused_in_words(changed: dict[str, Tensor], reason: str) -> None:
    with pytest.raises(KernelError, match=f"delta: kernel 'cpp' refuses: {reason}"):
        ops.find("delta")(*single._replace(**changed), 64, kernel="cpp")


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_chunk_of_no_steps_is_refused_in_words(kernel: str) -> None:
    with pytest.raises(KernelError, match=f"kernel '{kernel}' refuses: chunk is 0, expected at least 1"):
        ops.find("delta")(*single, 0, kernel=kernel)


def test_a_reset_without_a_start_is_an_error() -> None:
    task = single._replace(reset=torch.zeros(2, 3, dtype=torch.bool))
    with pytest.raises(KernelError, match="reset is given without start_s"):
        ops.find("delta")(*task, 64, kernel="chunkwise")
    with pytest.raises(ShapeError, match="reset needs start"):
        ops.find("delta")(*task, 64)


def naive(name: str) -> Any:
    """A module of flash-linear-attention's plain torch forms."""
    with warnings.catch_warnings():
        # Importing it warns that there is no GPU.
        warnings.simplefilter("ignore")
        return pytest.importorskip(f"fla.ops.{name}", reason="needs flash-linear-attention", exc_type=ImportError)


def against(
    task: Task, theirs: Callable[..., tuple[Tensor, Tensor]], ours: Callable[..., tuple[Tensor, Tensor]]
) -> None:
    """Outputs and gradients agree in float32, which all of theirs compute in."""
    leaves = [tensor.clone().requires_grad_() for tensor in task if tensor is not None]
    results = []
    for form in (ours, theirs):
        y, s = form(*leaves)
        total = (y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum() + (s * s).sum()
        found = torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True)
        results.append([y.detach(), s.detach(), *found])
    assert_same(*results, 1e-4)


def by_heads(*tensors: Tensor) -> list[Tensor]:
    return [tensor.transpose(1, 2) for tensor in tensors]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("form", ["dplr_recurrence", "dplr_chunkwise"])
def test_rwkv7_agrees_with_flash_linear_attention(form: str, kernel: str) -> None:
    """Theirs: (batch, heads, time, width), alpha = a, beta = b, gk = w, and q times keys^-0.5."""
    theirs = getattr(naive("generalized_delta_rule.dplr.naive"), form)

    def run(q: Tensor, s0: Tensor, w: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        y, s = theirs(*by_heads(q * q.shape[-1] ** 0.5, k, v, a, b, w), initial_state=s0)
        return y.transpose(1, 2), s

    task = draw(2, 64, 3, 8, 6, torch.float32)
    against(task, run, lambda *given: ops.find("delta")(*given, None, None, None, 16, kernel=kernel))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("form", ["naive_recurrent_gated_delta_rule", "naive_chunk_gated_delta_rule"])
def test_gated_deltanet_agrees_with_flash_linear_attention(form: str, kernel: str) -> None:
    """Theirs decays first and reads with the delta afterwards, at one rate g and one decay e^g a head.

    S <- e^g S, then S + k (rate (v - S^T k))^T: so w = g, a = e^g k, b = -rate k, and rate v in place of v; q times
    keys^-0.5.
    """
    theirs = getattr(naive("gated_delta_rule.naive"), form)
    task = draw(2, 64, 3, 8, 6, torch.float32)
    task = task._replace(k=normalize(task.k, dim=-1))

    def run(q: Tensor, s0: Tensor, w: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        options = {"scale": 1.0, "initial_state": s0, "output_final_state": True}
        return theirs(q=q, k=k, v=v, beta=b[..., 0].sigmoid(), g=w[..., 0], **options)

    def ours(q: Tensor, s0: Tensor, w: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        g, rate = w[..., :1], b[..., :1].sigmoid()
        given = (q, s0, g.expand_as(w), k, rate * v, g.exp() * k, -rate * k)
        return ops.find("delta")(*given, None, None, None, 16, kernel=kernel)

    against(task, run, ours)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("form", ["delta_rule_recurrence", "delta_rule_chunkwise"])
def test_deltanet_agrees_with_flash_linear_attention(form: str, kernel: str) -> None:
    """Theirs: no decay, one rate a head: w = 0, a = k, b = -rate k, rate v in place of v; q times keys^-0.5.

    Their form in chunks starts from zero.
    """
    theirs = getattr(naive("delta_rule.naive"), form)
    task = draw(2, 64, 3, 8, 6, torch.float32)
    task = task._replace(k=normalize(task.k, dim=-1))
    begins = form == "delta_rule_recurrence"

    def run(q: Tensor, s0: Tensor, w: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        given = by_heads(q * q.shape[-1] ** 0.5, k, v, b[..., 0].sigmoid())
        y, s = theirs(*given, **({"initial_state": s0} if begins else {}))
        return y.transpose(1, 2), s

    def ours(q: Tensor, s0: Tensor, w: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        rate = b[..., :1].sigmoid()
        given = (q, s0 if begins else 0 * s0, 0 * w, k, rate * v, k, -rate * k)
        return ops.find("delta")(*given, None, None, None, 16, kernel=kernel)

    against(task, run, ours)
