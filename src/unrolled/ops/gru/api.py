"""The op `gru`: the gated recurrent unit with either reset, over a whole padded batch."""

from __future__ import annotations

from torch import Tensor

from unrolled.ops.gru.op import OP

__all__ = ["gru"]


def gru(
    x: Tensor,
    h0: Tensor,
    weight_h: Tensor,
    *,
    weight_x: Tensor | None = None,
    bias: Tensor | None = None,
    bias_h: Tensor | None = None,
    norm_h: Tensor | None = None,
    mask_h: Tensor | None = None,
    zone_h: Tensor | None = None,
    lengths: Tensor | None = None,
    reset: Tensor | None = None,
    start_h: Tensor | None = None,
    reset_after: bool = True,
    rate_h: float = 0.0,
    reverse: bool = False,
    kernel: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Gated recurrent unit with either reset, over a whole padded batch.

        r, z = sigmoid(W x_t + b + U h_(t-1))
        n    = tanh(W_n x_t + b_n + r * (U_n h_(t-1) + bias_h))    reset_after
        n    = tanh(W_n x_t + b_n + U_n (r * h_(t-1)))             else
        h_t  = z * h_(t-1) + (1 - z) * n                           y_t = h_t

    x: (batch, time, input), or, without weight_x, its projection (batch, time, 3 * hidden), in the order r, z, n. h0:
    (batch, hidden). weight_h: (3 * hidden, hidden). weight_x: (3 * hidden, input). bias: (3 * hidden,). bias_h:
    (hidden,), for reset_after alone. norm_h: (3 * hidden,), gain of the layer norm of the recurrent product. reverse:
    from each row's last valid step to its first.
    mask_h: (batch, time, hidden), multiplies the h that weight_h sees. zone_h: bool like y, True where the new value is
    taken (zoneout in training); rate_h: in [0, 1), the share of the old value (zoneout in evaluation).
    lengths: (batch,) int64, valid steps of each row, 0 to time; None: all are full. reset: (batch, time) bool, True at
    t means that the state is start_h before step t; False in the padding. start_h: of one row or of as many as the
    batch has; it comes together with reset.
    kernel: "auto", or a name out of `kernels()`.

    Returns y (batch, time, hidden), zero in the padding, and h (batch, hidden) after each row's last valid step.
    Raises KernelError where the kernel asked for cannot run, with the reason; TypeError for an argument that is missing
    or unknown.
    Source: Cho et al. 2014, arXiv:1406.1078; reset_after is cuDNN's form.

    >>> import torch
    >>> y, h = gru(torch.ones(2, 7, 3), torch.zeros(2, 5), torch.zeros(15, 5), weight_x=torch.ones(15, 3))
    >>> y.shape, h.shape
    (torch.Size([2, 7, 5]), torch.Size([2, 5]))
    """
    y, h = OP(
        x, h0, weight_h, bias_h, norm_h, mask_h, zone_h, lengths, reset, start_h, weight_x, bias, reset_after, rate_h,
        reverse, kernel=kernel,
    )  # fmt: skip
    return y, h
