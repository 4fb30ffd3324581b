"""What each wrapper does beyond the laws: training mode, masks, segments, and the errors at its constructor."""

from __future__ import annotations

import copy
import itertools
from functools import partial
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from unrolled.errors import NotStreamable, OptionError
from unrolled.nn import (
    GRU,
    LSTM,
    RNN,
    Bidirectional,
    Cell,
    DropConnect,
    HState,
    LSTMState,
    Recurrent,
    Residual,
    Stack,
    VariationalDropout,
    Zoneout,
    from_torch,
)
from unrolled.padding import valid_mask
from unrolled.state import from_bytes, leaves, map_state, select_rows, to_bytes

EXACT = {"rtol": 0.0, "atol": 1e-12}


@pytest.fixture(autouse=True)
def _doubles_and_a_seed() -> Any:
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


class Operands(NamedTuple):
    x: Tensor


class Sum(Cell[HState]):
    """A third party's cell with nothing but what a cell must have: h' = h + x."""

    emits_state = True

    def __init__(self, size: int) -> None:
        super().__init__(size, size)

    def zero_state(self, batch_size: int, device: Any, dtype: Any) -> HState:
        return HState(torch.zeros(batch_size, self.output_size, device=device, dtype=dtype))

    def project(self, x: Tensor) -> Operands:
        return Operands(x)

    def recur(self, operands: Operands, state: HState) -> tuple[Tensor, HState]:
        h = state.h + operands.x
        return h, HState(h)


class Silent(Sum):
    """Its y is no part of its state."""

    emits_state = False


def assert_states_equal(one: Any, other: Any) -> None:
    for mine, theirs in zip(leaves(one), leaves(other), strict=True):
        torch.testing.assert_close(mine, theirs, **EXACT)


# Stack


def test_stack_dropout_lies_between_layers_and_nowhere_else() -> None:
    stack = Stack([Sum(40), Sum(40)], dropout=0.5)
    x = torch.ones(2, 3, 40)
    y, (low, high) = stack(x)
    assert torch.equal(low.h, torch.full_like(low.h, 3.0)), "the carried state of the first layer is whole"
    assert torch.equal(y[:, -1], high.h), "the last output is whole"
    assert set(y[:, 0].flatten().tolist()) == {0.0, 2.0}, "what goes up is dropped and scaled"
    assert torch.equal(stack.eval()(x)[0][:, -1], torch.full((2, 40), 6.0))


def test_stack_steps_as_it_runs_whole() -> None:
    stack = Stack([GRU(3, 5), Residual(LSTM(5, 5)), RNN(5, 2)])
    x = torch.randn(2, 4, 3)
    whole, final = stack(x)
    state = stack.initial_state(2)
    for t in range(4):
        y, state = stack.step(x[:, t], state)
        torch.testing.assert_close(y, whole[:, t], **EXACT)
    assert_states_equal(state, final)


def test_stack_refuses_sizes_that_do_not_meet() -> None:
    with pytest.raises(OptionError, match=r"layers\[1\] must take the 5 features .* got input_size=4"):
        Stack([GRU(3, 5), GRU(4, 5)])
    with pytest.raises(OptionError, match="at least one layer"):
        Stack([])
    with pytest.raises(OptionError, match=r"layers\[1\] must be a Recurrent layer, got GRU; convert"):
        Stack([GRU(3, 5), torch.nn.GRU(5, 5)])  # type: ignore[list-item]
    with pytest.raises(OptionError, match=r"dropout must be a probability in \[0, 1\), got 1.0"):
        Stack([GRU(3, 5)], dropout=1.0)


def test_a_stack_streams_only_if_all_its_layers_do() -> None:
    assert Stack([GRU(3, 5), GRU(5, 5)]).streamable
    stack = Stack([Bidirectional(GRU(3, 2), GRU(3, 2)), GRU(4, 5)])
    with pytest.raises(NotStreamable, match="Stack: cannot step"):
        stack.step(torch.zeros(1, 3))


# Bidirectional


def test_bidirectional_reads_each_row_backwards_from_its_own_end() -> None:
    layer = Bidirectional(Sum(2), Sum(2))
    x = torch.arange(1.0, 7.0).view(1, 3, 2).repeat(2, 1, 1)
    y, state = layer(x, lengths=[3, 2])
    assert y[0, :, 2].tolist() == [9.0, 8.0, 5.0]
    assert y[1, :, 2].tolist() == [4.0, 3.0, 0.0]
    assert state.backward.h[:, 0].tolist() == [9.0, 4.0], "the state at the left end"
    assert state.forward.h[:, 0].tolist() == [9.0, 4.0]


