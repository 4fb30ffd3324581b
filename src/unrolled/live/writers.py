"""How each layer's live step is written as a program: a new layer is one function here and one line in its table.

A writer takes the program, the layer, x and the layer's state, both as values, and returns y; what it stores in the
state is there at the next step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from unrolled.errors import OptionError
from unrolled.live import binding as live
from unrolled.live.program import Program, Value, leaves_of
from unrolled.nn.blocks import (
    RWKV7,
    CausalConv,
    GatedDeltaNet,
    MLSTMBlock,
    RWKV7ChannelMix,
    RWKV7TimeMix,
    SLSTMBlock,
    TokenShift,
)
from unrolled.nn.cells.lru import LRU
from unrolled.nn.cells.mingru import MinGRU
from unrolled.nn.cells.minlstm import MinLSTM
from unrolled.nn.cells.mlstm import MLSTM
from unrolled.nn.cells.rglru import RGLRU, SHARPNESS
from unrolled.nn.cells.slstm import SLSTM
from unrolled.nn.wrappers.residual import Residual
from unrolled.nn.wrappers.stack import Stack
from unrolled.nn.wrappers.zoneout import Zoneout

__all__ = ["WRITERS", "write"]


def write(p: Program, layer: Any, x: Value, state: Any) -> Value:
    """The step of a layer: y. Raises OptionError for a layer that has no writer."""
    gated = live.zoned(layer)
    if gated is not None:
        return p.cell(live.fields(gated, p.batch, p.dtype, live.STORED[p.stored], p.alive), x, state)
    writer = WRITERS.get(type(layer))
    if writer is None:
        raise OptionError(f"Program: there is no writer for {type(layer).__name__}.")
    return writer(p, layer, x, state)


def _stack(p: Program, stack: Any, x: Value, state: Any) -> Value:
    p.only_in_evaluation |= stack.dropout > 0
    for layer, own in zip(stack.layers, state, strict=True):
        x = write(p, layer, x, own)
    return x


def _residual(p: Program, residual: Any, x: Value, state: Any) -> Value:
    return x + write(p, residual.layer, _module(p, residual.norm, x), state)


def _zoneout(p: Program, zoneout: Any, x: Value, state: Any) -> Value:
    p.only_in_evaluation = True
    rates = zip(leaves_of(state), zoneout.rates, strict=True)
    rated = [(leaf, leaf.copy(), rate) for leaf, rate in rates if rate]
    write(p, zoneout.cell, x, state)
    for leaf, old, rate in rated:
        p.store(leaf, rate * old + (1 - rate) * leaf)
    return leaves_of(state)[0].copy()


def _minimal(p: Program, cell: Any, x: Value, state: Any) -> Value:
    gates = p.linear(x, cell.weight_x, cell.bias)
    if cell.lstm:
        f, i, candidate = gates.chunk(3)
        share = (-f).softplus() - (-i).softplus()
    else:
        share, candidate = gates.chunk(2)
    if cell.form == "log":
        candidate = candidate.choose(candidate + 0.5, candidate.sigmoid())
    h = (-share).sigmoid().multiply_add(state.h, share.sigmoid() * candidate)
    p.store(state.h, h)
    return h


def _rglru(p: Program, cell: Any, x: Value, state: Any) -> Value:
    u = x if cell.weight_in is None else p.linear(x, cell.weight_in)
    recurrence, entrance = p.linear(u, cell.weight_a, cell.bias_a), p.linear(u, cell.weight_i, cell.bias_i)
    log_decay = recurrence.sigmoid() * (-SHARPNESS * softplus(cell.decay))
    multiplier = (-(2 * log_decay).expm1()).maximum(p.value(torch.finfo(p.dtype).tiny, u.width)).sqrt()
    # The first step of a row has no past to share with.
    share = 1 + state.begun.spread(u.width) * (multiplier - 1)
    h = log_decay.exp().multiply_add(state.h, share * (entrance.sigmoid() * u))
    p.store(state.h, h)
    p.store(state.begun, p.value(1.0, 1))
    return h


def _lru(p: Program, cell: Any, x: Value, state: Any) -> Value:
    drive = p.linear(x, cell.weight_x) * cell.gamma.exp().repeat(2)
    a, b = cell._decay(p.dtype).chunk(2)
    (real, imaginary), (for_real, for_imaginary) = state.h.chunk(2), drive.chunk(2)
    h = p.join(real * a - imaginary * b + for_real, imaginary * a + real * b + for_imaginary)
    p.store(state.h, h)
    from_real, from_imaginary = cell.weight_y.chunk(2, 1)
    return p.linear(h, torch.cat([from_real, -from_imaginary], 1)) + p.linear(x, cell.weight_d)


def _slstm(p: Program, cell: Any, x: Value, state: Any) -> Value:
    gates = p.linear(x, cell.weight_x, cell.bias).chunk(4)
    return _slstm_step(p, gates, cell.weight_h, cell.forget == "exponential", state)


def _slstm_step(p: Program, gates: tuple[Value, ...], weight_h: Tensor, exponential: bool, state: Any) -> Value:
    """gates: i, f, z, o without their recurrent parts, whose weights weight_h (heads, 4 width, width) holds alike."""
    i, f, z, o = (gate + p.linear(state.h, weight) for gate, weight in zip(gates, weight_h.chunk(4, 1), strict=True))
    return p.slstm((i, f, z, o), state, exponential)


def _mlstm(p: Program, cell: Any, x: Value, state: Any) -> Value:
    projected = p.linear(x, cell.weight_x, cell.bias)
    q, k, v, o, i, f = projected.split([cell.output_size] * 4 + [cell.heads] * 2)
    return o.sigmoid() * p.mlstm(q, k, v, i, f, state)


def _token_shift(p: Program, layer: Any, x: Value, state: Any) -> Value:
    before: Value = state.past.copy()
    p.store(state.past, x)
    return before


def _causal_conv(p: Program, layer: Any, x: Value, state: Any) -> Value:
    y = p.window(x, state.past, layer.weight.flip(0), layer.bias)
    return y if layer.activation is None else y.silu()


def _slstm_block(p: Program, block: Any, x: Value, state: Any) -> Value:
    x = _module(p, block.entrance, x)
    u = _module(p, block.norm, x)
    read = u if block.conv is None else _causal_conv(p, block.conv, u, state.window)
    biases = block.bias.chunk(4)
    gates = [
        p.linear(source, weight, bias)
        for source, weight, bias in zip(
            (read, read, u, u), (*block.gates_if.weight, *block.gates_zo.weight), biases, strict=True
        )
    ]
    h = _slstm_step(p, tuple(gates), block.weight_h, block.exponential, state.cell)
    x = x + _head_norm(p, block.head_norm, h, block.heads)
    gate, up = p.linear(_module(p, block.gated_norm, x), block.gated.up.weight).chunk(2)
    return x + p.linear(gate.gelu() * up, block.gated.down.weight)


def _mlstm_block(p: Program, block: Any, x: Value, state: Any) -> Value:
    x = _module(p, block.entrance, x)
    u, gate = _module(p, block.up, _module(p, block.norm, x)).chunk(2)
    read = _causal_conv(p, block.conv, u, state.window)
    q, k = (p.linear(read, weight) for weight in block.query_key.weight)
    v = p.linear(u, block.value.weight[0])
    i, f = p.linear(p.join(q, k, v), block.weight_gates, block.bias_gates).chunk(2)
    h = _head_norm(p, block.head_norm, p.mlstm(q, k, v, i, f, state.cell), block.heads)
    return x + _module(p, block.down, (h + read * block.skip) * gate.silu())


def _gated_deltanet(p: Program, block: Any, x: Value, state: Any) -> Value:
    inward = _module(p, block.inward, x)
    mixed, gate, share, decay = inward.split(block.sizes)
    mixed = mixed.silu() if block.conv is None else _causal_conv(p, block.conv, mixed, state.window)
    size, heads = block.output_size, block.heads
    keys = size // heads
    q, k, v = mixed.split([size, size, block.value_size])
    q, k = q.l2_norm(heads, 1e-6) * keys**-0.5, k.l2_norm(heads, 1e-6)
    written = block.largest_share * share.sigmoid().spread(keys) * k
    if block.decay_rate is None:
        kept = p.value(1.0, size)
        removed = -written
    else:
        log = (decay + block.decay_bias).softplus() * -block.decay_rate.exp()
        kept = log.exp().spread(keys)
        removed = -(kept * written)
    read = p.delta(q, kept, written, v, k, removed, state.memory.s, heads).rms_norm(heads, 1e-5)
    read = read * block.norm.repeat(heads)
    return _module(p, block.output, read * gate.silu() if block.sizes[1] else read)


def _time_mix(p: Program, mix: Any, x: Value, state: Any) -> Value:
    return _time_mix_and_values(p, mix, x, state, None)[0]


def _time_mix_and_values(
    p: Program, mix: Any, x: Value, state: Any, blend: Callable[[Value, Value], Value] | None
) -> tuple[Value, Value]:
    """y and v; `blend` makes v of the input of its product and of v."""
    before = _token_shift(p, mix, x, state.shift)
    apart = before - x
    for_r, for_w, for_k, for_v, for_a, for_g = (apart.multiply_add(part, x) for part in mix.mixes)
    key, v = _module(p, mix.key, for_k), _module(p, mix.value, for_v)
    v = v if blend is None else blend(for_v, v)
    rate = _low_rank(p, mix.rate, for_a).sigmoid()
    decay = (-math.exp(-0.5) * _low_rank(p, mix.decay, for_w).sigmoid()).exp()
    k = key * (1 + (rate - 1) * mix.key_rate)
    r = _module(p, mix.receptance, for_r)
    removed = (key * mix.key_removed).l2_norm(mix.heads, 1e-6)
    read = p.delta(r, decay, k, v, -removed, removed * rate, state.memory.s, mix.heads)
    bonus = (r * k * mix.bonus.flatten()).group_sum(mix.heads).spread(v.width // mix.heads) * v
    read = _head_norm(p, mix.head_norm, read, mix.heads) + bonus
    return _module(p, mix.output, read * _low_rank(p, mix.gate, for_g)), v


def _channel_mix(p: Program, mix: Any, x: Value, state: Any) -> Value:
    before = _token_shift(p, mix, x, state)
    return _module(p, mix.value, _module(p, mix.key, (before - x).multiply_add(mix.mixes, x)).relu().square())


def _rwkv7(p: Program, block: Any, x: Value, state: Any) -> Value:
    x = _module(p, block.entrance, x)
    first: Value | None = None
    for layer, own in zip(block.layers, state, strict=True):
        blend = None if first is None else _blend(p, layer.first_value, first)
        y, v = _time_mix_and_values(p, layer.time, _module(p, layer.time_norm, x), own.time, blend)
        first = v if first is None else first
        x = x + y
        x = x + _channel_mix(p, layer.channel, _module(p, layer.channel_norm, x), own.channel)
    return x


def _blend(p: Program, weights: Any, first: Value) -> Callable[[Value, Value], Value]:
    return lambda x, v: v.lerp(first, _low_rank(p, weights, x).sigmoid())


def _low_rank(p: Program, weights: Any, x: Value) -> Value:
    inner = _module(p, weights.down, x)
    if weights.between:
        inner = inner.tanh() if weights.between == "tanh" else inner.sigmoid()
    return _module(p, weights.up, inner)


def _head_norm(p: Program, norm: Any, x: Value, heads: int) -> Value:
    y: Value = x.layer_norm(heads, norm.eps) * norm.weight
    return y if norm.bias is None else y + norm.bias


def _module(p: Program, module: Any, x: Value) -> Value:
    """A product or a norm of torch.nn; None does nothing."""
    if module is None:
        return x
    if type(module) is nn.Linear:
        return p.linear(x, module.weight, module.bias)
    y: Value = x.layer_norm(1, module.eps) * module.weight
    return y if module.bias is None else y + module.bias


WRITERS: dict[type, Callable[[Program, Any, Value, Any], Value]] = {
    Stack: _stack,
    Residual: _residual,
    Zoneout: _zoneout,
    MinGRU: _minimal,
    MinLSTM: _minimal,
    RGLRU: _rglru,
    LRU: _lru,
    SLSTM: _slstm,
    MLSTM: _mlstm,
    TokenShift: _token_shift,
    CausalConv: _causal_conv,
    SLSTMBlock: _slstm_block,
    MLSTMBlock: _mlstm_block,
    GatedDeltaNet: _gated_deltanet,
    RWKV7TimeMix: _time_mix,
    RWKV7ChannelMix: _channel_mix,
    RWKV7: _rwkv7,
}
