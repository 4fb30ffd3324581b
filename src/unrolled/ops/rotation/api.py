"""The op `rotation`: h' = decay * h + drive in complex numbers, with one decay for all rows and times."""

from __future__ import annotations

from torch import Tensor

from unrolled.ops.rotation.op import OP

__all__ = ["rotation"]


def rotation(
    drive: Tensor,
    h0: Tensor,
    decay: Tensor,
    *,
    lengths: Tensor | None = None,
    reset: Tensor | None = None,
    start_h: Tensor | None = None,
    kernel: str = "auto",
) -> tuple[Tensor, Tensor]:
    """A linear recurrence in complex numbers, with one decay for all rows and times.

        h_t = decay * h_(t-1) + drive_t                y_t = h_t

    A complex number stands as two real ones: all real parts first, then all imaginary ones. drive: (batch, time, 2 *
    width). h0: (batch, 2 * width). decay: (2 * width,).
    lengths: (batch,) int64, valid steps of each row, 0 to time; None: all are full. reset: (batch, time) bool, True at
    t means that the state is start_h before step t; False in the padding. start_h: of one row or of as many as the
    batch has; it comes together with reset.
    kernel: "auto", or a name out of `kernels()`.

    Returns y (batch, time, 2 * width), zero in the padding, and h (batch, 2 * width) after each row's last valid step.
    Raises KernelError where the kernel asked for cannot run, with the reason; TypeError for an argument that is missing
    or unknown.
    Source: Orvieto et al. 2023, arXiv:2303.06349, eq. 1 with a diagonal A.

    >>> import torch
    >>> quarter = torch.tensor([0.0, 1.0])  # a turn by 90 degrees each step
    >>> y, h = rotation(torch.zeros(1, 3, 2), torch.tensor([[1.0, 0.0]]), quarter)
    >>> y[0].tolist()
    [[0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]
    """
    y, h = OP(
        drive, h0, decay, lengths, reset, start_h, kernel=kernel,
    )  # fmt: skip
    return y, h
