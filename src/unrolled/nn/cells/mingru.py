"""The minimal gated recurrent unit."""

from __future__ import annotations

from torch import Tensor

from unrolled.nn.cells.minimal import Minimal

__all__ = ["MinGRU"]


class MinGRU(Minimal):
    """Minimal gated recurrent unit: a GRU whose gate and candidate see the input alone.

        z  = sigmoid(W_z x + b_z)             update gate: (batch, hidden), in (0, 1)
        n  = W_h x + b_h                      form="linear"
        n  = g(W_h x + b_h)                   form="log": g(v) = v + 0.5 for v >= 0, else sigmoid(v)
        h' = (1 - z) * h + z * n              y = h'

    All times are known at once, so a sequence is one product and one scan; nothing of size time but y is kept for the
    backward pass besides the pre-activations. form="log" is the recurrence that the paper computes in log space: h is
    positive as long as the first state is not negative. Here it is computed as it stands, which loses nothing over long
    sequences, and the state that is carried on is h itself: g is for candidates only and never touches it.

    What it cannot do: (1 - z) is positive and no function of h, so one layer cannot flip a sign with every one that it
    reads. Parity is out of reach at lengths it was not trained on; take an LSTM, GRU or sLSTM for such counting.

    input_size, hidden_size: features of x and of h. form: "linear" or "log". bias: False leaves both biases out.
    learn_initial_state: h before the first step is a parameter; it is free to be negative. init: "xavier" (Xavier
    weights, each gate by itself, zero biases) or "torch" (uniform as torch.nn). kernel: "auto" or the name of a kernel
    of op `minimal`.

    Parameters, in the order z, n: weight_x (2 hidden, input), bias (2 hidden,).

    Source: Feng et al. 2024, arXiv:2410.01201, section 3.1 (there h~ is n) and appendix B for g; the paper has no bias.

    >>> import torch
    >>> y, state = MinGRU(3, 5, form="log")(torch.zeros(2, 7, 3), lengths=[7, 4])
    >>> y.shape, state.h.shape, bool((y >= 0).all())
    (torch.Size([2, 7, 5]), torch.Size([2, 5]), True)
    """

    lstm = False

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        form: str = "linear",
        bias: bool = True,
        learn_initial_state: bool = False,
        init: str = "xavier",
        kernel: str = "auto",
    ) -> None:
        super().__init__(
            input_size, hidden_size, form=form, bias=bias, learn_initial_state=learn_initial_state, init=init,
            kernel=kernel,
        )  # fmt: skip

    def _open_gates(self, bias: Tensor) -> None:
        """None: half of the old state is kept at first, as in a GRU."""
