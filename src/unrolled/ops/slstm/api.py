"""The op `slstm`: the scalar long short-term memory with exponential gates, over a whole padded batch."""

from __future__ import annotations

from torch import Tensor

from unrolled.ops.slstm.op import OP

__all__ = ["slstm"]


def slstm(
    gates: Tensor,
    h0: Tensor,
    c0: Tensor,
    n0: Tensor,
    m0: Tensor,
    weight_h: Tensor,
    *,
    lengths: Tensor | None = None,
    reset: Tensor | None = None,
    start_h: Tensor | None = None,
    start_c: Tensor | None = None,
    start_n: Tensor | None = None,
    start_m: Tensor | None = None,
    exponential: bool = False,
    kernel: str = "auto",
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The scalar long short-term memory with exponential gates, over a whole padded batch.

        i, f, z, o = the gates of x_t + W_h h_(t-1), head by head
        c_t = f c_(t-1) + i tanh(z)    n_t = f n_(t-1) + i    h_t = sigmoid(o) c_t / n_t    y_t = h_t

    gates: (batch, time, 4 * hidden) in the order i, f, z, o. h0, c0, n0, m0: (batch, hidden); m keeps the exponentials
    in range, n = 0 marks a fresh unit. weight_h: (heads, 4 * width, width), hidden = heads * width. exponential: f is
    an exponential, else a sigmoid.
    lengths: (batch,) int64, valid steps of each row, 0 to time; None: all are full. reset: (batch, time) bool, True at
    t means that the state is start_h, start_c, start_n, start_m before step t; False in the padding. start_h, start_c,
    start_n, start_m: of one row or of as many as the batch has; it comes together with reset.
    kernel: "auto", or a name out of `kernels()`.

    Returns y (batch, time, hidden), zero in the padding, and h, c, n, m after each row's last valid step.
    Raises KernelError where the kernel asked for cannot run, with the reason; TypeError for an argument that is missing
    or unknown.
    Source: Beck et al. 2024, arXiv:2405.04517, section 2.2.

    >>> import torch
    >>> zero = torch.zeros(2, 6)
    >>> y, *state = slstm(torch.ones(2, 7, 24), zero, zero, zero, zero, torch.zeros(2, 12, 3))
    >>> y.shape, len(state)
    (torch.Size([2, 7, 6]), 4)
    """
    y, h, c, n, m = OP(
        gates, h0, c0, n0, m0, weight_h, lengths, reset, start_h, start_c, start_n, start_m, exponential, kernel=kernel,
    )  # fmt: skip
    return y, h, c, n, m