def test_bidirectional_treats_each_segment_between_resets_by_itself() -> None:
    layer = Bidirectional(GRU(3, 4), LSTM(3, 2))
    x = torch.randn(2, 7, 3)
    reset = torch.zeros(2, 7, dtype=torch.bool)
    reset[0, 3] = reset[0, 5] = reset[1, 1] = True
    given = map_state(torch.randn_like, layer.initial_state(2))
    y, final = layer(x, given, lengths=[6, 4], reset=reset)
    fresh = layer.initial_state(1)
    for row, cuts in ((0, [0, 3, 5, 6]), (1, [0, 1, 4])):
        own = select_rows(given, [row])
        for start, end in itertools.pairwise(cuts):
            # The state that came in stands left of the first segment and right of the last one.
            state = fresh._replace(
                forward=own.forward if start == 0 else fresh.forward,
                backward=own.backward if end == cuts[-1] else fresh.backward,
            )
            alone, after = layer(x[row : row + 1, start:end], state)
            torch.testing.assert_close(y[row, start:end], alone[0], **EXACT)
            if start == 0:
                assert_states_equal(select_rows(final, [row]).backward, after.backward)
        assert_states_equal(select_rows(final, [row]).forward, after.forward)


def test_bidirectional_refuses_a_step_and_unequal_inputs() -> None:
    with pytest.raises(NotStreamable, match="Bidirectional: cannot step"):
        Bidirectional(GRU(3, 2), GRU(3, 2)).step(torch.zeros(1, 3))
    with pytest.raises(OptionError, match="same input_size, got 3 and 4"):
        Bidirectional(GRU(3, 2), GRU(4, 2))


# Residual


def test_residual_adds_the_input() -> None:
    x = torch.ones(1, 3, 2)
    y, state = Residual(Sum(2))(x, lengths=[2])
    assert y[0, :, 0].tolist() == [2.0, 3.0, 0.0]
    assert state.h[0, 0] == 2
    with pytest.raises(OptionError, match="3 in and 5 out"):
        Residual(GRU(3, 5))


# Zoneout


def test_zoneout_keeps_old_or_takes_new_in_training() -> None:
    cell = Zoneout(Sum(400), 0.3)
    y, state = cell(torch.ones(2, 5, 400))
    jumps = torch.cat([y[:, :1], y[:, 1:] - y[:, :-1]], 1)
    assert set(jumps.unique().tolist()) == {0.0, 1.0}
    assert abs(jumps.mean().item() - 0.7) < 0.03
    assert not torch.equal(jumps[:, 0], jumps[:, 1]), "every step has its own mask"
    assert torch.equal(state.h, y[:, -1])


def test_zoneout_takes_the_expectation_in_evaluation() -> None:
    cell = LSTM(3, 4)
    zoned = Zoneout(cell, LSTMState(h=0.25, c=0.5)).eval()
    x, old = torch.randn(2, 3), LSTMState(torch.randn(2, 4), torch.randn(2, 4))
    _, new = cell.step(x, old)
    y, state = zoned.step(x, old)
    torch.testing.assert_close(state.h, 0.25 * old.h + 0.75 * new.h, **EXACT)
    torch.testing.assert_close(state.c, 0.5 * old.c + 0.5 * new.c, **EXACT)
    assert torch.equal(y, state.h)


def test_zoneout_has_a_rate_for_each_leaf() -> None:
    cell = Zoneout(LSTM(3, 50), LSTMState(h=0.0, c=0.5))
    old = LSTMState(torch.randn(2, 50), torch.randn(2, 50))
    _, state = cell.step(torch.randn(2, 3), old)
    assert not (state.h == old.h).any()
    assert 20 < (state.c == old.c).sum() < 80


def test_zoneout_of_rate_zero_is_the_cell() -> None:
    cell, x = LSTM(3, 4, projection_size=2, learn_initial_state=True), torch.randn(2, 5, 3)
    for mode in (True, False):
        torch.testing.assert_close(Zoneout(cell, 0.0).train(mode)(x)[0], cell(x)[0], **EXACT)


ZONED = {
    "rnn": lambda: Zoneout(RNN(3, 5), 0.3),
    "lstm": lambda: Zoneout(
        LSTM(3, 5, peephole=True, projection_size=4, learn_initial_state=True), LSTMState(h=0.3, c=0.6)
    ),
    "gru": lambda: Zoneout(GRU(3, 5, reset="before"), 0.4),
    "of a third party": lambda: Zoneout(Sum(3), 0.3),
    "twice": lambda: Zoneout(Zoneout(LSTM(3, 5), 0.2), LSTMState(h=0.0, c=0.5)),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ZONED)
