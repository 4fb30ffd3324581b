"""The minimal long short-term memory."""

from __future__ import annotations

from torch import Tensor

from unrolled.nn.cells.minimal import Minimal

__all__ = ["MinLSTM"]


class MinLSTM(Minimal):
    """Minimal long short-term memory: gates that see the input alone and share the state between them.

        f, i = sigmoid(W x + b)                     forget gate, input gate: (batch, hidden), in (0, 1)
        n    = W_h x + b_h                          form="linear"
        n    = g(W_h x + b_h)                       form="log": g(v) = v + 0.5 for v >= 0, else sigmoid(v)
        h'   = f / (f + i) * h + i / (f + i) * n    y = h'

    The shares f / (f + i) and i / (f + i) add up to 1 and are computed without dividing what has vanished: with both
    gates shut they tend to what is left of their ratio. Training, the two forms, the state that is carried on, and what
    it cannot do (parity) are those of `MinGRU`.

    input_size, hidden_size: features of x and of h. form: "linear" or "log". bias: False leaves the biases out.
    learn_initial_state: h before the first step is a parameter; it is free to be negative. init: "xavier" (Xavier
    weights, each gate by itself, zero biases) or "torch" (uniform as torch.nn); in both the forget bias gains 1.
    kernel: "auto" or the name of a kernel of op `minimal`.

    Parameters, in the order f, i, n: weight_x (3 hidden, input), bias (3 hidden,).

    Source: Feng et al. 2024, arXiv:2410.01201, section 3.2 (there h~ is n) and appendix B for g; the paper has no bias.

    >>> import torch
    >>> y, state = MinLSTM(3, 5)(torch.zeros(2, 7, 3), lengths=[7, 4])
    >>> y.shape, state.h.shape
    (torch.Size([2, 7, 5]), torch.Size([2, 5]))
    """

    lstm = True

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
        """The forget gate starts open."""
        bias.detach()[: self.output_size] += 1.0
