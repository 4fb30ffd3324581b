"""Live steps that are recorded against those of an older checkout, whose programs were written by hand.

    python benchmarks/record_cpu.py --before ../older          # every row; those of today's file are left
    python benchmarks/record_cpu.py --before ../older rwkv7 --again

Two processes, one for each checkout, answer on pipes and take turns, many short rounds each; the least time of each is
compared, since whatever else runs on the machine only adds to it. Weights and inputs are alike, and a row is refused
where outputs or states differ by more than 1e-6 of the largest. Row `mgu` is a stranger's cell: recorded here, and
there by a program written by hand.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

WIDTH = 64
STEPS = 50
CLOSE = 1e-6
MOST = 6
"""So many times the rounds asked for are run at most, until the least times have settled."""

MODE = ExitStack()
"""What a child has entered for its row."""


class MGUState(NamedTuple):
    """h (batch, hidden)."""

    h: Any


def main() -> int:
    """Measure the rows asked for; exit code 1 if one was refused or is too slow."""
    asked = arguments()
    if asked.child:
        answer()
        return 0
    from common import Results

    here = Path(__file__).resolve().parents[1]
    children = {"before": Child(Path(asked.before)), "after": Child(here)}
    results, bad = Results("record_cpu"), False
    for name in asked.rows or list(rows()):
        for way in ("Stepper.step", "layer.step"):
            if not asked.again and results.has(row=name, way=way):
                continue
            found = measured(children, name, way, asked.rounds)
            bad |= found["verdict"] == "not met" or "refused" in found
            results.add(row=name, way=way, **found)
    return int(bad)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*")
    parser.add_argument("--before", help="an older checkout whose extension is built")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if not asked.child and not asked.before:
        parser.error("--before is missing: the path of an older checkout")
    return asked


class Child:
    """A process that has one checkout imported and answers in lines of JSON."""

    def __init__(self, checkout: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--child"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    def ask(self, **question: Any) -> Any:
        """The answer to one question."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def measured(children: dict[str, Child], name: str, way: str, rounds: int) -> dict[str, Any]:
    """Outputs first, then the least time of each, and their ratio."""
    outputs = [child.ask(row=name, way=way) for child in children.values()]
    largest = max(abs(value) for value in outputs[0])
    apart = max(abs(a - b) for a, b in zip(*outputs, strict=True)) / max(largest, 1.0)
    if not apart <= CLOSE:
        return {"refused": f"outputs differ by {apart:.2g}", "verdict": ""}
    times: dict[str, list[float]] = {which: [] for which in children}
    while len(times["after"]) < rounds or not all(map(settled, times.values())):
        for which, child in children.items():
            times[which].append(child.ask(go=True))
        if len(times["after"]) == MOST * rounds:
            break
    least = {which: min(values) for which, values in times.items()}
    ratio, bar = least["before"] / least["after"], 0.9 if name == "mgu" else 0.95
    return {
        "seconds": {which: float(f"{value:.4g}") for which, value in least.items()}, "rounds": len(times["after"]),
        "speed": float(f"{ratio:.4g}"), "difference": float(f"{apart:.2g}"), "least": bar,
        "verdict": "met" if ratio >= bar else "not met",
    }  # fmt: skip


def settled(times: list[float]) -> bool:
    """Is the least time no accident? Several others come near it."""
    return sorted(times)[4] <= 1.03 * min(times)


def answer() -> None:
    """What a child does: make the row that is asked for, or time its step."""
    import torch

    torch.set_num_threads(1)
    step: Callable[[], Any] = int
    calls = 1
    for line in sys.stdin:
        question = json.loads(line)
        if "row" in question:
            step, values = prepared(question["row"], question["way"])
            begin = time.perf_counter()
            for _ in range(100):
                step()
            calls = max(1, round(0.001 / ((time.perf_counter() - begin) / 100)))
            print(json.dumps(values), flush=True)
        else:
            begin = time.perf_counter()
            for _ in range(calls):
                step()
            print(json.dumps((time.perf_counter() - begin) / calls), flush=True)


def prepared(name: str, way: str) -> tuple[Callable[[], Any], list[float]]:
    """A step to be timed, and what some steps give: y and the leaves of the state."""
    import torch

    from unrolled import nn
    from unrolled.state import leaves

    MODE.close()
    torch.manual_seed(0)
    layer = rows()[name]().eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    xs = torch.randn(STEPS, 1, layer.input_size)
    x, state = xs[0].clone(), layer.initial_state(1)
    if way == "Stepper.step":
        stepper = nn.Stepper(layer)
        for one in xs:
            y = stepper.step(one)
        values, bound = [y, *leaves(stepper.state())], stepper.step
        return lambda: bound(x), [float(value) for one in values for value in one.flatten()]
    # The mode stays on until the next row: to enter it costs as much in either process.
    MODE.enter_context(torch.inference_mode())
    for one in xs:
        y, state = layer.step(one, state)
    return lambda: layer.step(x, state), [float(value) for one in (y, *leaves(state)) for value in one.flatten()]


