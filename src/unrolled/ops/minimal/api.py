"""The op `minimal`: minGRU and minLSTM from their pre-activations, over a whole padded batch."""

from __future__ import annotations

from torch import Tensor

from unrolled.ops.minimal.op import OP

__all__ = ["minimal"]


def minimal(
    gates: Tensor,
    h0: Tensor,
    *,
    lengths: Tensor | None = None,
    reset: Tensor | None = None,
    start_h: Tensor | None = None,
    lstm: bool = False,
    positive: bool = False,
    kernel: str = "auto",
) -> tuple[Tensor, Tensor]:
    """minGRU and minLSTM from their pre-activations, over a whole padded batch.

        z = sigmoid(gate)                              minGRU; minLSTM: z = i' of its normalised gates f' + i' = 1
        h_t = (1 - z_t) * h_(t-1) + z_t * g(candidate_t)          y_t = h_t

    gates: (batch, time, 2 * hidden) in the order z, candidate; with lstm (batch, time, 3 * hidden) in the order f, i,
    candidate. h0: (batch, hidden). positive: g is the paper's, which keeps h positive; else g does nothing.
    lengths: (batch,) int64, valid steps of each row, 0 to time; None: all are full. reset: (batch, time) bool, True at
    t means that the state is start_h before step t; False in the padding. start_h: of one row or of as many as the
    batch has; it comes together with reset.
    kernel: "auto", or a name out of `kernels()`.

    Returns y (batch, time, hidden), zero in the padding, and h (batch, hidden) after each row's last valid step.
    Raises KernelError where the kernel asked for cannot run, with the reason; TypeError for an argument that is missing
    or unknown.
    Source: Feng et al. 2024, arXiv:2410.01201, section 3 and appendix B.

    >>> import torch
    >>> y, h = minimal(torch.zeros(2, 7, 10), torch.ones(2, 5))
    >>> y[0, :3, 0].tolist()
    [0.5, 0.25, 0.125]
    """
    y, h = OP(
        gates, h0, lengths, reset, start_h, lstm, positive, kernel=kernel,
    )  # fmt: skip
    return y, h
