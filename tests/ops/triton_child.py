"""Runs the Triton kernel of an op under Triton's interpreter beside the reference: a process of its own.

Triton reads TRITON_INTERPRET when it is imported, so a test cannot switch it on in its own process.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor

from unrolled import ops
from unrolled.testing.kernels import samples_of

# Every option on, every option off, a row alone, rows and widths beside a block. The interpreter is slow.
LABELS = {"batch=4, time=5", "batch=1, time=1,", "batch=13, time=2"}


def everything(op: Any, arguments: tuple[Any, ...], kernel: str) -> list[Tensor]:
    """Outputs, and gradients of all floating tensors."""
    count = len(op.tensors)
    given = [t.clone() if isinstance(t, Tensor) else t for t in arguments[:count]]
    wanted = [t.requires_grad_() for t in given if t is not None and t.is_floating_point()]
    outputs = op(*given, *arguments[count:], kernel=kernel)
    generator = torch.Generator().manual_seed(0)
    grads = [torch.randn(out.shape, generator=generator, dtype=out.dtype) for out in outputs]
    return [*outputs, *torch.autograd.grad(outputs, wanted, grads, allow_unused=True, materialize_grads=True)]


def main(name: str) -> None:
    """Compare on a choice of the op's samples, in float64, with fresh memory full of NaN; print how many there were."""
    torch.use_deterministic_algorithms(True)
    op, ran = ops.find(name), 0
    triton = next(kernel for kernel in op.kernels if kernel.name == "triton")
    chosen = [s for s in samples_of(name) if any(label in s.label for label in LABELS)]
    for sample in [*chosen[:1], *chosen[-5:]]:
        if triton.refuses(*sample.arguments) is not None:
            continue
        print(sample.label, file=sys.stderr)
        got, want = (everything(op, sample.arguments, kernel) for kernel in ("triton", "reference"))
        for one, other in zip(got, want, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
        ran += 1
    print(ran)


if __name__ == "__main__":
    main(sys.argv[1])
