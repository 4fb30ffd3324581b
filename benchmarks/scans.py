"""Forms of the diagonal scan h_t = a_t h_(t-1) + b_t: ours, and those that can be written in torch or JAX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from others import import_jax
from peers import Contest, Run
from race import Skipped
from torch import Tensor, _dynamo
from torch._higher_order_ops.associative_scan import associative_scan

from unrolled import ops

__all__ = ["draw_scan", "loop", "ours", "scans", "train"]

Form = Callable[[Tensor, Tensor, Tensor], Tensor]


def draw_scan(shape: Sequence[int]) -> list[Tensor]:
    """a in (0, 1) and b > 0, both (B, T, D), and h0 > 0 (B, D), as the log-space form needs them, and dh (B, T, D)."""
    generator = torch.Generator().manual_seed(0)
    a = torch.sigmoid(2 + torch.randn(shape, generator=generator))
    b = torch.rand(shape, generator=generator) + 0.01
    return [a, b, torch.rand(shape[0], shape[2], generator=generator) + 0.01, torch.randn(shape, generator=generator)]


def ours() -> Form:
    """The registered op."""
    found = vars(ops).get("diagonal")
    if found is None:
        raise Skipped("there is no op `diagonal` yet")
    rest = [None] * (len(found.tensors) - 3)
    return lambda a, b, h0: found(a, b, h0, *rest)[0]


def loop(a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
    """One step after the other; unbind, since a slice a step would cost T squared in the backward pass."""
    h, outputs = h0, []
    for a_t, b_t in zip(a.unbind(1), b.unbind(1), strict=True):
        h = a_t * h + b_t
        outputs.append(h)
    return torch.stack(outputs, 1)


def tree(a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
    """torch's own associative scan over pairs (a, b), with h0 put into the first b."""
    first = (a[:, :1] * h0[:, None] + b[:, :1], b[:, 1:])

    def after(left: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return left[0] * right[0], right[0] * left[1] + right[1]

    return associative_scan(after, (a, torch.cat(first, 1)), dim=1, combine_mode="generic")[1]


def log_space(a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
    """Cumulative sums of logarithms, for positive b and h0: exp(A_t + log sum_s exp(log b_s - A_s)), A = cumsum(log a).

    Source: Heinsen 2023, arXiv:2311.06281.
    """
    total = torch.cat([torch.zeros_like(h0)[:, None], a.log().cumsum(1)], 1)
    inner = torch.cat([h0[:, None], b], 1).log() - total
    return (total + inner.logcumsumexp(1)).exp()[:, 1:]


def train(form: Form, drawn: Sequence[Tensor]) -> Run:
    """One pass: h, and the gradient of a among those of a, b and h0."""
    *inputs, gradient = drawn
    wanted = [tensor.clone().requires_grad_() for tensor in inputs]

    def run() -> Sequence[Any]:
        h = form(*wanted)
        return h.detach(), torch.autograd.grad(h, wanted, gradient)[0]

    return run


def scans(drawn: Sequence[Tensor], *, compiled: bool) -> Contest:
    """Every form on one draw."""
    runs = {"unrolled": train(ours(), drawn), "loop": train(loop, drawn)}
    absent: dict[str, str] = {}
    for name, form in (("associative_scan", tree), ("log-space", log_space)):
        runs[name] = train(form, drawn)
        found = _compiled(form, drawn) if compiled else "is left out of a smoke run"
        if isinstance(found, str):
            absent[f"{name} compiled"] = found
        else:
            runs[f"{name} compiled"] = found
    found = _jax(drawn)
    if isinstance(found, str):
        absent["JAX associative_scan"] = found
    else:
        runs["JAX associative_scan"] = found
    return Contest(runs, absent)


def _compiled(form: Form, drawn: Sequence[Tensor]) -> Run | str:
    run = train(torch.compile(form), drawn)
    try:
        run()
    except _dynamo.exc.TorchDynamoException as error:
        return f"cannot be compiled: {str(error).splitlines()[0]}"
    return run


def _jax(drawn: Sequence[Tensor]) -> Run | str:
    jax = import_jax()
    if isinstance(jax, str):
        return jax
    a, b, h0, gradient = (jax.numpy.asarray(tensor.numpy()) for tensor in drawn)

    def after(left: Any, right: Any) -> Any:
        return left[0] * right[0], right[0] * left[1] + right[1]

    def loss(a: Any, b: Any, h0: Any) -> Any:
        h = jax.lax.associative_scan(after, (a, b.at[:, 0].add(a[:, 0] * h0)), axis=1)[1]
        return (h * gradient).sum(), h

    both = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))

    def run() -> Sequence[Any]:
        (_, h), gradients = jax.block_until_ready(both(a, b, h0))
        return h, gradients[0]

    return run