def test_zoneout_of_a_sequence_is_the_walk_over_its_single_steps(name: str, training: bool) -> None:
    layer: Zoneout = ZONED[name]().train(training)
    x, lengths = torch.randn(4, 6, 3), torch.tensor([6, 3, 0, 5])
    # None in the padding: the door, which is not passed here, makes them so.
    reset = (torch.rand(4, 6) < 0.3) & valid_mask(lengths, 6)
    state = map_state(torch.randn_like, layer.initial_state(4))
    results = []
    for run in (layer.run, partial(Cell.run, layer)):
        torch.manual_seed(1)
        given = x.clone().requires_grad_()
        y, final = run(layer.project(given), state, lengths, reset)
        total = y.square().sum() + sum(leaf.sum() for leaf in leaves(final))
        inputs = [given, *layer.parameters()]
        results.append([y, *leaves(final), *torch.autograd.grad(total, inputs)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, **EXACT)


def test_zoneout_in_training_compiles_to_one_graph_for_every_time() -> None:
    layer = Zoneout(LSTM(3, 5), LSTMState(h=0.1, c=0.5))
    torch.compiler.reset()
    compiled: Any = torch.compile(layer, fullgraph=True, dynamic=True, backend="aot_eager")
    for number, (batch, time) in enumerate(((8, 9), (4, 7), (6, 2))):
        x = torch.randn(batch, time, 3)
        torch.manual_seed(1)
        want, _ = layer(x)
        torch.manual_seed(1)
        with torch.compiler.set_stance("fail_on_recompile" if number else "default"):
            got, _ = compiled(x)
        torch.testing.assert_close(got, want, **EXACT)
    torch.compiler.reset()


def test_zoneout_draws_the_same_for_the_same_seed_and_lets_gradients_through() -> None:
    cell, x = Zoneout(GRU(3, 6), 0.4), torch.randn(2, 5, 3)
    torch.manual_seed(1)
    first, _ = cell(x)
    torch.manual_seed(1)
    assert torch.equal(cell(x)[0], first)
    first.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in cell.parameters())


def test_zoneout_refuses_what_it_cannot_zone() -> None:
    with pytest.raises(OptionError, match=r"must have a state that begins with y .* got Silent"):
        Zoneout(Silent(3), 0.1)
    with pytest.raises(OptionError, match="cell must be a Cell, got Stack"):
        Zoneout(Stack([GRU(3, 5)]), 0.1)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="a HState with a number for each leaf"):
        Zoneout(GRU(3, 5), LSTMState(0.1, 0.1))
    with pytest.raises(OptionError, match=r"rate must be a probability in \[0, 1\), got 1.5"):
        Zoneout(LSTM(3, 5), LSTMState(0.1, 1.5))


# VariationalDropout


def everything(cell: Cell[Any]) -> VariationalDropout:
    return VariationalDropout(cell, input=0.3, output=0.4, recurrent=0.5)


@pytest.mark.parametrize("cell", [RNN(3, 8), LSTM(3, 8, projection_size=5), GRU(3, 8), GRU(3, 8, reset="before")])
def test_variational_masks_are_those_of_the_state_at_every_step(cell: Cell[Any]) -> None:
    layer, x = everything(cell.double()), torch.randn(2, 6, 3)
    start = layer.initial_state(2)
    y, final = layer(x, start)
    state = start.inner
    for t in range(6):
        operands = cell.mask_recurrent(cell.project(x[:, t] * start.input), start.recurrent)
        out, state = cell.recur(operands, state)
        torch.testing.assert_close(y[:, t], out * start.output, **EXACT)
    assert_states_equal(final.inner, state)
    assert_states_equal(final[1:], start[1:])
    assert set(start.recurrent.unique().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1, 1, 1), (4, 2), (1, 5)])
def test_chunks_go_on_with_the_masks_in_training(sizes: tuple[int, ...]) -> None:
    layer = Stack([everything(LSTM(3, 5)), VariationalDropout(GRU(5, 4), input=0.5)])
    x, lengths = torch.randn(3, 6, 3), torch.tensor([6, 3, 0])
    start = layer.initial_state(3)
    results = []
    for cuts in ((6,), sizes):
        layer.zero_grad()
        given = x.clone().requires_grad_()
        state, parts, left = start, [], lengths
        for chunk in given.split(list(cuts), 1):
            y, state = layer(chunk, state, lengths=left.clamp(0, chunk.shape[1]))
            parts.append(y)
            left = left - chunk.shape[1]
        whole = torch.cat(parts, 1)
        (whole.square().sum() + sum(leaf.sum() for leaf in leaves(state))).backward()
        results.append([whole, *leaves(state), given.grad, *(p.grad for p in layer.parameters())])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, **EXACT)


