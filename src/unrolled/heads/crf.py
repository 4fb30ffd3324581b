"""A linear chain over tags: how likely a sequence of them is, and which is the best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from unrolled.check import check_size
from unrolled.errors import OptionError, ShapeError
from unrolled.nn.reading.embedding import check_codes
from unrolled.padding import last_step, valid_mask, zero_padding

__all__ = ["ILLEGAL", "LinearChainCRF"]

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

    def _log_sum(self, scores: Tensor, allowed: Tensor, lengths: Tensor) -> Tensor:
        """log sum of exp(score) over all paths through `allowed` (batch, time, K) tags: (batch,) float64."""
        scores, lengths, moves = self._exact(scores, lengths)
        if not scores.shape[1]:
            return scores.sum((1, 2))
        begin, follow, end = (move.exp() for move in moves)
        allowed = allowed.to(scores.device)
        top = torch.where(allowed, scores.detach(), -torch.inf).amax(2, keepdim=True)
        weights = torch.where(allowed, scores - top, -torch.inf).exp().unbind(1)
        masses, shares, share = [], [], begin * weights[0]
        for t, weight in enumerate(weights):
            if t:
                share = (share @ follow) * weight
            # A scale divided out here and added below: a constant, through which no gradient need go.
            mass = share.detach().sum(1, keepdim=True)
            share = share / mass
            masses.append(mass)
            shares.append(share)
        # Steps of the padding were walked, but nothing after a row's last valid step is taken.
        steps = zero_padding(torch.cat(masses, 1).log() + top[..., 0], lengths).sum(1)
        final = (last_step(torch.stack(shares, 1), lengths) * end).sum(1)
        full = lengths > 0
        return torch.where(full, steps + torch.where(full, final, 1).log(), 0)

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
