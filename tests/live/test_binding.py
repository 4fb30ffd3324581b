"""`layer.step` in inference mode: bound weights behind it, the same values, nothing kept in the layer."""

from __future__ import annotations

import copy
import gc
import io
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

from unrolled.errors import UnrolledError
from unrolled.live import behind as live
from unrolled.live.binding import parts
from unrolled.nn import (
    GRU,
    LSTM,
    RGLRU,
    RNN,
    LSTMState,
    MinGRU,
    Recurrent,
    Residual,
    Stack,
    Zoneout,
)
from unrolled.nn.blocks import (
    RWKV7,
    GatedDeltaNet,
    MLSTMBlock,
)
from unrolled.ops import native
from unrolled.state import HState, leaves

pytestmark = pytest.mark.skipif(not native.available(), reason=native.reason() or "")

LAYERS: dict[str, Callable[[], Recurrent[Any]]] = {
    "rnn": lambda: RNN(6, 9, nonlinearity="relu"),
    "lstm": lambda: LSTM(6, 9, peephole=True, projection_size=4, layer_norm=True),
    "lstm coupled": lambda: LSTM(6, 9, coupled=True, bias=False),
    "gru after": lambda: GRU(6, 9, layer_norm=True),
    "gru before": lambda: GRU(6, 9, reset="before"),
    "zoneout": lambda: Zoneout(LSTM(6, 9), LSTMState(h=0.1, c=0.4)),
    "stack": lambda: Stack([GRU(6, 5), LSTM(5, 4)]),
    "min gru": lambda: MinGRU(6, 9),
    "rg-lru": lambda: RGLRU(6, 9),
    "mlstm block": lambda: MLSTMBlock(6, 8),
    "rwkv7": lambda: RWKV7(6, 8, heads=2, layers=2),
    "residual": lambda: Residual(GRU(6, 6), norm=True),
    "mixed stack": lambda: Stack([GatedDeltaNet(6, 8, heads=2), GRU(8, 4)], dropout=0.5),
    "zoneout min gru": lambda: Zoneout(MinGRU(6, 9), 0.3),
}


def make(name: str) -> Recurrent[Any]:
    torch.manual_seed(0)
    return LAYERS[name]().double().eval()


def walk(layer: Recurrent[Any], xs: Tensor) -> list[Tensor]:
    """All outputs and the leaves of the final state."""
    state, ys = layer.initial_state(xs.shape[1], dtype=xs.dtype), []
    for x in xs:
        y, state = layer.step(x, state)
        ys.append(y)
    return [*ys, *leaves(state)]


def bound(layer: Any) -> bool:
    """Are the weights of the layer packed, or those of its first cell?"""
    return bool(live._KEPT.get(layer) or live._KEPT.get(parts(layer)[0]))


@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("rows", [1, 2, 13])
@pytest.mark.parametrize("name", LAYERS)
def test_steps_without_gradients_are_those_with_them(name: str, rows: int, level: str) -> None:
    layer, xs = make(name), torch.randn(5, rows, 6, dtype=torch.float64)
    want = walk(layer, xs)
    with native.use_level(level), torch.inference_mode():
        got, again = walk(layer, xs), walk(layer, xs)
    assert bound(layer)
    for ours, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(ours.clone(), theirs.detach(), rtol=0, atol=1e-14)
    assert all(torch.equal(one, other) for one, other in zip(got, again, strict=True))


def test_outside_of_inference_mode_torch_steps() -> None:
    layer, xs = make("lstm"), torch.randn(4, 2, 6, dtype=torch.float64)
    with torch.no_grad():
        walk(layer, xs)
    assert not bound(layer)


def test_packed_weights_are_kept_for_a_few_numbers_of_rows() -> None:
    layer = make("gru after")
    with torch.inference_mode():
        for rows in range(1, 7):
            walk(layer, torch.randn(2, rows, 6, dtype=torch.float64))
    assert len(live._KEPT[layer]) == live.MOST_KEPT


def test_changed_weights_are_seen_at_once() -> None:
    layer, xs = make("lstm"), torch.randn(4, 2, 6, dtype=torch.float64)
    with torch.inference_mode():
        walk(layer, xs)
        for parameter in layer.parameters():
            parameter.mul_(1.5)
            got = walk(layer, xs)
            want = walk(copy.deepcopy(layer), xs[:, [0, 0, 1]])
            torch.testing.assert_close(got[3], want[3][1:], rtol=0, atol=1e-14)


def test_nothing_is_kept_in_the_layer() -> None:
    layer, xs = make("gru after"), torch.randn(4, 2, 6, dtype=torch.float64)
    before = (set(vars(layer)), list(layer.state_dict()))
    with torch.inference_mode():
        walk(layer, xs)
    assert bound(layer)
    assert (set(vars(layer)), list(layer.state_dict())) == before
    assert not bound(copy.deepcopy(layer))
    torch.save(layer, io.BytesIO())
    gone = weakref.ref(layer)
    del layer
    gc.collect()
    assert gone() is None


