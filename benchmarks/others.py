"""Contestants outside torch: onnxruntime and JAX. A peer that cannot be imported is a sentence that says why."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["import_jax", "jax_step", "jax_task", "jax_weights", "onnx_session", "onnx_task", "state_names"]

Run = Callable[[], Sequence[Any]]

GATES = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "rnn": (0,)}
"""Where ONNX's gates stand among ours."""


def state_names(op: str) -> tuple[str, ...]:
    """Leaves of the state of a cell."""
    return ("h", "c") if op == "lstm" else ("h",)


def onnx_task(op: str, layer: Any, x: Tensor, threads: int) -> Run | str:
    """One pass of onnxruntime over the sequence, time first as it wants it; or why there is none."""
    session = onnx_session(op, layer, threads)
    if isinstance(session, str):
        return session
    zeros = np.zeros((1, x.shape[0], layer.output_size), np.float32)
    feed = {"x": x.transpose(0, 1).contiguous().numpy(), **dict.fromkeys(state_names(op), zeros)}

    def infer() -> Sequence[Any]:
        y = session.run(["y"], feed)[0]
        return (y[:, 0].swapaxes(0, 1),)

    return infer


def onnx_session(op: str, layer: Any, threads: int) -> Any:
    """A session of one recurrent node: x (T, B, I), h (1, B, H), for an LSTM c -> y (T, 1, B, H), new_h, new_c."""
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        return f"cannot be imported: {error}"
    inputs = ["x", "weight_x", "weight_h", "bias", "", *state_names(op)]
    outputs = ["y", *(f"new_{name}" for name in state_names(op))]
    extra = {"linear_before_reset": 1} if op == "gru" else {}
    node = onnx.helper.make_node(op.upper(), inputs, outputs, hidden_size=layer.output_size, **extra)
    made = [onnx.numpy_helper.from_array(v, name) for name, v in _onnx_weights(op, layer).items()]

    def value(name: str, rank: int) -> Any:
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * rank)

    graph = onnx.helper.make_graph(
        [node],
        op,
        [value(name, 3) for name in ("x", *state_names(op))],
        [value(name, 4 if name == "y" else 3) for name in outputs],
        made,
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that go on spinning after a run would take their core from whoever is timed next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _onnx_weights(op: str, layer: Any) -> dict[str, Any]:
    def reorder(stacked: Tensor) -> Tensor:
        blocks = stacked.detach().chunk(len(GATES[op]))
        return torch.cat([blocks[i] for i in GATES[op]])

    second = torch.zeros_like(layer.bias)
    if op == "gru":
        second[2 * layer.output_size :] = layer.bias_h.detach()
    bias = torch.cat([reorder(layer.bias), reorder(second)])
    weights = {"weight_x": reorder(layer.weight_x), "weight_h": reorder(layer.weight_h), "bias": bias}
    return {name: weight[None].numpy() for name, weight in weights.items()}


def import_jax() -> Any:
    """JAX on the CPU, or why there is none."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    try:
        import jax
    except ImportError as error:
        return f"cannot be imported: {error}"
    return jax


def jax_weights(layer: Any) -> dict[str, Any]:
    """Our parameters as JAX arrays."""
    return {name: import_jax().numpy.asarray(value.detach().numpy()) for name, value in layer.named_parameters()}


def jax_step(op: str) -> Callable[..., Any]:
    """step(weights, state, gates) -> (state, h), where gates holds W x + b of a step, and state (h, c) or (h,)."""
    jax = import_jax()
    sigmoid, tanh, split = jax.nn.sigmoid, jax.numpy.tanh, jax.numpy.split

    def lstm(weights: Any, state: Any, gates: Any) -> Any:
        h, c = state
        i, f, g, o = split(gates + h @ weights["weight_h"].T, 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(c)
        return (h, c), h

    def gru(weights: Any, state: Any, gates: Any) -> Any:
        (h,) = state
        (x_r, x_z, x_n), (h_r, h_z, h_n) = split(gates, 3, -1), split(h @ weights["weight_h"].T, 3, -1)
        z = sigmoid(x_z + h_z)
        h = z * h + (1 - z) * tanh(x_n + sigmoid(x_r + h_r) * (h_n + weights["bias_h"]))
        return (h,), h

    def rnn(weights: Any, state: Any, gates: Any) -> Any:
        h = tanh(gates + state[0] @ weights["weight_h"].T)
        return (h,), h

    return {"lstm": lstm, "gru": gru, "rnn": rnn}[op]


def jax_task(op: str, layer: Any, x: Tensor, gradient: Tensor | None) -> Run | str:
    """One pass of lax.scan, compiled; or why there is none."""
    jax = import_jax()
    if isinstance(jax, str):
        return jax
    step, numpy = jax_step(op), jax.numpy

    def forward(weights: Any, x: Any) -> Any:
        gates = numpy.swapaxes(x @ weights["weight_x"].T + weights["bias"], 0, 1)
        start = (numpy.zeros((x.shape[0], layer.output_size)),) * len(state_names(op))
        return numpy.swapaxes(jax.lax.scan(lambda state, one: step(weights, state, one), start, gates)[1], 0, 1)

    weights, given = jax_weights(layer), numpy.asarray(x.numpy())
    if gradient is None:
        infer = jax.jit(forward)
        return lambda: (jax.block_until_ready(infer(weights, given)),)
    weighted = numpy.asarray(gradient.numpy())

    def loss(weights: Any, x: Any) -> Any:
        y = forward(weights, x)
        return (y * weighted).sum(), y

    train = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))

    def run() -> Sequence[Any]:
        (_, y), (_, x_gradient) = jax.block_until_ready(train(weights, given))
        return y, x_gradient

    return run
