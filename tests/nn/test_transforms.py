"""What torch does around a layer: torch.func, forward mode, checkpoints, and gradients of gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradgradcheck
from torch.func import functional_call, grad, jvp, stack_module_state, vmap
from torch.utils.checkpoint import checkpoint

from unrolled.errors import KernelError
from unrolled.nn import (
    GRU,
    LRU,
    LSTM,
    MLSTM,
    RGLRU,
    RNN,
    RWKV7,
    SLSTM,
    Bidirectional,
    GatedDeltaNet,
    MinGRU,
    MinLSTM,
    Recurrent,
    Residual,
    Stack,
    Told,
    Zoneout,
)

LAYERS: dict[str, Callable[[], Recurrent[Any]]] = {
    "rnn": lambda: RNN(4, 4),
    "lstm": lambda: LSTM(4, 4, projection_size=3, peephole=True),
    "gru": lambda: GRU(4, 4, reset="before"),
    "gru, reference": lambda: GRU(4, 4, kernel="reference"),
    "mingru": lambda: MinGRU(4, 4),
    "minlstm": lambda: MinLSTM(4, 4),
    "rglru": lambda: RGLRU(4, 4),
    "lru": lambda: LRU(4, 4),
    "slstm": lambda: SLSTM(4, 4, heads=2),
    "mlstm": lambda: MLSTM(4, 4, heads=2),
    "rwkv7": lambda: RWKV7(4, 4, heads=2),
    "gated deltanet": lambda: GatedDeltaNet(4, 4, heads=2),
    "bidirectional": lambda: Bidirectional(GRU(4, 4), LSTM(4, 4)),
    "stack": lambda: Stack([RNN(4, 4), Residual(GRU(4, 4), norm=True)]),
    "zoneout": lambda: Zoneout(LSTM(4, 4), 0.1).eval(),
    "told": lambda: Told(GRU(6, 4), 2),
}
LENGTHS = (5, 2, 3)


@pytest.fixture(params=list(LAYERS))
def layer(request: pytest.FixtureRequest) -> Recurrent[Any]:
    """A layer in float64."""
    torch.manual_seed(0)
    made: Recurrent[Any] = LAYERS[request.param]().double()
    return made


@pytest.fixture
def x() -> Tensor:
    """Three rows of five steps."""
    return torch.randn(3, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def gradients(layer: nn.Module, y: Tensor) -> dict[str, Tensor]:
    """That of a sum of squares, by parameter."""
    found = torch.autograd.grad(y.pow(2).sum(), list(layer.parameters()), allow_unused=True, materialize_grads=True)
    return dict(zip((name for name, _ in layer.named_parameters()), found, strict=True))


def test_vmap_over_rows_gives_the_batch(layer: Recurrent[Any], x: Tensor) -> None:
    lengths = torch.tensor(LENGTHS)
    reset = torch.arange(5)[None] == torch.tensor([2, 1, 4])[:, None]
    torch.testing.assert_close(vmap(lambda row: layer(row[None])[0][0])(x), layer(x)[0])
    got = vmap(lambda row, count, start: layer(row[None], lengths=count[None], reset=start[None])[0][0])(
        x, lengths, reset
    )
    torch.testing.assert_close(got, layer(x, lengths=lengths, reset=reset)[0])
    with torch.no_grad():
        torch.testing.assert_close(vmap(lambda row: layer(row[None])[0][0])(x), layer(x)[0])
    if layer.streamable:
        stepped = vmap(lambda row: layer.step(row[None])[0][0])(x[:, 0])
        torch.testing.assert_close(stepped, layer.step(x[:, 0])[0])


def test_gradients_of_single_samples_are_those_of_each_row(layer: Recurrent[Any], x: Tensor) -> None:
    lengths = torch.tensor(LENGTHS)
    weights = {name: weight.detach() for name, weight in layer.named_parameters()}

    def loss(given: dict[str, Tensor], row: Tensor, count: Tensor) -> Tensor:
        y: Tensor = functional_call(layer, given, (row[None],), {"lengths": count[None]})[0]
        return y.pow(2).sum()

    found = vmap(grad(loss), in_dims=(None, 0, 0))(weights, x, lengths)
    for row in range(3):
        expected = gradients(layer, layer(x[row : row + 1], lengths=lengths[row : row + 1])[0])
        torch.testing.assert_close({name: value[row] for name, value in found.items()}, expected)


def test_a_batch_of_models_gives_what_each_gives(layer: Recurrent[Any], x: Tensor) -> None:
    weights, buffers = stack_module_state([layer, layer])
    doubled = {name: torch.stack([pair[0], 0.5 * pair[1]]).detach() for name, pair in weights.items()}
    got = vmap(lambda own, held: functional_call(layer, (own, held), (x,))[0])(doubled, buffers)
    for number, factor in enumerate((1.0, 0.5)):
        own = {name: factor * weight for name, weight in layer.named_parameters()}
        torch.testing.assert_close(got[number], functional_call(layer, own, (x,))[0])


# torch's own rules for forward mode are written in torch.jit, which it deprecates.
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_forward_mode_agrees_with_reverse_mode(layer: Recurrent[Any], x: Tensor) -> None:
    direction = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(2))
    _, tangent = jvp(lambda given: layer(given)[0], (x,), (direction,))
    leaf = x.clone().requires_grad_()
    y, _ = layer(leaf)
    weight = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(3))
    (pulled,) = torch.autograd.grad(y, leaf, weight)
    torch.testing.assert_close((tangent * weight).sum(), (pulled * direction).sum())


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpointed_layer_has_the_same_gradients(layer: Recurrent[Any], x: Tensor, reentrant: bool) -> None:
    leaf = x.clone().requires_grad_()
    expected = gradients(layer, layer(leaf, lengths=LENGTHS)[0])
    y = checkpoint(lambda given: layer(given, lengths=LENGTHS)[0], leaf, use_reentrant=reentrant)
    layer.zero_grad()
    y.pow(2).sum().backward()
    found = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in layer.named_parameters()}
    torch.testing.assert_close(found, expected)


def test_gradients_can_be_differentiated_again(layer: Recurrent[Any], x: Tensor) -> None:
    leaf = x[:2, :3].clone().requires_grad_()
    assert gradgradcheck(lambda given: layer(given, lengths=[3, 2])[0], (leaf,))


def test_a_second_gradient_sees_each_way_once() -> None:
    torch.manual_seed(0)
    layers = [GRU(4, 4, kernel=kernel).double() for kernel in ("auto", "reference")]
    layers[1].load_state_dict(layers[0].state_dict())
    found = []
    for gru in layers:
        # x and the state are made of one tensor: what reaches it by one must not be counted with the other.
        leaf = torch.full((2, 3, 4), 0.3, dtype=torch.float64, requires_grad=True)
        y, _ = gru(leaf.tanh(), type(gru.initial_state(1))(leaf[:, 0].sin()))
        (first,) = torch.autograd.grad(y.pow(2).sum(), leaf, create_graph=True)
        found.append(torch.autograd.grad(first.pow(2).sum(), leaf)[0])
    torch.testing.assert_close(*found)


def test_gradients_in_a_batch_are_those_one_by_one(x: Tensor) -> None:
    gru = GRU(4, 4).double()
    together = torch.autograd.functional.jacobian(lambda given: gru(given)[0].sum((0, 1)), x, vectorize=True)
    apart = torch.autograd.functional.jacobian(lambda given: gru(given)[0].sum((0, 1)), x)
    torch.testing.assert_close(together, apart)


def test_a_kernel_asked_for_by_name_is_not_left_in_silence(x: Tensor) -> None:
    torch.manual_seed(0)
    gru, leaf = GRU(4, 4, kernel="cpp").double(), x.clone().requires_grad_()
    (first,) = torch.autograd.grad(gru(leaf)[0].sum(), leaf, create_graph=True)
    with pytest.raises(KernelError, match=r"kernel 'cpp' cannot be differentiated again; use kernel='reference'"):
        first.sum().backward()
