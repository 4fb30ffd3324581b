"""Blocks against implementations that nobody here wrote, and against the papers' equations one by one."""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from unrolled.nn.blocks import RWKV7, CausalConv, GatedDeltaNet, MLSTMBlock, RWKV7TimeMix, SLSTMBlock, TokenShift

EXACT = {"rtol": 1e-10, "atol": 1e-10}
"""Two orders of the same float64 sums."""


def foreign(name: str) -> Any:
    """Another package's module; what it prints and warns of as it is imported is its own affair."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason="needs the package to compare with", exc_type=ImportError)


def moved(layer: nn.Module, dtype: torch.dtype = torch.float64) -> Any:
    """The layer with every parameter moved, so that what starts at zero or one counts."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return layer.to(dtype).eval()


def rounding(dtype: torch.dtype, *values: Tensor) -> float:
    """What a few hundred sums may differ by in this dtype, for values as large as these."""
    return 2**8 * torch.finfo(dtype).eps * max(float(value.abs().max()) for value in values)


def copy(target: Tensor, source: Tensor) -> None:
    with torch.no_grad():
        target.copy_(source)


def copy_conv(ours: CausalConv, theirs: Any) -> None:
    """torch has the oldest step first, we the newest."""
    copy(ours.weight, theirs.weight[:, 0].flip(1).T)
    if ours.bias is not None:
        copy(ours.bias, theirs.bias)


@pytest.mark.parametrize("width", [1, 2, 4, 9])
def test_the_causal_convolution_is_that_of_torch_padded_on_the_left(width: int) -> None:
    theirs = nn.Conv1d(5, 5, width, groups=5, padding=width - 1).double()
    ours = CausalConv(5, width, activation="silu").double()
    copy_conv(ours, theirs)
    x = torch.randn(3, 7, 5, dtype=torch.float64)
    expected = functional.silu(theirs(x.transpose(1, 2))[..., :7].transpose(1, 2))
    torch.testing.assert_close(ours(x)[0], expected, **EXACT)


def test_the_token_shift_is_a_pad_of_torch() -> None:
    x = torch.randn(3, 7, 5, dtype=torch.float64)
    torch.testing.assert_close(TokenShift(5).double()(x)[0], functional.pad(x, (0, 0, 1, -1)), rtol=0, atol=0)


def mlstm_pair() -> tuple[MLSTMBlock, Any]:
    """Our block and that of xlstm with the same weights; hidden 32 makes both inner widths 64."""
    block, layer = foreign("xlstm.blocks.mlstm.block"), foreign("xlstm.blocks.mlstm.layer")
    config = layer.mLSTMLayerConfig(embedding_dim=32, num_heads=4, context_length=16)
    theirs = moved(block.mLSTMBlock(block.mLSTMBlockConfig(mlstm=config, _num_blocks=1, _block_idx=0)))
    ours = MLSTMBlock(32, 32, heads=4, chunk=5).double().eval()
    inner, cell = theirs.xlstm, theirs.xlstm.mlstm_cell
    # Theirs adds this to the normaliser, ours does not.
    cell.backend_fn = partial(cell.backend_fn, eps=0.0)
    cell.backend_fn_step = partial(cell.backend_fn_step, eps=0.0)
    copy(ours.norm.weight, 1 + theirs.xlstm_norm.weight)
    copy(ours.up.weight, inner.proj_up.weight)
    copy_conv(ours.conv, inner.conv1d.conv)
    copy(ours.query_key.weight, torch.stack([inner.q_proj.weight, inner.k_proj.weight]))
    copy(ours.value.weight, inner.v_proj.weight[None])
    copy(ours.weight_gates, torch.cat([cell.igate.weight, cell.fgate.weight]))
    copy(ours.bias_gates, torch.cat([cell.igate.bias, cell.fgate.bias]))
    copy(ours.head_norm.weight, 1 + cell.outnorm.weight)
    copy(ours.skip, inner.learnable_skip)
    copy(ours.down.weight, inner.proj_down.weight)
    return ours, theirs


def test_the_mlstm_block_is_that_of_xlstm() -> None:
    torch.manual_seed(0)
    ours, theirs = mlstm_pair()
    x = torch.randn(3, 13, 32, dtype=torch.float64, requires_grad=True)
    y, expected = ours(x)[0], theirs(x)
    torch.testing.assert_close(y, expected, **EXACT)
    weight = torch.randn_like(y)
    pairs = [(ours.up.weight, theirs.xlstm.proj_up.weight), (ours.skip, theirs.xlstm.learnable_skip), (x, x)]
    got = torch.autograd.grad((y * weight).sum(), [mine for mine, _ in pairs])
    want = torch.autograd.grad((expected * weight).sum(), [other for _, other in pairs])
    for mine, other in zip(got, want, strict=True):
        torch.testing.assert_close(mine, other, **EXACT)


