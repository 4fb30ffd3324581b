"""A linear chain over tags: how likely a sequence of them is, which is the best, and draws of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from unrolled.check import check_size
from unrolled.errors import OptionError, ShapeError
from unrolled.heads.codes import CodeHead, draw_codes
from unrolled.nn.reading.embedding import check_codes
from unrolled.padding import last_step, valid_mask, zero_padding

__all__ = ["ILLEGAL", "CRFHead", "LinearChainCRF"]

ILLEGAL = -200.0
"""The score of a move that is not legal.

exp(-200) is 1e-87: nothing beside a legal path, yet its square is far from zero in float64, so that a row without a
legal path still has a likelihood and gradients.
"""


class LinearChainCRF(nn.Module):
    """A conditional random field over a chain of tags y_1 ... y_n.

        score(y) = begin[y_1] + sum_t scores[t, y_t] + sum_t follow[y_(t-1), y_t] + end[y_n]
        log p(y) = score(y) - log sum over all y' of exp(score(y'))

    classes: the number of tags K. legal: which tags may begin (K,), which may follow which (K, K) [from, to], which may
    end (K,), all bool; None means that everything may. Parameters: begin (K,), follow (K, K), end (K,), all zero at the
    start.

    An illegal move has the fixed score -200, and neither it nor what it replaces is learned. A row for which no legal
    path exists, say of length 1 where no tag may both begin and end, is then about the paths with the fewest illegal
    moves; gold tags that are illegal are as unlikely as that. Nothing becomes infinite or NaN.

    All sums run in float64, over weights that are scaled to add up to one at each step. What stands in the padding is
    never read. A row of length 0 has one path, the empty one: log-likelihood 0, score 0.

    Source: Lafferty et al. 2001; over a recurrent network: Huang et al. 2015, arXiv:1508.01991.

    >>> crf = LinearChainCRF(3)
    >>> scores, lengths = torch.zeros(2, 4, 3), torch.tensor([4, 2])
    >>> crf.log_likelihood(scores, torch.zeros(2, 4).long(), lengths).exp()
    tensor([0.0123, 0.1111], grad_fn=<ExpBackward0>)
    """

    may_begin: Tensor
    may_follow: Tensor
    may_end: Tensor

    def __init__(self, classes: int, legal: Sequence[np.ndarray | Tensor] | None = None) -> None:
        super().__init__()
        self.classes = check_size("LinearChainCRF", "classes", classes)
        self.begin = nn.Parameter(torch.zeros(classes))
        self.follow = nn.Parameter(torch.zeros(classes, classes))
        self.end = nn.Parameter(torch.zeros(classes))
        # They belong to the tags, not to what is learned, so no saved model holds them.
        for name, mask in zip(("may_begin", "may_follow", "may_end"), _masks(classes, legal), strict=True):
            self.register_buffer(name, mask, persistent=False)

    def log_likelihood(self, scores: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """log p of the tags: (batch,), in nats, at most 0; with the gradient.

        scores (batch, time, K); tags (batch, time) in -1 .. K - 1; lengths (batch,). A tag of -1 is not known: the
        probability is that of all sequences that agree with the known tags, so a row that knows none has 0.
        """
        self._check(scores, tags.shape)
        valid = valid_mask(lengths, scores.shape[1])
        given = torch.where(valid, tags, -1)
        check_codes("LinearChainCRF", "tag", given, -1, self.classes)
        agrees = (given[..., None] < 0) | (given[..., None] == torch.arange(self.classes, device=given.device))
        # One walk of twice the rows takes hardly longer than one of each kind.
        allowed = torch.cat([agrees, torch.ones_like(agrees)])
        sums = self._log_sum(torch.cat([scores, scores]), allowed, torch.cat([lengths, lengths]))
        numerator, denominator = sums.chunk(2)
        return (numerator - denominator).to(scores.device, _wide(scores))

    def viterbi(self, scores: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The best tags (batch, time), -1 in the padding, and their score (batch,); without gradients."""
        self._check(scores, scores.shape[:2])
        with torch.no_grad():
            home, kind = scores.device, _wide(scores)
            scores, lengths, (begin, follow, end) = self._exact(scores, lengths)
            valid = valid_mask(lengths, scores.shape[1])
            if not scores.shape[1]:
                return valid.long().to(home), scores.sum((1, 2)).to(home, kind)
            best, places = begin + scores[:, 0], []
            for t in range(1, scores.shape[1]):
                value, place = (best[:, :, None] + follow).max(1)
                best = torch.where(valid[:, t, None], value + scores[:, t], best)
                places.append(place)
            score, tag = (best + end).max(1)
            path = [tag]
            for t in range(scores.shape[1] - 1, 0, -1):
                # In the padding the last tag waits for the last valid step.
                tag = torch.where(valid[:, t], places[t - 1].gather(1, tag[:, None])[:, 0], tag)
                path.append(tag)
            tags = torch.stack(path[::-1], 1)
            return torch.where(valid, tags, -1).to(home), torch.where(lengths > 0, score, 0).to(home, kind)

    def marginals(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """The probability of each tag at each step (batch, time, K), 0 in the padding; without gradients.

        They are the slopes of the log of the sum over all paths, which is what a forward and backward walk computes.
        """
        self._check(scores, scores.shape[:2])
        with torch.inference_mode(False), torch.enable_grad():
            leaf = scores.detach().to(_wide(scores), copy=True).requires_grad_()
            total = self._log_sum(leaf, torch.ones_like(leaf, dtype=torch.bool), lengths.clone()).sum()
            return torch.autograd.grad(total, leaf)[0]

    def sample(self, scores: Tensor, lengths: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Tags drawn with the probability of the whole row (batch, time), -1 in the padding; without gradients.

        The last tag is drawn by what all paths that end in it weigh, each one before by what leads to the tag after it.
        """
        self._check(scores, scores.shape[:2])
        with torch.no_grad():
            home, valid = scores.device, valid_mask(lengths, scores.shape[1])
            scores, lengths, moves = self._exact(scores, lengths)
            _, follow, end = (move.exp() for move in moves)
            _, shares = self._walk(scores, torch.zeros_like(scores, dtype=torch.bool), moves)
            tag, drawn = torch.zeros_like(lengths, dtype=torch.long), []
            for t in range(scores.shape[1] - 1, -1, -1):
                onward = torch.where((t + 1 < lengths)[:, None], follow.t()[tag], end)
                # What is drawn in the padding leads nowhere: the last valid step looks at `end` alone.
                tag = draw_codes(torch.where((t < lengths)[:, None], shares[t] * onward, 1), generator)
                drawn.append(tag)
            tags = torch.stack(drawn[::-1], 1) if drawn else valid.long()
            return torch.where(valid, tags.to(home), -1)

    def _log_sum(self, scores: Tensor, allowed: Tensor, lengths: Tensor) -> Tensor:
        """log sum of exp(score) over all paths through `allowed` (batch, time, K) tags: (batch,) float64."""
        scores, lengths, moves = self._exact(scores, lengths)
        if not scores.shape[1]:
            return scores.sum((1, 2))
        masses, shares = self._walk(scores, ~allowed.to(scores.device), moves)
        # Steps of the padding were walked, but nothing after a row's last valid step is taken.
        steps = zero_padding(masses, lengths).sum(1)
        final = (last_step(torch.stack(shares, 1), lengths) * moves[2].exp()).sum(1)
        full = lengths > 0
        return torch.where(full, steps + torch.where(full, final, 1).log(), 0)

    @staticmethod
    def _walk(scores: Tensor, barred: Tensor, moves: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Of each step, the log of what was divided out (batch, time), and what paths to each tag weigh, summing to 1.

        scores in float64, padding included; barred (batch, time, K): tags that no path goes through.
        """
        begin, follow, _ = (move.exp() for move in moves)
        top = torch.where(barred, -torch.inf, scores.detach()).amax(2, keepdim=True)
        weights = torch.where(barred, -torch.inf, scores - top).exp().unbind(1)
        masses, shares, share = [], list[Tensor](), begin
        for t, weight in enumerate(weights):
            share = (share @ follow if t else begin) * weight
            # A scale divided out here and added by the caller: a constant, through which no gradient need go.
            mass = share.detach().sum(1, keepdim=True)
            share = share / mass
            masses.append(mass)
            shares.append(share)
        return (torch.cat(masses, 1).log() + top[..., 0] if masses else top[..., 0]), shares

    def _exact(self, scores: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor]]:
        """Scores with their padding at zero, lengths, and the scores of moves, all where float64 is to be had."""
        place = torch.device("cpu") if scores.device.type == "mps" else scores.device
        lengths = lengths.to(place)
        pairs = ((self.begin, self.may_begin), (self.follow, self.may_follow), (self.end, self.may_end))
        begin, follow, end = (torch.where(legal, move, ILLEGAL).to(place).double() for move, legal in pairs)
        return zero_padding(scores.to(place), lengths).double(), lengths, (begin, follow, end)

    def _check(self, scores: Tensor, shape: torch.Size) -> None:
        if scores.ndim != 3 or scores.shape[2] != self.classes or shape != scores.shape[:2]:
            raise ShapeError(
                f"LinearChainCRF: scores must be (batch, time, {self.classes}) beside tags (batch, time), "
                f"got {tuple(scores.shape)} and {tuple(shape)}; give one score for each tag and step."
            )


class CRFHead(CodeHead):
    """A code for each step of a row, all of them together: `LinearChainCRF` over scores of their own.

        scores_t   = W y_t + b
        p(codes)   = chain(scores)                          of a whole row
        loss       = -log p(known codes), summed over rows, counted by known codes

    Its places are the steps of rows, (batch, time, input_size); log_prob is one a row. A code that is not known is
    summed over.

    input_size: features of y. size: the number of codes. legal: which may begin, follow and end, see `LinearChainCRF`.

    Source: Huang et al. 2015, arXiv:1508.01991.
    """

    def __init__(self, input_size: int, size: int, legal: Sequence[np.ndarray | Tensor] | None = None) -> None:
        super().__init__()
        self.input_size = check_size("CRFHead", "input_size", input_size)
        self.size = check_size("CRFHead", "size", size)
        # Its weights stand under the names and start as those of a linear layer.
        plain = nn.Linear(input_size, size)
        self.weight, self.bias = plain.weight, plain.bias
        self.chain = LinearChainCRF(size, legal)

    def scores(self, y: Tensor) -> Tensor:
        """y (batch, time, input_size) -> (batch, time, size), in float32 or wider."""
        scores = linear(y, self.weight, self.bias)
        return scores.to(_wide(scores))

    def loss(self, y: Tensor, target: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return -self.log_prob(y, target, lengths).sum(), (self.known(y, target, lengths) >= 0).sum()

    def best(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The likeliest codes of each row, as a whole."""
        return self.chain.viterbi(self.scores(y), _counts(y, lengths))[0]

    def draw(self, y: Tensor, generator: torch.Generator | None = None, lengths: Tensor | None = None) -> Tensor:
        return self.chain.sample(self.scores(y), _counts(y, lengths), generator)

    def log_prob(self, y: Tensor, value: Tensor, lengths: Tensor | None = None) -> Tensor:
        """log p of the known codes of each row: (batch,)."""
        scores = self.scores(zero_padding(y, lengths))
        return self.chain.log_likelihood(scores, self.known(y, value, lengths), _counts(y, lengths))

    def probabilities(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The marginal probability of each code at each step."""
        return self.chain.marginals(self.scores(y), _counts(y, lengths))

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.size}"


def _counts(y: Tensor, lengths: Tensor | None) -> Tensor:
    """The steps of each row of y (batch, time, ...)."""
    if y.ndim != 3:
        raise ShapeError(f"CRFHead: expected y (batch, time, features), got {tuple(y.shape)}; give rows of steps.")
    return torch.full((len(y),), y.shape[1], device=y.device) if lengths is None else lengths


def _wide(scores: Tensor) -> torch.dtype:
    return torch.promote_types(scores.dtype, torch.float32)


def _masks(classes: int, legal: Sequence[np.ndarray | Tensor] | None) -> list[Tensor]:
    shapes = [(classes,), (classes, classes), (classes,)]
    if legal is None:
        return [torch.ones(shape, dtype=torch.bool) for shape in shapes]
    masks = [torch.as_tensor(mask) for mask in legal]
    came = [(tuple(mask.shape), mask.dtype) for mask in masks]
    if came != [(shape, torch.bool) for shape in shapes]:
        raise OptionError(
            f"LinearChainCRF: legal must be three bool masks shaped {', '.join(map(str, shapes))}, "
            f"got {', '.join(f'{shape} {kind}' for shape, kind in came) or 'none'}; take those of the tags field."
        )
    return masks
