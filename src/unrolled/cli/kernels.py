"""`unrolled kernels`: which kernel would run here, and why not the others."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unrolled.cli.values import print_json, print_table, say
from unrolled.errors import how_many

if TYPE_CHECKING:
    from torch import Tensor

    from unrolled.nn import Cell

__all__ = ["kernels"]

# The sizes tried: as a layer of the default forecaster has them.
ROWS, STEPS, WIDTH = 32, 48, 64


def kernels(as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False) -> None:
    """Show every operator with its kernels: which one would run on this machine, and why the others would not."""
    found = _answers()
    if as_json:
        print_json(found)
        return
    names = ("op", "device", "kernel", "answer")
    lines = [names, *(tuple(str(row[name]) for name in names) for row in found)]
    print_table(lines)
    say(f"\ncpp: {_compiled_kernels()}")


def _compiled_kernels() -> str:
    """At which level the compiled kernels run and on how many threads, or why they cannot."""
    from unrolled.ops import native

    if not native.available():
        return f"cannot run: {native.reason()}"
    threads = native.threads()
    others = [name for name in native.levels() if name != native.level()]
    also = f"; {native.VARIABLE} may force {' or '.join(others)}" if others else ""
    return f"level {native.level()} on {how_many(threads, 'thread')}{also}"


def _answers() -> list[dict[str, object]]:
    import torch

    from unrolled import ops
    from unrolled.nn import GRU, LSTM, RNN

    cells: dict[str, Cell[Any]] = {"rnn": RNN(WIDTH, WIDTH), "lstm": LSTM(WIDTH, WIDTH), "gru": GRU(WIDTH, WIDTH)}
    rows: list[dict[str, object]] = []
    for name in ops.kernels():
        for device in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
            if name in cells:
                x = torch.zeros(ROWS, STEPS, WIDTH, device=device)
                rows += _ask(name, device, *_of_cell(cells[name].to(device), x))
            else:
                rows += _ask(name, device, *_of_sample(name, device))
    return rows


def _of_sample(name: str, device: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tensors and attributes of an op's first sample, in float32, by name."""
    import torch

    from unrolled import ops

    op = ops.find(name)
    given = next(import_module(f"unrolled.ops.{name}.samples").samples()).arguments
    moved = [
        value.to(device, torch.float32 if value.is_floating_point() else value.dtype)
        if isinstance(value, torch.Tensor)
        else value
        for value in given
    ]
    count = len(op.tensors)
    return dict(zip(op.tensors, moved[:count], strict=True)), dict(zip(op.attributes, moved[count:], strict=True))


def _of_cell(cell: Cell[Any], x: Tensor) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and attributes that the cell would give its op, by name."""
    state = cell.initial_state(x.shape[0], device=x.device)
    tensors = {f"{part}0": leaf for part, leaf in state._asdict().items()}
    tensors |= dict(cell.named_parameters()) | {"x": x}
    # A choice such as reset="after" is the op's switch reset_after.
    choices = {f"{option}_{word}": True for option, word in vars(cell).items() if isinstance(word, str)}
    return tensors, vars(cell) | choices


def _ask(name: str, device: str, tensors: dict[str, Tensor], attributes: dict[str, Any]) -> list[dict[str, object]]:
    """One row for each kernel of the op, asked about these arguments."""
    from unrolled import ops

    op = ops.find(name)
    # What a plain cell does not use, such as lengths or a mask, is None; its switches are off and its rates 0.
    arguments = [*(tensors.get(part) for part in op.tensors), *(attributes.get(word, 0) for word in op.attributes)]
    chosen = op.choose("auto", *arguments).name
    return [
        {
            "op": name,
            "device": device,
            "kernel": kernel.name,
            "runs": kernel.name == chosen,
            "answer": kernel.refuses(*arguments) or ("would run" if kernel.name == chosen else "could run"),
        }
        for kernel in op.kernels
    ]
