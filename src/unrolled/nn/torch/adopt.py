"""Existing torch models, with every torch.nn recurrent module inside replaced by ours."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unrolled.check import check_dtype, state_dtype, written_for_onnx
from unrolled.errors import DtypeError, OptionError, ShapeError, UnrolledError
from unrolled.nn.recurrent import Recurrent
from unrolled.nn.torch.layout import TORCH_CELLS, TORCH_SEQUENCES, from_torch, to_torch
from unrolled.nn.wrappers.bidirectional import Both
from unrolled.ops.lstm.reference import LSTMState
from unrolled.padding import from_packed, to_packed
from unrolled.state import HState, map_state

__all__ = ["Adopted", "AdoptedCell", "adopt"]

M = TypeVar("M", bound=nn.Module)

# How far the adopted module may be from the original when both compute in float64: what merging two biases in the
# weights' dtype loses, with room for the few steps it is carried through. A wrong weight is off by far more.
_TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}


def adopt(model: M) -> M:
    """A torch model with every nn.RNN, nn.LSTM, nn.GRU and their cells replaced by ours, with the same numbers.

    model: any module, changed in place and returned; where the model itself is such a module, its replacement is
    returned. Replaced are registered modules of exactly these classes, at any depth; a module used in several places
    stays one module. Each replacement takes and returns what the original did (batch_first or not, unbatched,
    PackedSequence, hx or not) and keeps its training mode, device, dtype and dropout.

    Adopt first, then make the optimiser: the weights are new parameters, and torch's b_ih and b_hh, of which only the
    sum acts, become one bias (a GRU's b_hn stays apart), so that one optimiser step moves that sum half as far as
    it did. For the same reason load a torch checkpoint before adopting. torch.onnx.export writes torch's own operator.

    Every replacement is compared with its original on a small ragged batch before the model is touched; the random
    state stays as it was. Raises OptionError if there is nothing to adopt, if a module has hooks, computed weights or
    weights shared with another module, or if the numbers differ.

    >>> model = adopt(nn.Sequential(nn.LSTM(3, 5, batch_first=True)))
    >>> y, (h, c) = model(torch.zeros(2, 7, 3))
    >>> y.shape, h.shape
    (torch.Size([2, 7, 5]), torch.Size([1, 2, 5]))
    """
    places = [(path, module) for path, module in model.named_modules(remove_duplicate=False) if _is_torch(module)]
    if not places:
        if any(isinstance(module, Adopted | AdoptedCell) for module in model.modules()):
            return model
        raise OptionError(
            f"adopt: found no nn.RNN, nn.LSTM, nn.GRU or cell of theirs in {type(model).__name__} "
            "(subclasses are left alone); pass a model that holds one."
        )
    _check_unshared(model)
    adapters: dict[nn.Module, nn.Module] = {}
    for path, module in places:
        if module not in adapters:
            adapters[module] = _adapter(path or "the model", module)
    if model in adapters:
        return cast(M, adapters[model])
    for path, module in places:
        parent, _, name = path.rpartition(".")
        model.get_submodule(parent).register_module(name, adapters[module])
    return model


class Adopted(nn.Module):
    """Our layer behind the signature of nn.RNN, nn.LSTM or nn.GRU: made by `adopt`.

    layer: the Recurrent that computes. The other attributes are those of the torch module.
    """

    def __init__(self, original: Any) -> None:
        super().__init__()
        self.layer: Recurrent[Any] = from_torch(original)
        self.mode: str = original.mode
        self.input_size: int = original.input_size
        self.hidden_size: int = original.hidden_size
        self.num_layers: int = original.num_layers
        self.bias: bool = original.bias
        self.batch_first: bool = original.batch_first
        self.dropout: float = original.dropout
        self.bidirectional: bool = original.bidirectional
        self.proj_size: int = original.proj_size
        self.train(original.training)

    def flatten_parameters(self) -> None:
        """Does nothing; torch models call it before the forward pass to lay out weights for cuDNN."""

    def forward(
        self, input: Tensor | PackedSequence, hx: Any = None
    ) -> tuple[Tensor | PackedSequence, Tensor | tuple[Tensor, Tensor]]:
        """As the torch module: input (time, batch, feature), with batch_first (batch, time, feature), for one sequence
        (time, feature), or a PackedSequence; hx (layers * directions, batch, hidden), for an LSTM (h, c).

        Returns the output, laid out as the input, and the final hx.
        """
        if written_for_onnx():
            return self._as_torch()(input, hx)  # type: ignore[no-any-return]
        if isinstance(input, PackedSequence):
            x, lengths = from_packed(input)
            y, final = self._run(x, hx, lengths.to(x.device))
            return _pack_like(y, lengths, input), final
        if not isinstance(input, Tensor) or input.ndim not in (2, 3):
            shape = tuple(input.shape) if isinstance(input, Tensor) else type(input).__name__
            raise ShapeError(f"{self.mode}: input must be a PackedSequence or have 2 or 3 dimensions, got {shape}.")
        if input.ndim == 2:
            hx = _map_hx(lambda h: h.unsqueeze(1), hx)
            y, final = self._run(input[None], hx, None)
            return y[0], _map_hx(lambda h: h.squeeze(1), final)
        y, final = self._run(input if self.batch_first else input.transpose(0, 1), hx, None)
        return y if self.batch_first else y.transpose(0, 1), final

    def _as_torch(self) -> nn.Module:
        """torch's own module of the same weights: as one operator of ONNX it runs for every length."""
        tracer: Any = torch._C
        tracing = tracer._get_tracing_state()
        # How the weights are laid out is no part of the graph that is being traced.
        tracer._set_tracing_state(None)
        try:
            module: Any = to_torch(self.layer).requires_grad_(False)
        finally:
            tracer._set_tracing_state(tracing)
        module.batch_first = self.batch_first
        return cast(nn.Module, module)

    def _run(self, x: Tensor, hx: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        if x.shape[2] != self.input_size or x.shape[1] == 0:
            raise ShapeError(
                f"{self.mode}: input must hold at least one step of {self.input_size} features, got {x.shape[1]} of "
                f"{x.shape[2]} features{'' if self.batch_first else ' (batch_first is False)'}."
            )
        weight = next(self.parameters())
        check_dtype(self.mode, x, weight)
        dtype = state_dtype(x, weight)
        # The door would refuse a NaN that torch lets through, so the hook behind it is called.
        if hx is None:
            state = self.layer.initial_state(x.shape[0], device=x.device, dtype=dtype)
        else:
            state = map_state(lambda leaf: leaf.to(dtype), self._state_from(hx, x))
        y, state = self.layer.sequence(x, state, lengths, None)
        return y, self._hx_from(state)

    def _state_from(self, hx: Any, x: Tensor) -> Any:
        count = self.num_layers * (2 if self.bidirectional else 1)
        h_size = (count, x.shape[0], self.proj_size or self.hidden_size)
        if self.mode == "LSTM":
            h, c = _pair(hx)
            _check_hx(self.mode, h, h_size, x)
            _check_hx(self.mode, c, (count, x.shape[0], self.hidden_size), x)
            flat: list[Any] = [LSTMState(*parts) for parts in zip(h.unbind(0), c.unbind(0), strict=True)]
        else:
            _check_hx(self.mode, hx, h_size, x)
            flat = [HState(part) for part in hx.unbind(0)]
        if self.bidirectional:
            flat = [Both(*pair) for pair in zip(flat[::2], flat[1::2], strict=True)]
        return flat[0] if self.num_layers == 1 else tuple(flat)

    def _hx_from(self, state: Any) -> Tensor | tuple[Tensor, Tensor]:
        layers = [state] if self.num_layers == 1 else list(state)
        flat = [part for layer in layers for part in layer] if self.bidirectional else layers
        h = torch.stack([part.h for part in flat])
        return (h, torch.stack([part.c for part in flat])) if self.mode == "LSTM" else h

    def extra_repr(self) -> str:
        return f"in place of nn.{self.mode.partition('_')[0]}, batch_first={self.batch_first}"


class AdoptedCell(nn.Module):
    """Our cell behind the signature of nn.RNNCell, nn.LSTMCell or nn.GRUCell: made by `adopt`."""

    def __init__(self, original: Any) -> None:
        super().__init__()
        self.layer: Recurrent[Any] = from_torch(original)
        self.kind: str = type(original).__name__
        self.input_size: int = original.input_size
        self.hidden_size: int = original.hidden_size
        self.bias: bool = original.bias
        self.train(original.training)

    def forward(self, input: Tensor, hx: Any = None) -> Tensor | tuple[Tensor, Tensor]:
        """As the torch cell: input (batch, feature) or (feature,), hx (batch, hidden) or (hidden,), for an LSTM (h, c).

        Returns the next hx.
        """
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ShapeError(
                f"{self.kind}: input must be (batch, {self.input_size}) or ({self.input_size},), "
                f"got {tuple(input.shape)}."
            )
        if input.ndim == 1:
            batched = self(input[None], _map_hx(lambda h: h[None], hx))
            return cast(Tensor, _map_hx(lambda h: h[0], batched))
        check_dtype(self.kind, input, next(self.parameters()))
        if hx is None:
            state = self.layer.initial_state(input.shape[0], device=input.device, dtype=input.dtype)
        else:
            parts = _pair(hx) if self.kind == "LSTMCell" else (hx,)
            for part in parts:
                _check_hx(self.kind, part, (input.shape[0], self.hidden_size), input)
            state = LSTMState(*parts) if self.kind == "LSTMCell" else HState(*parts)
        _, state = self.layer.advance(input, state)
        return (state.h, state.c) if self.kind == "LSTMCell" else state.h


def _is_torch(module: nn.Module) -> bool:
    return type(module) in TORCH_SEQUENCES or type(module) in TORCH_CELLS


def _pair(hx: Any) -> tuple[Tensor, Tensor]:
    if not isinstance(hx, tuple | list) or len(hx) != 2:
        raise ShapeError(f"LSTM: hx must be a pair (h, c), got {type(hx).__name__}.")
    return hx[0], hx[1]


def _map_hx(function: Any, hx: Any) -> Any:
    if hx is None or isinstance(hx, Tensor):
        return None if hx is None else function(hx)
    return tuple(function(part) for part in hx)


def _check_hx(owner: str, part: Any, size: tuple[int, ...], x: Tensor) -> None:
    if not isinstance(part, Tensor) or part.shape != size:
        came = tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__
        raise ShapeError(f"{owner}: a tensor of hx must be {size}, got {came}.")
    if part.dtype != x.dtype and not torch.is_autocast_enabled(x.device.type):
        raise DtypeError(f"{owner}: hx must be {x.dtype} like the input, got {part.dtype}; convert it with .to().")


def _pack_like(y: Tensor, lengths: Tensor, like: PackedSequence) -> PackedSequence:
    if like.sorted_indices is not None:
        y = y.index_select(0, like.sorted_indices)
        lengths = lengths[like.sorted_indices.to(lengths.device)]
    packed = to_packed(y, lengths, enforce_sorted=True)
    return PackedSequence(packed.data, like.batch_sizes, like.sorted_indices, like.unsorted_indices)


def _check_unshared(model: nn.Module) -> None:
    owners = {id(module): module for module in model.modules()}
    uses = Counter(id(p) for module in owners.values() for p in module.parameters(recurse=False))
    for path, module in model.named_modules():
        if _is_torch(module):
            for name, parameter in module.named_parameters(recurse=False):
                if uses[id(parameter)] > 1:
                    raise OptionError(
                        f"adopt: {name} of {path or 'the model'} is shared with another module and would be torn off; "
                        "replace these modules by hand with unrolled.nn.from_torch()."
                    )


def _adapter(path: str, original: Any) -> nn.Module:
    if any(_hooks(original)):
        raise OptionError(
            f"adopt: {path} ({type(original).__name__}) has hooks, which its replacement would lose; remove them first."
        )
    try:
        adapter = AdoptedCell(original) if type(original) in TORCH_CELLS else Adopted(original)
    except UnrolledError as error:
        raise OptionError(f"adopt: {path} cannot be replaced: {error}") from error
    _verify(path, original, adapter)
    return adapter


def _hooks(module: nn.Module) -> Iterator[Any]:
    yield from (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)


def _verify(path: str, original: Any, adapter: nn.Module) -> None:
    """Raise if the two differ on a small batch, in evaluation mode, with both computing in float64 on the CPU."""
    like = next(original.parameters())
    if like.is_meta:
        return
    # A generator of its own leaves the global random state alone; float64 copies keep kernels out of the comparison.
    draw = torch.Generator().manual_seed(0)
    pair = [copy.deepcopy(module).to("cpu", torch.float64).eval() for module in (original, adapter)]
    with torch.no_grad():
        if isinstance(adapter, AdoptedCell):
            inputs: Any = torch.randn(3, original.input_size, generator=draw, dtype=torch.float64)
            shapes: list[tuple[int, ...]] = [(3, original.hidden_size)] * (2 if adapter.kind == "LSTMCell" else 1)
        else:
            x = torch.randn(3, 4, original.input_size, generator=draw, dtype=torch.float64)
            inputs = to_packed(x, torch.tensor([2, 4, 3]))
            count = original.num_layers * (2 if original.bidirectional else 1)
            shapes = [(count, 3, original.proj_size or original.hidden_size), (count, 3, original.hidden_size)]
            shapes = shapes if original.mode == "LSTM" else shapes[:1]
        states = [torch.randn(*shape, generator=draw, dtype=torch.float64).tanh() for shape in shapes]
        hx = tuple(states) if len(states) == 2 else states[0]
        expected, came = (list(_tensors(module(inputs, hx))) for module in pair)
    scale = 1 + max(float(want.abs().max()) for want in expected)
    worst = max(float((want - got).abs().max()) for want, got in zip(expected, came, strict=True))
    if not worst <= _TOLERANCES[like.dtype] * scale:
        raise OptionError(
            f"adopt: {path} ({type(original).__name__}) must give the original's numbers, but differs by {worst:.2g}; "
            "the model is unchanged."
        )


def _tensors(result: Any) -> Iterator[Tensor]:
    if isinstance(result, PackedSequence):
        yield result.data
    elif isinstance(result, Tensor):
        yield result
    else:
        for part in result:
            yield from _tensors(part)
