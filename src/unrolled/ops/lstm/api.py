"""The op `lstm`: every variant of the long short-term memory, over a whole padded batch."""

from __future__ import annotations

from torch import Tensor

from unrolled.ops.lstm.op import OP

__all__ = ["lstm"]


def lstm(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    weight_h: Tensor,
    *,
    weight_x: Tensor | None = None,
    bias: Tensor | None = None,
    peephole: Tensor | None = None,
    weight_p: Tensor | None = None,
    norm_h: Tensor | None = None,
    norm_c: Tensor | None = None,
    mask_h: Tensor | None = None,
    zone_h: Tensor | None = None,
    zone_c: Tensor | None = None,
    lengths: Tensor | None = None,
    reset: Tensor | None = None,
    start_h: Tensor | None = None,
    start_c: Tensor | None = None,
    coupled: bool = False,
    rate_h: float = 0.0,
    rate_c: float = 0.0,
    reverse: bool = False,
    kernel: str = "auto",
) -> tuple[Tensor, Tensor, Tensor]:
    """Long short-term memory in all its variants, over a whole padded batch.

        i, f, g, o = the gates: W_x x_t + b + W_h h_(t-1)
        c_t = sigmoid(f) * c_(t-1) + sigmoid(i) * tanh(g)        coupled: i, g, o, and f = 1 - i
        h_t = P (sigmoid(o) * tanh(c_t))                         P = 1 without weight_p; y_t = h_t

    x: (batch, time, input), or, without weight_x, its projection (batch, time, gates * hidden); gates is 4, or 3 if
    coupled. h0: (batch, output), c0: (batch, hidden); output is hidden without weight_p. weight_h: (gates * hidden,
    output). weight_x: (gates * hidden, input). bias: (gates * hidden,). peephole: (gates - 1, hidden), of c in the
    gates. weight_p: (output, hidden), the projection. norm_h: (gates * hidden,), gain of the layer norm of W_h h.
    norm_c: (2, hidden), gain and bias of the layer norm of c. reverse: from each row's last valid step to its first.
    mask_h: (batch, time, output), multiplies the h that weight_h sees. zone_h, zone_c: bool like h, c, True where the
    new value is taken (zoneout in training); rate_h, rate_c: in [0, 1), the share of the old value (zoneout in
    evaluation).
    lengths: (batch,) int64, valid steps of each row, 0 to time; None: all are full. reset: (batch, time) bool, True at
    t means that the state is start_h, start_c before step t; False in the padding. start_h, start_c: of one row or of
    as many as the batch has; it comes together with reset.
    kernel: "auto", or a name out of `kernels()`.

    Returns y (batch, time, output), zero in the padding, and h and c after each row's last valid step.
    Raises KernelError where the kernel asked for cannot run, with the reason; TypeError for an argument that is missing
    or unknown.
    Source: Hochreiter and Schmidhuber 1997; Gers et al. 2000 (forget gate), 2002 (peepholes); Sak et al. 2014
    (projection).

    >>> import torch
    >>> h0, c0, weight_h = torch.zeros(2, 5), torch.zeros(2, 5), torch.zeros(20, 5)
    >>> y, h, c = lstm(torch.ones(2, 7, 3), h0, c0, weight_h, weight_x=torch.ones(20, 3), lengths=torch.tensor([7, 4]))
    >>> y.shape, bool((y[1, 4:] == 0).all())
    (torch.Size([2, 7, 5]), True)
    """
    y, h, c = OP(
        x, h0, c0, weight_h, peephole, weight_p, norm_h, norm_c, mask_h, zone_h, zone_c, lengths, reset, start_h,
        start_c, weight_x, bias, coupled, rate_h, rate_c, reverse, kernel=kernel,
    )  # fmt: skip
    return y, h, c
