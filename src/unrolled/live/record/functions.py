"""Torch's functions as instructions: one table, by name, of what a recorded step may call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor

from unrolled.live.record.points import POINTS, Function, Value, number_of
from unrolled.live.record.products import einsum, linear, matmul
from unrolled.live.record.sums import SUMS, embedding
from unrolled.live.record.tape import Tape
from unrolled.live.record.values import Call, Recorded, Unrecordable

__all__ = ["call"]

RENAMES = frozenset((
    "getitem", "iter", "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_tensors", "broadcast_to", "cat", "chunk",
    "column_stack", "concat", "concatenate", "diagonal", "dsplit", "dstack", "expand", "expand_as", "flatten", "flip",
    "fliplr", "flipud", "hsplit", "hstack", "index_select", "moveaxis", "movedim", "narrow", "permute", "ravel",
    "repeat", "repeat_interleave", "reshape", "reshape_as", "roll", "rot90", "select", "split", "split_with_sizes",
    "squeeze", "stack", "swapaxes", "swapdims", "t", "tensor_split", "tile", "transpose", "unbind", "unflatten",
    "unfold", "unsqueeze", "view", "view_as", "vsplit", "vstack", "T", "mT", "adjoint",
))  # fmt: skip
"""Functions that only rename entries."""

ASKED = frozenset((
    "shape", "ndim", "dtype", "device", "layout", "is_cuda", "is_cpu", "is_meta", "requires_grad", "grad_fn", "is_leaf",
    "is_sparse", "is_quantized", "names", "dim", "size", "numel", "nelement", "element_size", "is_floating_point",
    "is_complex", "is_contiguous", "stride", "is_conj", "is_neg", "is_inference", "get_device", "ndimension", "len",
    "is_signed", "itemsize", "nbytes", "is_same_size",
))  # fmt: skip
"""What Python may ask of a tensor besides its numbers."""

MAKERS = frozenset((
    "zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full", "new_empty",
    "new_tensor",
))  # fmt: skip
"""Functions that take no more of a tensor than its shape and dtype."""

SAME = frozenset((
    "clone", "contiguous", "detach", "alias", "to", "float", "double", "half", "bfloat16", "type", "type_as", "cpu",
    "positive", "pos", "deepcopy", "real", "resolve_neg", "resolve_conj",
))  # fmt: skip
"""Functions that leave the numbers as they are, if the dtype stays."""


def call(tape: Tape, function: Call, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
    """What `function` gives for recorded values. Raises Unrecordable."""
    name = _name(function)
    if name in ASKED:
        with torch._C.DisableTorchFunctionSubclass():
            return function(*args, **kwargs)
    if name in MAKERS:
        return function(*(_empty(one) for one in args), **kwargs)
    if name in RENAMES:
        return _rename(tape, name, function, args, kwargs)
    if name in SAME:
        return _same(tape, function, args, kwargs)
    found = TABLE.get(name)
    if found is not None:
        return found(tape, *args, **kwargs)
    if name.endswith("_") or name in ("set", "setitem", "iadd", "isub", "imul", "itruediv"):
        raise Unrecordable(f"{name} writes into a tensor; give a new one, as x = x + y does")
    raise Unrecordable(f"torch's {name} has no instruction")


def _name(function: Call) -> str:
    """The name in torch; of an operator of Python what stands between the lines."""
    name = getattr(function, "__name__", "?")
    if name == "__get__":
        return str(getattr(getattr(function, "__self__", None), "__name__", "?"))
    return name[2:-2] if name.startswith("__") else name


def _empty(given: object) -> object:
    """An ordinary tensor in the place of a recorded one, for what looks at its shape alone."""
    return torch.zeros(given.codes.shape, dtype=given.dtype) if isinstance(given, Recorded) else given


def _rename(tape: Tape, name: str, function: Call, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
    if name in ("getitem", "index_select") and _indexed_by_value(args[1:]):
        if name == "getitem" and isinstance(args[1], Recorded) and type(args[0]) is not Recorded:
            return embedding(tape, args[1], cast(Tensor, args[0]))
        raise Unrecordable("a tensor is indexed by what the step computes")
    if isinstance(args[0], Tensor) and not isinstance(args[0], Recorded):
        # A tensor of weights that takes a shape from a value.
        return function(*(_empty(one) for one in args), **kwargs)
    kinds = {(one.dtype, one.no) for one in _recorded(args)}
    if len(kinds) != 1:
        raise Unrecordable("values of several dtypes are put together")
    dtype, no = kinds.pop()
    found = function(*(_coded(tape, one) for one in args), **kwargs)
    return _outward(tape, found, dtype, no)


def _indexed_by_value(given: object) -> bool:
    if isinstance(given, list | tuple):
        return any(map(_indexed_by_value, given))
    return isinstance(given, Recorded)


def _recorded(given: object) -> list[Recorded]:
    if isinstance(given, Recorded):
        return [given]
    return [one for part in given for one in _recorded(part)] if isinstance(given, list | tuple) else []


def _coded(tape: Tape, given: object, *, inside: bool = False) -> object:
    """The codes of values; of tensors too that stand in a list among them: by itself a tensor is a position."""
    if isinstance(given, Recorded):
        return given.codes
    if isinstance(given, Tensor) and inside:
        return tape.codes(given, given.ndim).expand(given.shape)
    if isinstance(given, list | tuple) and _recorded(given):
        return type(given)(_coded(tape, one, inside=True) for one in given)
    return given


def _outward(tape: Tape, given: object, dtype: torch.dtype, no: bool) -> object:
    if isinstance(given, Tensor):
        return Recorded(tape, given, dtype, no=no)
    return tuple(_outward(tape, one, dtype, no) for one in given) if isinstance(given, list | tuple) else given


def _same(tape: Tape, function: Call, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
    x, made = args[0], function(*(_empty(one) for one in args), **kwargs)
    if not isinstance(x, Recorded) or not isinstance(made, Tensor):
        return made
    if made.device.type != "cpu":
        raise Unrecordable(f"a tensor goes to {made.device}")
    if made.dtype == x.dtype:
        return Recorded(tape, x.codes, x.dtype, no=x.no)
    if x.dtype == torch.bool and made.dtype == tape.dtype:
        return number_of(tape, x)
    if x.dtype in WHOLE and made.dtype == tape.dtype:
        return Recorded(tape, x.codes)
    if made.dtype in WHOLE and x.dtype == tape.dtype:
        return _whole(tape, x)
    raise Unrecordable(f"a tensor of {x.dtype} becomes {made.dtype}, and a program is of one dtype")


WHOLE = (torch.int64, torch.int32)


def _whole(tape: Tape, x: Value) -> Recorded:
    """The codes that x holds, which a table takes as they are."""
    return Recorded(tape, tape.codes(x, x.ndim), torch.int64)


TABLE: dict[str, Function] = {
    **POINTS,
    **SUMS,
    "linear": linear, "matmul": matmul, "mm": matmul, "rmatmul": lambda tape, a, b: matmul(tape, b, a),
    "einsum": einsum, "long": _whole, "int": _whole,
}  # fmt: skip
"""By the names under which torch calls them, as a function and as a method."""
