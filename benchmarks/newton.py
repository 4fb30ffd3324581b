"""The sequence one step after another against Newton's method on all steps at once: time, iterations, residual.

    python benchmarks/newton.py                    # every row that is not there yet; under 5 minutes on 2 cores
    python benchmarks/newton.py 'gru-*' --device cuda
    python benchmarks/newton.py --table            # rewrites the table of docs/newton.md from the newest result file
    python benchmarks/newton.py --table --check    # exit code 1 if that would change the page

Weights as the constructors draw them, x normal, float32. A row is refused if a certificate is missing, or if values or
(in training) gradients of x differ from those of one step after another by more than 1e-3 of the largest.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from common import ROOT, Results
from tables import newest, time_text
from timing import interleave

from unrolled.nn import GRU, LSTM, RNN, Newton

PAGE = ROOT / "docs" / "newton.md"
BEGIN, END = "<!-- newton: begin -->", "<!-- newton: end -->"
KINDS: Mapping[str, tuple[Any, Any]] = {
    "rnn": (RNN, torch.nn.RNN),
    "gru": (GRU, torch.nn.GRU),
    "lstm": (LSTM, torch.nn.LSTM),
}
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
FEATURES = 8
MOST_WORK = 4.5e9
"""Multiplications of an iteration beyond which the full form is left out of a row on a CPU."""


@dataclass(frozen=True)
class Row:
    """One measurement: cell, batch, time, hidden width, and whether the gradients are in it."""

    cell: str
    batch: int
    time: int
    hidden: int
    training: bool = False

    @property
    def name(self) -> str:
        mode = "training" if self.training else "inference"
        return f"{self.cell}-{mode}-{self.batch}x{self.time}x{self.hidden}"


def rows() -> list[Row]:
    """GRU over time, width and batch; RNN and LSTM at some of it; training at some of it."""
    found = [Row("gru", 1, time, hidden) for time in (100, 1000, 10_000) for hidden in (4, 16, 64)]
    found += [Row("gru", 1, 100_000, hidden) for hidden in (4, 16)]
    found += [Row("gru", 1, 1000, 128), Row("gru", 16, 1000, 4), Row("gru", 16, 1000, 16), Row("gru", 16, 1000, 64)]
    for cell in ("rnn", "lstm"):
        found += [Row(cell, 1, 1000, 4), Row(cell, 1, 1000, 16), Row(cell, 1, 1000, 64), Row(cell, 1, 10_000, 4)]
    return found + [Row(cell, 1, 1000, 16, training=True) for cell in KINDS]


def operations(row: Row, form: str) -> float:
    """Multiplications and additions of one step in one iteration, over those of the step itself.

    The step is its recurrent product, 2 G H^2. An iteration repeats it, makes the Jacobian, and solves for the change:
    each matrix is composed with another once and applied twice.
    """
    hidden, gates = row.hidden, GATES[row.cell]
    leaves = 2 if row.cell == "lstm" else 1
    step = 2 * gates * hidden**2
    if form == "full":
        width = leaves * hidden
        return (step + 2 * gates * hidden**2 * leaves + 2 * width**3 + 4 * width**2) / step
    return (step + (2 * leaves**3 + 4 * leaves**2) * hidden) / step


def traffic(row: Row, form: str) -> float:
    """Bytes that one iteration cannot avoid, over those of the walk: gates in and h out, all else in the cache.

    An iteration reads the gates and the guess, writes the next, and writes and reads the Jacobians.
    """
    hidden, gates = row.hidden, GATES[row.cell]
    leaves = 2 if row.cell == "lstm" else 1
    jacobian = (leaves * hidden) ** 2 if form == "full" else leaves**2 * hidden
    return (gates * hidden + 2 * leaves * hidden + 2 * jacobian) / ((gates + 1) * hidden)


def measure(row: Row, device: str) -> dict[str, Any]:
    """Seconds of a call by contestant, and what the certificates say."""
    torch.manual_seed(0)
    ours, theirs = KINDS[row.cell]
    layer = ours(FEATURES, row.hidden).to(device)
    solvers: dict[str, Any] = {"sequential": "sequential", "diagonal": Newton(form="diagonal")}
    width = row.hidden * (2 if row.cell == "lstm" else 1)
    if device != "cpu" or 2 * row.batch * row.time * width**3 <= MOST_WORK:
        solvers["full"] = Newton(form="full")
    x = torch.randn(row.batch, row.time, FEATURES, device=device, requires_grad=row.training)
    peer = theirs(FEATURES, row.hidden, batch_first=True).to(device)
    runs = {name: _run(layer, solver, x, row.training) for name, solver in solvers.items()}
    expected, found = runs["sequential"](), {}
    for name in list(solvers)[1:]:
        for got, want in zip(runs[name](), expected, strict=True):
            error = float((got - want).abs().max() / want.abs().max())
            if not error <= 1e-3:
                sys.exit(f"refused: {row.name}: {name} is off by {error:.3g} from one step after another.")
        found[name] = _said(layer, row)
    runs["torch.nn"] = _run(peer, None, x, row.training)
    times = interleave(runs, rounds=3, seconds=0.02)
    return {"seconds": times, "found": found, "device": device}


def _said(layer: Any, row: Row) -> dict[str, Any]:
    """The certificates of the last call."""
    forward, backward = layer.certificate, layer.gradient_certificate
    if not forward.converged or (row.training and not backward.converged):
        sys.exit(f"refused: {row.name}: no certificate.")
    said = {"iterations": forward.iterations, "residual": forward.residual}
    return said | ({"iterations_backward": backward.iterations} if row.training else {})


def _run(layer: Any, solver: Any, x: torch.Tensor, training: bool) -> Callable[[], list[torch.Tensor]]:
    def run() -> list[torch.Tensor]:
        if solver is not None:
            layer.solver = solver
        if not training:
            with torch.inference_mode():
                found = [layer(x)[0]]
        else:
            layer.zero_grad()
            y, _ = layer(x)
            y.sum().backward()
            found, x.grad = [y.detach(), x.grad], None
        if x.device.type == "cuda":
            torch.cuda.synchronize()
        return found

    return run


def render(results: Sequence[Mapping[str, Any]]) -> str:
    """One line a row, in the order of `rows`, the last result of each."""
    last = {result["row"]: result for result in results}
    lines = [
        "| cell | batch, T, H | one step after another | torch.nn | diagonal | iterations | full | iterations "
        "| residuals | operations | bytes |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_line(row, last[row.name]) for row in rows() if row.name in last]
    first = next(iter(last.values()))
    where = f"{first['device']}, {first['cores']} cores, {first['threads']} threads, torch {first['torch']}"
    commits = ", ".join(sorted({result["commit"] for result in last.values()}))
    return "\n".join([f"Measured on: {where}; commits {commits}. {first['note']}", "", *lines])


def _line(row: Row, result: Mapping[str, Any]) -> str:
    seconds = {name: median(times) for name, times in result["seconds"].items()}
    cells = [
        row.cell + (" training" if row.training else ""),
        f"{row.batch}, {row.time}, {row.hidden}",
        time_text(seconds["sequential"]),
        time_text(seconds["torch.nn"]),
    ]
    residuals, work, moved = [], [], []
    for form in ("diagonal", "full"):
        found = result["found"].get(form)
        if found is None:
            cells += ["not run", ""]
            continue
        times = seconds[form] / seconds["sequential"]
        back = found.get("iterations_backward")
        count = found["iterations"]
        cells += [f"{time_text(seconds[form])} ({times:.3g}x)", f"{count}" + (f" + {back}" if back else "")]
        residuals.append(f"{found['residual']:.0e}")
        work.append(f"{count * operations(row, form):.3g}x")
        moved.append(f"{count * traffic(row, form):.3g}x")
    return f"| {' | '.join([*cells, *(', '.join(part) for part in (residuals, work, moved))])} |"


def with_table(page: str, table: str) -> str:
    """The page with the table between its two marks."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.split(END)[1]}"


def write_table(check: bool) -> int:
    """Rewrite the page, or say that it is out of date."""
    path = newest(ROOT / "benchmarks" / "results", "newton")
    if path is None:
        sys.exit("there is no result of newton.py yet; run it without --table.")
    page = PAGE.read_text(encoding="utf-8")
    results = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    new = with_table(page, render(results))
    if new != page and check:
        print(f"{PAGE} is out of date; run python benchmarks/newton.py --table.")
        return 1
    PAGE.write_text(new, encoding="utf-8")
    return 0


def main() -> int:
    """Measure what is asked for and not there yet, or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", default=["*"], help="names of rows, with * and ?")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--note", default="", help="a sentence on the state of the machine, for the page")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    if asked.table:
        return write_table(asked.check)
    results = Results("newton" if asked.device == "cpu" else f"newton_{asked.device}")
    for row in rows():
        if any(fnmatch.fnmatch(row.name, pattern) for pattern in asked.rows) and not results.has(row=row.name):
            results.add(row=row.name, note=asked.note, **measure(row, asked.device))
    return 0


if __name__ == "__main__":
    sys.exit(main())
