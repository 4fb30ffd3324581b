"""Token shift and causal convolution: the laws, and the window against a walk over single numbers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from unrolled.errors import OptionError
from unrolled.nn import CausalConv, Recurrent, TokenShift
from unrolled.nn.blocks import WindowState
from unrolled.testing import check_compile, check_export, check_recurrent

LAYERS: dict[str, Callable[[], Recurrent[Any]]] = {
    "shift": lambda: TokenShift(3),
    "conv of one step": lambda: CausalConv(3, 1),
    "conv": lambda: CausalConv(3),
    "conv with silu": lambda: CausalConv(3, 3, bias=False, activation="silu"),
    "conv longer than the sequence": lambda: CausalConv(3, 9),
}


@pytest.mark.parametrize("name", LAYERS)
def test_streaming_layers_keep_the_laws(name: str) -> None:
    check_recurrent(LAYERS[name], graphs=False)


@pytest.mark.parametrize("name", ["shift", "conv"])
def test_streaming_layers_compile_and_export(name: str) -> None:
    check_compile(LAYERS[name], dynamic_time=True)
    check_export(LAYERS[name], dynamic_time=True)


def walk(
    layer: CausalConv, x: Tensor, past: Tensor, length: int, reset: Tensor
) -> tuple[list[list[float]], list[list[float]]]:
    """One row of the convolution, number by number: y of the valid steps and the window at the end."""
    size, weight, bias = x.shape[1], layer.weight.tolist(), layer.bias
    window = deque(past.tolist(), maxlen=max(1, len(past)))
    outputs = []
    for t in range(length):
        if reset[t]:
            window = deque([[0.0] * size] * len(past), maxlen=window.maxlen)
        now = x[t].tolist()
        seen = [now, *reversed(window)] if len(past) else [now]
        total = [0.0 if bias is None else bias[n].item() for n in range(size)]
        for part, values in zip(weight, seen, strict=True):
            total = [sum_ + w * value for sum_, w, value in zip(total, part, values, strict=True)]
        outputs.append(total)
        window.append(now)
    return outputs, list(window) if len(past) else []


@pytest.mark.parametrize("width", [1, 2, 4, 12])
@pytest.mark.parametrize("time", [1, 2, 9])
def test_every_row_sees_its_own_window(width: int, time: int) -> None:
    torch.manual_seed(width * 10 + time)
    layer = CausalConv(2, width).double()
    x = torch.randn(6, time, 2, dtype=torch.float64)
    past = torch.randn(6, width - 1, 2, dtype=torch.float64)
    lengths = torch.tensor([time, time, 0, 1, time // 2, time])
    reset = torch.rand(6, time) < 0.3
    y, final = layer(x, WindowState(past), lengths=lengths, reset=reset)
    for row, length in enumerate(lengths.tolist()):
        outputs, window = walk(layer, x[row], past[row], length, reset[row])
        for t, expected in enumerate(outputs):
            assert y[row, t].tolist() == pytest.approx(expected, rel=1e-12, abs=1e-12)
        assert not y[row, length:].any()
        torch.testing.assert_close(final.past[row], torch.tensor(window, dtype=torch.float64).reshape(width - 1, 2))


def test_a_token_shift_gives_what_a_convolution_of_one_delay_gives() -> None:
    layer, shift = CausalConv(3, 2, bias=False), TokenShift(3)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.0], [1.0]]).expand(2, 3))
    x, reset = torch.randn(2, 6, 3), torch.tensor([[False, False, True, False, False, True], [True] + [False] * 5])
    ours, state = shift(x, lengths=[6, 3], reset=reset)
    theirs, same = layer(x, lengths=[6, 3], reset=reset)
    assert torch.equal(ours, theirs)
    assert torch.equal(state.past, same.past)


def test_a_step_keeps_no_hold_on_the_input() -> None:
    layer, x = TokenShift(3), torch.ones(1, 3)
    _, state = layer.step(x)
    x.zero_()
    assert layer.step(x, state)[0].tolist() == [[1.0, 1.0, 1.0]]


def test_a_window_keeps_no_hold_on_the_sequence() -> None:
    _, state = CausalConv(3, 4)(torch.randn(2, 500, 3))
    assert state.past.untyped_storage().nbytes() == 2 * 3 * 3 * 4


@pytest.mark.parametrize(
    ("make", "finding"),
    [
        (lambda: TokenShift(0), "TokenShift: size must be an integer of at least 1, got 0"),
        (lambda: CausalConv(3, 0), "CausalConv: width must be an integer of at least 1, got 0"),
        (lambda: CausalConv(3, activation="sliu"), "CausalConv: activation must be one of silu, got 'sliu'. Did you"),
    ],
)
def test_bad_options_get_one_sentence(make: Callable[[], Any], finding: str) -> None:
    with pytest.raises(OptionError) as caught:
        make()
    assert str(caught.value).startswith(finding)
