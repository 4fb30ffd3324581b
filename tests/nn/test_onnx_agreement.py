"""The cells against onnxruntime's RNN, GRU and LSTM, given the same weights.

ONNX stacks gates as i, o, f, c (LSTM) and z, r, h (GRU), ours are i, f, g, o and r, z, n; its peepholes are p_i, p_o,
p_f; it has two biases, Wb and Rb, and is time first. Its CPU kernels run in float32, so the truth here is ours in
float64, and the error allowed is a few times that of ours in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from unrolled.nn import GRU, LSTM, RNN, Recurrent
from unrolled.nn.wrappers.bidirectional import Bidirectional, Both
from unrolled.ops.lstm.reference import LSTMState
from unrolled.padding import reverse_padded
from unrolled.state import HState, leaves, map_state

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

TIME, BATCH, FEATURES, HIDDEN = 9, 4, 3, 5
LENGTHS = (9, 4, 1, 6)
DIRECTIONS = ("forward", "reverse", "bidirectional")

MULTIPLE = 8
"""onnxruntime may lose this many times what our own float32 loses: it has fast approximations of exp and tanh."""


def run_onnx(
    kind: str, inputs: dict[str, np.ndarray | None], outputs: Sequence[str], **attributes: Any
) -> list[np.ndarray]:
    """Run a model of a single node in onnxruntime; inputs in the operator's order, None where left out."""
    given = {name: value for name, value in inputs.items() if value is not None}
    node = onnx.helper.make_node(kind, [name if name in given else "" for name in inputs], list(outputs), **attributes)
    element = {np.dtype(np.float32): onnx.TensorProto.FLOAT, np.dtype(np.int32): onnx.TensorProto.INT32}
    graph = onnx.helper.make_graph(
        [node],
        kind,
        [onnx.helper.make_tensor_value_info(n, element[v.dtype], v.shape) for n, v in given.items()],
        [
            onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [None] * (4 if n == "Y" else 3))
            for n in outputs
        ],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, given))


def draw(seed: int, *shape: int) -> Tensor:
    return 0.6 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def numpy(*tensors: Tensor) -> np.ndarray:
    """One tensor a direction, stacked: (directions, ...)."""
    return torch.stack(tensors).numpy()


def reorder(stacked: Tensor, order: Sequence[int]) -> Tensor:
    """Gate blocks of (gates * hidden, ...) in another order."""
    blocks = stacked.chunk(len(order))
    return torch.cat([blocks[i] for i in order])


def assert_agrees(layer: Recurrent[Any], state: Any, lengths: Any, direction: str, theirs: list[np.ndarray]) -> None:
    """Our float64 is the truth; onnxruntime may be off by a few times what our own float32 is off."""
    x = draw(1, BATCH, TIME, FEATURES)
    single = run_ours(layer, x, state, lengths, direction)
    exact = run_ours(layer.double(), x.double(), map_state(Tensor.double, state), lengths, direction)
    for want, ours, got in zip(exact, single, theirs, strict=True):
        assert got.shape == tuple(want.shape)
        loss = float((ours.double() - want).abs().max())
        floor = 32 * torch.finfo(torch.float32).eps * max(1.0, float(want.abs().max()))
        assert float((torch.from_numpy(got).double() - want).abs().max()) <= MULTIPLE * loss + floor


def run_ours(layer: Recurrent[Any], x: Tensor, state: Any, lengths: Any, direction: str) -> list[Tensor]:
    """y as ONNX has it, (time, directions, batch, hidden), and final leaves (directions, batch, hidden)."""
    counts = None if lengths is None else torch.tensor(lengths)
    with torch.no_grad():
        y, final = layer(reverse_padded(x, counts) if direction == "reverse" else x, state, lengths=counts)
    if direction == "reverse":
        y = reverse_padded(y, counts)
    count = 2 if direction == "bidirectional" else 1
    y = y.unflatten(2, (count, HIDDEN)).permute(1, 2, 0, 3)
    finals = leaves(final)
    # A bidirectional state lists all leaves forwards, then all leaves backwards.
    width = len(finals) // count
    return [y, *(torch.stack(finals[i::width]) for i in range(width))]


def cells(kind: type, direction: str, **options: Any) -> list[Any]:
    made = []
    for number in range(2 if direction == "bidirectional" else 1):
        torch.manual_seed(10 + number)
        cell = kind(FEATURES, HIDDEN, **options)
        with torch.no_grad():
            for parameter in cell.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.4)
        made.append(cell)
    return made


def joined(made: list[Any], states: list[Any]) -> tuple[Recurrent[Any], Any]:
    return (Bidirectional(*made), Both(*states)) if len(made) == 2 else (made[0], states[0])


def onnx_x() -> np.ndarray:
    return draw(1, BATCH, TIME, FEATURES).transpose(0, 1).contiguous().numpy()


def onnx_lengths(lengths: Any) -> np.ndarray | None:
    return None if lengths is None else np.array(lengths, dtype=np.int32)


def parts(tensor: Tensor, split: float = 0.25) -> Tensor:
    """One bias as ONNX's two, Wb and Rb, which add up to it."""
    return torch.cat([split * tensor, (1 - split) * tensor])