def test_the_mlstm_block_steps_as_that_of_xlstm_with_the_same_state() -> None:
    torch.manual_seed(0)
    ours, theirs = mlstm_pair()
    state, carried = None, {}
    with torch.no_grad():
        for _ in range(6):
            x = torch.randn(2, 1, 32, dtype=torch.float64)
            y, state = ours.step(x[:, 0], state)
            expected, carried = theirs.step(x, **carried)
            torch.testing.assert_close(y, expected[:, 0], **EXACT)
    c, n, m = carried["mlstm_state"]
    for leaf, other in zip(state.cell, (c, n[..., 0], m[..., 0, 0]), strict=True):
        torch.testing.assert_close(leaf, other, **EXACT)


def slstm_pair(conv: int) -> tuple[SLSTMBlock, Any]:
    """Our block and that of xlstm with the same weights; hidden 48 makes both gated layers 64 wide."""
    block, layer = foreign("xlstm.blocks.slstm.block"), foreign("xlstm.blocks.slstm.layer")
    feedforward = foreign("xlstm.components.feedforward")
    theirs = moved(
        block.sLSTMBlock(
            block.sLSTMBlockConfig(
                slstm=layer.sLSTMLayerConfig(
                    embedding_dim=48, num_heads=4, conv1d_kernel_size=conv, backend="vanilla", dtype="float32"
                ),
                feedforward=feedforward.FeedForwardConfig(embedding_dim=48, proj_factor=1.3),
                _num_blocks=1,
                _block_idx=0,
            )
        )
    )
    ours = SLSTMBlock(48, 48, heads=4, conv=conv).double().eval()
    inner, cell = theirs.xlstm, theirs.xlstm.slstm_cell
    copy(ours.norm.weight, 1 + theirs.xlstm_norm.weight)
    if ours.conv is not None:
        copy_conv(ours.conv, inner.conv1d.conv)
    # The package feeds its cell's first gate, i, from the matrix that it calls f, and the other way round.
    copy(ours.gates_if.weight, torch.stack([inner.fgate.weight, inner.igate.weight]))
    copy(ours.gates_zo.weight, torch.stack([inner.zgate.weight, inner.ogate.weight]))
    copy(ours.weight_h, cell._recurrent_kernel_)
    copy(ours.bias, cell._bias_)
    copy(ours.head_norm.weight, 1 + inner.group_norm.weight)
    copy(ours.gated_norm.weight, 1 + theirs.ffn_norm.weight)
    copy(ours.gated.up.weight, theirs.ffn.proj_up.weight)
    copy(ours.gated.down.weight, theirs.ffn.proj_down.weight)
    return ours, theirs


@pytest.mark.parametrize("conv", [4, 0])
def test_the_slstm_block_is_that_of_xlstm(conv: int) -> None:
    torch.manual_seed(0)
    ours, theirs = slstm_pair(conv)
    x = torch.randn(3, 11, 48, dtype=torch.float64, requires_grad=True)
    y, expected = ours(x)[0], theirs(x)
    torch.testing.assert_close(y, expected, **EXACT)
    weight = torch.randn_like(y)
    pairs = [(ours.weight_h, theirs.xlstm.slstm_cell._recurrent_kernel_), (ours.bias, theirs.xlstm.slstm_cell._bias_)]
    pairs += [(ours.gated.up.weight, theirs.ffn.proj_up.weight), (x, x)]
    got = torch.autograd.grad((y * weight).sum(), [mine for mine, _ in pairs])
    want = torch.autograd.grad((expected * weight).sum(), [other for _, other in pairs])
    for mine, other in zip(got, want, strict=True):
        torch.testing.assert_close(mine, other, **EXACT)


def test_the_xlstm_blocks_begin_with_the_gates_of_xlstm() -> None:
    mine, theirs = SLSTMBlock(48, 48, heads=4), slstm_pair(4)[1].xlstm.slstm_cell
    theirs.reset_parameters()
    torch.testing.assert_close(mine.bias, theirs._bias_.float())
    torch.testing.assert_close(mine.weight_h, theirs._recurrent_kernel_.float())
    cell = mlstm_pair()[1].xlstm.mlstm_cell
    cell.reset_parameters()
    torch.testing.assert_close(MLSTMBlock(32, 32, heads=4).bias_gates[4:], cell.fgate.bias.float())


