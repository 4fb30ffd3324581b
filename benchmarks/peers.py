"""Whole-sequence contestants of the gated cells: ours, and torch.nn padded and packed beside loops and others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from loops import LOOPS
from others import jax_task, onnx_task
from rows import NN, Row
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from unrolled import nn

__all__ = ["OURS", "Contest", "Task", "gated", "torch_task"]

Run = Callable[[], Sequence[Any]]

TORCH = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}
OURS: dict[str, Any] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class Contest(NamedTuple):
    """What is timed, by name: each run returns y, in training also the gradient of x. absent: a reason by name."""

    runs: dict[str, Run]
    absent: dict[str, str]


class Task(NamedTuple):
    """x (B, T, I), in training the gradient of y (B, T, H), and valid steps a row where the batch is ragged."""

    x: Tensor
    gradient: Tensor | None
    lengths: Tensor | None

    @property
    def steps(self) -> int:
        """Valid steps of all rows together."""
        return int(self.lengths.sum()) if self.lengths is not None else self.x.shape[0] * self.x.shape[1]


def gated(row: Row, threads: int) -> tuple[Contest, Task]:
    """Every contestant of a "gated" or "cost" row on one task, with the same weights."""
    task = draw_task(row)
    if row.kind == "cost":
        return _option_and_plain(row, task), task
    if row.options:
        return _variant(row, task), task
    module = TORCH[row.op](*row.shape[2:], batch_first=True)
    layer = nn.from_torch(module)
    if row.ragged:
        return _ragged(module, layer, task), task
    runs = {
        "unrolled": torch_task(layer, layer, task),
        NN[0]: torch_task(module, module, task),
        "Python loop": torch_task(loop := LOOPS[row.op](layer), loop, task),
    }
    absent: dict[str, str] = {}
    if row.mode == "inference":
        _enter("onnxruntime", onnx_task(row.op, layer, task.x, threads), runs, absent)
    _enter("JAX", jax_task(row.op, layer, task.x, task.gradient), runs, absent)
    return Contest(runs, absent), task


def draw_task(row: Row) -> Task:
    """Normal x and gradient; lengths uniform in T/4..T where the row is ragged, and zeros in the padding."""
    batch, time, features, hidden = row.shape
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, time, features, generator=generator)
    gradient = torch.randn(batch, time, hidden, generator=generator) if row.mode == "training" else None
    if not row.ragged:
        return Task(x, gradient, None)
    lengths = torch.randint(max(1, time // 4), time + 1, (batch,), generator=generator)
    lengths[0] = time
    padding = torch.arange(time) >= lengths[:, None]
    x[padding] = 0.0
    if gradient is not None:
        gradient[padding] = 0.0
    return Task(x, gradient, lengths)


def plain_layer(row: Row) -> Any:
    """Our cell with the row's options, where every weight is drawn, also those that start at 0 or 1."""
    torch.manual_seed(0)
    layer = OURS[row.op](*row.shape[2:], **{k: v for k, v in row.options.items() if k != "zoneout"})
    with torch.no_grad():
        for weight in layer.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
        if getattr(layer, "norm_h", None) is not None:
            # With gains of 1 and random weights the reference itself multiplies a rounding by 10^6 in 1000 steps.
            layer.norm_h.mul_(0.5)
    return layer


def torch_task(forward: Callable[..., Any], owner: torch.nn.Module, task: Task, **options: Any) -> Run:
    """One pass of a module that returns (y, state): y alone, or y and the gradient of x, with those of all weights."""
    if task.gradient is None:
        owner.eval()

        def infer() -> Sequence[Any]:
            with torch.inference_mode():
                return (forward(task.x, **options)[0],)

        return infer
    x = task.x.clone().requires_grad_()
    wanted = [x, *owner.parameters()]

    def train() -> Sequence[Any]:
        y = forward(x, **options)[0]
        return y.detach(), torch.autograd.grad(y, wanted, task.gradient)[0]

    return train


def _enter(name: str, found: Run | str, runs: dict[str, Run], absent: dict[str, str]) -> None:
    if isinstance(found, str):
        absent[name] = found
    else:
        runs[name] = found


def _ragged(module: Any, layer: Any, task: Task) -> Contest:
    def packed(x: Tensor) -> tuple[Tensor, Any]:
        short = pack_padded_sequence(x, task.lengths, batch_first=True, enforce_sorted=False)
        y, state = module(short)
        return pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])[0], state

    def padded(x: Tensor) -> tuple[Tensor, Any]:
        y, state = module(x)
        # Whoever pads must take the padding out of the loss; a selection is the cheapest way.
        return torch.where(valid, y, 0.0), state

    valid = (torch.arange(task.x.shape[1]) < task.lengths[:, None])[..., None]
    return Contest(
        {
            "unrolled": torch_task(layer, layer, task, lengths=task.lengths),
            "torch.nn packed": torch_task(packed, module, task),
            "torch.nn padded": torch_task(padded, module, task),
        },
        {},
    )


def _variant(row: Row, task: Task) -> Contest:
    layer = plain_layer(row)
    reference = OURS[row.op](*row.shape[2:], **row.options, kernel="reference")
    reference.load_state_dict(layer.state_dict())
    loop = LOOPS[row.op](layer)
    return Contest(
        {
            "unrolled": torch_task(layer, layer, task),
            "Python loop": torch_task(loop, loop, task),
            "our reference": torch_task(reference, reference, task),
        },
        {},
    )


def _option_and_plain(row: Row, task: Task) -> Contest:
    layer, plain = plain_layer(row), OURS[row.op](*row.shape[2:])
    if "zoneout" in row.options:
        layer = nn.Zoneout(layer, 0.1)
    return Contest({"unrolled": torch_task(layer, layer, task), "unrolled plain": torch_task(plain, plain, task)}, {})
