"""Encoders from options: which layers and wrappers they hold, in which order, with which random draws."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from unrolled.errors import OptionError
from unrolled.nn import (
    GRU,
    LSTM,
    Bidirectional,
    DropConnect,
    EncoderOptions,
    LSTMState,
    MinGRU,
    Recurrent,
    Residual,
    Stack,
    VariationalDropout,
    Zoneout,
    make_cell,
    make_encoder,
)
from unrolled.testing import check_recurrent


def build(input_size: int = 3, **options: Any) -> Recurrent[Any]:
    return make_encoder(input_size, EncoderOptions(**{"hidden_size": 4} | options))


def test_one_plain_layer_is_the_cell_itself() -> None:
    encoder = build(cell="gru", cell_options={"bias": False})
    assert type(encoder) is GRU
    assert "bias" not in encoder.state_dict()


def test_plain_layers_are_a_stack_of_cells_with_its_names_and_draws() -> None:
    torch.manual_seed(3)
    expected = Stack([make_cell("lstm", 3, 4, projection_size=2), make_cell("lstm", 2, 4, projection_size=2)], 0.1)
    torch.manual_seed(3)
    encoder = build(layers=2, dropout=0.1, cell_options={"projection_size": 2})
    assert type(encoder) is Stack
    assert encoder.dropout == 0.1
    got, want = encoder.state_dict(), expected.state_dict()
    assert list(got) == list(want)
    assert all(torch.equal(got[name], want[name]) for name in want)


def test_both_ways_hold_hidden_size_features_each() -> None:
    encoder = build(bidirectional=True, layers=2)
    assert isinstance(encoder, Stack)
    assert [(layer.input_size, layer.output_size) for layer in encoder.layers] == [(3, 8), (8, 8)]  # type: ignore[misc]
    assert all(isinstance(layer, Bidirectional) for layer in encoder.layers)


def test_wrappers_hold_each_other_in_the_stated_order() -> None:
    encoder = build(
        4,
        layers=2,
        residual=True,
        layer_dropout=0.1,
        input_dropout=0.2,
        output_dropout=0.3,
        recurrent_dropout=0.4,
        weight_dropout=0.5,
        zoneout=(0.05, 0.5),
    )
    assert isinstance(encoder, VariationalDropout)
    assert (encoder.input_rate, encoder.output_rate, encoder.recurrent_rate) == (0.2, 0.3, 0)
    stack: Any = encoder.layer
    between, last = stack.layers
    assert isinstance(between, VariationalDropout)
    assert (between.input_rate, between.output_rate) == (0, 0.1)
    for added in (between.layer, last):
        assert isinstance(added, Residual)
        dropped: Any = added.layer
        assert isinstance(dropped, DropConnect)
        assert dropped.rate == 0.5
        assert dropped.layer.recurrent_rate == 0.4
        zoned = dropped.layer.layer
        assert isinstance(zoned, Zoneout)
        assert zoned.rates == LSTMState(0.05, 0.5)
        assert isinstance(zoned.cell, LSTM)


def test_the_residual_is_added_only_where_widths_agree() -> None:
    encoder = build(3, layers=3, residual=True)
    assert isinstance(encoder, Stack)
    assert [type(layer) for layer in encoder.layers] == [LSTM, Residual, Residual]


def test_a_residual_may_norm_what_its_layer_reads() -> None:
    encoder: Any = build(3, cell="mingru", layers=2, residual="norm")
    assert [type(layer) for layer in encoder.layers] == [MinGRU, Residual]
    assert encoder.layers[1].norm is not None


EVERYTHING: dict[str, Any] = {
    "cell": "gru", "layers": 2, "dropout": 0.1, "layer_dropout": 0.1, "input_dropout": 0.1, "output_dropout": 0.1,
    "recurrent_dropout": 0.1, "weight_dropout": 0.1, "zoneout": 0.1, "residual": True,
}  # fmt: skip


@pytest.mark.parametrize("bidirectional", [False, True])
def test_an_encoder_with_everything_keeps_the_laws(bidirectional: bool) -> None:
    check_recurrent(lambda: build(**EVERYTHING, bidirectional=bidirectional), graphs=False)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_an_encoder_with_everything_trains_and_is_sure_in_evaluation(bidirectional: bool) -> None:
    torch.manual_seed(0)
    encoder, x = build(**EVERYTHING, bidirectional=bidirectional), torch.randn(2, 5, 3)

    def run() -> Tensor:
        return encoder(x, lengths=[5, 2])[0]

    first = run()
    assert not torch.equal(run(), first)
    slopes = torch.autograd.grad(first.square().sum(), list(encoder.parameters()))
    assert all(bool((slope != 0).any()) for slope in slopes)
    encoder.eval()
    assert torch.equal(run(), run())


def test_options_survive_json() -> None:
    for zoneout in (0.1, (0.05, 0.5)):
        options = EncoderOptions(cell_options={"peephole": True}, zoneout=zoneout, layers=3)
        assert EncoderOptions(**options.to_json()) == options


def test_mistakes_are_told_in_one_sentence() -> None:
    with pytest.raises(OptionError, match=r"there is no option 'hiden_size'\. Did you mean 'hidden_size' \("):
        EncoderOptions(hiden_size=3)
    with pytest.raises(OptionError, match=r"make_cell: cell must be one of .*, got 'ltsm'"):
        build(cell="ltsm")
    with pytest.raises(OptionError, match="LSTM: option 'peepole' is unknown"):
        build(cell_options={"peepole": True})
    with pytest.raises(OptionError, match=r"one for each of the 2 parts of the cell's state, got 3; give zoneout="):
        build(zoneout=(0.1, 0.1, 0.1))
    with pytest.raises(OptionError, match="residual=True needs a layer that gives as many features as it takes"):
        build(3, residual=True)
    with pytest.raises(OptionError, match=r"weight_dropout=1\.0: "):
        EncoderOptions(weight_dropout=1.0)
