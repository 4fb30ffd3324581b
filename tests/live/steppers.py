"""Layers, inputs and comparisons that the tests of `Stepper` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from unrolled.nn import (
    GRU,
    LRU,
    LSTM,
    RGLRU,
    RNN,
    SLSTM,
    LSTMState,
    MinGRU,
    MinLSTM,
    Recurrent,
    Residual,
    Stack,
    Stepper,
    Zoneout,
)
from unrolled.nn.blocks import (
    RWKV7,
    CausalConv,
    GatedDeltaNet,
    MLSTMBlock,
    RWKV7ChannelMix,
    RWKV7TimeMix,
    SLSTMBlock,
    TokenShift,
)
from unrolled.nn.cells.mlstm import MLSTM

INPUT = 6
TIMES = 5
ROUNDING = 64
"""Units in the last place that a step may differ: sums in another order, and exp and tanh of the kernels' own."""


def lstm(**options: Any) -> Callable[[int], Recurrent[Any]]:
    return lambda hidden: LSTM(INPUT, hidden, **options)


def gru(**options: Any) -> Callable[[int], Recurrent[Any]]:
    return lambda hidden: GRU(INPUT, hidden, **options)


LAYERS: dict[str, Callable[[int], Recurrent[Any]]] = {
    "rnn": lambda hidden: RNN(INPUT, hidden),
    "rnn relu": lambda hidden: RNN(INPUT, hidden, nonlinearity="relu", bias=False),
    "lstm": lstm(),
    "lstm without bias": lstm(bias=False, peephole=True),
    "lstm coupled": lstm(coupled=True, learn_initial_state=True),
    "lstm peephole coupled": lstm(coupled=True, peephole=True),
    "lstm projection": lstm(projection_size=4),
    "lstm layer norm": lstm(layer_norm=True),
    "lstm everything": lstm(peephole=True, coupled=True, projection_size=4, layer_norm=True, learn_initial_state=True),
    "gru after": gru(),
    "gru before": gru(reset="before", bias=False),
    "gru after layer norm": gru(layer_norm=True, learn_initial_state=True),
    "gru before layer norm": gru(reset="before", layer_norm=True),
    "zoneout lstm": lambda hidden: Zoneout(LSTM(INPUT, hidden, projection_size=4), LSTMState(h=0.1, c=0.4)),
    "zoneout gru": lambda hidden: Zoneout(GRU(INPUT, hidden), 0.3),
    "stack": lambda hidden: Stack(
        [LSTM(INPUT, hidden, peephole=True), Stack([Zoneout(GRU(hidden, 9), 0.2)]), RNN(9, 4)], dropout=0.5
    ),
}

PROGRAMS: dict[str, Callable[[int], Recurrent[Any]]] = {
    "min gru": lambda hidden: MinGRU(INPUT, hidden, learn_initial_state=True),
    "min gru log": lambda hidden: MinGRU(INPUT, hidden, form="log", bias=False),
    "min lstm": lambda hidden: MinLSTM(INPUT, hidden),
    "min lstm log": lambda hidden: MinLSTM(INPUT, hidden, form="log"),
    "rg-lru": lambda hidden: RGLRU(INPUT, hidden),
    "rg-lru heads": lambda hidden: RGLRU(INPUT, INPUT, heads=3, projection=False),
    "lru": lambda hidden: LRU(INPUT, hidden, state_size=7, learn_initial_state=True),
    "slstm": lambda hidden: SLSTM(INPUT, hidden + 1),
    "slstm one head": lambda hidden: SLSTM(INPUT, hidden, heads=1, forget="exponential", bias=False),
    "mlstm": lambda hidden: MLSTM(INPUT, hidden + 1),
    "mlstm one head": lambda hidden: MLSTM(INPUT, hidden, heads=1, bias=False),
    "slstm block": lambda hidden: SLSTMBlock(INPUT, hidden + 1, heads=4),
    "slstm block without convolution": lambda hidden: SLSTMBlock(INPUT, INPUT, heads=2, conv=0, exponential=True),
    "mlstm block": lambda hidden: MLSTMBlock(INPUT, hidden),
    "mlstm block heads": lambda hidden: MLSTMBlock(INPUT, INPUT, heads=3, conv=2, block=3),
    "rwkv7": lambda hidden: RWKV7(INPUT, hidden + 1, heads=4, layers=3),
    "rwkv7 one layer": lambda hidden: RWKV7(INPUT, INPUT),
    "time mix": lambda hidden: RWKV7TimeMix(INPUT, hidden),
    "channel mix": lambda hidden: RWKV7ChannelMix(INPUT, hidden),
    "gated deltanet": lambda hidden: GatedDeltaNet(INPUT, hidden + 1, heads=4, expand_values=2),
    "deltanet": lambda hidden: GatedDeltaNet(INPUT, hidden, conv=0, decay=False, gate=False),
    "deltanet negative": lambda hidden: GatedDeltaNet(INPUT, hidden, negative_eigenvalues=True),
    "convolution": lambda hidden: CausalConv(INPUT, width=3, bias=False),
    "residual": lambda hidden: Residual(Stack([TokenShift(INPUT), LSTM(INPUT, hidden), GRU(hidden, INPUT)]), norm=True),
    "zoneout min gru": lambda hidden: Zoneout(MinGRU(INPUT, hidden), 0.3),
    "mixed stack": lambda hidden: Stack(
        [GRU(INPUT, hidden), Residual(Zoneout(LSTM(hidden, hidden), 0.2)), MinLSTM(hidden, 5), RNN(5, 4)], dropout=0.5
    ),
}
"""What runs as a program, and stacks of that and the others."""

LAYERS |= PROGRAMS


def make(name: str, hidden: int = 19, dtype: torch.dtype = torch.float64) -> Recurrent[Any]:
    """A layer in evaluation whose every parameter, an initial state too, says something."""
    torch.manual_seed(0)
    layer = LAYERS[name](hidden).to(dtype).eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return layer


def samples(batch: int, times: int = TIMES, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(times, batch, INPUT, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)


def expected(layer: Recurrent[Any], xs: Tensor, state: Any = None) -> tuple[Tensor, Any]:
    """ys (T, B, O) and the state after them, by single steps of the layer in float64."""
    state = layer.initial_state(xs.shape[1], dtype=xs.dtype) if state is None else state
    ys = []
    with torch.no_grad():
        for x in xs:
            y, state = layer.step(x, state)
            ys.append(y)
    return torch.stack(ys), state


def assert_near(got: Any, want: Tensor, units: float = ROUNDING) -> None:
    """Equal but for rounding in the dtype of `got`, of numbers of size 1 or as large as the largest."""
    values = torch.as_tensor(got)
    rounding = units * torch.finfo(values.dtype).eps * max(1.0, want.abs().max().item() if want.numel() else 0.0)
    torch.testing.assert_close(values.double(), want.double(), rtol=0, atol=rounding)


def steps(stepper: Stepper[Any], xs: Tensor) -> Tensor:
    return torch.stack([stepper.step(x) for x in xs])