def test_single_steps_go_on_with_the_masks_in_training() -> None:
    layer, x = everything(GRU(3, 5)), torch.randn(2, 6, 3)
    state = layer.initial_state(2)
    whole, final = layer(x, state)
    for t in range(6):
        y, state = layer.step(x[:, t], state)
        torch.testing.assert_close(y, whole[:, t], **EXACT)
    assert_states_equal(state, final)


def test_a_reset_draws_new_masks_for_its_row() -> None:
    layer = VariationalDropout(Sum(60), input=0.5, output=0.5)
    x, reset = torch.ones(2, 6, 60), torch.zeros(2, 6, dtype=torch.bool)
    reset[0, 0] = reset[0, 2] = reset[0, 4] = True
    start = layer.initial_state(2)
    y, final = layer(x, start, lengths=[6, 3], reset=reset)
    assert torch.equal(final.input[1], start.input[1])
    assert not torch.equal(final.input[0], start.input[0])
    for first, last in ((0, 1), (2, 3), (4, 5)):
        assert torch.equal(y[0, last], 2 * y[0, first]), "within a segment the mask stays, and the state began afresh"
    assert not torch.equal(y[0, 2], y[0, 4])
    assert not torch.equal(y[0, 0], start.input[0] * start.output[0]), "a reset at the first step counts"
    assert torch.equal(y[0, 5], 2 * final.input[0] * final.output[0])


def test_variational_dropout_is_off_in_evaluation_and_draws_nothing() -> None:
    cell, x = LSTM(3, 5), torch.randn(2, 4, 3)
    trained = everything(cell)
    state = trained.initial_state(2)
    before = torch.get_rng_state()
    trained.initial_state(2, device="meta")
    layer = trained.eval()
    torch.testing.assert_close(layer(x, state)[0], cell(x)[0], **EXACT)
    torch.testing.assert_close(layer(x)[0], cell(x)[0], **EXACT)
    assert torch.equal(torch.get_rng_state(), before)


def test_checking_a_given_state_draws_nothing_in_training() -> None:
    layer = everything(LSTM(3, 5))
    state = layer.initial_state(2)
    before = torch.get_rng_state()
    layer(torch.randn(2, 4, 3, generator=torch.Generator()), state)
    assert torch.equal(torch.get_rng_state(), before)


def test_masks_travel_with_rows_and_bytes() -> None:
    layer = VariationalDropout(GRU(3, 5), recurrent=0.5)
    state = layer.initial_state(3)
    assert [leaf.shape[1] for leaf in leaves(state)] == [5, 0, 0, 5]
    assert torch.equal(select_rows(state, [2, 0]).recurrent, state.recurrent[[2, 0]])
    assert_states_equal(from_bytes(to_bytes(state), layer.initial_state(1)), state)


def test_nan_in_the_padding_reaches_nothing_in_training() -> None:
    for layer in (everything(LSTM(3, 5)), Zoneout(GRU(3, 5), 0.2), DropConnect(RNN(3, 5), 0.5)):
        x = torch.randn(2, 4, 3)
        x[1, 2:] = torch.nan
        y, state = layer(x, lengths=[4, 2])
        (y.sum() + sum(leaf.sum() for leaf in leaves(state))).backward()
        assert y.isfinite().all()
        assert (y[1, 2:] == 0).all()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())


def test_variational_dropout_composes_with_zoneout() -> None:
    layer = VariationalDropout(Zoneout(LSTM(3, 5), 0.1), recurrent=0.5)
    y, state = layer(torch.randn(2, 4, 3))
    assert torch.equal(y[:, -1], state.inner.h)


def test_a_recurrent_mask_needs_a_cell_that_takes_one() -> None:
    with pytest.raises(OptionError, match="must be a Cell, got Stack"):
        VariationalDropout(Stack([GRU(3, 5)]), recurrent=0.1)
    with pytest.raises(OptionError, match="Sum has none"):
        VariationalDropout(Sum(3), recurrent=0.1)
    with pytest.raises(OptionError, match="Sum: has no recurrent mask"):
        VariationalDropout(Zoneout(Sum(3), 0.1), recurrent=0.1)(torch.zeros(1, 2, 3))
    with pytest.raises(OptionError, match="input must be a probability"):
        VariationalDropout(Sum(3), input=-0.1)


