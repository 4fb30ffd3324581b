"""The way to the C++ kernels that the gated cells share: what they refuse, what is handed over, and weight gradients.

Every tensor is looked at before its address leaves Python: a wrong dtype, device or shape is refused in words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from unrolled.ops import native
from unrolled.ops.core.register import Attribute, Kernel, Memory
from unrolled.ops.native.calls import address, called, dense
from unrolled.ops.native.door import TYPES, Layout, argument

__all__ = ["CELLS", "gate_count", "gated_kernel"]

CELLS = ("rnn tanh", "rnn relu", "lstm", "lstm coupled", "gru after", "gru before")
"""What the kernels know, in the order of their numbers."""

Tensors = Mapping[str, Tensor | None]


def gated_kernel(
    tensors: Sequence[str],
    cell: Callable[..., str],
    memory: Memory,
    rates: Callable[..., tuple[float, float]],
) -> Kernel:
    """The kernel "cpp" of a gated op.

    tensors: the op's argument names in order, as `register` takes them; its last attribute is `reverse`.
    cell(*attributes): one of `CELLS`.
    memory(*arguments): the shape of what the forward pass leaves. rates(*attributes): zoneout of h and c in evaluation.
    """
    asked = _Asked([name.rstrip("?") for name in tensors], cell, memory, rates)
    return Kernel("cpp", asked.refuses, asked.forward, asked.backward)


@dataclass(frozen=True)
class _Asked:
    """A gated op, as `gated_kernel` is told of it."""

    tensors: Sequence[str]
    cell: Callable[..., str]
    memory: Memory
    rates: Callable[..., tuple[float, float]]

    def refuses(self, *arguments: Any) -> str | None:
        given = dict(zip(self.tensors, arguments, strict=False))
        return native.reason() or _objection(given, self.cell(*arguments[len(self.tensors) :]))

    def forward(self, *arguments: Any) -> tuple[Tensor, ...]:
        *plain, save = arguments
        given, values = dict(zip(self.tensors, plain, strict=False)), plain[len(self.tensors) :]
        call = _Call(given, self.cell(*values), reverse=values[-1])
        x = call.x
        results = [x.new_empty((*x.shape[:2], call.output)), x.new_empty(x.shape[0], call.output)]
        if call.c0 is not None:
            # Not empty_like: it would keep the strides of a transposed c0, and the kernel writes row after row.
            results.append(x.new_empty(call.c0.shape))
        left = x.new_empty(self.memory(*plain) if save else (0,))
        call.put(y=results[0], h=results[1], memory=left, memory_width=left.shape[2] if save else 0)
        if call.c0 is not None:
            call.put(c=results[2])
        call.run("gated_forward", *self.rates(*values))
        return (*results, left)

    def backward(
        self,
        plain: Sequence[Tensor | None],
        values: Sequence[Attribute],
        outputs: Sequence[Tensor | None],
        left: Tensor,
        grads: Sequence[Tensor | None],
        needs: Sequence[bool],
    ) -> Sequence[Tensor | None]:
        given = dict(zip(self.tensors, plain, strict=True))
        call = _Call(given, self.cell(*values), reverse=bool(values[-1]))
        call.put(y=outputs[0], memory=left, memory_width=left.shape[2])
        call.put(**dict(zip(("grad_y", "grad_h", "grad_c"), grads, strict=False)))
        found = _Gradients(call, {name for name, need in zip(self.tensors, needs, strict=True) if need})
        call.run("gated_backward", *self.rates(*values))
        ready = found.finish()
        return [ready.get(name) for name in self.tensors]


class _Call:
    """The fields of one call, and the tensors behind their addresses, which must live until it is over."""

    def __init__(self, given: Tensors, cell: str, reverse: bool) -> None:
        self.given, self.cell = given, cell
        self.fields: dict[str, int] = {}
        self.alive: list[Tensor] = []
        self.x = dense(_tensor(given, "x"))
        self.c0 = given.get("c0")
        self.projects = given.get("weight_x") is not None
        batch, time, width = self.x.shape
        self.output = _tensor(given, "h0").shape[1]
        self.hidden = _tensor(given, "weight_h").shape[0] // gate_count(cell)
        self.put(cell=CELLS.index(cell), type=TYPES[self.x.dtype], threads=native.threads(), batch=batch, time=time)
        self.put(reverse=int(reverse))
        self.put(hidden=self.hidden, output=self.output, **{k: v for k, v in given.items() if k not in ("x", "mask_h")})
        self.put(**({"x": self.x, "input": width} if self.projects else {"gates": self.x}))
        mask, start = given.get("mask_h"), given.get("start_h")
        if mask is not None:
            # A mask for all steps is usually one mask expanded over time: then it is handed over once.
            once = mask.stride(1) == 0
            self.put(mask_h=mask[:, 0] if once else mask, mask_steps=int(not once))
        if start is not None:
            self.put(start_rows=start.shape[0])

    def put(self, **values: Tensor | int | None) -> None:
        """Set fields: numbers, or tensors by the address of their values in order."""
        for name, value in values.items():
            if isinstance(value, Tensor):
                in_order = dense(value)
                self.alive.append(in_order)
                self.fields[name] = address(in_order)
            elif value is not None:
                self.fields[name] = value

    def run(self, function: str, rate_h: float, rate_c: float) -> None:
        """Call the compiled function."""
        module = native.compiled()
        values = [self.fields.get(name, 0) for name in module.GATED_FIELDS]
        reads = self.output + self.fields.get("input", 0)
        work = self.x.shape[0] * self.x.shape[1] * self.hidden * gate_count(self.cell) * reads
        called(getattr(module, function), values, rate_h, rate_c, work=work, alive=self.alive)
        self.alive = []


class _Gradients:
    """The tensors that a backward pass fills, and the large products that follow it."""

    def __init__(self, call: _Call, wanted: set[str]) -> None:
        self.call, self.wanted = call, wanted
        x, given, steps = call.x, call.given, call.x.shape[:2]
        # The kernel sums up this weight's gradient but where two products share it.
        self.halved = call.cell == "gru before" and "weight_h" in wanted
        self.parts: dict[str, Tensor] = {}
        for name in ("h0", "c0", "peephole", "bias_h", "norm_h", "norm_c", "weight_x", "bias", "weight_h"):
            if name in wanted and not (name == "weight_h" and self.halved):
                self.parts[f"grad_{name}"] = x.new_empty(_tensor(given, name).shape)
        if "x" in wanted:
            self.parts["grad_x" if call.projects else "grad_gates"] = torch.empty_like(x)
        if self.halved:
            stacked = (*steps, 3 * call.hidden)
            # Under layer norm the gradient of the recurrent product is not that of the gates.
            name = "grad_gates" if given.get("norm_h") is None else "grad_recurrent"
            self.parts.setdefault(name, x.new_empty(stacked))
            self.recurrent = self.parts[name]
            self.parts["previous"] = x.new_empty((*steps, call.output))
            self.parts["gated"] = x.new_empty((*steps, call.hidden))
        if "weight_p" in wanted:
            self.parts["grad_projected"] = x.new_empty((*steps, call.output))
            self.parts["unprojected"] = x.new_empty((*steps, call.hidden))
        if "mask_h" in wanted:
            self.parts["grad_mask_h"] = x.new_empty((*steps, call.output))
        for name in ("start_h", "start_c"):
            if name in wanted:
                self.parts[f"grad_{name}"] = x.new_zeros(_tensor(given, name).shape)
        call.put(**self.parts)

    def finish(self) -> dict[str, Tensor]:
        """Every wanted gradient by its argument's name."""
        found = {name: self.parts[f"grad_{name}"] for name in self.wanted if f"grad_{name}" in self.parts}
        if "x" in self.wanted and not self.call.projects:
            found["x"] = self.parts["grad_gates"]
        if self.halved:
            found["weight_h"] = self._weight_h()
        if "weight_p" in self.wanted:
            found["weight_p"] = _product(self.parts["grad_projected"], self.parts["unprojected"])
        return found

    def _weight_h(self) -> Tensor:
        cut = 2 * self.call.hidden
        reset_keep, candidate = self.recurrent[..., :cut], self.recurrent[..., cut:]
        halves = (reset_keep, self.parts["previous"]), (candidate, self.parts["gated"])
        return torch.cat([_product(gradient, seen) for gradient, seen in halves])