@pytest.fixture
def rwkv(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package rwkv, which asks the environment what it should be and changes torch's settings."""
    for name, value in {"RWKV_V7_ON": "1", "RWKV_JIT_ON": "1", "RWKV_CUDA_ON": "0"}.items():
        monkeypatch.setenv(name, value)
    settings = (torch.backends.cudnn, "benchmark"), (torch.backends.cudnn, "allow_tf32")
    settings += ((torch.backends.cuda.matmul, "allow_tf32"),)
    before = [getattr(owner, name) for owner, name in settings]
    mode = torch._C._jit_set_autocast_mode(False)
    yield foreign("rwkv.model")
    for (owner, name), value in zip(settings, before, strict=True):
        setattr(owner, name, value)
    torch._C._jit_set_autocast_mode(mode)


def time_mix_arguments(mix: RWKV7TimeMix, first_value: Any) -> tuple[Tensor, ...]:
    """The weights in the order of the package, its matrices transposed."""
    none = torch.zeros(0)
    blend = (none,) * 3 if first_value is None else low_rank(first_value)
    matrices = [layer.weight.T for layer in (mix.receptance, mix.key, mix.value, mix.output)]
    return (
        *mix.mixes, *low_rank(mix.decay), *low_rank(mix.rate), *blend,
        mix.gate.down.weight.T, mix.gate.up.weight.T, mix.key_removed, mix.key_rate, mix.bonus.flatten(),
        *matrices, mix.head_norm.weight, mix.head_norm.bias,
    )  # fmt: skip


def low_rank(part: Any) -> tuple[Tensor, Tensor, Tensor]:
    return part.up.bias, part.down.weight.T, part.up.weight.T


def test_rwkv7_is_that_of_the_package_rwkv(rwkv: Any) -> None:
    torch.manual_seed(0)
    ours = moved(RWKV7(64, 64, heads=4, layers=3, chunk=5), torch.float32)
    x = torch.randn(12, 64)
    with torch.no_grad():
        y, state = ours(x[None])
        stream, first = x, torch.zeros(0)
        for number, layer in enumerate(ours.layers):
            arguments = time_mix_arguments(layer.time, layer.first_value)
            added, last, memory, first = rwkv.RWKV_x070_TMix_seq(
                number, 4, 16, layer.time_norm(stream), torch.zeros(64), first, torch.zeros(4, 16, 16), *arguments
            )
            stream = stream + added
            torch.testing.assert_close(state[number].time.shift.past[0, 0], last)
            limit = rounding(torch.float32, memory)
            torch.testing.assert_close(state[number].time.memory.s[0], memory.mT, rtol=0, atol=limit)
            channel = layer.channel
            added, last = rwkv.RWKV_x070_CMix_seq(
                layer.channel_norm(stream), torch.zeros(64), channel.mixes, channel.key.weight.T, channel.value.weight.T
            )
            stream = stream + added
            torch.testing.assert_close(state[number].channel.past[0, 0], last)
    torch.testing.assert_close(y[0], stream, rtol=0, atol=rounding(torch.float32, stream))


def paper_time_mix(mix: RWKV7TimeMix, x: Tensor, first: Tensor | None = None, value: Any = None) -> tuple[Tensor, Any]:
    """One row of the time mix, x (time, size), head by head with the paper's S (values, keys); and its v of each step.

    first, value: v of the first layer, and the weights of the mix with it.
    """
    heads, width = mix.bonus.shape
    before, outputs, values = torch.zeros_like(x[0]), [], []
    memory = [torch.zeros(width, width, dtype=x.dtype) for _ in range(heads)]
    for t, now in enumerate(x):
        x_r, x_w, x_k, x_v, x_a, x_g = (now + mu * (before - now) for mu in mix.mixes)
        before = now
        r, k, v = mix.receptance.weight @ x_r, mix.key.weight @ x_k, mix.value.weight @ x_v
        if first is not None:
            nu = torch.sigmoid(value.up.bias + value.up.weight @ (value.down.weight @ x_v))
            v = nu * first[t] + (1 - nu) * v
        values.append(v)
        d = mix.decay.up.bias + mix.decay.up.weight @ torch.tanh(mix.decay.down.weight @ x_w)
        w = torch.exp(-math.exp(-0.5) * torch.sigmoid(d))
        a = torch.sigmoid(mix.rate.up.bias + mix.rate.up.weight @ (mix.rate.down.weight @ x_a))
        g = mix.gate.up.weight @ torch.sigmoid(mix.gate.down.weight @ x_g)
        kappa = k * mix.key_removed
        k = k * (1 + (a - 1) * mix.key_rate)
        parts = []
        for head in range(heads):
            own = slice(head * width, (head + 1) * width)
            unit = kappa[own] / (kappa[own].dot(kappa[own]) + 1e-6).sqrt()
            moved_on = torch.diag(w[own]) - torch.outer(unit, a[own] * unit)
            memory[head] = memory[head] @ moved_on + torch.outer(v[own], k[own])
            read = memory[head] @ r[own]
            read = (read - read.mean()) / (read.var(correction=0) + 64e-5).sqrt()
            read = read * mix.head_norm.weight[own] + mix.head_norm.bias[own]
            parts.append(read + (r[own] * k[own] * mix.bonus[head]).sum() * v[own])
        outputs.append(mix.output.weight @ (g * torch.cat(parts)))
    return torch.stack(outputs), (torch.stack(values), memory)


def test_the_time_mix_is_the_papers_equations() -> None:
    torch.manual_seed(0)
    mix = moved(RWKV7TimeMix(5, 6, heads=2, chunk=3))
    x = torch.randn(8, 5, dtype=torch.float64, requires_grad=True)
    y, state = mix(x[None])
    expected, (_, memory) = paper_time_mix(mix, x)
    torch.testing.assert_close(y[0], expected, **EXACT)
    for head in range(2):
        torch.testing.assert_close(state.memory.s[0, head], memory[head].T, **EXACT)
    weight = torch.randn_like(expected)
    inputs = [x, *mix.parameters()]
    got = torch.autograd.grad((y[0] * weight).sum(), inputs)
    for mine, want in zip(got, torch.autograd.grad((expected * weight).sum(), inputs), strict=True):
        torch.testing.assert_close(mine, want, **EXACT)


def test_rwkv7_hands_the_first_values_to_every_layer() -> None:
    torch.manual_seed(0)
    block = moved(RWKV7(6, 6, heads=2, layers=3, factor=2))
    stream = x = torch.randn(8, 6, dtype=torch.float64)
    first = None
    for layer in block.layers:
        added, (values, _) = paper_time_mix(layer.time, layer.time_norm(stream), first, layer.first_value)
        first = values if first is None else first
        stream = stream + added
        now = layer.channel_norm(stream)
        before = torch.cat([torch.zeros_like(now[:1]), now[:-1]])
        inner = ((now + layer.channel.mixes * (before - now)) @ layer.channel.key.weight.T).clamp(min=0) ** 2
        stream = stream + inner @ layer.channel.value.weight.T
    torch.testing.assert_close(block(x[None])[0][0], stream, **EXACT)


def short_convolution(x: Tensor, conv: CausalConv) -> Tensor:
    """By torch's own convolution: x (batch, time, size)."""
    weight = conv.weight.flip(0).T[:, None]
    y = functional.conv1d(x.transpose(1, 2), weight, groups=x.shape[2], padding=conv.width - 1)
    return functional.silu(y[..., : x.shape[1]].transpose(1, 2))


@pytest.mark.parametrize("decay", [True, False])
def test_gated_deltanet_is_made_of_the_rules_of_fla(decay: bool) -> None:
    gated, plain = foreign("fla.ops.gated_delta_rule.naive"), foreign("fla.ops.delta_rule.naive")
    torch.manual_seed(0)
    block = moved(GatedDeltaNet(6, 8, heads=2, expand_values=2, decay=decay, chunk=5), torch.float32)
    x = torch.randn(3, 11, 6)
    with torch.no_grad():
        y, state = block(x)
        mixed, gate, share, rate = block.inward(x).split(block.sizes, -1)
        q, k, v = short_convolution(mixed, block.conv).split([8, 8, 16], -1)
        q, k, v = (part.unflatten(-1, (2, -1)) for part in (q, k, v))
        q, k = (part / (part.square().sum(-1, keepdim=True) + 1e-6).sqrt() for part in (q, k))
        beta = share.sigmoid()
        if decay:
            g = -block.decay_rate.exp() * functional.softplus(rate + block.decay_bias)
            read, memory = gated.naive_recurrent_gated_delta_rule(q, k, v, beta, g, output_final_state=True)
        else:
            read, memory = plain.delta_rule_recurrence(*(part.transpose(1, 2) for part in (q, k, v, beta)))
            read = read.transpose(1, 2)
        read = functional.rms_norm(read, (8,), block.norm, 1e-5).flatten(-2) * functional.silu(gate)
        expected = read @ block.output.weight.T
    torch.testing.assert_close(y, expected, rtol=0, atol=rounding(torch.float32, expected))
    torch.testing.assert_close(state.memory.s, memory, rtol=0, atol=rounding(torch.float32, memory))
