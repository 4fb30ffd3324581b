"""Torch's functions of the entries of a row as instructions: sums, largest numbers, norms, and rows of tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from unrolled.live.record.points import (
    Function,
    Number,
    Value,
    add,
    affine,
    divide,
    multiply,
    number_of,
    subtract,
    tensor,
)
from unrolled.live.record.tape import Node, Tape
from unrolled.live.record.values import Recorded, Unrecordable

__all__ = ["SUMS", "embedding"]

Dimensions = int | Sequence[int] | None


def _grouped(x: Recorded, dim: Dimensions) -> tuple[Recorded, tuple[int, ...]]:
    """x with the reduced dimensions last and flat, and which they are."""
    wanted = tuple(range(x.ndim)) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    dims = tuple(sorted(one % x.ndim for one in wanted)) or tuple(range(x.ndim))
    if 0 in dims:
        raise Unrecordable("a sum over the rows of the batch mixes streams")
    rest = [one for one in range(x.ndim) if one not in dims]
    codes = x.codes.permute(*rest, *dims)
    return Recorded(x.tape, codes.flatten(len(rest)), x.dtype, no=x.no), dims


def _reduced(tape: Tape, op: str, x: Value, dim: Dimensions, keepdim: bool) -> Recorded:
    """One number of every group."""
    value = number_of(tape, x)
    assert isinstance(value, Recorded)
    flat, dims = _grouped(value, dim)
    places, width = tape.row_places(flat), flat.shape[-1]
    groups = max(1, places.size // max(1, width))
    number = tape.node(Node(op, (places,), groups, (width, groups, 0)))
    shape = [1 if one in dims else size for one, size in enumerate(value.shape) if keepdim or one not in dims]
    return tape.view(tape.places(number), shape[1:])


def _sum(tape: Tape, x: Value, dim: Dimensions = None, keepdim: bool = False, **other: object) -> Value:
    return _reduced(tape, "group_sum", x, dim, keepdim)


def _mean(tape: Tape, x: Value, dim: Dimensions = None, keepdim: bool = False, **other: object) -> Value:
    total = _reduced(tape, "group_sum", x, dim, keepdim)
    assert isinstance(x, Recorded)
    return affine(tape, total, total.numel() / x.numel(), 0.0)


def _amax(tape: Tape, x: Value, dim: Dimensions = None, keepdim: bool = False) -> Value:
    return _reduced(tape, "group_max", x, dim, keepdim)


def _amin(tape: Tape, x: Value, dim: Dimensions = None, keepdim: bool = False) -> Value:
    turned = affine(tape, tensor(tape, x), -1.0, 0.0)
    return affine(tape, _reduced(tape, "group_max", turned, dim, keepdim), -1.0, 0.0)


def _softmax(tape: Tape, x: Value, dim: int = -1, **other: object) -> Value:
    powers = tape.pointwise("exp", subtract(tape, x, _amax(tape, x, dim, True)))
    return divide(tape, powers, _sum(tape, powers, dim, True))


def _logsumexp(tape: Tape, x: Value, dim: int | Sequence[int], keepdim: bool = False) -> Value:
    most = _amax(tape, x, dim, True)
    total = _sum(tape, tape.pointwise("exp", subtract(tape, x, most)), dim, keepdim)
    kept = _amax(tape, x, dim, keepdim)
    return add(tape, tape.pointwise("log", total), kept)


def _log_softmax(tape: Tape, x: Value, dim: int = -1, **other: object) -> Value:
    return subtract(tape, x, _logsumexp(tape, x, dim, True))


def _norm(tape: Tape, x: Value, p: Number = 2, dim: Dimensions = None, keepdim: bool = False, **other: object) -> Value:
    if p not in (2, "fro"):
        raise Unrecordable(f"the norm of order {p} has no instruction")
    squares = tape.pointwise("square", tensor(tape, x))
    return tape.pointwise("sqrt", _sum(tape, squares, dim, keepdim))


def _normed(tape: Tape, op: str, x: Recorded, width: int, eps: float) -> Recorded:
    places = tape.row_places(x)
    groups = places.size // width
    number = tape.node(Node(op, (places,), places.size, (width, groups, 0), (float(eps), 0.0)))
    return tape.view(tape.places(number), x.shape[1:])


def _layer_norm(
    tape: Tape,
    x: Recorded,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Value:
    return _scaled(tape, _normed(tape, "layer_norm", x, math.prod(normalized_shape), eps), weight, bias)


def _rms_norm(
    tape: Tape, x: Recorded, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Value:
    smallest = torch.finfo(tape.dtype).eps if eps is None else eps
    return _scaled(tape, _normed(tape, "rms_norm", x, math.prod(normalized_shape), smallest), weight, None)


def _group_norm(
    tape: Tape, x: Recorded, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None,
    eps: float = 1e-5, cudnn_enabled: bool = True,
) -> Value:  # fmt: skip
    if x.ndim != 2:
        raise Unrecordable("a norm of groups is recorded of (batch, features) alone")
    return _scaled(tape, _normed(tape, "layer_norm", x, x.shape[1] // num_groups, eps), weight, bias)


def _scaled(tape: Tape, x: Value, weight: Tensor | None, bias: Tensor | None) -> Value:
    scaled = x if weight is None else multiply(tape, x, weight)
    return scaled if bias is None else add(tape, scaled, bias)


def _normalize(tape: Tape, x: Recorded, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: None = None) -> Value:
    if p != 2.0 or dim % x.ndim == 0:
        raise Unrecordable("only a norm of order 2 over the entries of a row has an instruction")
    moved = Recorded(tape, x.codes.movedim(dim, -1))
    found = _normed(tape, "unit_norm", moved, moved.shape[-1], eps)
    return Recorded(tape, found.codes.movedim(-1, dim))


def embedding(
    tape: Tape, codes: Recorded, weight: Tensor, padding_idx: int | None = None, max_norm: float | None = None,
    norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,
) -> Value:  # fmt: skip
    if isinstance(weight, Recorded) or max_norm is not None:
        raise Unrecordable("an embedding whose table is made at every step, or renormalised, has no instruction")
    rows, width = weight.shape
    nodes = [
        tape.node(Node("gather", (one,), width, (width, 1, rows), weights=(weight, None)))
        for one in tape.row_places(codes).reshape(-1, 1)
    ]
    flat = np.concatenate([tape.places(number) for number in nodes])
    return tape.view(flat, (*codes.shape[1:], width))


def _vector_norm(tape: Tape, x: Value, ord: Number = 2, dim: Dimensions = None, keepdim: bool = False) -> Value:
    return _norm(tape, x, ord, dim, keepdim)


SUMS: dict[str, Function] = {
    "sum": _sum, "mean": _mean, "amax": _amax, "amin": _amin, "softmax": _softmax, "log_softmax": _log_softmax,
    "logsumexp": _logsumexp, "norm": _norm, "vector_norm": _vector_norm, "linalg_vector_norm": _vector_norm,
    "layer_norm": _layer_norm, "rms_norm": _rms_norm, "group_norm": _group_norm, "normalize": _normalize,
    "embedding": embedding,
}  # fmt: skip
"""By their names in torch."""
