"""The blocks: laws, chunks, extreme gates, dtypes, first weights, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unrolled.errors import DtypeError, KernelError, OptionError
from unrolled.nn import (
    GRU,
    LSTM,
    RWKV7,
    Bidirectional,
    GatedDeltaNet,
    MLSTMBlock,
    Recurrent,
    Residual,
    RWKV7ChannelMix,
    RWKV7TimeMix,
    SLSTMBlock,
    Stack,
    make_cell,
)
from unrolled.nn.blocks.parts import BlockLinear, GatedLinear
from unrolled.state import leaves
from unrolled.testing import check_compile, check_export, check_recurrent

Make = Callable[[], Recurrent[Any]]

BLOCKS: dict[str, Make] = {
    "slstm": lambda: SLSTMBlock(3, 6, heads=2),
    "mlstm": lambda: MLSTMBlock(3, 6, heads=2),
    "time mix": lambda: RWKV7TimeMix(3, 6, heads=2),
    "channel mix": lambda: RWKV7ChannelMix(3, 6),
    "rwkv7": lambda: RWKV7(3, 6, heads=2, layers=2),
    "gated deltanet": lambda: GatedDeltaNet(3, 6, heads=2),
}

OPTIONS: dict[str, Make] = {
    "slstm as wide as its input": lambda: SLSTMBlock(6, 6),
    "slstm without convolution": lambda: SLSTMBlock(3, 6, conv=0, exponential=True, factor=2),
    "mlstm as wide as its input": lambda: MLSTMBlock(6, 6, heads=3, conv=2, factor=1, block=3),
    "mlstm of one step at a time": lambda: MLSTMBlock(3, 5, conv=1, chunk=1),
    "time mix deep down": lambda: RWKV7TimeMix(3, 6, heads=3, layer=1, layers=3, chunk=2),
    "rwkv7 as wide as its input": lambda: RWKV7(6, 6, layers=1, factor=1.5),
    "deltanet": lambda: GatedDeltaNet(3, 6, heads=2, decay=False, gate=False),
    "deltanet negative": lambda: GatedDeltaNet(3, 6, heads=2, negative_eigenvalues=True),
    "deltanet without convolution": lambda: GatedDeltaNet(3, 6, heads=3, conv=0, expand_values=1.5, chunk=2),
    "residual with norm": lambda: Residual(GRU(4, 4), norm=True),
    "residual with norm both ways": lambda: Residual(Bidirectional(GRU(4, 2), LSTM(4, 2)), norm=True),
    "stack of blocks": lambda: Stack([MLSTMBlock(3, 8), Residual(GatedDeltaNet(8, 8), norm=True)]),
}


@pytest.mark.parametrize("name", [*BLOCKS, *OPTIONS])
def test_every_block_keeps_the_laws(name: str) -> None:
    check_recurrent((BLOCKS | OPTIONS)[name], graphs=False)


@pytest.mark.parametrize("name", [*BLOCKS, "residual with norm"])
def test_every_block_compiles_and_exports(name: str) -> None:
    check_compile((BLOCKS | OPTIONS)[name], dynamic_time=True)
    check_export((BLOCKS | OPTIONS)[name], dynamic_time=True)


def test_all_but_the_slstm_are_parallel_in_time() -> None:
    serial = {name for name, make in BLOCKS.items() if not make().parallel_in_time}
    assert serial == {"slstm"}


CHUNKED: dict[str, Callable[[int, str], Recurrent[Any]]] = {
    "mlstm": lambda chunk, kernel: MLSTMBlock(3, 6, heads=2, chunk=chunk, kernel=kernel),
    "rwkv7": lambda chunk, kernel: RWKV7(3, 6, heads=2, layers=2, chunk=chunk, kernel=kernel),
    "gated deltanet": lambda chunk, kernel: GatedDeltaNet(3, 6, heads=2, chunk=chunk, kernel=kernel),
}


@pytest.mark.parametrize("chunk", [1, 3, 7, 64, 70])
@pytest.mark.parametrize("name", CHUNKED)
def test_every_chunk_of_the_op_gives_the_same(name: str, chunk: int) -> None:
    torch.manual_seed(0)
    plain = moved(CHUNKED[name](64, "reference"))
    layer = CHUNKED[name](chunk, "auto").double()
    layer.load_state_dict(plain.state_dict())
    x = torch.randn(3, 70, 3, dtype=torch.float64)
    reset = torch.zeros(3, 70, dtype=torch.bool)
    reset[0, 33] = reset[1, 0] = reset[1, 1] = True
    results = []
    for each in (layer, plain):
        y, final = each(x, lengths=[70, 41, 0], reset=reset)
        total = y.sin().sum() + sum(leaf.sin().sum() for leaf in leaves(final))
        results.append((y, *leaves(final), *torch.autograd.grad(total, list(each.parameters()))))
    for got, expected in zip(*results, strict=True):
        largest = max(1.0, float(expected.detach().abs().max()))
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10 * largest)


def moved(layer: nn.Module) -> Any:
    """The layer in float64 with every parameter moved, so that what starts at zero or one counts."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return layer.double()


