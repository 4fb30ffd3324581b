"""What every call of compiled code goes through: addresses of memory that is there, and long calls that Ctrl-C ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from torch import Tensor

from unrolled.errors import KernelError

__all__ = ["LONG", "address", "called", "dense"]

R = TypeVar("R")

LONG = 1e9
"""Multiply-adds of a call that may take longer than a second."""

HEARING = 0.1
"""Seconds after which Ctrl-C is heard at the latest."""


def dense(tensor: Tensor) -> Tensor:
    """The values one after the other, as they are to be read: a view may only promise to negate them.

    Raises:
        KernelError: their memory is gone, or has become too small.
    """
    if tensor.is_contiguous() and not tensor.is_neg():
        return tensor
    _check_memory(tensor, 1 + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True)))
    return tensor.resolve_neg().contiguous()


def address(tensor: Tensor) -> int:
    """Where the numbers of a dense tensor stand. Raises as `dense`."""
    # Asked of every tensor of every call, so in the form that is answered soonest.
    if tensor.untyped_storage().nbytes() - tensor.nbytes < tensor.storage_offset() * tensor.itemsize:
        _check_memory(tensor, tensor.numel())
    return tensor.data_ptr()


def _check_memory(tensor: Tensor, extent: int) -> None:
    if tensor.untyped_storage().nbytes() < (tensor.storage_offset() + extent) * tensor.itemsize and tensor.numel():
        raise KernelError(
            f"A tensor of the shape {tuple(tensor.shape)} has lost its memory: its storage holds "
            f"{tensor.untyped_storage().nbytes()} bytes; give one whose storage nobody has resized."
        )


def called(function: Callable[..., R], *arguments: object, work: float, alive: object) -> R:
    """What a compiled function returns. work: its multiply-adds. alive: what holds the memory at its addresses.

    A long call in the main thread runs in one of its own, so that Ctrl-C is heard at once; the call then goes on to its
    end unheard, and its memory lives as long.
    """
    if work < LONG or threading.current_thread() is not threading.main_thread():
        return function(*arguments)
    answer: Future[R] = Future()
    threading.Thread(target=_settle, args=(answer, function, arguments, alive), daemon=True).start()
    # In short waits: a signal that reaches another thread does not end one.
    while not wait([answer], HEARING).done:
        pass
    return answer.result()


def _settle(answer: Future[R], function: Callable[..., R], arguments: tuple[object, ...], alive: object) -> None:
    try:
        answer.set_result(function(*arguments))
    except BaseException as error:  # noqa: BLE001
        # Whatever it is belongs to the thread that waits, which would wait for ever without it.
        answer.set_exception(error)