# Torch's own forward mode warns of itself.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", ["lstm", "gru before"])
def test_what_torch_must_see_goes_through_torch(name: str) -> None:
    layer, xs = make(name), torch.randn(4, 2, 6, dtype=torch.float64)
    state = layer.initial_state(2, dtype=torch.float64)
    with torch.inference_mode():
        walk(layer, xs)
    assert bound(layer)
    with torch.no_grad():
        want = layer.step(xs[0], state)[0]
        alone = torch.vmap(lambda x: layer.advance(x[None], layer.initial_state(1, dtype=torch.float64))[0][0])(xs[0])
        with forward_ad.dual_level():
            y, _ = layer.advance(forward_ad.make_dual(xs[0], torch.ones_like(xs[0])), state)
            assert forward_ad.unpack_dual(y).tangent is not None
        graph = torch.fx.experimental.proxy_tensor.make_fx(lambda x: layer.advance(x, state)[0])(xs[0])
    torch.testing.assert_close(alone, want, rtol=0, atol=1e-14)
    torch.testing.assert_close(graph(xs[1]), layer.advance(xs[1], state)[0], rtol=0, atol=1e-14)
    y, _ = layer.step(xs[0].requires_grad_(), state)
    assert y.requires_grad


def test_a_kernel_named_reference_is_respected() -> None:
    layer, xs = GRU(6, 9, kernel="reference"), torch.randn(4, 2, 6)
    with torch.inference_mode():
        walk(layer, xs)
    assert not bound(layer)


def test_zoneout_in_training_draws_its_masks() -> None:
    layer, x = make("zoneout").train(), torch.randn(2, 6, dtype=torch.float64)
    with torch.inference_mode():
        outputs = [layer.step(x)[0] for _ in range(8)]
    assert not all(torch.equal(outputs[0], other) for other in outputs)


def test_wrong_inputs_are_refused_as_with_gradients() -> None:
    layer, x = make("lstm coupled"), torch.randn(2, 6, dtype=torch.float64)
    state = layer.initial_state(2, dtype=torch.float64)
    wrong = [
        (x.float(), state), (x[:, :5], state), (x[None], state), (x[:0], state), (x[:1], state), (x.tolist(), state),
        (x / 0, state), (x, tuple(state)), (x, LSTMState(state.h, state.c[:1])), (x, state.h), (x, (state, state)),
        (x, LSTMState(state.h.long(), state.c)), (x, LSTMState(state.h, None)), (x.to("meta"), state),
    ]  # fmt: skip
    with torch.inference_mode():
        walk(layer, x[None])
    assert bound(layer)
    for given in wrong:
        with pytest.raises(UnrolledError) as want:
            layer.step(*given)
        with torch.inference_mode(), pytest.raises(type(want.value)) as got:
            layer.step(*given)
        assert str(got.value) == str(want.value)


def test_options_that_change_are_seen() -> None:
    layer, x = make("zoneout"), torch.randn(2, 6, dtype=torch.float64)
    state = LSTMState(*torch.randn(2, 2, 9, dtype=torch.float64))
    for rates in (LSTMState(h=0.5, c=0.1), LSTMState(h=0.0, c=0.9)):
        layer.rates = rates
        with torch.inference_mode():
            got = layer.step(x, state)
        torch.testing.assert_close(got, layer.step(x, state), rtol=0, atol=1e-14)
    for level in native.levels():
        with native.use_level(level), torch.inference_mode():
            fresh, kept = layer.step(x, state)[0], layer.step(x, state)[0]
        assert torch.equal(fresh, kept)
    assert len(live._KEPT[layer]) <= live.MOST_KEPT


def test_strided_inputs_and_states_give_the_same() -> None:
    layer, xs = make("lstm coupled"), torch.randn(4, 2, 6, dtype=torch.float64)
    with torch.inference_mode():
        walk(layer, xs)
        state = LSTMState(torch.randn(9, 2, dtype=torch.float64).T, torch.randn(9, 2, dtype=torch.float64).T)
        strided = layer.step(xs.transpose(1, 2).contiguous()[0].T, state)
        dense = layer.step(xs[0], LSTMState(state.h.contiguous(), state.c.contiguous()))
    torch.testing.assert_close(strided, dense, rtol=0, atol=1e-14)


def test_a_slice_of_a_sequence_takes_the_fast_way(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, xs = make("gru after"), torch.randn(2, 5, 6, dtype=torch.float64)
    with torch.inference_mode():
        want, state = layer.step(xs[:, 0].contiguous(), layer.initial_state(2, dtype=torch.float64))
        monkeypatch.setattr(type(layer), "recur", None)
        got, _ = layer.step(xs[:, 0], layer.initial_state(2, dtype=torch.float64))
        assert torch.equal(got, want)
        layer.step(xs[:, 1], HState(state.h.T.contiguous().T))
        layer.step(torch._neg_view(xs[:, 2]), state)


def test_threads_may_share_one_layer() -> None:
    torch.manual_seed(0)
    layer, xs = LSTM(6, 120).eval(), torch.randn(2, 60, 1, 6)
    with torch.inference_mode():
        want = [walk(layer, part) for part in xs]
        want = [walk(layer, part) for part in xs]
    found: list[list[Tensor]] = [[], []]

    def work(number: int) -> None:
        with torch.inference_mode():
            found[number] = walk(layer, xs[number])

    workers = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(torch.equal(a, b) for got, kept in zip(found, want, strict=True) for a, b in zip(got, kept, strict=True))
