"""Our cells, stacks and bidirectional layers against torch.nn, in float64: outputs, final states, all gradients."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unrolled import nn as unn
from unrolled.errors import OptionError
from unrolled.state import leaves

CLOSE = {"rtol": 0.0, "atol": 1e-12}
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "rnn-tanh": (nn.RNN, {"nonlinearity": "tanh"}),
    "rnn-relu": (nn.RNN, {"nonlinearity": "relu"}),
    "lstm": (nn.LSTM, {}),
    "lstm-proj": (nn.LSTM, {"proj_size": 3}),
    "gru": (nn.GRU, {}),
}
SHAPES = list(itertools.product((1, 2, 3), (False, True), (True, False)))


def make_torch(kind: str, layers: int, both: bool, bias: bool = True) -> Any:
    torch.manual_seed(layers + 10 * both)
    make, options = KINDS[kind]
    shape = {"num_layers": layers, "bidirectional": both, "bias": bias}
    return make(4, 5, **shape, batch_first=True, dtype=torch.float64, **options)


def random_hx(module: Any, batch: int) -> tuple[Tensor, ...]:
    count = module.num_layers * (2 if module.bidirectional else 1)
    sizes = [module.proj_size or module.hidden_size] + [module.hidden_size] * isinstance(module, nn.LSTM)
    return tuple(torch.randn(count, batch, size, dtype=torch.float64).tanh().requires_grad_() for size in sizes)


def our_state(layer: Any, hx: tuple[Tensor, ...]) -> Any:
    """torch's hx as our state, leaf by leaf in torch's own order: layers, then directions."""
    parts = [tuple(part[i] for part in hx) for i in range(hx[0].shape[0])]
    kind = unn.LSTMState if len(hx) == 2 else unn.HState
    cells = [kind(*part) for part in parts]
    layers = list(layer.layers) if isinstance(layer, unn.Stack) else [layer]
    if isinstance(layers[0], unn.Bidirectional):
        cells = [unn.Both(*pair) for pair in zip(cells[::2], cells[1::2], strict=True)]
    return tuple(cells) if isinstance(layer, unn.Stack) else cells[0]


def torch_finals(result: Any) -> list[Tensor]:
    """Final states in the order of our leaves: h and c of one cell after another."""
    parts = result if isinstance(result, tuple) else (result,)
    return [part[i] for i in range(parts[0].shape[0]) for part in parts]


def cells_of(layer: Any) -> list[tuple[str, Any]]:
    layers = list(layer.layers) if isinstance(layer, unn.Stack) else [layer]
    found = []
    for k, one in enumerate(layers):
        if isinstance(one, unn.Bidirectional):
            found += [(f"_l{k}", one.forward_layer), (f"_l{k}_reverse", one.backward_layer)]
        else:
            found.append((f"_l{k}", one))
    return found


def assert_weight_gradients_agree(module: Any, layer: Any) -> None:
    theirs = {name: parameter.grad for name, parameter in module.named_parameters()}
    for suffix, cell in cells_of(layer):
        torch.testing.assert_close(cell.weight_x.grad, theirs[f"weight_ih{suffix}"], **CLOSE)
        torch.testing.assert_close(cell.weight_h.grad, theirs[f"weight_hh{suffix}"], **CLOSE)
        if f"weight_hr{suffix}" in theirs:
            torch.testing.assert_close(cell.weight_p.grad, theirs[f"weight_hr{suffix}"], **CLOSE)
        if cell.bias is None:
            continue
        torch.testing.assert_close(cell.bias.grad, theirs[f"bias_ih{suffix}"], **CLOSE)
        if isinstance(cell, unn.GRU):
            torch.testing.assert_close(cell.bias_h.grad, theirs[f"bias_hh{suffix}"][-5:], **CLOSE)


def assert_agrees(module: Any, layer: Any, lengths: list[int] | None) -> None:
    x = torch.randn(3, 6, 4, dtype=torch.float64, requires_grad=True)
    hx = random_hx(module, 3)
    given = hx if len(hx) == 2 else hx[0]
    if lengths is None:
        expected, final = module(x, given)
    else:
        packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
        packed_y, final = module(packed, given)
        expected, _ = nn.utils.rnn.pad_packed_sequence(packed_y, batch_first=True, total_length=6)
    finals = torch_finals(final)
    # Weights that differ entry by entry, so that no two outputs can stand in for each other.
    weights = [torch.randn_like(part) for part in (expected, *finals)]
    sum((w * part).sum() for w, part in zip(weights, (expected, *finals), strict=True)).backward()
    wanted = [x.grad, *(part.grad for part in hx)]
    x.grad = None
    for part in hx:
        part.grad = None

    y, state = layer(x, our_state(layer, hx), lengths=lengths)
    ours = [y, *leaves(state)]
    for came, want in zip(ours, (expected, *finals), strict=True):
        torch.testing.assert_close(came, want, **CLOSE)
    sum((w * part).sum() for w, part in zip(weights, ours, strict=True)).backward()
    for came, want in zip([x.grad, *(part.grad for part in hx)], wanted, strict=True):
        torch.testing.assert_close(came, want, **CLOSE)
    assert_weight_gradients_agree(module, layer)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("layers", "both", "bias"), SHAPES)
@pytest.mark.parametrize("lengths", [None, [4, 6, 1]], ids=["full", "ragged"])
def test_outputs_states_and_gradients_are_those_of_torch(
    kind: str, layers: int, both: bool, bias: bool, lengths: list[int] | None
) -> None:
    module = make_torch(kind, layers, both, bias)
    assert_agrees(module, unn.from_torch(module), lengths)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("layers", "both", "bias"), SHAPES)
def test_to_torch_gives_the_numbers_of_the_layer(kind: str, layers: int, both: bool, bias: bool) -> None:
    layer = unn.from_torch(make_torch(kind, layers, both, bias))
    back = unn.to_torch(layer)
    assert_agrees(back, unn.from_torch(back), [4, 6, 1])
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(back(x)[0], layer(x)[0], **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_round_trip_changes_no_bit(kind: str) -> None:
    layer = unn.from_torch(make_torch(kind, 2, True))
    again = unn.from_torch(unn.to_torch(layer))
    for name, tensor in layer.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


@pytest.mark.parametrize("kind", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
@pytest.mark.parametrize("bias", [True, False])
def test_torch_cells_become_cells_with_the_same_step(kind: Any, bias: bool) -> None:
    cell = kind(4, 5, bias=bias, dtype=torch.float64)
    x = torch.randn(3, 4, dtype=torch.float64)
    h = torch.randn(3, 5, dtype=torch.float64)
    ours = unn.from_torch(cell)
    if kind is nn.LSTMCell:
        expected = cell(x, (h, 2 * h))
        _, state = ours.step(x, unn.LSTMState(h, 2 * h))
    else:
        expected = (cell(x, h),)
        _, state = ours.step(x, unn.HState(h))
    for came, want in zip(state, expected, strict=True):
        torch.testing.assert_close(came, want, **CLOSE)


def test_long_sequences_of_one_row_agree() -> None:
    module = nn.GRU(3, 7, batch_first=True, dtype=torch.float64)
    x = torch.randn(1, 100, 3, dtype=torch.float64)
    torch.testing.assert_close(unn.from_torch(module)(x)[0], module(x)[0], **CLOSE)


def test_training_mode_dtype_frozen_weights_and_dropout_are_kept() -> None:
    module = nn.LSTM(3, 5, num_layers=2, dropout=0.3, dtype=torch.bfloat16).eval()
    module.weight_hh_l0.requires_grad_(False)
    layer: Any = unn.from_torch(module)
    assert layer.dropout == 0.3
    assert not layer.training
    assert not layer.layers[0].training
    assert layer.layers[1].bias.dtype == torch.bfloat16
    assert [name for name, p in layer.named_parameters() if not p.requires_grad] == ["layers.0.weight_h"]
    back: Any = unn.to_torch(layer)
    assert (back.dropout, back.training, back.weight_hh_l0.requires_grad) == (0.3, False, False)


def test_conversion_leaves_the_random_state_alone() -> None:
    module = nn.GRU(3, 5, num_layers=2)
    before = torch.get_rng_state()
    unn.to_torch(unn.from_torch(module))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_converted_weights_are_copies() -> None:
    module = nn.RNN(3, 5)
    layer: Any = unn.from_torch(module)
    with torch.no_grad():
        layer.weight_x.zero_()
    assert module.weight_ih_l0.abs().sum() > 0


def test_from_torch_refuses_what_it_does_not_know() -> None:
    class Own(nn.LSTM):
        pass

    with pytest.raises(OptionError, match=r"exactly one of nn.RNN, nn.LSTM.* got Own"):
        unn.from_torch(Own(3, 5))
    with pytest.raises(OptionError, match="got Linear"):
        unn.from_torch(nn.Linear(3, 5))


def test_from_torch_refuses_computed_weights() -> None:
    module = nn.GRU(3, 5)
    weight = module.weight_hh_l0
    del module.weight_hh_l0
    module.weight_hh_l0 = weight * 1
    with pytest.raises(OptionError, match="are computed"):
        unn.from_torch(module)


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (unn.LSTM(3, 5, peephole=True), "peephole"),
        (unn.LSTM(3, 5, coupled=True), "coupled"),
        (unn.LSTM(3, 5, layer_norm=True), "layer_norm"),
        (unn.LSTM(3, 5, learn_initial_state=True), "learn_initial_state"),
        (unn.GRU(3, 5, reset="before"), 'reset="before"'),
        (unn.GRU(3, 5, layer_norm=True), "layer_norm"),
        (unn.Residual(unn.GRU(5, 5)), "Residual"),
        (unn.Stack([unn.Stack([unn.GRU(5, 5)])]), "Stack"),
        (unn.Zoneout(unn.GRU(5, 5), 0.1), "Zoneout"),
        (unn.Stack([unn.GRU(3, 5), unn.GRU(5, 4)]), "hidden_size"),
        (unn.Stack([unn.GRU(3, 5), unn.LSTM(5, 5)]), "one kind"),
        (unn.Stack([unn.RNN(3, 5), unn.RNN(5, 5, nonlinearity="relu")]), "nonlinearity"),
        (unn.Stack([unn.GRU(3, 5), unn.GRU(5, 5, bias=False)]), "bias"),
        (unn.Stack([unn.Bidirectional(unn.GRU(3, 5), unn.GRU(3, 5)), unn.GRU(10, 5)]), "bidirectional"),
        (unn.Bidirectional(unn.GRU(3, 5), unn.GRU(3, 4)), "hidden_size"),
    ],
)
def test_to_torch_names_the_option_that_torch_lacks(layer: Any, named: str) -> None:
    with pytest.raises(OptionError, match="to_torch") as caught:
        unn.to_torch(layer)
    assert named in str(caught.value)


def test_init_torch_draws_like_torch() -> None:
    # Both biases of torch are uniform in +-b, so the merged one has the variance of a sum: 2 b^2 / 3.
    bound = 1 / 16
    for ours, cut in ((unn.LSTM(2, 256, init="torch"), 1024), (unn.GRU(2, 256, init="torch"), 512)):
        assert ours.bias is not None
        assert abs(ours.bias[:cut].var().item() / (2 * bound**2 / 3) - 1) < 0.25
        assert ours.weight_h.abs().max() <= bound
        assert abs(ours.weight_h.var().item() / (bound**2 / 3) - 1) < 0.05
