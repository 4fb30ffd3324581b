"""A run as plain JSON and named tensors, and back: what stands in a checkpoint besides the position."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from unrolled import randomness
from unrolled.errors import ModelFileError
from unrolled.state import to_bytes

__all__ = ["pack_optimizer", "pack_share", "pack_weights", "unpack_optimizer", "unpack_share", "unpack_weights"]


def pack_weights(prefix: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names with a prefix; every tensor a copy of its own, since a file holds no tensor that shares memory."""
    return {f"{prefix}.{name}": tensor.detach().cpu().clone().contiguous() for name, tensor in weights.items()}


def unpack_weights(prefix: str, tensors: dict[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The weights under a prefix, on the devices of those expected; None if there are none. Raises `ModelFileError`."""
    start = f"{prefix}."
    found = {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
    if not found:
        return None
    for name in sorted(expected.keys() | found.keys()):
        have, want = found.get(name), expected.get(name)
        if have is None or want is None or have.shape != want.shape or have.dtype != want.dtype:
            raise ModelFileError(
                f"fit: the checkpoint does not fit the model: {name} is {_outline(want)} in the model, "
                f"{_outline(have)} in the checkpoint; build the model with the same options."
            )
    return {name: tensor.to(expected[name].device, copy=True) for name, tensor in found.items()}


def pack_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's memory: one tensor for each parameter and quantity."""
    state = optimizer.state_dict()["state"]
    return {
        f"optimizer.{index}.{name}": value.detach().cpu().clone().contiguous()
        for index, values in state.items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }


def unpack_optimizer(tensors: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> None:
    """Put back what `pack_optimizer` took; learning rate and the like come from the options."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, quantity = name.split(".", 2)
            state.setdefault(int(index), {})[quantity] = tensor.clone()
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def pack_share(states: list[object]) -> bytes:
    """What one process alone knows: its random states and the state it carries for each micro-batch."""
    share = randomness.take()
    for i, state in enumerate(states):
        if state is not None:
            share[f"state.{i}"] = torch.frombuffer(bytearray(to_bytes(state)), dtype=torch.uint8)
    return tensors_to_bytes(share)


def unpack_share(data: bytes) -> tuple[dict[str, Tensor], dict[int, bytes]]:
    """Random states, and carried states as bytes by micro-batch."""
    try:
        share = read_tensors(data)
    except SafetensorError as error:
        raise ModelFileError("fit: the checkpoint's random states are damaged; use an earlier checkpoint.") from error
    states = {name: tensor for name, tensor in share.items() if name.startswith("state.")}
    carried = {int(name.removeprefix("state.")): tensor.numpy().tobytes() for name, tensor in states.items()}
    return {name: tensor for name, tensor in share.items() if name not in states}, carried


def _outline(tensor: Tensor | None) -> str:
    return "missing" if tensor is None else f"{tensor.dtype} {tuple(tensor.shape)}".removeprefix("torch.")
