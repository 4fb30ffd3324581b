"""Products with weights as instructions: matrices, blocks of matrices, and sums of products by their letters."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from unrolled.live.record.tape import Node, Tape
from unrolled.live.record.values import Recorded, Unrecordable

__all__ = ["einsum", "grouped", "linear", "matmul"]

Value: TypeAlias = Recorded | Tensor


def grouped(tape: Tape, x: Recorded, weight: Tensor, bias: Tensor | None = None) -> Recorded:
    """x (rows, groups, in) times weight (groups, out, in), each group by its own: (rows, groups, out)."""
    groups, out, width = weight.shape
    places = tape.row_places(x)
    if weight.dtype != tape.dtype:
        raise Unrecordable(f"weights of {weight.dtype} meet a tensor of {tape.dtype}")
    number = tape.node(Node("linear", (places,), groups * out, (width, groups, out), weights=(weight, bias)))
    return tape.view(tape.places(number), (groups, out))


def linear(tape: Tape, x: Value, weight: Value, bias: Value | None = None) -> Recorded:
    """x (rows, ..., in) @ weight^T + bias."""
    if not isinstance(x, Recorded) or isinstance(weight, Recorded) or isinstance(bias, Recorded):
        raise Unrecordable("a product whose weights are made at every step has no instruction; make it of parameters")
    if weight.ndim == 1:
        found = linear(tape, x, weight[None], bias)
        return Recorded(tape, found.codes[..., 0])
    if x.ndim < 2 or x.shape[-1] != weight.shape[1]:
        raise Unrecordable(f"a product of {tuple(x.shape)} with weights {tuple(weight.shape)} does not fit")
    middle = x.shape[1:-1]
    count = middle.numel()
    flat = Recorded(tape, x.codes.reshape(x.shape[0], count, x.shape[-1]))
    found = grouped(
        tape, flat, weight[None] if count == 1 else weight.expand(count, *weight.shape), _repeated(bias, count)
    )
    return Recorded(tape, found.codes.reshape(x.shape[0], *middle, weight.shape[0]))


def _repeated(bias: Tensor | None, count: int) -> Tensor | None:
    return bias if bias is None or count == 1 else bias.repeat(count)


def matmul(tape: Tape, a: Value, b: Value) -> Recorded:
    """a @ b."""
    if isinstance(a, Recorded) and isinstance(b, Recorded):
        return _of_two(tape, a, b)
    if isinstance(a, Recorded):
        if b.ndim <= 2:
            return linear(tape, a, b.T if b.ndim == 2 else b)
        letters = string.ascii_letters[: b.ndim - 2]
        return einsum(tape, f"...{letters}yi,{letters}io->...{letters}yo", a, b)
    if not isinstance(b, Recorded) or b.ndim < 2:
        raise Unrecordable(f"a product with a tensor of shape {tuple(b.shape)} has no instruction")
    turned = matmul(tape, Recorded(tape, b.codes.mT), a.mT if a.ndim > 1 else a)
    return Recorded(tape, turned.codes.mT if a.ndim > 1 else turned.codes)


MOST_TERMS = 64
"""Of a product of two values."""


def _of_two(tape: Tape, a: Recorded, b: Recorded) -> Recorded:
    """A sum of products of columns of a and rows of b, one after another."""
    if min(a.ndim, b.ndim) < 3:
        raise Unrecordable("a product of two tensors without weights is recorded of (batch, n, m) alone")
    terms = a.shape[-1]
    if terms > MOST_TERMS:
        raise Unrecordable(f"a product of two tensors over {terms} numbers has no instruction")
    found: Recorded | None = None
    for term in range(terms):
        left, right = (Recorded(tape, one) for one in (a.codes[..., term, None], b.codes[..., term, None, :]))
        if found is None:
            found = tape.pointwise("multiply", left, right)
        else:
            found = tape.pointwise("multiply_add", left, right, found)
    if found is None:
        raise Unrecordable("a product over nothing has no instruction")
    return found


def einsum(tape: Tape, equation: str, *operands: Value | Sequence[Value]) -> Recorded:
    """A sum of products of one value and one tensor of weights, by letters."""
    given = operands[0] if len(operands) == 1 and isinstance(operands[0], list | tuple) else operands
    recorded = [one for one in given if isinstance(one, Recorded)]
    if len(given) != 2 or "->" not in equation:
        raise Unrecordable("an einsum of other than two tensors, or without ->, has no instruction")
    left, right = given
    assert isinstance(left, Tensor)
    assert isinstance(right, Tensor)
    inputs, output = equation.replace(" ", "").split("->")
    first, second = inputs.split(",")
    if len(recorded) == 2:
        assert isinstance(left, Recorded)
        assert isinstance(right, Recorded)
        return _einsum_of_two(tape, left, right, *_spelled(left, right, first, second, output))
    if isinstance(right, Recorded):
        left, right, first, second = right, left, second, first
    assert isinstance(left, Recorded)
    return _einsum(tape, left, right, *_spelled(left, right, first, second, output))


def _spelled(x: Tensor, weight: Tensor, first: str, second: str, output: str) -> tuple[str, str, str]:
    """The three words without dots."""
    free = [letter for letter in string.ascii_uppercase if letter not in first + second + output]
    most = max(
        one.ndim - len(word.replace("...", "")) if "..." in word else 0 for one, word in ((x, first), (weight, second))
    )
    dots = "".join(free[:most])

    def spelled(word: str, dimensions: int | None) -> str:
        count = len(dots) if dimensions is None else dimensions - len(word.replace("...", ""))
        return word.replace("...", dots[len(dots) - count :] if count else "")

    return spelled(first, x.ndim), spelled(second, weight.ndim), spelled(output, None)


def _einsum(tape: Tape, x: Recorded, weight: Tensor, first: str, second: str, output: str) -> Recorded:
    groups = [one for one in first if one in second and one in output]
    inner = [one for one in first if one in second and one not in output]
    rest = [one for one in first if one not in second]
    outer = [one for one in second if one not in first]
    if first[0] in second or any(one not in output for one in rest + outer) or not inner:
        raise Unrecordable("an einsum that sums one tensor alone, or mixes the rows of the batch, has no instruction")
    sizes = {**dict(zip(first, x.shape, strict=True)), **dict(zip(second, weight.shape, strict=True))}
    last = max((output.index(one) for one in groups), default=-1)
    # What stands before the groups in the result is a product of its own, so that the result lies as it is read.
    apart = [one for one in outer if output.index(one) < last]
    after = [one for one in outer if one not in apart]
    codes = torch.einsum(f"{first}->{''.join([*rest, *groups, *inner])}", x.codes)
    lead = [sizes[one] for one in rest[1:]]
    count, many = math.prod(lead), math.prod([sizes[one] for one in groups])
    value = Recorded(tape, codes.reshape(x.shape[0], count * many, -1))
    ordered = weight.permute(*(second.index(one) for one in [*apart, *groups, *after, *inner]))
    products = ordered.reshape(math.prod([sizes[one] for one in apart]), many, -1, value.shape[-1])
    made = [grouped(tape, value, one.repeat(count, 1, 1) if count > 1 else one).codes for one in products]
    shape = [len(made), x.shape[0], *lead, *(sizes[one] for one in [*groups, *after])]
    stacked = torch.stack(made).reshape(shape)
    whole = stacked.reshape(*(sizes[one] for one in apart), *shape[1:])
    return Recorded(tape, torch.einsum(f"{''.join([*apart, *rest, *groups, *after])}->{output}", whole))


def _einsum_of_two(tape: Tape, a: Recorded, b: Recorded, first: str, second: str, output: str) -> Recorded:
    """Products entry by entry, and a sum over the one letter that is not in the result."""
    inner = [one for one in dict.fromkeys(first + second) if one not in output]
    if len(inner) > 1 or len(set(first)) < len(first) or len(set(second)) < len(second):
        raise Unrecordable("an einsum of two tensors without weights over several letters has no instruction")
    whole = [*output, *inner]
    left, right = (
        Recorded(
            tape,
            torch.einsum(f"{word}->{''.join(one for one in whole if one in word)}", value.codes)[_gaps(word, whole)],
        )
        for value, word in ((a, first), (b, second))
    )
    if not inner:
        return tape.pointwise("multiply", left, right)
    return _summed(tape, left, right)


def _summed(tape: Tape, a: Recorded, b: Recorded) -> Recorded:
    terms = max(a.shape[-1], b.shape[-1])
    if terms > MOST_TERMS:
        raise Unrecordable(f"a product of two tensors over {terms} numbers has no instruction")
    found: Recorded | None = None
    for term in range(terms):
        left, right = (Recorded(tape, one.codes[..., term if one.shape[-1] > 1 else 0]) for one in (a, b))
        found = (
            tape.pointwise("multiply", left, right)
            if found is None
            else tape.pointwise("multiply_add", left, right, found)
        )
    assert found is not None
    return found


def _gaps(word: str, whole: Sequence[str]) -> tuple[slice | None, ...]:
    return tuple(slice(None) if one in word else None for one in whole)
