"""The C++ kernels and memory: nothing leaks, large scratch is given back, inference holds its input and output only."""

from __future__ import annotations

import subprocess
import sys

import pytest

from unrolled.ops import native

pytestmark = [
    pytest.mark.skipif(not native.available(), reason=native.reason() or ""),
    pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc"),
]

MIB = 2**20

# Each script runs in a process of its own, so that no other test's memory is counted; it prints bytes.
SCRIPT = """
import os, threading
from pathlib import Path
import torch
from unrolled import ops
from unrolled.nn import GRU, LSTM, RNN
torch.manual_seed(0)
torch.set_num_threads(1)

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def lstm(gates, width, weight):
    zeros = torch.zeros(len(gates), width)
    rest = [None] * (len(ops.find("lstm").tensors) - 4)
    return ops.find("lstm")(gates, zeros, zeros, weight, *rest, False, 0.0, 0.0, False, kernel="cpp")
"""


def printed(code: str) -> list[int]:
    """The numbers that a script prints."""
    result = subprocess.run([sys.executable, "-c", SCRIPT + code], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return [int(word) for word in result.stdout.split()]


def test_thousands_of_calls_leave_nothing_behind() -> None:
    (grown,) = printed("""
everything = dict(peephole=True, coupled=True, projection_size=4, layer_norm=True, learn_initial_state=True)
layers = [RNN(3, 5), LSTM(3, 5), GRU(3, 5, reset="before"), LSTM(3, 5, **everything)]
x, lengths = torch.randn(3, 4, 3), torch.tensor([4, 0, 2])
reset = torch.zeros(3, 4, dtype=torch.bool)
reset[0, 2] = True

def calls(count):
    for number in range(count):
        layer = layers[number % 4]
        layer.kernel = "cpp"
        options = dict(lengths=lengths, reset=reset) if number % 2 else {}
        y, _ = layer(x, **options)
        y.sum().backward()
        layer.zero_grad()

rounds = []
for _ in range(5):
    before = resident()
    calls(4000)
    rounds.append(resident() - before)
print(min(rounds))
""")
    # What is left behind by each call is left in every round; the pools of Python and torch grow in the first ones.
    assert grown < 4000 * 100, f"each round of 4,000 calls left {grown} bytes or more"


def test_threads_that_end_take_their_scratch_with_them() -> None:
    (grown,) = printed("""
layer, x = LSTM(3, 256, kernel="cpp"), torch.randn(2, 2, 3)

def threads(count):
    for _ in range(count):
        thread = threading.Thread(target=lambda: layer(x)[0].sum().backward())
        thread.start()
        thread.join()

threads(10)
before = resident()
threads(100)
print(resident() - before)
""")
    # The packed weights alone are 1 MiB in each direction.
    assert grown < 30 * MIB, f"100 threads left {grown} bytes"


def test_a_large_model_s_scratch_is_given_back() -> None:
    (kept,) = printed("""
width = 2304
weight = torch.full((4 * width, width), 0.001)
small = torch.full((4 * 8, 8), 0.001)
lstm(torch.zeros(1, 1, 32), 8, small)
before = resident()
# Its packed weights are 81 MiB.
lstm(torch.zeros(1, 1, 4 * width), width, weight)
lstm(torch.zeros(1, 1, 32), 8, small)
print(resident() - before)
""")
    assert kept < 8 * MIB, f"{kept} bytes stay with the thread"


def test_scratch_does_not_pile_up_over_different_shapes() -> None:
    (grown,) = printed("""
weights = {width: torch.full((4 * width, width), 0.001) for width in range(16, 400, 16)}
sizes = [(width, batch) for width in weights for batch in (1, 7, 40)]

def calls():
    for width, batch in sizes:
        lstm(torch.zeros(batch, 2, 4 * width), width, weights[width])

calls()
before = resident()
for _ in range(5):
    sizes.reverse()
    calls()
print(resident() - before)
""")
    assert grown < 16 * MIB, f"the same shapes again took {grown} bytes more"


def test_inference_holds_its_input_and_output_and_no_more() -> None:
    extra = printed("""
if not os.access("/proc/self/clear_refs", os.W_OK):
    raise SystemExit

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

width, weight = 64, torch.randn(256, 64) / 8
lstm(torch.zeros(2, 16, 4 * width), width, weight)
for time in (1000, 30_000):
    gates = torch.zeros(2, time, 4 * width)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident()
    with torch.inference_mode():
        y, *_ = lstm(gates, width, weight)
    print(max(0, peak() - before - 4 * y.numel()))
    del gates, y
""")
    if not extra:
        pytest.skip("the record of the peak cannot be set back here")
    # One page more for each step, or one more gate, would be far above.
    assert max(extra) < 2 * MIB, f"on top of input and output: {extra} bytes"
