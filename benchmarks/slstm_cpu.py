"""sLSTM on the CPU: our cell beside our LSTM of the same width, the package xlstm's torch code, and our own reference.

    python benchmarks/slstm_cpu.py                   # every row; those that today's file has are not repeated
    python benchmarks/slstm_cpu.py '*1024*' --again
    python benchmarks/slstm_cpu.py --threads 1

The bar is on our time over that of our LSTM, whose recurrent weights are as many times larger as there are heads; the
others walk step by step in torch. A row is refused while the law of the op's kernels is broken or the sLSTMs' outputs
differ. Contestants take turns in one process.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from peers import Run, draw_task, torch_task
from race import compare, judged, kernels_of, prove, run_rows
from rows import Row
from timing import interleave
from torch import Tensor

from unrolled import nn

HEADS = 4
SHAPES = ((32, 100, 128, 128), (64, 200, 256, 256), (8, 1024, 256, 256))
REFERENCE, THEIRS = "our reference", "xlstm vanilla"


def rows() -> Iterator[Row]:
    """Training, with the bar, then inference."""
    for mode, least in (("training", 1.5), ("inference", None)):
        group = f"sLSTM {mode}, {HEADS} heads, time over our LSTM's"
        for shape in SHAPES:
            name = f"slstm-{mode}-{'x'.join(map(str, shape))}"
            yield Row(name, group, "gated", "slstm", mode, shape, ("unrolled LSTM",), least, None, at_most=True)


def measure(row: Row, asked: argparse.Namespace) -> dict[str, Any]:
    """One row: every contestant on the same task, every sLSTM with the same weights."""
    task = draw_task(row)
    torch.manual_seed(0)
    cell = nn.SLSTM(*row.shape[2:], heads=HEADS)
    reference = nn.SLSTM(*row.shape[2:], heads=HEADS, kernel="reference")
    reference.load_state_dict(cell.state_dict())
    lstm = nn.LSTM(*row.shape[2:])
    runs = {"unrolled": torch_task(cell, cell, task), REFERENCE: torch_task(reference, reference, task)}
    found: dict[str, Any] = {"kernels": kernels_of(runs["unrolled"]), "absent": {}, "rounds": asked.rounds}
    prove(row.op, found["kernels"], quick=asked.smoke)
    peer = vanilla(cell)
    if isinstance(peer, str):
        found["absent"][THEIRS] = peer
    else:
        runs[THEIRS] = torch_task(peer, peer, task)
    found["largest_difference"] = float(f"{compare(outputs(runs), REFERENCE):.2g}")
    runs["unrolled LSTM"] = torch_task(lstm, lstm, task)
    times = interleave(runs, rounds=asked.rounds, seconds=asked.seconds)
    return found | judged(row, times, asked.threads)


def outputs(runs: dict[str, Run]) -> dict[str, Sequence[Any]]:
    """What every contestant finds."""
    return {name: run() for name, run in runs.items()}


def vanilla(cell: nn.SLSTM) -> torch.nn.Module | str:
    """The package's cell behind a linear layer, with the weights of ours; or why there is none."""
    try:
        from xlstm.blocks.slstm.cell import sLSTMCell_vanilla, sLSTMCellConfig
    except ImportError as error:
        return f"cannot be imported: {error}"
    config = sLSTMCellConfig(
        hidden_size=cell.output_size, num_heads=cell.heads, backend="vanilla", dtype="float32", input_shape="BSGNH",
        output_shape="BSH",
    )  # fmt: skip
    made = _Theirs(torch.nn.Linear(cell.input_size, 4 * cell.output_size, bias=False), sLSTMCell_vanilla(config))
    with torch.no_grad():
        made.project.weight.copy_(cell.weight_x)
        made.cell._recurrent_kernel_.copy_(cell.weight_h)
        made.cell._bias_.copy_(cell.bias)
    return made


class _Theirs(torch.nn.Module):
    def __init__(self, project: torch.nn.Linear, cell: Any) -> None:
        super().__init__()
        self.project, self.cell = project, cell

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        y, _ = self.cell(self.project(x))
        return y, None


if __name__ == "__main__":
    sys.exit(run_rows(tuple(rows()), measure, "slstm_cpu", __doc__))