# DropConnect


def test_dropconnect_drops_recurrent_entries_for_the_whole_call() -> None:
    cell = RNN(4, 40, nonlinearity="relu", bias=False)
    layer = DropConnect(cell, 0.25)
    h = HState(torch.eye(40))
    y, _ = layer(torch.zeros(40, 1, 4), h)
    ratio = y[:, 0] / torch.relu(cell.weight_h.T)
    kept = ratio[ratio.isfinite()]
    torch.testing.assert_close(kept[kept != 0], torch.full_like(kept[kept != 0], 1 / 0.75), **EXACT)
    assert abs((kept == 0).double().mean().item() - 0.25) < 0.05
    assert not torch.equal(layer(torch.zeros(40, 1, 4), h)[0], y), "another call, another mask"


def test_dropconnect_passes_gradients_to_the_kept_entries() -> None:
    layer = DropConnect(Stack([GRU(3, 20), Bidirectional(LSTM(20, 20), RNN(20, 20))]), 0.5)
    assert len(layer.dropped) == 3
    layer(torch.randn(2, 6, 3))[0].square().sum().backward()
    for name in layer.dropped:
        gradient = layer.layer.get_parameter(name).grad
        assert gradient is not None
        assert 0.4 < (gradient == 0).double().mean() < 0.6


def test_dropconnect_is_off_in_evaluation_and_renames_nothing() -> None:
    cell, x = LSTM(3, 5), torch.randn(2, 4, 3)
    layer = DropConnect(cell, 0.5)
    assert list(layer.state_dict()) == ["layer.weight_x", "layer.weight_h", "layer.bias"]
    assert len(list(layer.parameters())) == 3
    assert torch.equal(layer.eval()(x)[0], cell(x)[0])
    assert torch.equal(layer.step(x[:, 0])[0], cell.step(x[:, 0])[0])


def test_a_copy_of_dropconnect_uses_its_own_weights() -> None:
    layer = DropConnect(GRU(3, 5, bias=False), 0.5)
    again = copy.deepcopy(layer)
    with torch.no_grad():
        for parameter in again.parameters():
            parameter.zero_()
    x = torch.randn(2, 4, 3)
    assert (again(x)[0] == 0).all()
    assert (layer(x)[0] != 0).any()
    again(x)[0].sum().backward()
    assert all(p.grad is None for p in layer.parameters())


def test_dropconnect_refuses_a_layer_without_recurrent_weights() -> None:
    with pytest.raises(OptionError, match="Sum has none"):
        DropConnect(Sum(3), 0.5)


# All of them


MAKES = {
    "stack": lambda: Stack([GRU(3, 5), LSTM(5, 4)], dropout=0.2),
    "zoneout": lambda: Zoneout(LSTM(3, 5), 0.2),
    "variational": lambda: everything(LSTM(3, 5)),
    "dropconnect": lambda: DropConnect(Stack([GRU(3, 5), RNN(5, 4)]), 0.2),
}


@pytest.mark.parametrize("name", MAKES)
def test_training_compiles_to_one_graph_and_repeats_by_seed(name: str) -> None:
    layer: Recurrent[Any] = MAKES[name]()
    torch.compiler.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    x, lengths = torch.randn(4, 3, 3), torch.tensor([3, 2, 0, 3])
    reset = torch.zeros(4, 3, dtype=torch.bool)
    reset[0, 1] = True
    grads = []
    for run in (layer, compiled):
        layer.zero_grad()
        torch.manual_seed(5)
        y, _ = run(x, lengths=lengths, reset=reset)
        y.square().sum().backward()
        grads.append([y.detach(), *(p.grad for p in layer.parameters())])
    torch.compiler.reset()
    for eager, traced in zip(*grads, strict=True):
        torch.testing.assert_close(traced, eager, **EXACT)


def test_wrappers_hold_any_layer_and_each_other() -> None:
    deep = Stack(
        [
            Bidirectional(DropConnect(GRU(3, 4), 0.1), from_torch(torch.nn.LSTM(3, 2, num_layers=2))),
            Residual(VariationalDropout(Zoneout(GRU(6, 6, learn_initial_state=True), 0.1), input=0.1, recurrent=0.1)),
        ],
        dropout=0.1,
    )
    y, state = deep(torch.randn(2, 5, 3), lengths=[5, 2])
    y.sum().backward()
    assert y.shape == (2, 5, 6)
    assert [leaf.shape[0] for leaf in leaves(state)] == [2] * len(leaves(state))
    assert all(p.grad is not None for p in deep.parameters())
