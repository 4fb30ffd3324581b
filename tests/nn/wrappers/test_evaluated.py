"""`nn.evaluated`: what evaluation does not use is taken off, parameters are shared, y is that of evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from unrolled.errors import OptionError
from unrolled.nn import (
    GRU,
    LSTM,
    Bidirectional,
    DropConnect,
    EncoderOptions,
    LSTMState,
    Residual,
    Stack,
    Stepper,
    VariationalDropout,
    Zoneout,
    evaluated,
    make_encoder,
)
from unrolled.ops import native
from unrolled.state import leaves

LAYERS: dict[str, Callable[[], Any]] = {
    "masks": lambda: VariationalDropout(GRU(3, 4), input=0.2, output=0.3, recurrent=0.4),
    "weights": lambda: DropConnect(LSTM(3, 4), 0.5),
    "both": lambda: VariationalDropout(DropConnect(Zoneout(LSTM(3, 4), 0.3), 0.5), output=0.5),
    "stack": lambda: Stack(
        [DropConnect(GRU(3, 4), 0.5), Residual(VariationalDropout(GRU(4, 4), input=0.5))], dropout=0.5
    ),
    "both ways": lambda: Bidirectional(DropConnect(GRU(3, 4), 0.5), GRU(3, 4)),
    "encoder": lambda: make_encoder(
        3,
        EncoderOptions(
            hidden_size=4, layers=3, input_dropout=0.1, output_dropout=0.1, recurrent_dropout=0.2, weight_dropout=0.3,
            layer_dropout=0.4, zoneout=(0.1, 0.2), residual="norm", dropout=0.3,
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_y_is_that_of_evaluation_and_the_layer_stays_in_training(name: str) -> None:
    torch.manual_seed(0)
    layer, x = LAYERS[name]().double(), torch.randn(2, 5, 3, dtype=torch.float64)
    plain = evaluated(layer)
    assert all(module.training for module in layer.modules())
    assert not any(module.training for module in plain.modules())
    assert not any(isinstance(module, VariationalDropout | DropConnect) for module in plain.modules())
    want, _ = layer.eval()(x)
    got, state = plain(x)
    assert torch.equal(got, want)
    assert all(leaf.shape[1] == 4 for leaf in leaves(state))


@pytest.mark.parametrize("name", LAYERS)
def test_parameters_are_shared(name: str) -> None:
    layer = LAYERS[name]()
    own = {id(parameter) for parameter in layer.parameters()}
    assert {id(parameter) for parameter in evaluated(layer).parameters()} == own


def test_a_new_parameter_of_the_layer_is_that_of_the_copy() -> None:
    layer = DropConnect(GRU(3, 4), 0.5)
    plain = evaluated(layer)
    layer.layer.weight_x = torch.nn.Parameter(torch.zeros(12, 3))
    assert plain.weight_x is layer.layer.weight_x


@pytest.mark.skipif(not native.available(), reason=native.reason() or "")
@pytest.mark.parametrize("name", [name for name in LAYERS if name != "both ways"])
def test_encoders_with_dropout_step_live(name: str) -> None:
    torch.manual_seed(0)
    layer, xs = LAYERS[name]().double(), torch.randn(5, 2, 3, dtype=torch.float64)
    want, _ = layer.eval()(xs.transpose(0, 1))
    for given in (evaluated(layer.train()), layer):
        stepper = Stepper(given, 2)
        got = torch.stack([stepper.step(x) for x in xs], 1)
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)


def test_zoneout_mixes_by_its_rates() -> None:
    plain = evaluated(VariationalDropout(Zoneout(LSTM(3, 4), LSTMState(0.1, 0.5)), input=0.5))
    assert isinstance(plain, Zoneout)
    assert plain.rates == LSTMState(0.1, 0.5)


def test_what_is_no_layer_is_refused() -> None:
    with pytest.raises(OptionError, match="evaluated: layer must be a Recurrent layer, got Linear"):
        evaluated(torch.nn.Linear(3, 4))  # type: ignore[arg-type]
