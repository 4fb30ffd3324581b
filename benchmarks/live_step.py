"""One live step from Python: our Stepper against torch.nn's cells, onnxruntime and a jitted JAX step.

    python benchmarks/live_step.py                       # every row; those that today's file has are not repeated
    python benchmarks/live_step.py 'lstm-live-*' --again

One stream, H = I, the state carried from step to step. torch in and out is measured against torch.nn, numpy in and out
against onnxruntime and JAX, in rows of their own, whose output is numpy too; both make a fresh y. "In place" writes x
into the Stepper's buffer, advances, and hands out the buffer of y, which the next step writes over; "unwatched" has
watch=False too. A row is refused while the law of its op's kernels is broken, or when the contestants' outputs after
some steps differ; with bf16 or int8 weights the distance to float32 is recorded. The modern cells run against their own
step by torch; "within" says whether the median step of torch tensors kept the row's limit.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch
from others import import_jax, jax_step, jax_weights, onnx_session, state_names
from race import compare, judged, prove, run_rows
from rows import LIVE, Row
from timing import interleave

from unrolled import nn

CELLS = {"lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell}
SEQUENCES = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
STEPS = 100
"""Steps of a call of `Stepper.run`, and of the comparison."""

IN_PLACE, UNWATCHED = "unrolled in place", "unrolled in place, unwatched"
MANY = f"unrolled, one of {STEPS} in a call"

Step = Callable[[np.ndarray], Any]
"""x (1, H) -> y (1, H), the state kept inside; x is a torch tensor for contestants of torch."""


def measure(row: Row, asked: argparse.Namespace) -> dict[str, Any]:
    """Every contestant of one row: outputs first, then time."""
    width = row.shape[-1]
    torch.manual_seed(0)
    module, layer = layers(row)
    prove(row.op, (), quick=asked.smoke)
    weights = row.options["weights"]
    steps, absent = contestants(row, module, layer, asked.threads)
    xs = np.random.default_rng(0).standard_normal((STEPS, 1, width)).astype(np.float32)
    outputs = {name: [_walk(step, _given(name, xs))] for name, step in steps.items()}
    coarse = outputs.pop(row.ours) if weights != "float32" else None
    found: dict[str, Any] = {"absent": absent, "rounds": asked.rounds}
    found["largest_difference"] = float(f"{compare(outputs, 'layer.step'):.2g}")
    if coarse is not None:
        difference = compare({row.ours: coarse, **outputs}, "layer.step", 0.2)
        found["differences"] = {row.ours: float(f"{difference:.2g}")}
    runs = {name: _bound(step, _given(name, xs)[0]) for name, step in steps.items()}
    many = make_stepper(layer, weights)()
    runs[MANY] = lambda: many.run(xs)
    times = interleave(runs, rounds=asked.rounds, seconds=asked.seconds)
    times[MANY] = [value / STEPS for value in times[MANY]]
    limit = row.options.get("limit")
    if limit is not None:
        found |= {"limit_us": limit, "within": median(times[row.ours]) * 1e6 <= limit}
    return found | judged(row, times, asked.threads)


def layers(row: Row) -> tuple[Any, Any]:
    """The layer of torch.nn, or None where it has none, and ours; of our own cells all weights are stirred."""
    width = row.shape[-1]
    if "cell" in row.options:
        layer = nn.make_cell(row.options["cell"], width, width).eval()
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
        return None, layer
    module = SEQUENCES[row.op](width, width, batch_first=True).eval()
    return module, nn.from_torch(module).eval()


def contestants(row: Row, module: Any, layer: Any, threads: int) -> tuple[dict[str, Step], dict[str, str]]:
    """A step function by name, and why others are absent."""
    make = make_stepper(layer, row.options["weights"])
    if row.options["weights"] == "float32":
        steps: dict[str, Step] = {"unrolled": make().step, "unrolled torch": make().step}
        steps |= {IN_PLACE: in_place_step(make()), UNWATCHED: in_place_step(nn.Stepper(layer, watch=False))}
    else:
        steps = {row.ours: make().step}
    steps["layer.step"] = layer_step(layer)
    if module is None:
        return steps | {"by torch": layer_step(layer, torch.no_grad)}, {}
    cell = CELLS[row.op].__name__
    if cell in row.against:
        # By itself, so that no thread of the others is at work beside it.
        return steps | {cell: cell_step(row.op, module), SEQUENCES[row.op].__name__: sequence_step(module)}, {}
    absent: dict[str, str] = {}
    for name, found in (
        ("onnxruntime", onnx_step(row.op, layer, threads)),
        ("onnxruntime 1 thread", onnx_step(row.op, layer, 1)),
        ("JAX", jax_live(row.op, layer)),
    ):
        if isinstance(found, str):
            absent[name] = found
        else:
            steps[name] = found
    return steps, absent


def make_stepper(layer: Any, weights: str) -> Callable[[], Any]:
    """Makes fresh Steppers of one stream."""
    options = {} if weights == "float32" else {"weights": weights}
    return lambda: nn.Stepper(layer, batch=1, **options)


def in_place_step(stepper: Any) -> Step:
    """From buffer to buffer; the caller's x is written into the one, and the other is handed out."""
    inside, outside, advance = stepper.x.numpy(), stepper.y.numpy(), stepper.advance

    def step(x: np.ndarray) -> Any:
        inside[:] = x
        advance()
        return outside

    return step


