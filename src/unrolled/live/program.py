"""A live step as a program: instructions over buffers, all of which one compiled call runs; and as plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from operator import index
from typing import NamedTuple

import torch
from torch import Tensor

from unrolled.errors import ModelFileError, OptionError
from unrolled.live.extents import fault
from unrolled.ops import native
from unrolled.ops.native.calls import address, dense
from unrolled.ops.native.gated import CELLS

__all__ = ["Buffer", "GatedLayer", "Instruction", "Leaf", "Program", "constant_names"]

NARROW = 32
"""Numbers that the widest registers hold in two vectors."""

VERSION = 1
"""Of the plain data."""

DTYPES = {"float32": torch.float32, "float64": torch.float64}

Fields = dict[str, object]
"""What the compiled stepper takes of a layer, by name."""


class Buffer(NamedTuple):
    """`lines` lines of `width` numbers in every row; or the constant of that number, the same in all rows; -1: none."""

    lines: int
    width: int
    constant: int = -1


class Instruction(NamedTuple):
    """One of the compiled table by name, what it reads and writes, its sizes and numbers, and its constants.

    places: pairs of a buffer and a number in it, one after another. weight, bias: numbers of constants, -1 for none;
    of `layer`, weight is the number of the gated layer.
    """

    op: str
    places: tuple[int, ...]
    sizes: tuple[int, int, int] = (0, 1, 0)
    numbers: tuple[float, float] = (0.0, 0.0)
    weight: int = -1
    bias: int = -1


class GatedLayer(NamedTuple):
    """A whole rnn, lstm or gru, which keeps its state itself.

    cell: a name of `unrolled.ops.native.gated.CELLS`. weights: the numbers of constants by name. rates: of zoneout.
    """

    cell: str
    input: int
    hidden: int
    output: int
    rates: tuple[float, float]
    weights: dict[str, int]


class Leaf(NamedTuple):
    """A leaf of the state: its buffer, its shape in a row, and the gated layer that holds it itself, or -1."""

    buffer: int
    shape: tuple[int, ...]
    layer: int = -1


class Program:
    """The live step of a layer: what a step is given goes to the first buffer, `y` is where it leaves its output.

    What the leaves' buffers hold after a step is there at the next. It is the same for any number of rows and any way
    to store weights.
    """

    def __init__(self, input_size: int, dtype: torch.dtype) -> None:
        self.input_size = input_size
        self.output_size = 0
        self.dtype = dtype
        self.buffers: list[Buffer] = []
        self.instructions: list[Instruction] = []
        self.leaves: list[Leaf] = []
        self.layers: list[GatedLayer] = []
        self.constants: list[Tensor] = []
        self.y = (0, 0)
        self._kept: dict[int, int] = {}

    def buffer(self, width: int, lines: int = 1, constant: int = -1) -> int:
        """A new buffer's number."""
        self.buffers.append(Buffer(lines, width, constant))
        return len(self.buffers) - 1

    def keep(self, tensor: Tensor) -> int:
        """The number of a constant."""
        if tensor.dtype != self.dtype:
            raise OptionError(f"Program: weights must be {self.dtype}, got {tensor.dtype}; convert the layer.")
        if id(tensor) not in self._kept:
            self._kept[id(tensor)] = len(self.constants)
            self.constants.append(tensor)
        return self._kept[id(tensor)]

    def signature(self) -> int:
        """A number that two programs share which differ in their constants alone."""
        layers = [(*layer[:-1], tuple(layer.weights.items())) for layer in self.layers]
        return hash((*self.buffers, *self.instructions, *self.leaves, *layers, self.y, self.dtype))

    def gated(self) -> GatedLayer | None:
        """The gated layer that is all of this program, or None where it does anything else."""
        if len(self.layers) != 1 or len(self.instructions) != 1 or any(leaf.layer < 0 for leaf in self.leaves):
            return None
        (layer,), places = self.layers, self.instructions[0].places
        sizes = layer.input, layer.output
        return layer if places == (0, 0, *self.y) and sizes == (self.input_size, self.output_size) else None

    def fields(self, batch: int, stored: int, alive: list[Tensor]) -> Fields:
        """What the compiled stepper takes; what its addresses point at is added to `alive`."""
        wrong = fault(self)
        if wrong is not None:
            raise OptionError(f"Stepper: the step of the layer cannot be run: {wrong}; mend the layer.")
        whole = self.gated()
        if whole is not None:
            return self._gated_fields(whole, batch, stored, alive)
        names = native.compiled().PROGRAM_OPS
        steps = [
            (names.index(one.op), list(one.places), one.sizes, one.numbers, *self._addresses(one, alive))
            for one in self.instructions
        ]
        return {
            "type": int(self.dtype == torch.float64),
            "stored": stored,
            "batch": batch,
            "input": self.input_size,
            "output": self.output_size,
            "buffers": [(one.lines, one.width, self._address(one.constant, alive)) for one in self.buffers],
            "steps": steps,
            "layers": [self._gated_fields(layer, batch, stored, alive) for layer in self.layers],
            "leaves": [(leaf.buffer, leaf.layer) for leaf in self.leaves],
            "y": self.y,
            "work": float(batch * sum(map(_work, self.instructions)) + batch * sum(map(self._size, self.leaves))),
        }

    def to_json(self, names: Mapping[str, Tensor] | None = None) -> str:
        """The program as text. names: tensors, as `dict(layer.named_parameters())`, that are written by their names."""
        known = constant_names(names or {})
        constants = [known.get(_identity(one), None) or _inline(one) for one in self.constants]
        return json.dumps(
            {
                "version": VERSION,
                "dtype": str(self.dtype).removeprefix("torch."),
                "input": self.input_size,
                "output": self.output_size,
                "buffers": self.buffers,
                "instructions": [one._asdict() for one in self.instructions],
                "leaves": [one._asdict() for one in self.leaves],
                "layers": [one._asdict() for one in self.layers],
                "constants": constants,
                "y": self.y,
            }
        )

    @classmethod
    def from_json(cls, text: str, names: Mapping[str, Tensor] | None = None) -> Program:
        """The program that `to_json` wrote. names: the tensors that it names. Raises ModelFileError."""
        try:
            data = json.loads(text)
            if data["version"] != VERSION:
                raise ModelFileError(f"Program: the text has version {data['version']}, this reads {VERSION}.")
            made = cls(index(data["input"]), DTYPES[data["dtype"]])
            made.output_size, made.y = index(data["output"]), (index(data["y"][0]), index(data["y"][1]))
            made.buffers = [Buffer(*map(index, one)) for one in data["buffers"]]
            made.instructions = [_instruction(one) for one in data["instructions"]]
            made.leaves = [
                Leaf(index(one["buffer"]), tuple(map(index, one["shape"])), index(one["layer"]))
                for one in data["leaves"]
            ]
            made.layers = [_gated_layer(**one) for one in data["layers"]]
            made.constants = [_constant(one, names or {}, made.dtype) for one in data["constants"]]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RuntimeError, OverflowError) as error:
            raise ModelFileError(f"Program: the text is no program that to_json() wrote: {error!r}.") from error
        wrong = fault(made) if native.available() else None
        if wrong is not None:
            raise ModelFileError(f"Program: the text is no program that to_json() wrote: {wrong}.")
        return made

    def _address(self, constant: int, alive: list[Tensor]) -> int:
        if constant < 0:
            return 0
        alive.append(dense(self.constants[constant].detach()))
        return address(alive[-1])

    def _addresses(self, one: Instruction, alive: list[Tensor]) -> tuple[int, int]:
        if one.op == "layer":
            return one.weight, 0
        return self._address(one.weight, alive), self._address(one.bias, alive)

    def _gated_fields(self, layer: GatedLayer, batch: int, stored: int, alive: list[Tensor]) -> Fields:
        return {
            "cell": CELLS.index(layer.cell), "type": int(self.dtype == torch.float64), "stored": stored,
            "threads": native.threads(), "batch": batch, "input": layer.input, "output": layer.output,
            "hidden": layer.hidden, "rate_h": layer.rates[0], "rate_c": layer.rates[1],
            **{name: self._address(number, alive) for name, number in layer.weights.items()},
        }  # fmt: skip

    def _size(self, leaf: Leaf) -> int:
        return self.buffers[leaf.buffer].lines * self.buffers[leaf.buffer].width


