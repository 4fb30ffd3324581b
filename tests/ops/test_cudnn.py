"""The kernel "cudnn": torch's own layers behind the classic ops, which run on the CPU too, where cuDNN is absent."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from unrolled import ops
from unrolled.errors import KernelError
from unrolled.ops.native.cudnn import run_layer
from unrolled.testing.kernels import samples_of

PLAIN = {"x", "h0", "c0", "weight_h", "weight_p", "bias_h", "lengths", "weight_x", "bias"}


def modes(name: str, values: tuple[Any, ...]) -> str | None:
    """The word of torch's layer for these attributes."""
    if name == "lstm":
        return None if values[0] or values[1] or values[2] else "lstm"
    if name == "gru":
        return "gru" if values[0] and not values[1] else None
    return None if values[1] else f"rnn {values[0]}"


def cases() -> list[Any]:
    """The samples that torch's layers can run, made plain: every mask, norm and reset is left out."""
    found, seen = [], set()
    for name in ("rnn", "lstm", "gru"):
        tensors = ops.find(name).tensors
        for sample in samples_of(name):
            given = dict(zip(tensors, sample.arguments, strict=False))
            values = sample.arguments[len(tensors) :]
            if given["weight_x"] is None or (name == "gru" and given["bias_h"] is None) or modes(name, values) is None:
                continue
            plain = tuple(key for key in tensors if key in PLAIN and given[key] is not None)
            mark = (name, plain, values, given["x"].shape)
            if mark not in seen:
                seen.add(mark)
                found.append(pytest.param(name, given, values, id=f"{name} {sample.label}"))
    return found


@pytest.mark.parametrize(("name", "given", "values"), cases())
def test_the_layer_equals_the_reference(name: str, given: dict[str, Any], values: tuple[Any, ...]) -> None:
    plain = {key: tensor if key in PLAIN else None for key, tensor in given.items()}
    floats = {
        key: t.clone().requires_grad_() if t is not None and t.is_floating_point() else t for key, t in plain.items()
    }
    word = modes(name, values)
    assert word is not None
    got = run_layer(word, floats, reverse=values[-1])
    want = ops.find(name)(*floats.values(), *values, kernel="reference")
    wanted = [t for t in floats.values() if t is not None and t.requires_grad]
    grads = [torch.randn_like(leaf) for leaf in want]
    slopes = torch.autograd.grad(want, wanted, grads, allow_unused=True, materialize_grads=True)
    found = torch.autograd.grad(got, wanted, grads, allow_unused=True, materialize_grads=True)
    for one, other in zip((*got, *found), (*want, *slopes), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


def test_there_are_cases_of_every_cell() -> None:
    assert {case.values[0] for case in cases()} == {"rnn", "lstm", "gru"}
    assert {case.values[2][-1] for case in cases()} == {True, False}
    assert {case.values[1]["lengths"] is None for case in cases()} == {True, False}


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_on_the_cpu_it_refuses_in_words(name: str) -> None:
    with pytest.raises(KernelError, match="kernel 'cudnn' refuses: x is on cpu, it runs on a GPU"):
        ops.find(name)(*samples_of(name)[0].arguments, kernel="cudnn")
