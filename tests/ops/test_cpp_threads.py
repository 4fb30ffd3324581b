"""The C++ kernels and threads: how many, whose, forked children, the GIL, and a machine with no core to spare."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor

from unrolled import ops
from unrolled.nn import GRU, LSTM, RNN, Cell
from unrolled.ops import native

pytestmark = pytest.mark.skipif(not native.available(), reason=native.reason() or "")
forks = pytest.mark.skipif(sys.platform == "win32", reason="processes do not fork there")

PATIENCE = 120
"""Seconds after which something hangs: what these calls need is far below, even on a loaded machine."""

BATCH, TIME, FEATURES = 3, 12, 6
SHARED = 330
"""A width whose weights are shared by columns, so that the threads wait for each other at every step."""


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def one_pass(layer: Cell[Any], x: Tensor) -> list[Tensor]:
    """y and all gradients."""
    x = x.detach().requires_grad_()
    weights = list(layer.parameters())
    y, _ = layer(x)
    return [y.detach(), *torch.autograd.grad(y.square().sum(), [x, *weights])]


MAKERS: dict[str, Callable[[], Cell[Any]]] = {
    "columns shared": lambda: LSTM(FEATURES, SHARED, kernel="cpp"),
    "columns shared, projected": lambda: LSTM(FEATURES, SHARED, projection_size=SHARED - 1, kernel="cpp"),
    "columns shared, reset before": lambda: GRU(FEATURES, SHARED, reset="before", kernel="cpp"),
    "rows dealt": lambda: LSTM(FEATURES, 65, peephole=True, layer_norm=True, kernel="cpp"),
    "rows dealt, gru": lambda: GRU(FEATURES, 65, kernel="cpp"),
}


@pytest.mark.parametrize("name", MAKERS)
def test_the_number_of_threads_may_change_between_calls(name: str) -> None:
    torch.manual_seed(0)
    layer, x = MAKERS[name]().double(), torch.randn(BATCH, TIME, FEATURES, dtype=torch.float64)
    found: dict[int, list[Tensor]] = {}
    for count in (2, 1, 4, 2, 4, 1):
        torch.set_num_threads(count)
        results = one_pass(layer, x)
        for got, again in zip(results, found.setdefault(count, results), strict=True):
            assert torch.equal(got, again), f"{count} threads gave something else than before"
    torch.testing.assert_close(found[2], found[1], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(found[4], found[1], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", MAKERS)
def test_the_forward_and_the_backward_pass_may_have_different_threads(name: str) -> None:
    torch.manual_seed(0)
    layer, x = MAKERS[name]().double(), torch.randn(BATCH, TIME, FEATURES, dtype=torch.float64)
    torch.set_num_threads(1)
    expected = torch.autograd.grad(layer(x)[0].sum(), list(layer.parameters()))
    torch.set_num_threads(4)
    y, _ = layer(x)
    torch.set_num_threads(2)
    found = torch.autograd.grad(y.sum(), list(layer.parameters()))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def run(code: str) -> str:
    """What a script prints; it fails when it hangs. A child that it forks sets an alarm of its own."""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=2 * PATIENCE)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


PARENT = f"""
import os, signal, torch
from unrolled import ops
from unrolled.nn import LSTM
torch.manual_seed(0)
torch.set_num_threads(2)
layer, x = LSTM({FEATURES}, {SHARED}, kernel="cpp"), torch.randn({BATCH}, {TIME}, {FEATURES})

def passes():
    y, _ = layer(x)
    return [y.detach(), *torch.autograd.grad(y.sum(), list(layer.parameters()))]

def close(found):
    return all(torch.allclose(a, b, rtol=1e-3, atol=1e-3) for a, b in zip(found, before))

before = passes()
"""


@forks
def test_a_forked_child_runs_forward_and_backward() -> None:
    code = f"""{PARENT}
gates, h = torch.randn(4, 50, 200), torch.zeros(4, 200)
weight = torch.randn(200, 200) / 14
rest = (None,) * 7
child = os.fork()
if child == 0:
    signal.alarm({PATIENCE})
    alone = ops.find("rnn")(gates, h, weight, *rest, "tanh", 0.0, False, kernel="cpp")[0]
    torch.randn(1_000_000).exp()
    os._exit(0 if close(passes()) and alone.isfinite().all() else 3)
ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(ended, close(passes()))
"""
    assert run(code) == "0 True"


@forks
def test_a_worker_of_a_data_loader_runs_forward_and_backward() -> None:
    code = f"""{PARENT}
class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, row):
        signal.alarm({PATIENCE})
        return float(close(passes()))
loader = torch.utils.data.DataLoader(Rows(), num_workers=2, multiprocessing_context="fork", timeout={PATIENCE})
print([value.item() for value in loader], close(passes()))
"""
    assert run(code) == "[1.0, 1.0, 1.0, 1.0] True"


@pytest.fixture
def backward_threads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads in which the compiled backward pass ran."""
    module, seen = native.compiled(), []

    class Spy:
        def __getattr__(self, name: str) -> Any:
            if name == "gated_backward":
                seen.append(threading.get_ident())
            return getattr(module, name)

    monkeypatch.setattr(native, "compiled", Spy)
    return seen


