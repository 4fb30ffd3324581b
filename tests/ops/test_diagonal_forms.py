"""The ops `minimal` and `rotation` in C++: every level and width, long rows on several threads, padding, refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from unrolled import ops
from unrolled.errors import KernelError
from unrolled.ops import native
from unrolled.padding import valid_mask
from unrolled.testing import check_kernel

compiled = pytest.mark.skipif(not native.available(), reason=str(native.reason()))

Threads = Callable[[int], None]
Task = list[Any]
"""The tensors of an op, then its attributes."""

FORMS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "mingru": ("minimal", (False, False)),
    "mingru positive": ("minimal", (False, True)),
    "minlstm": ("minimal", (True, False)),
    "minlstm positive": ("minimal", (True, True)),
    "rotation": ("rotation", ()),
}

OPS = ("minimal", "rotation")


def op_of(form: str) -> Any:
    return ops.find(FORMS[form][0])


def draw(form: str, batch: int, time: int, width: int, dtype: torch.dtype = torch.float64) -> Task:
    generator = torch.Generator().manual_seed(width)
    name, attributes = FORMS[form]
    if name == "rotation":
        angle = 6.28 * torch.rand(width, generator=generator, dtype=dtype)
        decay = 0.95 * torch.cat([angle.cos(), angle.sin()])
        tensors = [(batch, time, 2 * width), (batch, 2 * width)]
        drawn = [torch.randn(shape, generator=generator, dtype=dtype) for shape in tensors]
        return [*drawn, decay, None, None, None]
    parts = 3 if attributes[0] else 2
    gates = torch.randn(batch, time, parts * width, generator=generator, dtype=dtype)
    return [gates, torch.randn(batch, width, generator=generator, dtype=dtype), None, None, None, *attributes]


def ragged(form: str, task: Task, lengths: list[int], *times: int, shared: bool = True) -> Task:
    """The task with lengths, and resets at some times, as far as they are valid, to a start of threes."""
    names, found = op_of(form).tensors, list(task)
    counts = torch.tensor(lengths)
    reset = torch.zeros(task[0].shape[:2], dtype=torch.bool)
    reset[:, list(times)] = True
    found[names.index("lengths")] = counts
    found[names.index("reset")] = reset & valid_mask(counts, reset.shape[1])
    rows = 1 if shared else task[1].shape[0]
    found[names.index("start_h")] = torch.full((rows, task[1].shape[1]), 3.0, dtype=task[1].dtype)
    return found


def everything(form: str, task: Task, kernel: str) -> list[Tensor]:
    """y, h and the gradients of all floating arguments."""
    floating = [isinstance(t, Tensor) and t.is_floating_point() for t in task]
    given = [t.clone().requires_grad_() if real else t for t, real in zip(task, floating, strict=True)]
    y, h = op_of(form)(*given, kernel=kernel)
    generator = torch.Generator().manual_seed(0)
    grads = [torch.randn(out.shape, generator=generator).to(out.dtype) for out in (y, h)]
    wanted = [t for t, real in zip(given, floating, strict=True) if real]
    found = torch.autograd.grad([y, h], wanted, grads, allow_unused=True, materialize_grads=True)
    return [y.detach(), h.detach(), *found]


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
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("level", native.levels()[1:])  # the first of them is that of test_kernels.py
def test_every_level_keeps_the_law_of_kernels(level: str, op: str) -> None:
    with native.use_level(level):
        ran = check_kernel(op, opcheck=False)
    assert all(calls == ran["reference"] > 0 for calls in ran.values())


@compiled
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("width", [1, 5, 16, 17, 33, 300])
@pytest.mark.parametrize("shared", [True, False])
def test_every_width_is_covered_exactly(level: str, width: int, form: str, shared: bool) -> None:
    task = ragged(form, draw(form, 3, 40, width), [40, 0, 21], 0, 3, 4, 30, shared=shared)
    with native.use_level(level):
        for got, want in zip(everything(form, task, "cpp"), everything(form, task, "reference"), strict=True):
            torch.testing.assert_close(got, want, rtol=1e-11, atol=1e-11)


@compiled
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [2, 5])
@pytest.mark.parametrize("width", [1, 17])
def test_a_long_row_is_the_same_whatever_the_threads(form: str, width: int, count: int, threads: Threads) -> None:
    # Some are cut over time, some over channels, some not at all; one thread does none of it.
    task = ragged(form, draw(form, 1, 4000, width), [3900], 700, 2899)
    threads(1)
    alone = everything(form, task, "cpp")
    threads(count)
    for got, want in zip(everything(form, task, "cpp"), alone, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


@compiled
@pytest.mark.parametrize("form", [form for form in FORMS if form != "rotation"])
def test_a_long_and_narrow_row_is_cut_over_time(form: str, threads: Threads) -> None:
    # Gates that keep the start to the end, so that how the pieces are joined shows in the last places.
    task = draw(form, 1, 4096, 16, torch.float32)
    if form.startswith("mingru"):
        task[0][..., :16] -= 8
    else:
        task[0][..., :16] += 8
        task[0][..., 16:32] -= 8
    threads(1)
    alone = everything(form, task, "cpp")
    threads(2)
    cut = everything(form, task, "cpp")
    assert not torch.equal(cut[0], alone[0]), "it was walked in one, or the rest shows nothing"
    for got, want in zip(cut, alone, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


@compiled
@pytest.mark.parametrize("form", FORMS)
def test_padding_reaches_no_value_and_no_gradient(form: str) -> None:
    clean = ragged(form, draw(form, 2, 9, 5), [4, 0])
    dirty = [clean[0].clone(), *clean[1:]]
    dirty[0][0, 4:] = float("nan")
    dirty[0][1] = float("nan")
    for got, want in zip(everything(form, dirty, "cpp"), everything(form, clean, "cpp"), strict=True):
        assert torch.equal(got, want)


@compiled
@pytest.mark.parametrize("form", FORMS)
def test_large_results_that_go_around_the_caches_agree(form: str) -> None:
    task = draw(form, 2, 4096, 256, torch.float32)
    plain = [t.double() if isinstance(t, Tensor) else t for t in task]
    for got, want in zip(everything(form, task, "cpp"), everything(form, plain, "cpp"), strict=True):
        # The gradient of a shared decay adds up 8192 products.
        torch.testing.assert_close(got.double(), want, rtol=1e-3, atol=2e-4 * float(want.abs().max()))


@compiled
@pytest.mark.parametrize("form", [form for form in FORMS if form != "rotation"])
def test_extreme_gates_agree_with_float64(form: str) -> None:
    task = draw(form, 3, 63, 17, torch.float32)
    task[0][..., :-17] = 50 * task[0][..., :-17].sign()
    exact = [t.double() if isinstance(t, Tensor) else t for t in task]
    for got, want in zip(everything(form, task, "cpp"), everything(form, exact, "reference"), strict=True):
        assert got.isfinite().all()
        torch.testing.assert_close(got.double(), want, rtol=1e-4, atol=1e-5)


@compiled
@pytest.mark.parametrize("form", FORMS)
def test_what_is_not_finite_flows_as_in_torch_and_stops_at_a_reset(form: str) -> None:
    task = ragged(form, draw(form, 1, 20, 16), [20], 12)
    task[0][0, 5, -3] = float("nan")
    got, want = everything(form, task, "cpp"), everything(form, task, "reference")
    assert torch.equal(got[0].isnan(), want[0].isnan())
    assert got[0][0, 12:].isfinite().all()


REFUSED = [
    ("mingru", {"gates": torch.rand(2, 3, 8).half()}, r"gates is torch\.float16, it runs on float32 and float64"),
    ("mingru", {"gates": torch.rand(2, 3, 7)}, r"gates has the shape \(2, 3, 7\), expected \(2, 3, 8\)"),
    ("minlstm", {"gates": torch.rand(2, 3, 8)}, r"gates has the shape \(2, 3, 8\), expected \(2, 3, 12\)"),
    ("mingru", {"h0": torch.rand(2, 5)}, r"h0 has the shape \(2, 5\), expected \(2, 4\)"),
    ("mingru", {"reset": torch.zeros(2, 3, dtype=torch.bool)}, "reset is given without start_h"),
    ("rotation", {"drive": torch.rand(2, 3, 7)}, r"drive has the shape \(2, 3, 7\), expected \(2, 3, 8\)"),
    ("rotation", {"drive": torch.rand(2, 3, 8).half()}, r"drive is torch\.float16"),
    ("rotation", {"decay": torch.rand(4)}, r"decay has the shape \(4,\), expected \(8,\)"),
    (
        "rotation",
        {"lengths": torch.tensor([1, 2], dtype=torch.int32)},
        r"lengths is torch\.int32, expected torch\.int64",
    ),
    ("rotation", {"reset": torch.zeros(2, 3, dtype=torch.bool)}, "reset is given without start_h"),
]


@compiled
@pytest.mark.parametrize(("form", "changed", "reason"), REFUSED, ids=[reason for *_, reason in REFUSED])
def test_what_does_not_fit_is_refused_in_words(form: str, changed: dict[str, Tensor], reason: str) -> None:
    op, task = op_of(form), draw(form, 2, 3, 4, torch.float32)
    for name, tensor in changed.items():
        task[op.tensors.index(name)] = tensor
    with pytest.raises(KernelError, match=f"{op.name}: kernel 'cpp' refuses: {reason}"):
        op(*task, kernel="cpp")


def test_the_split_kernel_needs_a_walk_to_hand_on_to() -> None:
    task = draw("mingru", 2, 3, 4, torch.float32)
    half = [t.bfloat16() if isinstance(t, Tensor) else t for t in task]
    with pytest.raises(KernelError, match=r"'split' refuses: op diagonal has no kernel but the reference here"):
        ops.find("minimal")(*half, kernel="split")
    assert ops.find("minimal").choose("auto", *half).name == "reference"


@compiled
@pytest.mark.parametrize("form", FORMS)
def test_a_transform_of_functions_runs_the_reference(form: str) -> None:
    task, op = draw(form, 2, 3, 4), op_of(form)
    stacked = torch.stack([task[0], 2 * task[0]])
    mapped = torch.vmap(lambda first: op(first, *task[1:])[0])(stacked)
    torch.testing.assert_close(mapped[1], op(2 * task[0], *task[1:])[0])
