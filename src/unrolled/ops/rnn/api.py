"""The op `rnn`: h' = tanh or relu of W_x x + b + W_h h, over a whole padded batch."""

from __future__ import annotations

from torch import Tensor

from unrolled.ops.rnn.op import OP

__all__ = ["rnn"]


def rnn(
    x: Tensor,
    h0: Tensor,
    weight_h: Tensor,
    *,
    weight_x: Tensor | None = None,
    bias: Tensor | None = None,
    mask_h: Tensor | None = None,
    zone_h: Tensor | None = None,
    lengths: Tensor | None = None,
    reset: Tensor | None = None,
    start_h: Tensor | None = None,
    nonlinearity: str = "tanh",
    rate_h: float = 0.0,
    reverse: bool = False,
    kernel: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Elman's recurrence over a whole padded batch.

        h_t = f(W_x x_t + b + W_h h_(t-1))             y_t = h_t

    x: (batch, time, input), or, without weight_x, its projection (batch, time, hidden). h0: (batch, hidden). weight_h:
    (hidden, hidden). weight_x: (hidden, input). bias: (hidden,). nonlinearity: f, "tanh" or "relu". reverse: from each
    row's last valid step to its first.
    mask_h: (batch, time, hidden), multiplies the h that weight_h sees. zone_h: bool like y, True where the new value is
    taken (zoneout in training); rate_h: in [0, 1), the share of the old value (zoneout in evaluation).
    lengths: (batch,) int64, valid steps of each row, 0 to time; None: all are full. reset: (batch, time) bool, True at
    t means that the state is start_h before step t; False in the padding. start_h: of one row or of as many as the
    batch has; it comes together with reset.
    kernel: "auto", or a name out of `kernels()`.

    Returns y (batch, time, hidden), zero in the padding, and h (batch, hidden) after each row's last valid step.
    Raises KernelError where the kernel asked for cannot run, with the reason; TypeError for an argument that is missing
    or unknown.
    Source: Elman 1990, Finding structure in time, Cognitive Science 14.

    >>> import torch
    >>> y, h = rnn(torch.ones(2, 7, 3), torch.zeros(2, 5), torch.eye(5), weight_x=torch.ones(5, 3))
    >>> y.shape, h.shape
    (torch.Size([2, 7, 5]), torch.Size([2, 5]))
    """
    y, h = OP(
        x, h0, weight_h, mask_h, zone_h, lengths, reset, start_h, weight_x, bias, nonlinearity, rate_h, reverse,
        kernel=kernel,
    )  # fmt: skip
    return y, h
