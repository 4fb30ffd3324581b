"""The op `delta`: S <- S (diag(exp w) + a b^T) + v k^T, over a whole padded batch."""

from __future__ import annotations

from torch import Tensor

from unrolled.ops.delta.op import OP

__all__ = ["delta"]


def delta(
    *,
    q: Tensor,
    w: Tensor,
    k: Tensor,
    v: Tensor,
    a: Tensor,
    b: Tensor,
    s0: Tensor,
    lengths: Tensor | None = None,
    reset: Tensor | None = None,
    start_s: Tensor | None = None,
    chunk: int = 64,
    kernel: str = "auto",
) -> tuple[Tensor, Tensor]:
    """The generalised delta rule over a whole padded batch.

        S_t = S_(t-1) (diag(exp w_t) + a_t b_t^T) + v_t k_t^T    y_t = S_t q_t

    q, w, k, a, b: (batch, time, heads, keys); exp(w), with w at most 0, is what each key keeps; what S holds at a is
    added at b, and v is written at k. v: (batch, time, heads, values). s0: (batch, heads, keys, values), the transpose
    of S. chunk: steps between the states that training keeps, at least 1; it changes no result.
    lengths: (batch,) int64, valid steps of each row, 0 to time; None: all are full. reset: (batch, time) bool, True at
    t means that the state is start_s before step t; False in the padding. start_s: of one row or of as many as the
    batch has; it comes together with reset.
    kernel: "auto", or a name out of `kernels()`.

    Returns y (batch, time, heads, values), zero in the padding, and s after each row's last valid step.
    Raises KernelError where the kernel asked for cannot run, with the reason; TypeError for an argument that is missing
    or unknown.
    Source: Peng et al. 2025 (RWKV-7), arXiv:2503.14456; Yang et al. 2024, arXiv:2406.06484, 2412.06464.

    >>> import torch
    >>> q = torch.ones(2, 7, 1, 4)
    >>> y, s = delta(q=q, w=-q, k=q, v=q, a=-0.1 * q, b=0.1 * q, s0=torch.zeros(2, 1, 4, 4))
    >>> y.shape, s.shape
    (torch.Size([2, 7, 1, 4]), torch.Size([2, 1, 4, 4]))
    """
    y, s = OP(
        q, s0, w, k, v, a, b, lengths, reset, start_s, chunk, kernel=kernel,
    )  # fmt: skip
    return y, s