def rows() -> dict[str, Callable[[], Any]]:
    """Every cell, block and wrapper by name."""
    from unrolled import nn

    made: dict[str, Callable[[], Any]] = {
        name: lambda name=name: nn.make_cell(name, WIDTH, WIDTH) for name in nn.CELLS
    }  # fmt: skip
    return made | {
        "lstm all options": lambda: nn.LSTM(WIDTH, WIDTH, peephole=True, projection_size=32, layer_norm=True),
        "gru before": lambda: nn.GRU(WIDTH, WIDTH, reset="before", layer_norm=True),
        "mingru log": lambda: nn.MinGRU(WIDTH, WIDTH, form="log"),
        "minlstm log": lambda: nn.MinLSTM(WIDTH, WIDTH, form="log"),
        "rglru heads": lambda: nn.RGLRU(WIDTH, WIDTH, heads=4),
        "slstm exponential": lambda: nn.SLSTM(WIDTH, WIDTH, forget="exponential"),
        "slstm_block plain": lambda: nn.SLSTMBlock(WIDTH, WIDTH, conv=0, exponential=True),
        "deltanet": lambda: nn.GatedDeltaNet(WIDTH, WIDTH, decay=False, gate=False),
        "rwkv7 layers": lambda: nn.RWKV7(WIDTH, WIDTH, layers=3),
        "time mix": lambda: nn.RWKV7TimeMix(WIDTH, WIDTH),
        "channel mix": lambda: nn.RWKV7ChannelMix(WIDTH, WIDTH),
        "token shift": lambda: nn.TokenShift(WIDTH),
        "convolution": lambda: nn.CausalConv(WIDTH, activation="silu"),
        "stack": lambda: nn.Stack([nn.GRU(WIDTH, WIDTH), nn.LSTM(WIDTH, WIDTH)]),
        "stack mixed": lambda: nn.Stack([nn.GRU(WIDTH, WIDTH), nn.MinGRU(WIDTH, WIDTH), nn.MLSTM(WIDTH, WIDTH)]),
        "residual": lambda: nn.Residual(nn.GRU(WIDTH, WIDTH), norm=True),
        "zoneout lstm": lambda: nn.Zoneout(nn.LSTM(WIDTH, WIDTH), nn.LSTMState(h=0.1, c=0.4)),
        "zoneout mingru": lambda: nn.Zoneout(nn.MinGRU(WIDTH, WIDTH), 0.2),
        "mgu": mgu,
    }


def mgu() -> Any:
    """The minimal gated unit of Zhou et al. 2016, arXiv:1603.09420, as somebody's own cell."""
    import torch

    from unrolled import nn

    class MGU(nn.Cell[MGUState]):
        def __init__(self, size: int) -> None:
            super().__init__(size, size)
            self.forget, self.candidate = (torch.nn.Linear(size, size) for _ in "fn")
            self.again, self.inner = (torch.nn.Parameter(0.1 * torch.randn(size, size)) for _ in "fn")

        def zero_state(self, batch_size: int, device: Any, dtype: Any) -> MGUState:
            return MGUState(torch.zeros(batch_size, self.output_size, device=device, dtype=dtype))

        def project(self, x: Any) -> Any:
            return self.forget(x), self.candidate(x)

        def recur(self, operands: Any, state: MGUState) -> tuple[Any, MGUState]:
            f = torch.sigmoid(operands[0] + state.h @ self.again.T)
            n = torch.tanh(operands[1] + (f * state.h) @ self.inner.T)
            h = f * n + (1 - f) * state.h
            return h, MGUState(h)

    write_by_hand(MGU)
    return MGU(WIDTH)


def write_by_hand(cell: type) -> None:
    """Where programs are written by hand, one for this cell."""
    try:
        from unrolled.nn import live_programs
    except ImportError:
        return

    def write(p: Any, layer: Any, x: Any, state: Any) -> Any:
        f, n = (p.linear(x, one.weight, one.bias) for one in (layer.forget, layer.candidate))
        f = (f + p.linear(state.h, layer.again)).sigmoid()
        n = (n + p.linear(f * state.h, layer.inner)).tanh()
        h = f.multiply_add(n, (1 - f) * state.h)
        p.store(state.h, h)
        return h

    live_programs.WRITERS[cell] = write


if __name__ == "__main__":
    sys.exit(main())