def _product(gradient: Tensor, seen: Tensor) -> Tensor:
    """Gradient of a weight: (B, T, out) and (B, T, in) -> (out, in)."""
    return gradient.flatten(0, 1).T @ seen.flatten(0, 1)


def gate_count(cell: str) -> int:
    """How many gates one of `CELLS` has."""
    return {"rnn tanh": 1, "rnn relu": 1, "lstm": 4}.get(cell, 3)


def _tensor(given: Tensors, name: str) -> Tensor:
    value = given[name]
    assert value is not None
    return value


@cache
def _layout(count: int, projects: bool, narrower: bool) -> Layout:
    """The shapes of a cell of so many gates. projects: x is the input; narrower: h is projected from what is hidden."""
    stacked, output = f"{count} hidden", "output" if narrower else "hidden"
    always = [f"x: batch, time, {'input' if projects else stacked}", f"h0: batch, {output}"]
    always += [f"weight_h: {stacked}, {output}", *([f"weight_x: {stacked}, input"] if projects else [])]
    sometimes = (
        "c0: batch, hidden", f"bias: {stacked}", f"peephole: {count - 1}, hidden", f"weight_p: {output}, hidden",
        "bias_h: hidden", f"norm_h: {stacked}", "norm_c: 2, hidden", f"mask_h: batch, time, {output}",
        f"zone_h: batch, time, {output}", "zone_c: batch, time, hidden", "lengths: batch", "reset: batch, time",
        f"start_h: rows, {output}", "start_c: rows, hidden",
    )  # fmt: skip
    arguments = [argument(text) for text in (*always, *sometimes)]
    return Layout(arguments, optional=[one.name for one in arguments[len(always) :]])


def _objection(given: Tensors, cell: str) -> str | None:
    """Why the tensors do not fit the cell, in words."""
    projects = given.get("weight_x") is not None
    if not projects and given.get("bias") is not None:
        return "bias comes without the weight_x that it belongs to"
    wrong = _layout(gate_count(cell), projects, given.get("weight_p") is not None).objection(given, {})
    starts = [given[name] for name in ("start_h", "start_c") if name in given]
    if wrong is None and any((given.get("reset") is None) != (start is None) for start in starts):
        return "reset and the start it returns to must come together"
    return wrong
