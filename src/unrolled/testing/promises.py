"""The laws of conduct: structure, purity, rows, bytes, saving, copying, streaming, and the parallel promise."""

from __future__ import annotations

import copy
from typing import NoReturn, cast

import torch
from torch import Tensor

from unrolled.errors import NotStreamable
from unrolled.nn.cell import Cell
from unrolled.state import concat_rows, from_bytes, leaves, map_state, select_rows, split_rows, to_bytes
from unrolled.testing.proof import LawBroken, Make, Proof, Trial, outcome, values

__all__ = [
    "check_bytes",
    "check_copy",
    "check_parallel",
    "check_pure",
    "check_rows",
    "check_save",
    "check_state",
    "check_stream",
]


def check_state(make: Make) -> None:
    """The state is a tuple of tensors, every leaf batch first, with the structure, dtype and device it came in with."""
    for dtype in (torch.float32, torch.float64):
        with Proof("state", make, dtype=dtype) as proof:
            layer = proof.layer
            first = layer.initial_state(3, dtype=dtype)
            kind = type(first).__name__
            proof.require(isinstance(first, tuple), f"the state is a {kind}, expected a NamedTuple of tensors")
            _check_leaves(proof, "initial_state(3)", first, 3, dtype)
            _check_leaves(proof, "initial_state(1)", layer.initial_state(1, dtype=dtype), 1, dtype)
            meta = leaves(layer.initial_state(2, device="meta", dtype=dtype))
            proof.require(all(leaf.is_meta for leaf in meta), "initial_state does not go to the device asked for")
            x = torch.randn(3, 4, layer.input_size, dtype=dtype)
            y, final = layer(x)
            _check_output(proof, "y", y, (3, 4, layer.output_size))
            _check_alike(proof, "the final state", final, first)
            if layer.streamable:
                y, after = layer.step(x[:, 0], first)
                _check_output(proof, "y of a step", y, (3, layer.output_size))
                _check_alike(proof, "the state after a step", after, first)


def check_pure(make: Make) -> None:
    """A call changes nothing it is given and leaves nothing behind: the same call later gives the same, bit for bit."""
    with Proof("pure", make) as proof:
        trial = _frozen(proof.trial())
        before = _frozen(trial)
        weights = {name: tensor.clone() for name, tensor in proof.layer.state_dict().items()}
        first = {name: result.detach().clone() for name, result in values(*proof.run(trial)).items()}
        _check_untouched(proof, "the call", before, trial)
        proof.run(_frozen(proof.trial()))
        for name, result in values(*proof.run(trial)).items():
            proof.require(torch.equal(result, first[name]), f"{name} of the same call differs in evaluation mode")
        for name, tensor in proof.layer.state_dict().items():
            proof.require(torch.equal(weights[name], tensor), f"the call changed {name} of the layer")
        with torch.no_grad():
            proof.same("without gradients", values(*proof.run(trial)), first)
        if proof.layer.streamable:
            proof.layer.step(trial.x[:, 0], trial.state)
            _check_untouched(proof, "the step", before, trial)


def check_rows(make: Make) -> None:
    """Rows selected, split and joined in mid-sequence go on as if they had run by themselves."""
    with Proof("rows", make) as proof:
        start = proof.trial((3, 3, 1, 0), time=3)
        _, state = proof.run(start)
        rest = proof.trial((4, 2, 4, 3), time=4)._replace(state=state)
        expected = values(*proof.run(rest))
        lengths = torch.tensor((4, 2, 4, 3))
        index = torch.tensor([2, 0, 0, 3])
        picked = Trial(rest.x[index], select_rows(state, index), lengths[index], None)
        proof.same(
            "rows selected", values(*proof.run(picked)), {name: result[index] for name, result in expected.items()}
        )
        parts = split_rows(state, [1, 3])
        ends = [
            proof.run(Trial(rest.x[a:z], part, lengths[a:z], None))
            for part, (a, z) in zip(parts, ((0, 1), (1, 4)), strict=True)
        ]
        proof.same("rows split", values(torch.cat([y for y, _ in ends]), concat_rows([s for _, s in ends])), expected)
        joined = rest._replace(state=concat_rows(split_rows(state)))
        proof.same("rows split and joined", values(*proof.run(joined)), expected)


def check_bytes(make: Make) -> None:
    """A state written to bytes in mid-sequence and read back goes on as if nothing had happened."""
    with Proof("bytes", make) as proof:
        trial = proof.trial()
        like = proof.layer.initial_state(1, dtype=proof.dtype)
        restored = from_bytes(to_bytes(trial.state), like)
        _check_alike(proof, "the state read back", restored, trial.state)
        got = values(*proof.run(trial._replace(state=restored)))
        proof.same("state from bytes", got, values(*proof.run(trial)))