def constant_names(tensors: Mapping[str, Tensor]) -> dict[tuple[object, ...], str]:
    """Names by what tells tensors apart: their memory and how they lie in it."""
    return {_identity(tensor): name for name, tensor in tensors.items()}


def _identity(tensor: Tensor) -> tuple[object, ...]:
    return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype


def _work(one: Instruction) -> int:
    """Multiply-adds in a row."""
    width, groups, other = one.sizes
    share = {"linear": width * groups * other, "window": width * (other + 1)}
    memory = width * groups * other
    return share.get(one.op, 3 * memory if one.op == "mlstm" else 4 * memory if one.op == "delta" else 0)


def _inline(tensor: Tensor) -> dict[str, object]:
    # Through float64 no number of float32 is lost, and JSON's words for NaN and infinity are Python's.
    return {"shape": list(tensor.shape), "values": tensor.detach().double().flatten().tolist()}


def _constant(given: str | dict[str, Sequence[float]], names: Mapping[str, Tensor], dtype: torch.dtype) -> Tensor:
    if isinstance(given, str):
        return names[given].detach()
    return torch.tensor(given["values"], dtype=torch.float64).to(dtype).view(*map(int, given["shape"]))


def _gated_layer(
    cell: str, input: int, hidden: int, output: int, rates: Sequence[float], weights: dict[str, int]
) -> GatedLayer:
    h, c = map(float, rates)
    kept = {name: index(number) for name, number in weights.items()}
    return GatedLayer(cell, index(input), index(hidden), index(output), (h, c), kept)


def _instruction(given: dict[str, Sequence[int]]) -> Instruction:
    made = Instruction(**given)  # type: ignore[arg-type]
    (width, groups, other), (n, m) = map(index, made.sizes), map(float, made.numbers)
    return made._replace(
        places=tuple(map(index, made.places)), sizes=(width, groups, other), numbers=(n, m),
        weight=index(made.weight), bias=index(made.bias),
    )  # fmt: skip