class Deeper(torch.autograd.Function):
    """A backward pass inside a backward pass, `depth` times, and `last` in the innermost."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, depth: int, last: Callable[[], None]) -> Tensor:
        ctx.depth, ctx.last = depth, last
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        with torch.enable_grad():
            if ctx.depth == 0:
                ctx.last()
            else:
                x = torch.ones((), requires_grad=True)
                Deeper.apply(x, ctx.depth - 1, ctx.last).backward()  # type: ignore[no-untyped-call]
        return grad, None, None


@pytest.mark.parametrize("name", ["columns shared", "rows dealt"])
def test_the_backward_pass_runs_in_a_thread_of_autograd(name: str, backward_threads: list[int]) -> None:
    torch.set_num_threads(2)
    layer, x = MAKERS[name](), torch.randn(BATCH, TIME, FEATURES)
    expected = one_pass(layer, x)
    found: list[Tensor] = []
    # Beyond a depth of 60 autograd goes on in a thread of its own.
    Deeper.apply(torch.ones((), requires_grad=True), 70, lambda: found.extend(one_pass(layer, x))).backward()
    assert backward_threads[0] == threading.get_ident()
    assert backward_threads[1] != threading.get_ident()
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["columns shared", "rows dealt"])
def test_the_backward_pass_runs_in_another_thread_than_the_forward_pass(name: str, backward_threads: list[int]) -> None:
    torch.set_num_threads(2)
    layer, x = MAKERS[name](), torch.randn(BATCH, TIME, FEATURES)
    weights = list(layer.parameters())
    expected = torch.autograd.grad(layer(x)[0].sum(), weights)
    y, _ = layer(x)
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(lambda: torch.autograd.grad(y.sum(), weights)).result(PATIENCE)
    assert len(set(backward_threads)) == 2
    torch.testing.assert_close(found, expected)


def test_python_threads_call_at_once() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(2)
    layers = [MAKERS["columns shared"](), MAKERS["rows dealt"](), MAKERS["columns shared, projected"]()]
    inputs = [torch.randn(BATCH, TIME + number, FEATURES) for number in range(len(layers))]
    expected = [one_pass(layer, x) for layer, x in zip(layers, inputs, strict=True)]
    together = threading.Barrier(len(layers))

    def work(number: int) -> list[list[Tensor]]:
        together.wait(PATIENCE)
        return [one_pass(layers[number], inputs[number]) for _ in range(8)]

    with ThreadPoolExecutor(len(layers)) as pool:
        jobs = [pool.submit(work, number) for number in range(len(layers))]
        for job, want in zip(jobs, expected, strict=True):
            for got in job.result(PATIENCE):
                torch.testing.assert_close(got, want)


def test_python_goes_on_while_a_kernel_works(monkeypatch: pytest.MonkeyPatch) -> None:
    module, ticks, meanwhile, stop = native.compiled(), [0], dict[str, int](), threading.Event()

    class Spy:
        def __getattr__(self, name: str) -> Any:
            if not name.startswith("gated_"):
                return getattr(module, name)

            def watched(*given: Any) -> None:
                before = ticks[0]
                getattr(module, name)(*given)
                meanwhile[name] = ticks[0] - before

            return watched

    def count() -> None:
        while not stop.is_set():
            ticks[0] += 1
            time.sleep(0.0005)

    monkeypatch.setattr(native, "compiled", Spy)
    torch.set_num_threads(1)
    width, counter = 128, threading.Thread(target=count)
    gates = torch.zeros(1, 30_000, width, requires_grad=True)
    rest = (None,) * 7
    counter.start()
    try:
        y, _ = ops.find("rnn")(
            gates, torch.zeros(1, width), torch.zeros(width, width), *rest, "tanh", 0.0, False, kernel="cpp"
        )
        y.sum().backward()
    finally:
        stop.set()
        counter.join()
    # While a call holds the GIL no other thread counts: at most one tick fits around it.
    assert meanwhile["gated_forward"] > 3
    assert meanwhile["gated_backward"] > 3


def test_a_machine_with_no_core_to_spare_gets_there_all_the_same() -> None:
    code = f"""{PARENT}
torch.set_num_threads(4)
for _ in range(5):
    assert close(passes())
print("done")
"""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    try:
        assert run(code) == "done"
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_more_threads_than_rows_or_blocks_are_no_harm() -> None:
    torch.set_num_threads(7)
    for layer in (RNN(FEATURES, 3, kernel="cpp"), LSTM(FEATURES, 256, kernel="cpp")):
        x = torch.randn(1, 40, FEATURES)
        found = one_pass(layer, x)
        layer.kernel = "reference"
        torch.testing.assert_close(found, one_pass(layer, x), rtol=1e-3, atol=1e-4)