def extremes(like: Tensor) -> Tensor:
    """From -50 to 50, in no order."""
    return torch.linspace(-50, 50, like.numel())[torch.randperm(like.numel())].view(like.shape)


GATES: dict[str, Callable[[Any], list[Tensor]]] = {
    "slstm": lambda block: [block.bias],
    "mlstm": lambda block: [block.bias_gates],
    "time mix": lambda block: [block.decay.up.bias, block.rate.up.bias],
    "rwkv7": lambda block: [
        bias
        for layer in block.layers
        for bias in (layer.time.decay.up.bias, layer.time.rate.up.bias)
    ],
    "gated deltanet": lambda block: [block.decay_bias, block.decay_rate.mul_(0.05), block.inward.weight[-4:]],
}  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", GATES)
def test_gates_up_to_fifty_and_resets_in_a_row_leave_everything_finite(
    name: str, seed: int, dtype: torch.dtype
) -> None:
    torch.manual_seed(seed)
    layer = moved(BLOCKS[name]()).to(dtype)
    with torch.no_grad():
        for gate in GATES[name](layer):
            gate.copy_(extremes(gate))
    x = torch.randn(4, 12, 3, dtype=dtype, requires_grad=True)
    reset = torch.zeros(4, 12, dtype=torch.bool)
    reset[0, 5] = reset[1, 0] = reset[2, 3] = reset[2, 4] = True
    y, final = layer(x, lengths=[12, 12, 7, 0], reset=reset)
    total = y.sum() + sum(leaf.sum() for leaf in leaves(final))
    gradients = torch.autograd.grad(total, [x, *layer.parameters()], allow_unused=True)
    assert all(bool(torch.isfinite(t).all()) for t in (y, *leaves(final), *(g for g in gradients if g is not None)))


@pytest.mark.parametrize("name", BLOCKS)
def test_an_input_of_zeros_has_a_bounded_gradient(name: str) -> None:
    torch.manual_seed(0)
    layer = BLOCKS[name]().double()
    x = torch.zeros(2, 5, 3, dtype=torch.float64, requires_grad=True)
    layer(x)[0].sum().backward()
    assert x.grad is not None
    # The norms are steepest at zero, 1 / sqrt(1e-5) and 1 / sqrt(1e-6); two stand one on the other.
    assert float(x.grad.abs().max()) < 1e6


STRICT = [name for name in BLOCKS if name != "channel mix"]


@pytest.mark.parametrize("name", STRICT)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_state_of_half_precision_is_refused(name: str, dtype: torch.dtype) -> None:
    layer = BLOCKS[name]()
    owner = type(layer).__name__
    with pytest.raises(DtypeError, match=f"{owner}: its state must be float32 or float64, got {dtype}"):
        layer.initial_state(2, dtype=dtype)
    with pytest.raises(DtypeError, match=f"{owner}: its state must be float32"):
        layer.to(dtype)(torch.zeros(2, 3, 3, dtype=dtype))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", STRICT)
