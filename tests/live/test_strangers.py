"""Layers that nobody here has written: their own steps recorded, and what cannot be recorded refused in words."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from recorded import Stepping
from steppers import INPUT, expected, samples, steps
from torch import Tensor, nn
from torch.nn import functional

from unrolled.errors import OptionError
from unrolled.live import behind
from unrolled.nn import LSTM, RGLRU, Cell, HState, LSTMState, MinGRU, Recurrent, Residual, Stack, Stepper, Zoneout
from unrolled.ops import native
from unrolled.state import leaves

pytestmark = pytest.mark.skipif(not native.available(), reason=native.reason() or "")

HIDDEN = 7


class Operands(NamedTuple):
    forget: Tensor
    candidate: Tensor


class MGU(Cell[HState]):
    """The minimal gated unit of Zhou et al. 2016, arXiv:1603.09420."""

    emits_state = True

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.gates = nn.Linear(input_size, 2 * hidden_size)
        self.weight_f, self.weight_n = (nn.Parameter(0.3 * torch.randn(hidden_size, hidden_size)) for _ in "fn")

    def zero_state(self, batch_size: int, device: Any, dtype: Any) -> HState:
        return HState(torch.zeros(batch_size, self.output_size, device=device, dtype=dtype))

    def project(self, x: Tensor) -> Operands:
        return Operands(*self.gates(x).chunk(2, -1))

    def recur(self, operands: Operands, state: HState) -> tuple[Tensor, HState]:
        f = torch.sigmoid(operands.forget + state.h @ self.weight_f.T)
        n = torch.tanh(operands.candidate + (f * state.h) @ self.weight_n.T)
        h = f * n + (1 - f) * state.h
        return h, HState(h)


class Doubled(LSTM):
    """A subclass with another step: what is emitted and carried is twice the cell's."""

    def recur(self, operands: Any, state: LSTMState) -> tuple[Tensor, LSTMState]:
        y, (h, c) = super().recur(operands, state)
        return 2 * y, LSTMState(2 * h, c)


class Peeking(LSTM):
    """A subclass whose y shows the memory, which a compiled layer keeps to itself."""

    def recur(self, operands: Any, state: LSTMState) -> tuple[Tensor, LSTMState]:
        y, after = super().recur(operands, state)
        return y + after.c, after


