"""The op `diagonal`: h' = decay * h + drive, element by element, over a whole padded batch."""

from __future__ import annotations

from torch import Tensor

from unrolled.ops.diagonal.op import OP

__all__ = ["diagonal"]


def diagonal(
    decay: Tensor,
    drive: Tensor,
    h0: Tensor,
    *,
    lengths: Tensor | None = None,
    reset: Tensor | None = None,
    start_h: Tensor | None = None,
    kernel: str = "auto",
) -> tuple[Tensor, Tensor]:
    """A linear recurrence, element by element, over a whole padded batch.

        h_t = decay_t * h_(t-1) + drive_t              y_t = h_t

    decay, drive: (batch, time, width); what a step does to h depends on the input alone. h0: (batch, width).
    lengths: (batch,) int64, valid steps of each row, 0 to time; None: all are full. reset: (batch, time) bool, True at
    t means that the state is start_h before step t; False in the padding. start_h: of one row or of as many as the
    batch has; it comes together with reset.
    kernel: "auto", or a name out of `kernels()`.

    Returns y (batch, time, width), zero in the padding, and h (batch, width) after each row's last valid step.
    Raises KernelError where the kernel asked for cannot run, with the reason; TypeError for an argument that is missing
    or unknown.
    Source: the form of Feng et al. 2024, arXiv:2410.01201; see also Martin and Cundy 2018, arXiv:1709.04057.

    >>> import torch
    >>> y, h = diagonal(torch.full((1, 4, 1), 0.5), torch.ones(1, 4, 1), torch.zeros(1, 1))
    >>> y.flatten().tolist()
    [1.0, 1.5, 1.75, 1.875]
    """
    y, h = OP(
        decay, drive, h0, lengths, reset, start_h, kernel=kernel,
    )  # fmt: skip
    return y, h