def check_save(make: Make) -> None:
    """The state_dict loaded into another layer of the same make gives the same values and gradients."""
    with Proof("save", make) as proof:
        trial = proof.trial(carried=False)
        expected = outcome(proof.layer, trial, *proof.run(trial))
        stored = {name: tensor.clone() for name, tensor in proof.layer.state_dict().items()}
        proof.layer = proof.fresh()
        proof.layer.load_state_dict(stored)
        proof.same("state_dict loaded", outcome(proof.layer, trial, *proof.run(trial)), expected)


def check_copy(make: Make) -> None:
    """A deep copy, made after a backward pass, gives the same, and shares no parameter with the original."""
    with Proof("copy", make) as proof:
        trial = proof.trial(carried=False)
        expected = outcome(proof.layer, trial, *proof.run(trial))
        original, proof.layer = proof.layer, copy.deepcopy(proof.layer)
        proof.same("deep copy", outcome(proof.layer, trial, *proof.run(trial)), expected)
        with torch.no_grad():
            for parameter in proof.layer.parameters():
                parameter.fill_(0.125)
        proof.layer = original
        proof.same("original beside its copy", outcome(original, trial, *proof.run(trial)), expected)


def check_stream(make: Make) -> None:
    """A layer that needs the whole sequence refuses `step` with NotStreamable; any other takes it."""
    with Proof("stream", make) as proof:
        x = torch.randn(2, proof.layer.input_size, dtype=proof.dtype)
        refused = False
        try:
            proof.layer.step(x, proof.layer.initial_state(2, dtype=proof.dtype))
        except NotStreamable:
            refused = True
        streamable = proof.layer.streamable
        wanted = "take a step" if streamable else "refuse a step with NotStreamable"
        proof.require(refused != streamable, f"streamable is {streamable}, so it must {wanted}")


def check_parallel(make: Make) -> None:
    """`parallel_in_time` is a promise that no cell inside is walked step by step: `recur` is replaced by a bomb."""
    with Proof("parallel", make) as proof:
        if not proof.layer.parallel_in_time:
            return

        def bomb(*_: object) -> NoReturn:
            raise LawBroken(proof.law, proof.owner, "parallel_in_time is True, but the sequence walks recur()")

        trial = proof.trial()
        for module in proof.layer.modules():
            if isinstance(module, Cell):
                module.recur = bomb  # type: ignore[assignment, method-assign]
        outcome(proof.layer, trial, *proof.run(trial))


def _check_leaves(proof: Proof, what: str, state: object, batch: int, dtype: torch.dtype) -> None:
    for number, leaf in enumerate(leaves(state)):
        first = leaf.ndim >= 1 and leaf.shape[0] == batch
        proof.require(first, f"{what}: leaf {number} is {tuple(leaf.shape)}, expected {batch} rows first")
        right = not leaf.dtype.is_floating_point or leaf.dtype == dtype
        proof.require(right, f"{what}: leaf {number} is {leaf.dtype}, expected {dtype}")


def _check_output(proof: Proof, what: str, y: Tensor, shape: tuple[int, ...]) -> None:
    right = y.shape == shape and y.dtype == proof.dtype
    proof.require(right, f"{what} is {y.dtype} {tuple(y.shape)}, expected {proof.dtype} {shape}")


def _check_untouched(proof: Proof, what: str, before: Trial, after: Trial) -> None:
    proof.require(torch.equal(before.x, after.x), f"{what} changed x in place")
    for number, (old, new) in enumerate(zip(leaves(before.state), leaves(after.state), strict=True)):
        proof.require(torch.equal(old, new), f"{what} changed leaf {number} of the state that came in, in place")


def _check_alike(proof: Proof, what: str, state: object, like: object) -> None:
    proof.require(_outline(state) == _outline(like), f"{what} is {_outline(state)}, expected {_outline(like)}")


def _outline(state: object) -> str:
    """Types, shapes, dtypes and devices of a state, as text."""
    if state is None:
        return "None"
    if isinstance(state, Tensor):
        return f"{tuple(state.shape)} {state.dtype} {state.device}"
    parts = cast("tuple[object, ...]", state)
    return f"{type(state).__name__}({', '.join(_outline(part) for part in parts)})"


def _frozen(trial: Trial) -> Trial:
    """A copy without gradients, so that writing in place raises nothing and shows."""
    clone = map_state(lambda leaf: leaf.detach().clone(), trial.state)
    return trial._replace(x=trial.x.detach().clone(), state=clone)