class Tagged(Recurrent[Any]):
    """Words in, probabilities of tags out: a table, two layers, a norm and a head."""

    input_size, output_size = 1, 4

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 6)
        self.norm = nn.RMSNorm(6)
        self.layers = Stack([MinGRU(6, 8), MGU(8, 5)], dropout=0.3)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(5, 4)

    def initial_state(self, batch_size: int, *, device: Any = None, dtype: Any = None) -> Any:
        return self.layers.initial_state(batch_size, device=device, dtype=dtype)

    def sequence(self, x: Tensor, state: Any, lengths: Any, reset: Any) -> Any:
        y, state = self.layers.sequence(self.norm(self.words(x[..., 0].long())), state, lengths, reset)
        return self.head(y).softmax(-1), state

    def advance(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        y, state = self.layers.advance(self.norm(self.words(x[:, 0].long())), state)
        return self.head(self.drop(y)).softmax(-1), state


class WholeOnly(Recurrent[HState]):
    """A layer that has no step but its sequence of one: a leaky sum with a matrix memory of its own."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.input_size = self.output_size = size
        self.register_buffer("leak", torch.linspace(0.1, 0.9, size))
        self.order = torch.randperm(size)

    def initial_state(self, batch_size: int, *, device: Any = None, dtype: Any = None) -> HState:
        return HState(torch.zeros(batch_size, 3, self.input_size, device=device, dtype=dtype))

    def sequence(self, x: Tensor, state: HState, lengths: Any, reset: Any) -> tuple[Tensor, HState]:
        ys, h = [], state.h
        for now in x.unbind(1):
            h = torch.cat([h[:, 1:], (self.leak * h[:, -1] + now)[:, None]], 1)
            scores = torch.einsum("bd,bkd->bk", now, h).softmax(-1)
            ys.append((scores[:, None] @ h)[:, 0][:, self.order])
        return torch.stack(ys, 1), HState(h)


LAYERS: dict[str, Callable[[], Any]] = {
    "mgu": lambda: MGU(INPUT, HIDDEN),
    "zoneout mgu": lambda: Zoneout(MGU(INPUT, HIDDEN), 0.3),
    "residual mgu": lambda: Residual(MGU(INPUT, INPUT), norm=True),
    "stack": lambda: Stack([MGU(INPUT, HIDDEN), LSTM(HIDDEN, 5), RGLRU(5, 6)], dropout=0.5),
    "doubled": lambda: Doubled(INPUT, HIDDEN, peephole=True, layer_norm=True),
    "peeking": lambda: Peeking(INPUT, HIDDEN),
    "zoneout doubled": lambda: Zoneout(Doubled(INPUT, HIDDEN), LSTMState(0.2, 0.5)),
    "sequence": lambda: WholeOnly(INPUT),
}


@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("name", LAYERS)
def test_a_strangers_layer_steps_live(name: str, rows: int, level: str) -> None:
    torch.manual_seed(0)
    layer, xs = LAYERS[name]().double().eval(), samples(rows)
    ys, final = expected(layer, xs)
    with native.use_level(level):
        stepper = Stepper(layer, rows)
    torch.testing.assert_close(steps(stepper, xs), ys, rtol=1e-12, atol=1e-12)
    for got, want in zip(leaves(stepper.state()), leaves(final), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)
    state = layer.initial_state(rows, dtype=torch.float64)
    with native.use_level(level), torch.inference_mode():
        for x, want in zip(xs, ys, strict=True):
            y, state = layer.step(x, state)
            torch.testing.assert_close(y.clone(), want, rtol=1e-12, atol=1e-12)
    assert behind._KEPT.get(layer)


def test_words_go_in_and_tags_come_out() -> None:
    torch.manual_seed(0)
    layer = Tagged().eval()
    words = torch.randint(11, (5, 2, 1)).float()
    torch.testing.assert_close(steps(Stepper(layer, 2), words), expected(layer, words)[0])
    assert bool(Stepper(layer, 2).step(torch.full((2, 1), 11.0)).isnan().all())
    # In training the dropout is not a program; a Stepper takes the layer as in evaluation.
    torch.testing.assert_close(steps(Stepper(layer.train(), 2), words), expected(layer.eval(), words)[0])
    assert not any(module.training for module in layer.modules())


def test_changed_weights_buffers_and_attributes_of_a_stranger_are_seen() -> None:
    layer, xs = WholeOnly(INPUT).double(), samples(2)
    stepper = Stepper(layer, 2)
    for change in (
        lambda: layer.leak.mul_(0.5),
        lambda: setattr(layer, "order", layer.order.flip(0)),
        lambda: layer.order.copy_(torch.arange(INPUT)),
    ):
        steps(stepper, xs)
        state = stepper.state()
        change()
        torch.testing.assert_close(steps(stepper, xs), expected(layer, xs, state)[0], rtol=1e-12, atol=1e-12)


def test_every_training_step_of_a_recorded_cell_is_seen() -> None:
    torch.manual_seed(0)
    layer, xs = MGU(INPUT, HIDDEN).double(), samples(2, 4)
    stepper, optimiser = Stepper(layer, 2), torch.optim.SGD(layer.parameters(), 0.1)
    for x in xs:
        state = stepper.state()
        torch.testing.assert_close(stepper.step(x), expected(layer, x[None], state)[0][0], rtol=1e-12, atol=1e-12)
        layer(xs.transpose(0, 1))[0].square().sum().backward()
        optimiser.step()


def decides(x: Tensor, state: Any) -> tuple[Tensor, Any]:
    return (x if x[0, 0] > 0 else -x), state


def sorts(x: Tensor, state: Any) -> tuple[Tensor, Any]:
    return x.sort(-1).values, state


def mixes(x: Tensor, state: Any) -> tuple[Tensor, Any]:
    return x - x.mean(0), state


def turns(x: Tensor, state: Any) -> tuple[Tensor, Any]:
    return x.flip(0), state


def writes(x: Tensor, state: Any) -> tuple[Tensor, Any]:
    y = x * 2
    y += 1
    return y, state


def leaves_torch(x: Tensor, state: Any) -> tuple[Tensor, Any]:
    return torch.from_numpy(x.numpy() * 2), state


def draws(x: Tensor, state: Any) -> tuple[Tensor, Any]:
    return x + torch.rand(1, INPUT), state


def drops(x: Tensor, state: Any) -> tuple[Tensor, Any]:
    return functional.dropout(x, 0.5, training=True), state


def changes_dtype(x: Tensor, state: Any) -> tuple[Tensor, Any]:
    return x.half().float(), state


def picks(x: Tensor, state: Any) -> tuple[Tensor, Any]:
    return x[torch.arange(len(x)), x.long()[:, 0]][:, None] + x, state


def raises(x: Tensor, state: Any) -> tuple[Tensor, Any]:
    return x.view(len(x), {INPUT: "wrong"}[INPUT]), state  # type: ignore[call-overload]


class Counts:
    """Remembers how often it was called."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        self.calls += 1
        return x * self.calls, state


REFUSED = {
    decides: "Python decides by the value of a tensor",
    sorts: "torch's sort has no instruction",
    mixes: "a sum over the rows of the batch mixes streams",
    turns: "rows of the batch are mixed",
    writes: "add_ writes into a tensor; give a new one",
    leaves_torch: "numpy takes the values out of a tensor",
    draws: "the step draws random numbers",
    drops: "dropout draws random numbers in training; call layer.eval",
    changes_dtype: "becomes torch.float16, and a program is of one dtype",
    picks: "a tensor is indexed by what the step computes",
    raises: "the step raises TypeError",
}


@pytest.mark.parametrize("step", REFUSED, ids=lambda step: step.__name__)
def test_what_cannot_be_recorded_is_refused_in_words_and_stepped_by_torch(step: Any) -> None:
    x = samples(2, dtype=torch.float32)[0].clamp(0.1, 0.9)
    layer = Stepping(lambda x, state: (x, state), x)
    layer._step = step
    with pytest.raises(OptionError, match=f"the step of Stepping cannot be recorded: .*{REFUSED[step]}") as refusal:
        Stepper(layer, 2)
    assert str(refusal.value).endswith("change that or step it with layer.step().")
    # Where the step itself has ended, it is the line that asked for a Stepper, never one of the room that records.
    assert f"{os.sep}live{os.sep}" not in str(refusal.value).replace(str(Path(__file__).parent), "")
    if step not in (turns, draws):
        line = step.__code__.co_firstlineno
        places = [f"{Path(__file__).name}, line {line + offset});" for offset in (1, 2)]
        assert any(place in str(refusal.value) for place in places), str(refusal.value)
    if step is raises:
        return
    torch.manual_seed(3)
    want, _ = layer.step(x, ())
    torch.manual_seed(3)
    with torch.inference_mode():
        got, _ = layer.step(x, ())
    assert torch.equal(got, want)
    assert not behind._KEPT.get(layer)


def test_a_step_that_remembers_in_python_is_refused() -> None:
    x = samples(2, dtype=torch.float32)[0]
    layer = Stepping(lambda x, state: (x, state), x)
    layer._step = Counts()
    with pytest.raises(OptionError, match="what was recorded is not what the step does"):
        Stepper(layer, 2)

    class Remembers(Stepping):
        def advance(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
            self.seen = getattr(self, "seen", 0) + 1
            return x + 0, state

    with pytest.raises(OptionError, match="the step changes the attribute 'seen', which no state holds"):
        Stepper(Remembers(lambda x, state: (x, state), x), 2)


def test_recording_leaves_the_random_numbers_as_they_are() -> None:
    layer = MGU(INPUT, HIDDEN)
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    Stepper(layer, 2)
    assert torch.equal(torch.rand(3), want)


def test_a_stranger_in_training_is_stepped_as_it_is() -> None:
    torch.manual_seed(0)
    layer, words = Tagged().train(), torch.ones(2, 1)
    with torch.inference_mode():
        seen = [layer.step(words, layer.initial_state(2))[0] for _ in range(6)]
        assert not all(torch.equal(one, seen[0]) for one in seen)
        assert not behind._KEPT.get(layer)
        layer.eval()
        still = [layer.step(words, layer.initial_state(2))[0] for _ in range(2)]
        assert behind._KEPT.get(layer)
        layer.layers.train()
        again = [layer.step(words, layer.initial_state(2))[0] for _ in range(6)]
    assert torch.equal(*still)
    assert not all(torch.equal(one, again[0]) for one in again)