@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_rnn_equals_onnxruntime(nonlinearity: str, direction: str, lengths: Any) -> None:
    made = cells(RNN, direction, nonlinearity=nonlinearity)
    states = [HState(draw(20 + i, BATCH, HIDDEN)) for i in range(len(made))]
    names = {"tanh": "Tanh", "relu": "Relu"}
    with torch.no_grad():
        inputs = {
            "X": onnx_x(),
            "W": numpy(*(c.weight_x for c in made)),
            "R": numpy(*(c.weight_h for c in made)),
            "B": numpy(*(parts(c.bias) for c in made)),
            "sequence_lens": onnx_lengths(lengths),
            "initial_h": numpy(*(s.h for s in states)),
        }
    theirs = run_onnx(
        "RNN", inputs, ["Y", "Y_h"], hidden_size=HIDDEN, direction=direction,
        activations=[names[nonlinearity]] * len(made),
    )  # fmt: skip
    assert_agrees(*joined(made, states), lengths, direction, theirs)


def gru_inputs(made: list[Any], states: list[Any], lengths: Any) -> dict[str, np.ndarray | None]:
    order = (1, 0, 2)
    with torch.no_grad():
        biases = []
        for cell in made:
            bias = reorder(cell.bias, order)
            if cell.bias_h is None:
                biases.append(parts(bias))
            else:
                # The n parts of Wb and Rb stand outside and inside r * (...): only those of z and r may be split.
                split = 0.25 * bias[: 2 * HIDDEN]
                biases.append(torch.cat([split, bias[2 * HIDDEN :], bias[: 2 * HIDDEN] - split, cell.bias_h]))
        return {
            "X": onnx_x(),
            "W": numpy(*(reorder(c.weight_x, order) for c in made)),
            "R": numpy(*(reorder(c.weight_h, order) for c in made)),
            "B": numpy(*biases),
            "sequence_lens": onnx_lengths(lengths),
            "initial_h": None if states[0] is None else numpy(*(s.h for s in states)),
        }


@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("reset", ["after", "before"])
def test_gru_equals_onnxruntime(reset: str, direction: str, lengths: Any) -> None:
    made = cells(GRU, direction, reset=reset)
    states = [HState(draw(20 + i, BATCH, HIDDEN)) for i in range(len(made))]
    theirs = run_onnx(
        "GRU", gru_inputs(made, states, lengths), ["Y", "Y_h"], hidden_size=HIDDEN, direction=direction,
        linear_before_reset=int(reset == "after"),
    )  # fmt: skip
    assert_agrees(*joined(made, states), lengths, direction, theirs)


def lstm_order(cell: LSTM) -> Any:
    """Ours i, f, g, o (coupled: i, g, o) to ONNX's i, o, f, c; coupled, ONNX never reads f, so i stands in for it."""

    def reordered(stacked: Tensor) -> Tensor:
        if cell.coupled:
            i, g, o = stacked.chunk(3)
            return torch.cat([i, o, i, g])
        return reorder(stacked, (0, 3, 1, 2))

    return reordered


def lstm_inputs(made: list[LSTM], states: list[Any], lengths: Any) -> dict[str, np.ndarray | None]:
    with torch.no_grad():
        peepholes = []
        for cell in made:
            if cell.peephole is not None:
                i, *f, o = cell.peephole
                peepholes.append(torch.cat([i, o, f[0] if f else i]))
        return {
            "X": onnx_x(),
            "W": numpy(*(lstm_order(c)(c.weight_x) for c in made)),
            "R": numpy(*(lstm_order(c)(c.weight_h) for c in made)),
            "B": numpy(*(parts(lstm_order(c)(c.bias)) for c in made)),
            "sequence_lens": onnx_lengths(lengths),
            "initial_h": None if states[0] is None else numpy(*(s.h for s in states)),
            "initial_c": None if states[0] is None else numpy(*(s.c for s in states)),
            "P": numpy(*peepholes) if peepholes else None,
        }


@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("peephole", [False, True])
def test_lstm_equals_onnxruntime(peephole: bool, coupled: bool, direction: str, lengths: Any) -> None:
    made = cells(LSTM, direction, peephole=peephole, coupled=coupled)
    states = [LSTMState(draw(20 + i, BATCH, HIDDEN), draw(30 + i, BATCH, HIDDEN)) for i in range(len(made))]
    theirs = run_onnx(
        "LSTM", lstm_inputs(made, states, lengths), ["Y", "Y_h", "Y_c"], hidden_size=HIDDEN, direction=direction,
        input_forget=int(coupled),
    )  # fmt: skip
    assert_agrees(*joined(made, states), lengths, direction, theirs)


def test_no_initial_state_means_zero_in_both() -> None:
    (cell,) = cells(GRU, "forward")
    theirs = run_onnx(
        "GRU", gru_inputs([cell], [None], LENGTHS), ["Y", "Y_h"], hidden_size=HIDDEN, linear_before_reset=1
    )
    assert_agrees(cell, cell.initial_state(BATCH), LENGTHS, "forward", theirs)
    (lstm,) = cells(LSTM, "forward", peephole=True)
    theirs = run_onnx("LSTM", lstm_inputs([lstm], [None], LENGTHS), ["Y", "Y_h", "Y_c"], hidden_size=HIDDEN)
    assert_agrees(lstm, lstm.initial_state(BATCH), LENGTHS, "forward", theirs)


def test_the_comparison_sees_a_wrong_gate_order() -> None:
    (cell,) = cells(GRU, "forward")
    inputs = gru_inputs([cell], [None], None)
    weights = inputs["W"]
    assert weights is not None
    inputs["W"] = np.concatenate([weights[:, HIDDEN : 2 * HIDDEN], weights[:, :HIDDEN], weights[:, 2 * HIDDEN :]], 1)
    theirs = run_onnx("GRU", inputs, ["Y", "Y_h"], hidden_size=HIDDEN, linear_before_reset=1)
    with pytest.raises(AssertionError):
        assert_agrees(cell, cell.initial_state(BATCH), None, "forward", theirs)
