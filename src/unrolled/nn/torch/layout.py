"""Weights and layout of torch.nn: its recurrent modules as ours, and ours as its."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.errors import OptionError, listed
from unrolled.nn.cell import Cell
from unrolled.nn.cells import GRU, LSTM, RNN
from unrolled.nn.recurrent import Recurrent
from unrolled.nn.wrappers.bidirectional import Bidirectional
from unrolled.nn.wrappers.stack import Stack

__all__ = ["TORCH_CELLS", "TORCH_SEQUENCES", "from_torch", "to_torch"]

TORCH_SEQUENCES: dict[type[nn.Module], type[Cell[Any]]] = {nn.RNN: RNN, nn.LSTM: LSTM, nn.GRU: GRU}
TORCH_CELLS: dict[type[nn.Module], type[Cell[Any]]] = {nn.RNNCell: RNN, nn.LSTMCell: LSTM, nn.GRUCell: GRU}


def from_torch(module: Any) -> Recurrent[Any]:
    """A torch.nn recurrent module as one of our layers, with copies of its weights and the same numbers.

    module: exactly an nn.RNN, nn.LSTM, nn.GRU, or one of their cells nn.RNNCell, nn.LSTMCell, nn.GRUCell; any layers,
    directions, bias, dropout, proj_size, dtype and device. Training mode and requires_grad are kept.

    Returns the cell itself for one layer, a Stack for several; each layer a Bidirectional where the module has both
    directions. Input is (batch, time, feature) whatever the module's batch_first. torch's two biases, which only act as
    their sum, become one; a GRU's second bias of n stays apart, since it stands inside r * (...).

    Raises OptionError for any other module, and for a module whose weights are computed (weight norm, pruning).

    >>> from_torch(torch.nn.LSTM(3, 5, num_layers=2, bidirectional=True)).output_size
    10
    """
    _check_module(module)
    if type(module) in TORCH_CELLS:
        cell: Recurrent[Any] = _read_cell(module, TORCH_CELLS[type(module)], "", module.input_size)
        cell.train(module.training)
        return cell
    width = (module.proj_size or module.hidden_size) * (2 if module.bidirectional else 1)
    kind = TORCH_SEQUENCES[type(module)]
    layers: list[Recurrent[Any]] = []
    for k in range(module.num_layers):
        size = width if k else module.input_size
        one = _read_cell(module, kind, f"_l{k}", size)
        if module.bidirectional:
            layers.append(Bidirectional(one, _read_cell(module, kind, f"_l{k}_reverse", size)))
        else:
            layers.append(one)
    layer = layers[0] if len(layers) == 1 else Stack(layers, dropout=module.dropout)
    return layer.train(module.training)


def to_torch(layer: Recurrent[Any]) -> nn.Module:
    """Our layer as an nn.RNN, nn.LSTM or nn.GRU with batch_first=True, copies of its weights, and the same numbers.

    layer: an RNN, LSTM or GRU; a Bidirectional of two of them; or a Stack of such layers, all of one kind and width.
    The inverse of `from_torch`: the bias becomes torch's first, the second is zero but for the n of a GRU.

    Raises OptionError, with the option named, for what torch.nn does not have: peepholes, coupled gates, layer norm, a
    learned initial state, a GRU with reset="before", other wrappers, layers of different kinds or widths.

    >>> to_torch(LSTM(3, 5, projection_size=4))
    LSTM(3, 5, proj_size=4, batch_first=True)
    """
    rows = _grid(layer)
    first = rows[0][0]
    for row in rows:
        for cell in row:
            _check_expressible(cell)
    _check_uniform(rows)
    dropout = layer.dropout if isinstance(layer, Stack) and len(rows) > 1 else 0.0
    kind: Any = {ours: theirs for theirs, ours in TORCH_SEQUENCES.items()}[type(first)]
    options: dict[str, Any] = _kind_options(first)
    # On the meta device no random number is drawn for weights that are overwritten below.
    module: Any = kind(
        first.input_size, _hidden_size(first), num_layers=len(rows), bias=first.bias is not None, batch_first=True,
        dropout=dropout, bidirectional=len(rows[0]) == 2, device="meta", dtype=first.weight_x.dtype, **options,
    )  # fmt: skip
    module = module.to_empty(device=first.weight_x.device)
    for k, row in enumerate(rows):
        for cell, direction in zip(row, ("", "_reverse"), strict=False):
            _write_cell(cell, dict(module.named_parameters()), f"_l{k}{direction}")
    trained: nn.Module = module.train(layer.training)
    return trained


def _check_module(module: nn.Module) -> None:
    known = {**TORCH_SEQUENCES, **TORCH_CELLS}
    if type(module) not in known:
        names = ", ".join(f"nn.{kind.__name__}" for kind in known)
        raise OptionError(f"from_torch: module must be exactly one of {names}, got {type(module).__name__}.")
    own = dict(module.named_parameters(recurse=False))
    if "weight_hh_l0" not in own and "weight_hh" not in own:
        raise OptionError(
            f"from_torch: the weights of this {type(module).__name__} are computed (weight norm, pruning), "
            f"its own are {listed(own)}; make them plain parameters first."
        )


def _read_cell(module: Any, kind: type[Cell[Any]], suffix: str, input_size: int) -> Any:
    source = dict(module.named_parameters(recurse=False))
    options: dict[str, Any] = {"bias": bool(module.bias), "init": "torch"}
    if kind is RNN:
        options["nonlinearity"] = module.nonlinearity
    projection = f"weight_hr{suffix}" in source
    if projection:
        options["projection_size"] = module.proj_size
    make: Any = kind
    with torch.device("meta"):
        cell = make(input_size, module.hidden_size, **options)
    like = source[f"weight_ih{suffix}"]
    cell = cell.to(like.dtype).to_empty(device=like.device)
    _copy(cell.weight_x, source[f"weight_ih{suffix}"])
    _copy(cell.weight_h, source[f"weight_hh{suffix}"])
    if projection:
        _copy(cell.weight_p, source[f"weight_hr{suffix}"])
    if module.bias:
        _merge_biases(cell, source[f"bias_ih{suffix}"], source[f"bias_hh{suffix}"])
    return cell


def _copy(target: nn.Parameter, source: Tensor) -> None:
    with torch.no_grad():
        target.copy_(source)
    target.requires_grad_(source.requires_grad)


def _merge_biases(cell: Any, bias_ih: Tensor, bias_hh: Tensor) -> None:
    learned = bias_ih.requires_grad or bias_hh.requires_grad
    with torch.no_grad():
        merged = bias_ih + bias_hh
        if isinstance(cell, GRU):
            cut = 2 * cell.output_size
            merged[cut:] = bias_ih[cut:]
            _copy(cell.bias_h, bias_hh[cut:])  # type: ignore[arg-type]
            cell.bias_h.requires_grad_(learned)  # type: ignore[union-attr]
        cell.bias.copy_(merged)
    cell.bias.requires_grad_(learned)


def _write_cell(cell: Any, target: dict[str, nn.Parameter], suffix: str) -> None:
    _copy(target[f"weight_ih{suffix}"], cell.weight_x)
    _copy(target[f"weight_hh{suffix}"], cell.weight_h)
    if isinstance(cell, LSTM) and cell.weight_p is not None:
        _copy(target[f"weight_hr{suffix}"], cell.weight_p)
    if cell.bias is None:
        return
    _copy(target[f"bias_ih{suffix}"], cell.bias)
    second = torch.zeros_like(cell.bias)
    if isinstance(cell, GRU) and cell.bias_h is not None:
        second[2 * cell.output_size :] = cell.bias_h.detach()
    _copy(target[f"bias_hh{suffix}"], second.requires_grad_(cell.bias.requires_grad))


def _grid(layer: Recurrent[Any]) -> list[list[Any]]:
    """Layers by directions."""
    layers: Sequence[Any] = list(layer.layers) if isinstance(layer, Stack) else [layer]
    rows = [[one.forward_layer, one.backward_layer] if isinstance(one, Bidirectional) else [one] for one in layers]
    for row in rows:
        for cell in row:
            if type(cell) not in TORCH_SEQUENCES.values():
                raise OptionError(
                    f"to_torch: torch.nn has no {type(cell).__name__} here; it has RNN, LSTM and GRU, "
                    "in one Stack at most, each Bidirectional or not."
                )
    return rows


def _check_expressible(cell: Any) -> None:
    lacking = {
        "learn_initial_state": cell.initial is not None,
        "peephole": isinstance(cell, LSTM) and cell.peephole is not None,
        "coupled": isinstance(cell, LSTM) and cell.coupled,
        "layer_norm": not isinstance(cell, RNN) and cell.norm_h is not None,
        'reset="before"': isinstance(cell, GRU) and cell.reset == "before",
    }
    for option, used in lacking.items():
        if used:
            raise OptionError(
                f"to_torch: torch.nn.{type(cell).__name__} has no option for {option}; train a layer without it."
            )


def _check_uniform(rows: list[list[Any]]) -> None:
    def outline(cell: Any) -> tuple[Any, ...]:
        projection = isinstance(cell, LSTM) and cell.weight_p is not None
        nonlinearity = cell.nonlinearity if isinstance(cell, RNN) else None
        return type(cell).__name__, _hidden_size(cell), projection and cell.output_size, nonlinearity, cell.bias is None

    first, directions = outline(rows[0][0]), len(rows[0])
    for k, row in enumerate(rows):
        if len(row) != directions:
            raise OptionError(f"to_torch: torch.nn has one bidirectional for all layers, but layers[{k}] differs.")
        for cell in row:
            if outline(cell) != first:
                raise OptionError(
                    "to_torch: torch.nn has one kind, hidden_size, proj_size, nonlinearity and bias for all layers, "
                    f"but layers[{k}] is {cell} and layers[0] is {rows[0][0]}."
                )


def _hidden_size(cell: Any) -> int:
    size: int = cell.hidden_size if isinstance(cell, LSTM) else cell.output_size
    return size


def _kind_options(cell: Any) -> dict[str, Any]:
    if isinstance(cell, RNN):
        return {"nonlinearity": cell.nonlinearity}
    if isinstance(cell, LSTM) and cell.weight_p is not None:
        return {"proj_size": cell.output_size}
    return {}
