"""The op `mlstm`: the matrix long short-term memory, over a whole padded batch."""

from __future__ import annotations

from torch import Tensor

from unrolled.ops.mlstm.op import OP

__all__ = ["mlstm"]


def mlstm(
    *,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    i: Tensor,
    f: Tensor,
    c0: Tensor,
    n0: Tensor,
    m0: Tensor,
    lengths: Tensor | None = None,
    reset: Tensor | None = None,
    start_c: Tensor | None = None,
    start_n: Tensor | None = None,
    start_m: Tensor | None = None,
    chunk: int = 64,
    kernel: str = "auto",
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The matrix long short-term memory over a whole padded batch.

        c_t = f c_(t-1) + i k_t v_t^T    n_t = f n_(t-1) + i k_t    y_t = c_t^T q_t / max(|n_t q_t|, exp(-m_t))

    q, k: (batch, time, heads, keys); k is scaled by keys ** -0.5 here. v: (batch, time, heads, values). i, f: (batch,
    time, heads), before their exponential and sigmoid. c0: (batch, heads, keys, values), n0: (batch, heads, keys), m0:
    (batch, heads), which keeps the exponentials in range. chunk: steps between the states that training keeps, at least
    1; it changes no result.
    lengths: (batch,) int64, valid steps of each row, 0 to time; None: all are full. reset: (batch, time) bool, True at
    t means that the state is start_c, start_n, start_m before step t; False in the padding. start_c, start_n, start_m:
    of one row or of as many as the batch has; it comes together with reset.
    kernel: "auto", or a name out of `kernels()`.

    Returns y (batch, time, heads, values), zero in the padding, and c, n, m after each row's last valid step.
    Raises KernelError where the kernel asked for cannot run, with the reason; TypeError for an argument that is missing
    or unknown.
    Source: Beck et al. 2024, arXiv:2405.04517, section 2.3.

    >>> import torch
    >>> q, gate = torch.ones(2, 7, 1, 4), torch.zeros(2, 7, 1)
    >>> state = {"c0": torch.zeros(2, 1, 4, 4), "n0": torch.zeros(2, 1, 4), "m0": torch.zeros(2, 1)}
    >>> y, *state = mlstm(q=q, k=q, v=q, i=gate, f=gate, **state)
    >>> y.shape, len(state)
    (torch.Size([2, 7, 1, 4]), 3)
    """
    y, c, n, m = OP(
        q, c0, n0, m0, k, v, i, f, lengths, reset, start_c, start_n, start_m, chunk, kernel=kernel,
    )  # fmt: skip
    return y, c, n, m
