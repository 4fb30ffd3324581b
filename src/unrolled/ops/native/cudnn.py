"""The classic cells on a GPU by torch's own layers, which run cuDNN there: the kernel "cudnn" of rnn, lstm and gru."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from unrolled.ops.core.register import Kernel, differentiable_kernel
from unrolled.padding import reverse_padded, zero_padding

__all__ = ["cudnn_kernel", "run_layer"]

_LAYERS: dict[str, Any] = {
    "lstm": torch._VF.lstm,
    "gru": torch._VF.gru,
    "rnn tanh": torch._VF.rnn_tanh,
    "rnn relu": torch._VF.rnn_relu,
}
_PLAIN = {"x", "h0", "c0", "weight_h", "weight_p", "bias_h", "lengths", "weight_x", "bias"}
"""What cuDNN's layers know."""


def cudnn_kernel(
    tensors: Sequence[str],
    *,
    mode: Callable[..., str | None],
    memory: Callable[..., tuple[int, ...]],
) -> Kernel:
    """The kernel "cudnn" of an op with these tensors.

    mode(*attributes): a word of torch's layers, or None where none has these attributes. The last attribute is
    `reverse`. memory: the shape of the op's memory, which is not used.
    """
    names = [name.rstrip("?") for name in tensors]

    def refuses(*arguments: Any) -> str | None:
        given, values = dict(zip(names, arguments, strict=False)), arguments[len(names) :]
        x = given["x"]
        if not x.is_cuda:
            return f"x is on {x.device}, it runs on a GPU"
        if not torch.backends.cudnn.is_acceptable(x):  # type: ignore[no-untyped-call]
            return "this torch has no cuDNN for x"
        strange = [name for name, tensor in given.items() if tensor is not None and name not in _PLAIN]
        if strange or mode(*values) is None:
            return f"cuDNN has no such cell: {', '.join(strange) or 'another variant'} is asked for"
        if given["weight_x"] is None:
            return "x comes projected, and cuDNN projects by itself"
        return None

    def forward(*arguments: Any) -> tuple[Tensor, ...]:
        given, values = dict(zip(names, arguments, strict=False)), arguments[len(names) :]
        word = mode(*values)
        assert word is not None
        return run_layer(word, given, reverse=values[-1])

    return differentiable_kernel("cudnn", refuses, forward, memory)


def run_layer(mode: str, given: dict[str, Any], *, reverse: bool) -> tuple[Tensor, ...]:
    """y and the final state of one of torch's layers; it runs wherever torch does. given: tensors by the op's names."""
    x, lengths, h0, c0 = given["x"], given["lengths"], given["h0"], given.get("c0")
    if reverse:
        x = reverse_padded(x, lengths)
    state = (h0[None],) if c0 is None else (h0[None], c0[None])
    hidden: Any = state if mode == "lstm" else state[0]
    weights = _weights(given)
    # Layers, dropout, training and directions: training keeps what the backward pass reads.
    settings = (given["bias"] is not None or given.get("bias_h") is not None, 1, 0.0, torch.is_grad_enabled(), False)
    if lengths is None:
        y, *final = _LAYERS[mode](x, hidden, weights, *settings, True)
        final = [leaf[0] for leaf in final]
    else:
        # torch packs no row of length 0: such a row takes a step whose results are dropped.
        packed = pack_padded_sequence(x, lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False)
        order, back = packed.sorted_indices, packed.unsorted_indices
        hidden = tuple(leaf[:, order] for leaf in state) if mode == "lstm" else state[0][:, order]
        data, *final = _LAYERS[mode](packed.data, packed.batch_sizes, hidden, weights, *settings)
        padded, _ = pad_packed_sequence(
            PackedSequence(data, packed.batch_sizes, order, back), batch_first=True, total_length=x.shape[1]
        )
        y = zero_padding(padded, lengths)
        alive = (lengths > 0)[:, None]
        final = [torch.where(alive, leaf[0][back], old[0]) for leaf, old in zip(final, state, strict=True)]
    return (reverse_padded(y, lengths) if reverse else y), *final


def _weights(given: dict[str, Any]) -> list[Tensor]:
    """In torch's order: of x, of h, two biases, the projection. Ours has one bias, and GRU's candidate another."""
    weights = [given["weight_x"], given["weight_h"]]
    bias, inner = given["bias"], given.get("bias_h")
    if bias is not None or inner is not None:
        outer = weights[0].new_zeros(len(weights[0])) if bias is None else bias
        second = torch.zeros_like(outer)
        if inner is not None:
            second = torch.cat([second[: -len(inner)], inner])
        weights += [outer, second]
    projection = given.get("weight_p")
    return weights if projection is None else [*weights, projection]
