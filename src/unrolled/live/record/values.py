"""Values that stand where tensors stand while a step is recorded, and the refusals of what cannot be recorded."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from unrolled.errors import OptionError

__all__ = ["Call", "Recorded", "Taker", "Unrecordable", "place_of_class", "place_of_error"]

Call = Callable[..., object]
"""Any function of torch."""

_ROOM = os.path.dirname(os.path.dirname(__file__))
_NOT_THEIRS = (os.path.dirname(torch.__file__) + os.sep, _ROOM + os.sep)


class Unrecordable(OptionError):
    """A step cannot be recorded: what it does, and where."""

    def __init__(self, what: str, where: str | None = None, message: str | None = None) -> None:
        self.what = what
        self.where = _place_of_frame(sys._getframe(1)) if where is None else where
        super().__init__(f"{what} ({self.where})" if message is None else message)


class Taker(Protocol):
    """Whoever records: takes the calls of torch's functions on recorded values."""

    dtype: torch.dtype

    def call(self, function: Call, args: Sequence[object], kwargs: Mapping[str, object]) -> object: ...


class Recorded(Tensor):
    """A tensor without numbers, of whose entries it is known where in a row of the program they come from.

    codes: of its shape, int64, made by the `Tape`. no: where its entries are truth values, they hold where the number
    behind them is at least 0, or, with no=True, where it is not.
    """

    tape: Taker
    codes: Tensor
    no: bool

    @staticmethod
    def __new__(cls, tape: Taker, codes: Tensor, dtype: torch.dtype | None = None, *, no: bool = False) -> Recorded:
        made: Recorded = Tensor._make_wrapper_subclass(
            cls, codes.shape, dtype=dtype or tape.dtype, device=torch.device("cpu")
        )
        made.tape, made.codes, made.no = tape, codes, no
        return made

    @classmethod
    def __torch_function__(
        cls, func: Call, types: object, args: Sequence[object] = (), kwargs: Mapping[str, object] | None = None
    ) -> object:
        given = kwargs or {}
        return _first(args, given).tape.call(func, args, given)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Call, types: object, args: Sequence[object] = (), kwargs: Mapping[str, object] | None = None
    ) -> object:
        raise Unrecordable(f"torch's operator {func} has no instruction")

    def __bool__(self) -> bool:
        raise Unrecordable("Python decides by the value of a tensor")

    def __float__(self) -> float:
        raise Unrecordable("Python takes the value out of a tensor")

    def __int__(self) -> int:
        raise Unrecordable("Python takes the value out of a tensor")

    def __index__(self) -> int:
        raise Unrecordable("Python takes the value out of a tensor")

    def item(self) -> float:
        raise Unrecordable("Python takes the value out of a tensor")

    def tolist(self) -> list[object]:
        raise Unrecordable("Python takes the values out of a tensor")

    def numpy(self, *, force: bool = False) -> np.ndarray:
        raise Unrecordable("numpy takes the values out of a tensor")

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        raise Unrecordable("numpy takes the values out of a tensor")

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Recorded{tuple(self.codes.shape)}"


def _first(args: Sequence[object], kwargs: Mapping[str, object]) -> Recorded:
    """Some recorded value among arguments, which may stand in lists and tuples."""
    waiting: list[object] = [*args, *kwargs.values()]
    for one in waiting:
        if isinstance(one, Recorded):
            return one
        if isinstance(one, list | tuple):
            waiting.extend(one)
    raise Unrecordable("a function of torch hides its tensors")


def _place_of_frame(frame: FrameType | None) -> str:
    """File and line of the innermost frame outside of torch and of this room."""
    while frame is not None and frame.f_code.co_filename.startswith(_NOT_THEIRS):
        frame = frame.f_back
    return "unknown place" if frame is None else f"{frame.f_code.co_filename}, line {frame.f_lineno}"


def place_of_class(layer: object) -> str:
    """Of what cannot be said of one line."""
    return f"class {type(layer).__name__}"


def place_of_error(error: BaseException) -> str:
    """The same of a raised error."""
    frames = [one for one in traceback.extract_tb(error.__traceback__) if not one.filename.startswith(_NOT_THEIRS)]
    return f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else "unknown place"
