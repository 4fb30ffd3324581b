"""Random layers on random inputs, compiled kernels against the reference: values, states and gradients, by hand.

    python benchmarks/random_cases.py                  10,000 cases; those of today's file are left
    python benchmarks/random_cases.py --cases 500 --seed 3

A case is a cell with some of its options, plain, in a wrapper, or both ways; a batch of any shape with lengths (zeros
among them), resets, and a state to begin with; x and the weights in any layout: transposed, a slice, expanded, turned
over, or a promise to negate. A case is right if nothing differs by more than rounding may make it differ.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from common import Results
from torch import Tensor, nn

from unrolled.nn import CELLS, Bidirectional, Recurrent, Residual, Stack, Zoneout
from unrolled.state import leaves, map_state

CHUNK = 500
"""Cases of a row of the result file."""

CHOICES: Mapping[str, Mapping[str, tuple[object, ...]]] = {
    "rnn": {"nonlinearity": ("tanh", "relu"), "bias": (True, False), "learn_initial_state": (True, False)},
    "lstm": {
        "peephole": (True, False), "coupled": (True, False), "projection_size": (None, 3), "bias": (True, False),
        "layer_norm": (True, False), "learn_initial_state": (True, False),
    },
    "gru": {
        "reset": ("after", "before"), "layer_norm": (True, False), "bias": (True, False),
        "learn_initial_state": (True, False),
    },
    "mingru": {"form": ("linear", "log"), "bias": (True, False), "learn_initial_state": (True, False)},
    "minlstm": {"form": ("linear", "log"), "bias": (True, False), "learn_initial_state": (True, False)},
    "rglru": {"heads": (1, 2)},
    "lru": {"state_size": (None, 5), "learn_initial_state": (True, False)},
    "slstm": {"heads": (1, 2, 4), "forget": ("sigmoid", "exponential"), "bias": (True, False)},
    "mlstm": {"heads": (1, 2, 4), "chunk": (1, 5, 64), "bias": (True, False)},
}  # fmt: skip

LAYOUTS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "dense": lambda x: x,
    "transposed": lambda x: x.transpose(0, -1).contiguous().transpose(0, -1),
    "every second": lambda x: torch.stack([x, torch.full_like(x, torch.nan)], -1).flatten(-2)[..., ::2],
    "inside": lambda x: nn.functional.pad(x, (2, 3), value=torch.nan)[..., 2:-3],
    "negated": lambda x: torch._neg_view(-x),
    "turned over": lambda x: x.flip(0).flip(0),
}


class Case:
    """One layer and one batch, drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self.draw = torch.Generator().manual_seed(seed)
        self.dtype = torch.float32 if self.one_in(4) else torch.float64
        self.batch, self.time = self.pick(range(1, 14)), self.pick((1, 2, 3, 7, 16, 33, 70))
        self.width, self.hidden = self.pick(range(1, 20)), 4 * self.pick(range(1, 10))
        self.cell = self.pick(tuple(CELLS))
        options = {name: self.pick(values) for name, values in CHOICES.get(self.cell, {}).items()}
        if self.cell not in CHOICES:
            self.width = self.hidden
        torch.manual_seed(seed)
        self.layer = self.wrapped(lambda width: CELLS[self.cell](width, self.hidden, **options)).to(self.dtype)
        self.name = f"{seed}: {self.layer}".replace("\n", " ")
        for parameter in self.layer.parameters():
            # Zeros of initialisation hide what is wrong with them.
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=self.draw).to(parameter)
            parameter.data = LAYOUTS[self.pick(tuple(LAYOUTS))](parameter.data)
        x = torch.randn(self.batch, self.time, self.layer.input_size, generator=self.draw).to(self.dtype)
        x = x[:1].expand(self.batch, -1, -1) if self.one_in(8) else LAYOUTS[self.pick(tuple(LAYOUTS))](x)
        self.x = x.requires_grad_()
        self.lengths = None if self.one_in(2) else self.integers(0, self.time + 1, self.batch)
        self.reset = None if self.one_in(2) else torch.rand(self.batch, self.time, generator=self.draw) < 0.2
        self.state = None
        if self.one_in(2) and self.layer.streamable:
            with torch.no_grad():
                _, state = self.layer(x.detach())
            self.state = map_state(lambda leaf: LAYOUTS[self.pick(tuple(LAYOUTS))](leaf).requires_grad_(), state)

    def integers(self, low: int, high: int, count: int) -> Tensor:
        return torch.randint(low, high, (count,), generator=self.draw)

    def pick(self, values: Any) -> Any:
        return values[int(self.integers(0, len(values), 1))]

    def one_in(self, count: int) -> bool:
        return self.pick(range(count)) == 0

    def wrapped(self, make: Callable[[int], Recurrent[Any]]) -> Recurrent[Any]:
        """The cell alone, or in one of the wrappers that take it."""
        kind = self.pick(("alone", "alone", "both ways", "stack", "residual", "zoneout"))
        first = make(self.width)
        if kind == "both ways":
            return Bidirectional(first, make(self.width))
        if kind == "stack":
            return Stack([first, make(first.output_size)])
        if kind == "residual" and first.output_size == first.input_size:
            return Residual(first, norm=True)
        if kind == "zoneout" and self.cell in ("rnn", "gru", "lstm"):
            # As in evaluation: masks are drawn anew for each pass.
            return Zoneout(first, 0.2).eval()
        return first

    def results(self, kernel: str, dtype: torch.dtype | None = None) -> list[Tensor]:
        """y, the state, and all gradients, with the kernel named; dtype: computed in another one."""
        layer, x, state = self.layer, self.x, self.state
        if dtype is not None:
            layer, x = copy.deepcopy(layer).to(dtype), x.detach().to(dtype).requires_grad_()
            state = None if state is None else map_state(lambda leaf: leaf.detach().to(dtype).requires_grad_(), state)
        for module in layer.modules():
            if "kernel" in vars(module):
                module.kernel = kernel
        y, final = layer(x, state, lengths=self.lengths, reset=self.reset)
        outputs = [y, *leaves(final)]
        draw = torch.Generator().manual_seed(0)
        loss = sum((one * torch.randn(one.shape, generator=draw).to(one)).sum() for one in outputs)
        sources = [x, *leaves(state), *layer.parameters()]
        found = torch.autograd.grad(loss, sources, allow_unused=True)
        return [one.detach() for one in (*outputs, *found) if one is not None]

    def difference(self) -> float:
        """How far the kernels are from the reference, in roundings of a walk so long."""
        found = self.apart(self.results("auto"), self.results("reference"), self.dtype)
        if found <= MOST:
            return found
        # What rounding does to these very numbers is seen from the reference in two precisions.
        single, double = (self.results("reference", dtype) for dtype in (torch.float32, torch.float64))
        return found / max(1.0, self.apart([one.double() for one in single], double, torch.float32))

    def apart(self, ours: list[Tensor], theirs: list[Tensor], dtype: torch.dtype) -> float:
        """The largest difference, in roundings of the largest number."""
        if len(ours) != len(theirs):
            return float("inf")
        unit = torch.finfo(dtype).eps * (self.time + 8) * self.hidden**0.5
        worst = 0.0
        for a, b in zip(ours, theirs, strict=True):
            if a.shape != b.shape or bool((a.isnan() != b.isnan()).any()):
                return float("inf")
            if a.numel():
                worst = max(worst, float((a - b).nan_to_num().abs().max() / unit / max(1.0, float(b.abs().max()))))
        return worst


MOST = 64
"""Roundings: sums in another order, and exp and tanh of the kernels' own."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    results, wrong = Results("random_cases"), 0
    for first in range(given.seed, given.seed + given.cases, CHUNK):
        if results.has(row=first):
            continue
        found, worst = [], 0.0
        for seed in range(first, min(first + CHUNK, given.seed + given.cases)):
            case = Case(seed)
            difference = case.difference()
            worst = max(worst, difference)
            if difference > MOST:
                found.append(case.name)
                print(f"{difference:.3g} roundings: {case.name}", flush=True)
        results.add(row=first, cases=CHUNK, wrong=len(found), names=found, worst_in_roundings=round(worst, 2))
        wrong += len(found)
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