def test_under_autocast_the_state_is_float32_from_chunk_to_chunk(name: str, kind: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = BLOCKS[name]().eval()
    x = torch.randn(2, 6, 3).to(kind)
    with torch.no_grad():
        exact, _ = layer(x.float())
        with torch.autocast("cpu", torch.bfloat16):
            whole, final = layer(x)
            first, state = layer(x[:, :4], lengths=[4, 4])
            second, state = layer(x[:, 4:5], state)
            third, state = layer.step(x[:, 5], state)
    assert {leaf.dtype for leaf in (*leaves(state), *leaves(final))} == {torch.float32}
    # Products of bfloat16 lose half a unit in 2**8 each, and a few stand one on the other.
    limit = 2**-5 * max(1.0, float(exact.abs().max()))
    torch.testing.assert_close(torch.cat([first, second, third[:, None]], 1), whole, rtol=0, atol=limit)
    torch.testing.assert_close(whole.float(), exact, rtol=0, atol=limit)


def test_under_autocast_a_gradient_reaches_every_parameter() -> None:
    for make in BLOCKS.values():
        layer = moved(make()).float()
        with torch.autocast("cpu", torch.bfloat16):
            layer(torch.randn(2, 6, 3))[0].float().pow(2).sum().backward()
        for name, parameter in layer.named_parameters():
            assert parameter.grad is not None, name
            assert bool(torch.isfinite(parameter.grad).all()), name


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("blocks", [1, 3, 200])
def test_a_block_diagonal_product_is_the_same_in_every_form(outputs: int, blocks: int) -> None:
    torch.manual_seed(0)
    layer = BlockLinear(outputs, blocks, 4)
    nn.init.normal_(layer.weight)
    layer = layer.double()
    x = torch.randn(2, 5, 4 * blocks, dtype=torch.float64)
    expected = torch.stack([x @ torch.block_diag(*weight).T for weight in layer.weight], -2)
    torch.testing.assert_close(layer(x), expected)
    torch.testing.assert_close(layer(x[:, 0]), expected[:, 0])


def test_a_residual_norm_is_layer_norm_before_the_layer() -> None:
    torch.manual_seed(0)
    inner = GRU(4, 4)
    layer = moved(Residual(inner, norm=True))
    x = torch.randn(2, 6, 4, dtype=torch.float64)
    torch.testing.assert_close(layer(x)[0], x + inner(layer.norm(x))[0])


def test_a_residual_norm_gives_its_layer_zero_in_the_padding() -> None:
    seen: list[Tensor] = []

    class Spy(GRU):
        def sequence(self, x: Tensor, state: Any, lengths: Tensor | None, reset: Tensor | None) -> Any:
            seen.append(x)
            return super().sequence(x, state, lengths, reset)

    moved(Residual(Spy(4, 4), norm=True))(torch.randn(2, 6, 4, dtype=torch.float64), lengths=[6, 2])
    assert seen[0][0].all()
    assert not seen[0][1, 2:].any()


@pytest.mark.parametrize(
    ("width", "expected"), [(1, (1, 1, 1, 1)), (5, (1, 1, 1, 1)), (8, (4, 4, 1, 1)), (128, (4, 4, 2, 2))]
)
def test_heads_fit_the_width_where_none_are_asked_for(width: int, expected: tuple[int, ...]) -> None:
    kinds: list[Callable[[int, int], Any]] = [SLSTMBlock, MLSTMBlock, RWKV7TimeMix, GatedDeltaNet]
    assert tuple(kind(width, width).heads for kind in kinds) == expected


def reference_mixes(size: int, layer: int, layers: int) -> Tensor:
    """The authors' loop, with the exponents of r, w, k, v, a and g."""
    left = 1.0 - layer / layers
    return torch.tensor([[1.0 - (i / size) ** (e * left) for i in range(size)] for e in (0.2, 0.9, 0.7, 0.7, 0.9, 0.2)])


@pytest.mark.parametrize(("layer", "layers"), [(0, 1), (0, 3), (1, 3), (2, 3)])
def test_rwkv7_begins_as_the_authors_do(layer: int, layers: int) -> None:
    size, heads = 24, 2
    mix = RWKV7TimeMix(size, size, heads=heads, layer=layer, layers=layers)
    torch.testing.assert_close(mix.mixes, reference_mixes(size, layer, layers))
    ratio, width = layer / max(1, layers - 1), size // heads
    for n in range(size):
        zigzag = ((n % width) - (width - 1) / 2) / ((width - 1) / 2)
        zigzag *= abs(zigzag)
        line = n / (size - 1) - 0.5
        decay = -6 + 6 * (n / (size - 1)) ** (1 + ratio**0.3) + 0.5 + 2.5 * zigzag
        got = (mix.decay.up.bias[n], mix.rate.up.bias[n], mix.key_removed[n])
        assert [value.item() for value in got] == pytest.approx(
            [decay, -0.19 + 0.3 * zigzag + 0.4 * line, 0.71 - 0.1 * line], abs=1e-5
        )
    assert bool((mix.key_rate == 1.02).all())
    assert bool((mix.bonus == -0.04).all())


def test_rwkv7_gives_its_input_at_first() -> None:
    x = torch.randn(2, 5, 8)
    assert torch.equal(RWKV7(8, 8, layers=2)(x)[0], x)


def test_the_decays_of_gated_deltanet_begin_as_those_of_mamba() -> None:
    block = GatedDeltaNet(8, 512, heads=256)
    assert block.decay_rate is not None
    assert block.decay_bias is not None
    rate, step = block.decay_rate.detach().exp(), nn.functional.softplus(block.decay_bias.detach())
    assert 0 < float(rate.min()) < 2 < 14 < float(rate.max()) <= 16
    assert 0.00099 < float(step.min()) < 0.003 < 0.03 < float(step.max()) < 0.101


def test_what_an_xlstm_block_adds_begins_smaller_in_a_deeper_stack() -> None:
    torch.manual_seed(0)
    for kind, name in ((SLSTMBlock, "gated.down"), (MLSTMBlock, "down")):
        alone, among = (kind(64, 64, blocks=blocks).get_submodule(name).weight.detach().std() for blocks in (1, 8))
        assert float(alone) == pytest.approx(2 / 8, rel=0.1)
        assert float(alone / among) == pytest.approx(8, rel=0.1)


@pytest.mark.parametrize("name", ["slstm_block", "mlstm_block", "rwkv7", "gated_deltanet"])
def test_a_block_is_found_by_its_word(name: str) -> None:
    layer = make_cell(name, 3, 6, heads=2)
    assert layer(torch.zeros(2, 4, 3))[0].shape == (2, 4, 6)


def test_a_gated_layer_has_the_width_asked_for() -> None:
    assert GatedLinear(48, 4 / 3).down.in_features == 64


@pytest.mark.parametrize(
    ("make", "finding"),
    [
        (lambda: SLSTMBlock(3, 6, heads=4), "SLSTMBlock: hidden_size must be divisible by heads, got hidden_size=6"),
        (lambda: MLSTMBlock(3, 6, heads=4), "MLSTMBlock: hidden_size must be divisible by heads, got hidden_size=6"),
        (lambda: RWKV7(3, 6, heads=4), "RWKV7: hidden_size must be divisible by heads, got hidden_size=6"),
        (lambda: GatedDeltaNet(3, 6, heads=4), "GatedDeltaNet: hidden_size must be divisible by heads, got hidden_si"),
        (lambda: SLSTMBlock(3, 6, heads=6), "SLSTMBlock: a head must have at least 2 features to be normalised, got"),
        (lambda: MLSTMBlock(3, 6, chunk=0), "MLSTMBlock: chunk must be an integer of at least 1, got 0"),
        (lambda: RWKV7(3, 6, chunk=0), "RWKV7: chunk must be an integer of at least 1, got 0"),
        (lambda: GatedDeltaNet(3, 6, chunk=0), "GatedDeltaNet: chunk must be an integer of at least 1, got 0"),
        (lambda: SLSTMBlock(3, 6, conv=-1), "SLSTMBlock: conv must be an integer of at least 1, got -1"),
        (lambda: SLSTMBlock(3, 6, conv=False), "SLSTMBlock: conv must be an integer of at least 1, got False"),
        (lambda: MLSTMBlock(3, 6, conv=0), "MLSTMBlock: conv must be an integer of at least 1, got 0"),
        (lambda: MLSTMBlock(3, 6, factor=0), "MLSTMBlock: factor must be a positive number, got 0"),
        (lambda: SLSTMBlock(3, 6, factor=math.inf), "SLSTMBlock: factor must be a positive number, got inf"),
        (lambda: MLSTMBlock(3, 6, blocks=0), "MLSTMBlock: blocks must be an integer of at least 1, got 0"),
        (lambda: RWKV7(3, 6, layers=0), "RWKV7: layers must be an integer of at least 1, got 0"),
        (lambda: RWKV7TimeMix(3, 6, layer=2, layers=2), "RWKV7TimeMix: layer must be one of 0..1, the layers from the"),
        (lambda: GatedDeltaNet(3, 6, heads=3, expand_values=1.2), "GatedDeltaNet: expand_values must give every head"),
    ],
)
def test_bad_options_get_one_sentence(make: Make, finding: str) -> None:
    with pytest.raises(OptionError) as caught:
        make()
    assert str(caught.value).startswith(finding)


@pytest.mark.parametrize("kind", [SLSTMBlock, MLSTMBlock, RWKV7, GatedDeltaNet])
def test_an_unknown_kernel_is_refused(kind: Any) -> None:
    with pytest.raises(KernelError, match="kernel must be 'auto' or one of"):
        kind(3, 6, kernel="referense")(torch.zeros(1, 2, 3))
