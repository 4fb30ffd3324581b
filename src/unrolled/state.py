"""States as trees: a (nested) NamedTuple or tuple of tensors, every leaf batch first.

Whatever a recurrent layer carries from one step to the next can be mapped, selected by row, joined, split, detached,
and written to bytes by the functions here, without knowing the layer. A leaf may be None; it stays None.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar, cast, get_args, get_type_hints

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from unrolled.errors import ModelFileError, ShapeError

__all__ = [
    "HState",
    "concat_rows",
    "detach",
    "from_bytes",
    "leaves",
    "map_state",
    "name_states",
    "rows",
    "select_rows",
    "split_rows",
    "to_bytes",
    "where_rows",
]

S = TypeVar("S")


class HState(NamedTuple):
    """State of a cell that carries one vector: h (batch, hidden)."""

    h: Tensor


def map_state(function: Callable[..., Any], state: S, *rest: Any) -> S:
    """Apply `function` leaf by leaf to one or several states of the same structure; None leaves stay None.

    Raises `ShapeError` if the structures differ.
    """
    if state is None:
        return cast(S, None)
    if isinstance(state, Tensor):
        for other in rest:
            if other is None or isinstance(other, tuple):
                raise ShapeError(f"state: expected the structure {_outline(state)}, got {_outline(other)}.")
        return cast(S, function(state, *rest))
    if not isinstance(state, tuple):
        raise ShapeError(f"state: expected tensors in (named) tuples, got {type(state).__name__}.")
    for other in rest:
        if type(other) is not type(state) or len(other) != len(state):
            raise ShapeError(
                f"state: expected the structure {_outline(state)}, got {_outline(other)}; "
                "pass the state that this layer returned or its initial_state()."
            )
    items = [map_state(function, *parts) for parts in zip(state, *rest, strict=True)]
    return cast(S, _rebuild(state, items))


def leaves(state: object) -> list[Tensor]:
    """The tensors of a state, in the order of its structure, None left out."""
    if state is None:
        return []
    if isinstance(state, Tensor):
        return [state]
    return [leaf for part in cast(Iterable[object], state) for leaf in leaves(part)]


def rows(state: object) -> int:
    """The number of batch rows that a state holds."""
    return leaves(state)[0].shape[0]


def detach(state: S) -> S:
    """The same values cut off from the graph: what truncated BPTT carries from chunk to chunk."""
    return map_state(Tensor.detach, state)


def select_rows(state: S, index: Tensor | Sequence[int]) -> S:
    """Rows by position, repeats allowed (beam search, dropping finished streams). index: (rows,), any integer dtype."""
    picked = torch.as_tensor(index)
    return map_state(lambda leaf: leaf.index_select(0, picked.to(leaf.device, torch.long)), state)


def concat_rows(states: Sequence[S]) -> S:
    """One state that holds the rows of all `states`, in order: merge live streams into one batch."""
    if not states:
        raise ShapeError("concat_rows: expected at least one state, got none.")
    return map_state(lambda *parts: torch.cat(parts, 0), *states)


def split_rows(state: S, sizes: Sequence[int] | None = None) -> list[S]:
    """The inverse of `concat_rows`: one state per entry of `sizes`; None means one state a row."""
    total = rows(state)
    sizes = [1] * total if sizes is None else list(sizes)
    if sum(sizes) != total or min(sizes, default=0) < 0:
        raise ShapeError(
            f"split_rows: sizes must be at least 0 and add up to the {total} rows of the state, got {sizes}."
        )
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return [map_state(lambda leaf, a=a, n=n: leaf.narrow(0, a, n), state) for a, n in zip(starts, sizes, strict=True)]


def where_rows(condition: Tensor, yes: S, no: S) -> S:
    """Leaf by leaf, row by row: `yes` where condition (batch,) is True, else `no`."""
    return map_state(lambda a, b: torch.where(condition.view(-1, *[1] * (a.ndim - 1)), a, b), yes, no)


def name_states(kind: object) -> None:
    """Give every NamedTuple in a type the name under which `torch.export.save` writes it: its module and its own.

    `nn.Recurrent` calls it for its own type of state, as in `Cell[MyState]`, when a subclass is made.
    """
    for part in get_args(kind):
        name_states(part)
    if not isinstance(kind, type) or not issubclass(kind, tuple) or not hasattr(kind, "_fields"):
        return
    if kind in pytree.SUPPORTED_NODES:
        return
    pytree._register_namedtuple(kind, serialized_type_name=f"{kind.__module__}.{kind.__qualname__}")
    # A program is written with the inputs it was traced with; a tuple of tensors runs nothing when it is read.
    torch.serialization.add_safe_globals([kind])
    for part in _hints(kind):
        name_states(part)


def _hints(kind: type) -> Iterable[object]:
    """The types of its fields; none where a name in them is not to be found from its module."""
    try:
        return get_type_hints(kind).values()
    except NameError:
        return ()


_DTYPES = {str(d).removeprefix("torch."): d for d in (torch.float16, torch.bfloat16, torch.float32, torch.float64,
                                                      torch.bool, torch.uint8, torch.int32, torch.int64)}  # fmt: skip


def to_bytes(state: object) -> bytes:
    """A snapshot of the state: a JSON header with dtypes and shapes, then the raw values. Nothing in it can run."""
    tensors = [leaf.detach().cpu().contiguous() for leaf in leaves(state)]
    header = json.dumps([[str(t.dtype).removeprefix("torch."), list(t.shape)] for t in tensors]).encode()
    body = b"".join(t.flatten().view(torch.uint8).numpy().tobytes() for t in tensors)
    return struct.pack("<Q", len(header)) + header + body


def from_bytes(data: bytes, like: S) -> S:
    """The state that `to_bytes` wrote. `like` gives structure and device: for instance `layer.initial_state(1)`.

    The number of rows may differ from that of `like`; every other dimension must agree. Raises `ModelFileError` for
    bytes that are cut short, damaged, or of another layer.
    """
    try:
        (size,) = struct.unpack_from("<Q", data)
        header = json.loads(data[8 : 8 + size])
        specs = [(_DTYPES[name], [int(n) for n in shape]) for name, shape in header]
        tensors, at = [], 8 + size
        for dtype, shape in specs:
            count = torch.Size(shape).numel()
            end = at + count * dtype.itemsize
            raw = torch.frombuffer(bytearray(data[at:end]), dtype=dtype) if count else torch.empty(0, dtype=dtype)
            tensors.append(raw.view(shape))
            at = end
    except (struct.error, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ModelFileError(
            f"state: the {len(data)} bytes are no complete snapshot; write one with to_bytes()."
        ) from error
    expected = leaves(like)
    if at != len(data) or [t.shape[1:] for t in tensors] != [t.shape[1:] for t in expected]:
        raise ModelFileError(
            f"state: expected leaves shaped {[tuple(t.shape[1:]) for t in expected]} a row, got "
            f"{[tuple(t.shape[1:]) for t in tensors]}; the snapshot belongs to another layer or is damaged."
        )
    if len({t.shape[:1] for t in tensors}) > 1:
        counts = [t.shape[0] for t in tensors if t.ndim]
        raise ModelFileError(f"state: every leaf must hold the same rows, got {counts}; the snapshot is damaged.")
    source = iter(tensors)
    return map_state(lambda leaf: next(source).to(leaf.device), like)


def _rebuild(state: Any, items: list[Any]) -> Any:
    return type(state)(*items) if type(state) is not tuple else tuple(items)


def _outline(state: object) -> str:
    if state is None:
        return "None"
    if isinstance(state, Tensor):
        return "a tensor"
    name = type(state).__name__
    return f"{name}({', '.join(_outline(part) for part in state)})" if isinstance(state, tuple) else name
