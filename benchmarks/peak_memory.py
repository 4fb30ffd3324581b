"""Bytes that one inference needs beyond its input and output, in a process of its own; called by recurrent_cpu.py.

    python benchmarks/peak_memory.py unrolled lstm 8 32000 32 64 2

Arguments: whose layer, cell, batch, time, input, hidden, threads. Prints input and output together, and what came on
top of them at the peak, in bytes. The kernel's own record of the peak is set back before the pass, so this needs Linux.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from peers import OURS, TORCH

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def resident(name: str) -> int:
    """VmRSS (now) or VmHWM (at the peak) of this process in bytes."""
    lines = STATUS.read_text(encoding="utf-8").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def main() -> None:
    """One short pass loads the code, the next is measured."""
    whose, op, *numbers = sys.argv[1:]
    batch, time, features, hidden, threads = map(int, numbers)
    torch.set_num_threads(threads)
    layer = OURS[op](features, hidden) if whose == "unrolled" else TORCH[op](features, hidden, batch_first=True)
    layer.eval()
    x = torch.randn(batch, time, features)
    with torch.inference_mode():
        layer(x[:, :16])
        CLEAR.write_text("5", encoding="ascii")
        before = resident("VmRSS")
        y, _ = layer(x)
    size = 4 * y.numel()
    print(4 * x.numel() + size, max(0, resident("VmHWM") - before - size))


if __name__ == "__main__":
    main()
