"""`unrolled kernels`: which kernel would run here, and why not the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from unrolled.cli.values import print_json

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
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _answers() -> list[dict[str, object]]:
    import torch

    from unrolled.nn import CELLS, make_cell

    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    rows: list[dict[str, object]] = []
    for name in CELLS:
        for device in devices:
            cell = make_cell(name, WIDTH, WIDTH).to(device)
            rows += _ask(name, cell, torch.zeros(ROWS, STEPS, WIDTH, device=device))
    return rows


def _ask(name: str, cell: Cell[Any], x: Tensor) -> list[dict[str, object]]:
    """One row for each kernel of the cell's op, asked about the tensors that this cell would give it."""
    from unrolled import ops

    op = next(op for op in vars(ops).values() if isinstance(op, ops.Op) and op.name == name)
    state = cell.initial_state(x.shape[0], device=x.device)
    known: dict[str, Any] = {f"{part}0": leaf for part, leaf in state._asdict().items()}
    known |= cell.project(x)._asdict() | dict(cell.named_parameters()) | vars(cell)
    # What a plain cell does not use, such as lengths or a mask, is None; its switches are off.
    arguments = [*(known.get(tensor) for tensor in op.tensors), *(known.get(word, False) for word in op.attributes)]
    chosen = op.choose("auto", *arguments).name
    return [
        {
            "op": name,
            "device": x.device.type,
            "kernel": kernel.name,
            "runs": kernel.name == chosen,
            "answer": kernel.refuses(*arguments) or ("would run" if kernel.name == chosen else "could run"),
        }
        for kernel in op.kernels
    ]
