"""Numbers at a place, each with a distribution, quantiles or nothing but itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from unrolled.check import check_size
from unrolled.errors import OptionError, ShapeError, listed
from unrolled.heads.head import Head, marked
from unrolled.heads.number.likelihood import LIKELIHOODS, Likelihood
from unrolled.padding import zero_padding

__all__ = ["NumberHead"]


class NumberHead(Head):
    """Several numbers at each place, independent of one another given y.

        raw        = W y + b                              likelihood.width numbers a value
        parameters = likelihood.parameters(raw)           in the space of the target
        loss       = sum over known values of what the likelihood says, for a distribution -log density in nats

    Targets and values are (..., values); NaN where a value is not known, which reaches no loss and no gradient.

    input_size: features of y. values: numbers at a place. likelihood: how each is described, see `LIKELIHOODS`.
    """

    def __init__(self, input_size: int, values: int, likelihood: Likelihood) -> None:
        super().__init__()
        self.input_size = check_size("NumberHead", "input_size", input_size)
        self.values, self.likelihood = check_size("NumberHead", "values", values), likelihood
        # Its weights stand under the names and start as those of a linear layer.
        plain = nn.Linear(input_size, values * likelihood.width)
        self.weight, self.bias = plain.weight, plain.bias

    def raw(self, y: Tensor) -> Tensor:
        """y (..., input_size) -> what the parameters are made of, (..., values, width)."""
        return linear(y, self.weight, self.bias).view(*y.shape[:-1], self.values, self.likelihood.width)

    def distribution(self, y: Tensor, level: Tensor | None = None, scale: Tensor | None = None) -> Tensor:
        """y (..., input_size) -> parameters (..., values, width). level, scale: see `Likelihood`, (..., values)."""
        return self.likelihood.parameters(self.raw(y), level, scale)

    def forward(self, y: Tensor) -> Tensor:
        """All that it says: the parameters, (..., values, width)."""
        return self.distribution(y)

    def loss(self, y: Tensor, target: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        known = self._known(y, target, lengths)
        return self.likelihood.loss(self.distribution(zero_padding(y, lengths)), target, known)

    def best(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The mean, or the median where only quantiles are learned: (..., values)."""
        return marked(self.likelihood.mean(self.distribution(zero_padding(y, lengths))), lengths, torch.nan)

    def draw(self, y: Tensor, generator: torch.Generator | None = None, lengths: Tensor | None = None) -> Tensor:
        # What stands in the padding may be anything, and the search for a draw of it would find no end.
        drawn = self.likelihood.sample(self.distribution(zero_padding(y, lengths)), generator)
        return marked(drawn, lengths, torch.nan)

    def log_prob(self, y: Tensor, value: Tensor, lengths: Tensor | None = None) -> Tensor:
        """log density of the known values of each place, for counts log p: (...), 0 where none is known."""
        if not self.likelihood.noise:
            able = [name for name, kind in LIKELIHOODS.items() if kind.noise]
            raise OptionError(f"likelihood {self.likelihood.name!r} has no density; those that have: {listed(able)}.")
        known = self._known(y, value, lengths)
        terms = self.likelihood.terms(self.distribution(zero_padding(y, lengths)), torch.where(known, value, 0))
        return -torch.where(known, terms, 0).sum(-1)

    def _known(self, y: Tensor, target: Tensor, lengths: Tensor | None) -> Tensor:
        if target.shape != (*y.shape[:-1], self.values):
            raise ShapeError(
                f"NumberHead: expected targets {(*y.shape[:-1], self.values)}, {self.values} a place, got "
                f"{tuple(target.shape)}; give NaN where a value is not known."
            )
        return marked(target, lengths, torch.nan).isfinite()

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.values}, likelihood={self.likelihood.name!r}"
