"""Torch's functions of single numbers as instructions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from unrolled.live.record.tape import Tape
from unrolled.live.record.values import Recorded, Unrecordable

__all__ = [
    "POINTS",
    "Function",
    "Number",
    "Value",
    "add",
    "affine",
    "divide",
    "multiply",
    "number_of",
    "subtract",
    "tensor",
]

Value: TypeAlias = Recorded | Tensor
Number: TypeAlias = float | int
Function: TypeAlias = Callable[..., object]
"""(tape, the arguments of torch's function) -> what that gives."""


def number_of(tape: Tape, truth: Value) -> Value:
    """1 where it holds, else 0."""
    if not isinstance(truth, Recorded):
        return truth.to(tape.dtype) if truth.dtype == torch.bool else truth
    if truth.dtype != torch.bool:
        return truth
    yes, no = (torch.tensor(float(one), dtype=tape.dtype) for one in (not truth.no, truth.no))
    return tape.pointwise("choose", Recorded(tape, truth.codes), yes, no)


def tensor(tape: Tape, given: Value | Number) -> Value:
    """A tensor of the program's dtype."""
    if isinstance(given, Tensor):
        found = number_of(tape, given)
        return found if isinstance(found, Recorded) or found.dtype == tape.dtype else _converted(tape, found)
    if isinstance(given, bool | int | float):
        return torch.tensor(float(given), dtype=tape.dtype)
    raise Unrecordable(f"a {type(given).__name__} stands where a tensor or a number is needed")


def _converted(tape: Tape, given: Tensor) -> Tensor:
    if given.is_floating_point() and given.ndim:
        raise Unrecordable(f"a tensor of {given.dtype} meets one of {tape.dtype}")
    return given.to(tape.dtype)


def _one(op: str) -> Function:
    """A function of one number."""

    def made(tape: Tape, x: Recorded, **options: object) -> Recorded:
        return tape.pointwise(op, tensor(tape, x))

    return made


def affine(tape: Tape, x: Value, scale: float, shift: float) -> Value:
    """scale * x + shift."""
    if not isinstance(x, Recorded):
        return scale * x + shift
    if scale == 1.0 and shift == 0.0:
        return x
    return tape.pointwise("affine", x, numbers=(float(scale), float(shift)))


def _scalar(given: Value | Number) -> float | None:
    return float(given) if isinstance(given, bool | int | float) else None


def add(tape: Tape, a: Value | Number, b: Value | Number, *, alpha: Number = 1) -> Value:
    number, other = _scalar(a), _scalar(b)
    if other is not None:
        return affine(tape, tensor(tape, a), 1.0, other * float(alpha))
    second = tensor(tape, b) if alpha == 1 else multiply(tape, b, alpha)
    if number is not None:
        return affine(tape, second, 1.0, number)
    return tape.pointwise("add", tensor(tape, a), second)


def subtract(tape: Tape, a: Value | Number, b: Value | Number, *, alpha: Number = 1) -> Value:
    number, other = _scalar(a), _scalar(b)
    if other is not None:
        return affine(tape, tensor(tape, a), 1.0, -other * float(alpha))
    second = tensor(tape, b) if alpha == 1 else multiply(tape, b, alpha)
    if number is not None:
        return affine(tape, second, -1.0, number)
    return tape.pointwise("subtract", tensor(tape, a), second)


def _from_right(function: Function) -> Function:
    return lambda tape, a, b, **options: function(tape, b, a, **options)


def multiply(tape: Tape, a: Value | Number, b: Value | Number) -> Value:
    for one, other in ((a, b), (b, a)):
        number = _scalar(one)
        if number is not None:
            return affine(tape, tensor(tape, other), number, 0.0)
    one, other = tensor(tape, a), tensor(tape, b)
    if isinstance(one, Recorded) and isinstance(other, Recorded) and torch.equal(one.codes, other.codes):
        return tape.pointwise("square", one)
    return tape.pointwise("multiply", one, other)


def divide(tape: Tape, a: Value | Number, b: Value | Number, *, rounding_mode: str | None = None) -> Value:
    if rounding_mode is not None:
        raise Unrecordable("division that rounds has no instruction")
    number = _scalar(b)
    # Torch divides by the number too: its inverse may be another by a bit.
    return tape.pointwise("divide", tensor(tape, a), tensor(tape, b if number is None else number))


def _power(tape: Tape, x: Value | Number, exponent: Value | Number) -> Value:
    number = _scalar(exponent)
    if number is None or not isinstance(x, Recorded):
        base = _scalar(x) if isinstance(exponent, Recorded) else None
        if base is None or base <= 0:
            raise Unrecordable("a power with an exponent that is no number has no instruction")
        return tape.pointwise("exp", affine(tape, tensor(tape, exponent), math.log(base), 0.0))
    if number == 0.5:
        return tape.pointwise("sqrt", x)
    if number == -0.5:
        return _rsqrt(tape, x)
    if not float(number).is_integer() or not 1 <= abs(number) <= 8:
        raise Unrecordable(f"the power {number} has no instruction")
    found: Value = x
    for _ in range(int(abs(number)) - 1):
        found = multiply(tape, found, x)
    return found if number > 0 else divide(tape, 1.0, found)


def _rsqrt(tape: Tape, x: Value) -> Value:
    return divide(tape, 1.0, tape.pointwise("sqrt", tensor(tape, x)))


def _two(op: str) -> Function:
    def made(tape: Tape, a: Value | Number, b: Value | Number) -> Value:
        return tape.pointwise(op, tensor(tape, a), tensor(tape, b))

    return made


def _clamp(tape: Tape, x: Value, min: Value | Number | None = None, max: Value | Number | None = None) -> Value:
    found = tensor(tape, x)
    if min is not None:
        found = tape.pointwise("maximum", found, tensor(tape, min))
    return found if max is None else tape.pointwise("minimum", found, tensor(tape, max))


def _addcmul(tape: Tape, x: Value, a: Value, b: Value, *, value: Number = 1) -> Value:
    first = tensor(tape, a) if value == 1 else multiply(tape, a, value)
    return tape.pointwise("multiply_add", tensor(tape, first), tensor(tape, b), tensor(tape, x))


def _lerp(tape: Tape, x: Value, end: Value, weight: Value | Number) -> Value:
    return tape.pointwise("lerp", *(tensor(tape, one) for one in (x, end, weight)))


def _softplus(tape: Tape, x: Value, beta: Number = 1, threshold: Number = 20) -> Value:
    if beta == 1:
        return tape.pointwise("softplus", tensor(tape, x))
    inner = tape.pointwise("softplus", affine(tape, tensor(tape, x), float(beta), 0.0))
    return affine(tape, inner, 1 / float(beta), 0.0)


def _gelu(tape: Tape, x: Value, approximate: str = "none") -> Value:
    if approximate != "none":
        raise Unrecordable(f"gelu with approximate={approximate!r} has no instruction")
    return tape.pointwise("gelu", tensor(tape, x))


def _truth(tape: Tape, x: Value, no: bool = False) -> Recorded:
    """That x is at least 0, or is not."""
    return Recorded(tape, tape.codes(x, x.ndim), torch.bool, no=no)


def _compare(scale: float, no: bool) -> Function:
    """a - b, turned over with scale -1, is at least 0; or, with no, is not."""

    def made(tape: Tape, a: Value | Number, b: Value | Number) -> Value:
        return _truth(tape, subtract(tape, a, b) if scale > 0 else subtract(tape, b, a), no)

    return made


def _equal(no: bool) -> Function:
    def made(tape: Tape, a: Value | Number, b: Value | Number) -> Value:
        apart = tape.pointwise("abs", tensor(tape, subtract(tape, a, b)))
        return _truth(tape, affine(tape, apart, -1.0, 0.0), no)

    return made


def _not(tape: Tape, truth: Recorded) -> Recorded:
    return Recorded(tape, truth.codes, torch.bool, no=not truth.no)


def _both(op: str) -> Function:
    """Of numbers 1 and 0: the smaller is "and", the larger "or"."""

    def made(tape: Tape, a: Value, b: Value) -> Recorded:
        found = tape.pointwise(op, number_of(tape, a), number_of(tape, b))
        return _truth(tape, affine(tape, found, 1.0, -0.5))

    return made


def _where(tape: Tape, truth: Value, yes: Value | Number, no: Value | Number) -> Value:
    if not isinstance(truth, Recorded):
        truth = truth.to(tape.dtype) - 0.5
        return tape.pointwise("choose", truth, tensor(tape, yes), tensor(tape, no))
    if truth.dtype != torch.bool:
        raise Unrecordable("where needs a truth value")
    first, second = (no, yes) if truth.no else (yes, no)
    return tape.pointwise("choose", Recorded(tape, truth.codes), tensor(tape, first), tensor(tape, second))


def _dropout(tape: Tape, x: Value, p: float = 0.5, training: bool = True, inplace: bool = False) -> Value:
    if training and p:
        raise Unrecordable("dropout draws random numbers in training; call layer.eval()")
    return x


def _leaky_relu(tape: Tape, x: Value, negative_slope: float = 0.01, inplace: bool = False) -> Value:
    return _where(tape, _truth(tape, x), x, affine(tape, x, negative_slope, 0.0))


def _elu(tape: Tape, x: Value, alpha: float = 1.0, inplace: bool = False) -> Value:
    return _where(tape, _truth(tape, x), x, affine(tape, tape.pointwise("expm1", x), alpha, 0.0))


def _negative(tape: Tape, x: Value) -> Value:
    return affine(tape, x, -1.0, 0.0)


def _softsign(tape: Tape, x: Value) -> Value:
    return divide(tape, x, add(tape, tape.pointwise("abs", x), 1.0))


_ONE = ["exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "abs", "tanh", "sigmoid", "relu", "silu", "square"]
_DROPOUTS = ["dropout", "dropout1d", "dropout2d", "alpha_dropout", "feature_dropout", "feature_alpha_dropout"]

POINTS: dict[str, Function] = {
    **{name: _one(name) for name in _ONE},
    "logsigmoid": _one("logsigmoid"), "log_sigmoid": _one("logsigmoid"), "absolute": _one("abs"),
    "expit": _one("sigmoid"), "neg": _negative, "negative": _negative, "add": add, "radd": add, "sub": subtract,
    "subtract": subtract, "rsub": _from_right(subtract), "mul": multiply, "multiply": multiply, "rmul": multiply,
    "div": divide, "divide": divide, "true_divide": divide, "truediv": divide, "rtruediv": _from_right(divide),
    "rdiv": _from_right(divide),
    "reciprocal": lambda tape, x: divide(tape, 1.0, x), "pow": _power, "rpow": _from_right(_power), "rsqrt": _rsqrt,
    "exp2": lambda tape, x: tape.pointwise("exp", affine(tape, x, math.log(2), 0.0)),
    "maximum": _two("maximum"), "minimum": _two("minimum"), "clamp": _clamp, "clip": _clamp,
    "clamp_min": lambda tape, x, min: _clamp(tape, x, min),
    "clamp_max": lambda tape, x, max: _clamp(tape, x, None, max),
    "hardtanh": lambda tape, x, min_val=-1.0, max_val=1.0, inplace=False: _clamp(tape, x, min_val, max_val),
    "relu6": lambda tape, x, inplace=False: _clamp(tape, x, 0.0, 6.0),
    "addcmul": _addcmul, "lerp": _lerp, "softplus": _softplus, "gelu": _gelu, "softsign": _softsign,
    "leaky_relu": _leaky_relu, "elu": _elu,
    "ge": _compare(1.0, False), "lt": _compare(1.0, True), "le": _compare(-1.0, False), "gt": _compare(-1.0, True),
    "greater_equal": _compare(1.0, False), "less": _compare(1.0, True), "less_equal": _compare(-1.0, False),
    "greater": _compare(-1.0, True), "eq": _equal(False), "ne": _equal(True), "not_equal": _equal(True),
    "logical_not": _not, "bitwise_not": _not, "invert": _not, "logical_and": _both("minimum"),
    "and": _both("minimum"), "bitwise_and": _both("minimum"), "logical_or": _both("maximum"),
    "or": _both("maximum"), "bitwise_or": _both("maximum"), "where": _where,
    "masked_fill": lambda tape, x, mask, value: _where(tape, mask, value, x),
    **dict.fromkeys(_DROPOUTS, _dropout),
}  # fmt: skip
"""By their names in torch; those of operators without the lines around them."""
