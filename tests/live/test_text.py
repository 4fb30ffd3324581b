"""Programs as text: every cell and block goes out and in, and runs the same bits; damaged text is refused."""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from recorded import ran
from steppers import LAYERS, make, samples

from unrolled.errors import ModelFileError
from unrolled.live.program import Program
from unrolled.live.record.recorder import record
from unrolled.ops import native
from unrolled.state import leaves, map_state

pytestmark = pytest.mark.skipif(not native.available(), reason=native.reason() or "")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_a_program_goes_out_and_in_and_runs_the_same(name: str, named: bool, dtype: torch.dtype) -> None:
    layer, x = make(name, dtype=dtype), samples(2, dtype=dtype)[0]
    names = dict(layer.named_parameters()) if named else {}
    program = record(layer, 2, dtype)
    text = program.to_json(names)
    again = Program.from_json(text, names)
    assert again.to_json(names) == text
    assert again.signature() == program.signature()
    state = map_state(lambda leaf: leaf.detach().contiguous(), layer.initial_state(2, dtype=dtype))
    for _ in range(3):
        want, state_want = ran(program, x, state)
        got, state = ran(again, x, state)
        assert torch.equal(got, want)
        assert all(torch.equal(a, b) for a, b in zip(leaves(state), leaves(state_want), strict=True))


def test_matrices_are_written_by_their_names() -> None:
    layer = make("mlstm block")
    names = dict(layer.named_parameters())
    constants = json.loads(record(layer, 1, torch.float64).to_json(names))["constants"]
    assert {"up.weight", "down.weight", "weight_gates"} <= {one for one in constants if isinstance(one, str)}


def test_numbers_that_json_does_not_know_go_through() -> None:
    layer = make("min gru")
    with torch.no_grad():
        layer.bias[:2] = torch.tensor([float("inf"), float("nan")])  # type: ignore[index, operator, union-attr]
    program = record(layer, 1, torch.float64)
    again = Program.from_json(program.to_json())
    assert all(
        torch.equal(a.nan_to_num(7), b.nan_to_num(7)) for a, b in zip(program.constants, again.constants, strict=True)
    )


def broken(**changes: Any) -> str:
    return json.dumps({**json.loads(record(make("gru after"), 1, torch.float64).to_json()), **changes})


DAMAGED = {
    "nothing": "",
    "a list": "[]",
    "an empty object": "{}",
    "another version": broken(version=2),
    "another dtype": broken(dtype="int8"),
    "half an instruction": broken(instructions=[{"sizes": [1, 1, 1]}]),
    "an unknown name": broken(constants=["weight"]),
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_damaged_text_is_refused(text: str) -> None:
    with pytest.raises(ModelFileError, match="Program: the text"):
        Program.from_json(text)


HOSTILE = {
    "a place outside of all buffers": {"y": [99, 0]},
    "an offset outside of its buffer": {"y": [0, 10**7]},
    "an offset before its buffer": {"y": [0, -1]},
    "an x wider than its buffer": {"input": 10**7},
    "a y wider than its buffer": {"output": 77},
    "a buffer of no line": {"buffers": [[0, 0, -1]]},
    "a buffer of more numbers than there are": {"buffers": [[2**40, 2**40, -1]]},
    "a buffer of a constant that is not there": {"buffers": [[1, 3, 99]]},
    "a leaf outside of all buffers": {"leaves": [{"buffer": 99, "shape": [5], "layer": -1}]},
    "a size that is no whole number": {"input": 2.5},
}


@pytest.mark.parametrize("changes", HOSTILE.values(), ids=HOSTILE)
def test_numbers_that_point_outside_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ModelFileError, match="Program: the text"):
        Program.from_json(broken(**changes))


NUMBERS = [-(10**9), -2, -1, 0, 1, 2, 3, 7, 64, 1000, 10**6, 2**31, 2**62]


@pytest.mark.parametrize("name", LAYERS)
def test_a_program_with_any_number_changed_is_refused_or_runs(name: str) -> None:
    program = json.loads(record(make(name, dtype=torch.float32), 2, torch.float32).to_json())
    places = [place for place in numbers_in(program) if "values" not in place]
    draw = random.Random(name)
    for _ in range(60):
        changed = json.loads(json.dumps(program))
        *way, last = draw.choice(places)
        inner = functools.reduce(lambda data, key: data[key], way, changed)
        inner[last] = draw.choice([*NUMBERS, inner[last] + 1, inner[last] - 1])
        try:
            again = Program.from_json(json.dumps(changed))
        except ModelFileError:
            continue
        if sum(buffer.lines * buffer.width for buffer in again.buffers) < 10**6:
            state = tuple(torch.zeros(2, *leaf.shape, dtype=again.dtype) for leaf in again.leaves)
            ran(again, torch.zeros(2, again.input_size, dtype=again.dtype), state)


def numbers_in(data: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(data, dict | list):
        for key, one in data.items() if isinstance(data, dict) else enumerate(data):
            yield from numbers_in(one, (*way, key))
    elif isinstance(data, int | float):
        yield way


def test_a_gated_layer_with_a_part_of_it_as_y_is_no_whole_layer() -> None:
    layer = make("lstm")
    program = record(layer, 1, torch.float64)
    assert program.gated() is not None
    program.output_size -= 1
    assert program.gated() is None