def layer_step(layer: Any, mode: Callable[[], Any] = torch.inference_mode) -> Step:
    """The layer's own step, torch in and out; outside of inference mode torch's own functions take it."""
    state = layer.initial_state(1)

    def step(x: Any) -> Any:
        nonlocal state
        with mode():
            y, state = layer.step(x, state)
        return y

    return step


def cell_step(op: str, module: Any) -> Step:
    """torch.nn's cell with the weights of its layer."""
    cell = CELLS[op](module.input_size, module.hidden_size)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in module.state_dict().items()})
    state: Any = None

    def step(x: Any) -> Any:
        nonlocal state
        with torch.inference_mode():
            state = cell(x, state)
        return state[0] if op == "lstm" else state

    return step


def sequence_step(module: Any) -> Step:
    """torch.nn's layer on sequences of one step."""
    state: Any = None

    def step(x: Any) -> Any:
        nonlocal state
        with torch.inference_mode():
            y, state = module(x[:, None], state)
            return y[:, 0]

    return step


def onnx_step(op: str, layer: Any, threads: int) -> Step | str:
    """onnxruntime on sequences of one step."""
    session = onnx_session(op, layer, threads)
    if isinstance(session, str):
        return session
    names = state_names(op)
    outputs = ["y", *(f"new_{name}" for name in names)]
    state = {name: np.zeros((1, 1, layer.output_size), np.float32) for name in names}

    def step(x: Any) -> Any:
        nonlocal state
        y, *new = session.run(outputs, {"x": x[None], **state})
        state = dict(zip(names, new, strict=True))
        return y[0, 0]

    return step


def jax_live(op: str, layer: Any) -> Step | str:
    """A jitted step; the state stays an array of JAX, the output becomes numpy."""
    jax = import_jax()
    if isinstance(jax, str):
        return jax
    recur, weights = jax_step(op), jax_weights(layer)

    def whole(weights: Any, state: Any, x: Any) -> Any:
        return recur(weights, state, x @ weights["weight_x"].T + weights["bias"])

    compiled = jax.jit(whole)
    state: Any = (jax.numpy.zeros((1, layer.output_size)),) * len(state_names(op))

    def step(x: Any) -> Any:
        nonlocal state
        state, y = compiled(weights, state, x)
        return np.asarray(y)

    return step


NUMPY = ("unrolled", IN_PLACE, UNWATCHED, "onnxruntime", "onnxruntime 1 thread", "JAX")


def _given(name: str, xs: np.ndarray) -> Any:
    """xs (T, 1, H) as the contestant wants them."""
    return xs if name in NUMPY else torch.from_numpy(xs)


def _walk(step: Step, xs: Any) -> np.ndarray:
    """All outputs, copied, since a step may hand out the same memory again."""
    return np.stack([np.array(step(x)) for x in xs])


def _bound(step: Step, x: Any) -> Callable[[], Any]:
    return lambda: step(x)


if __name__ == "__main__":
    sys.exit(run_rows(LIVE, measure, "live_step", __doc__))
