"""A pointer: each word is written from the vocabulary or copied from the source, and the model learns when."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, pad

from unrolled.check import check_size
from unrolled.errors import DataError
from unrolled.padding import Padded, valid_mask

__all__ = ["Copies", "Pointer", "copies_of", "known_targets"]


class Copies(NamedTuple):
    """What may be copied from each row's source, a state tree.

    codes: (batch, places) int64, the target code of each source token, or size + j for the j-th distinct token of the
    row that the vocabulary lacks; 0 in the padding. lengths: (batch,). room: (batch, extra) bool; only its width
    counts, the number of codes beyond the vocabulary in the batch that the state was made for.
    """

    codes: Tensor
    lengths: Tensor
    room: Tensor


def copies_of(codes: Tensor | None, source: Padded, size: int) -> Copies:
    """The codes (batch, places) beside their source, with anything in the padding. Raises DataError."""
    if codes is None or codes.shape != source.values.shape[:2]:
        found = "None" if codes is None else str(tuple(codes.shape))
        raise DataError(
            f"Decode: copying='pointer' needs copies, a code for each source token {tuple(source.values.shape[:2])}, "
            f"got {found}; give them, or choose another copying."
        )
    mask = valid_mask(source.lengths, codes.shape[1])
    codes = torch.where(mask, codes, 0)
    extra = max(0, int(codes.max()) + 1 - size) if codes.numel() else 0
    return Copies(codes, source.lengths, codes.new_zeros(len(codes), extra, dtype=torch.bool))


def known_targets(target: Tensor, size: int, copies: Copies | None, unknown: int) -> Tensor:
    """target (batch, time) with codes beyond the vocabulary replaced by `unknown` where the source has no such word."""
    beyond = target >= size
    if copies is None or not bool(beyond.any()):
        return torch.where(beyond, unknown, target)
    return torch.where(beyond & ~(target[:, :, None] == copies.codes[:, None]).any(2), unknown, target)


class Pointer(nn.Module):
    """The mixture of writing and copying.

        p(w) = g softmax(scores)[w] + (1 - g) sum over source places s that hold w of weights_s
        g    = sigmoid(W v + b)                             v: decoder output, context and input of the step

    The first term is 0 for a word beyond the vocabulary. A row without a source token has g = 1.

    It is no `Head` but a mixture over another one: what it says of a place needs that head's log probabilities, the
    weights of the attention and the words that the row's source holds, so that even the number of codes is the batch's.

    input_size: features of v. size: codes of the vocabulary.

    Source: See et al. 2017, arXiv:1704.04368, eq. 8-9.
    """

    def __init__(self, input_size: int, size: int) -> None:
        super().__init__()
        self.size = check_size("Pointer", "size", size)
        self.gate = nn.Linear(check_size("Pointer", "input_size", input_size), 1)

    def forward(self, log_probs: Tensor, vectors: Tensor, weights: Tensor, copies: Copies) -> Tensor:
        """log p of every code, those of the source included.

        log_probs: (batch, time, size), the vocabulary's log softmax. vectors: (batch, time, input_size). weights:
        (batch, time, places). Returns (batch, time, size + extra); -inf for codes that a row's source does not hold.
        """
        write, copy = self._log_gates(vectors, copies)
        written = pad(log_probs + write[..., None], (0, copies.room.shape[1]), value=-torch.inf)
        index = copies.codes[:, None].expand(-1, log_probs.shape[1], -1)
        copied = torch.zeros_like(written).scatter_add(2, index, weights.to(written.dtype))
        return _mix(written, copy[..., None], copied)

    def target_log_probs(
        self, log_probs: Tensor, vectors: Tensor, weights: Tensor, copies: Copies, target: Tensor
    ) -> Tensor:
        """log p(target), (batch, time). log_probs: (batch, time), the vocabulary's of the targets that it holds.

        Every target (batch, time) beyond the vocabulary must be in its row's source.
        """
        write, copy = self._log_gates(vectors, copies)
        beyond = target >= self.size
        written = torch.where(beyond, -torch.inf, log_probs + write)
        copied = (weights * (target[:, :, None] == copies.codes[:, None])).sum(2).to(written.dtype)
        # A weight may be too small for its dtype, but what only the source holds is never impossible.
        least = torch.where(beyond, torch.finfo(copied.dtype).tiny, 0.0)
        return _mix(written, copy, torch.maximum(copied, least.to(copied.dtype)))

    def _log_gates(self, vectors: Tensor, copies: Copies) -> tuple[Tensor, Tensor]:
        """log g and log(1 - g), (batch, time)."""
        raw = self.gate(vectors)[..., 0]
        raw = raw.to(torch.promote_types(raw.dtype, torch.float32))
        return torch.where(copies.lengths[:, None] > 0, logsigmoid(raw), 0.0), logsigmoid(-raw)


def _mix(written: Tensor, gate: Tensor, copied: Tensor) -> Tensor:
    """log(exp(written) + exp(gate) copied), with a gradient also where one of the terms is 0."""
    some = copied > 0
    added = torch.where(some, copied, 1).log() + gate
    return torch.where(some, torch.logaddexp(written, added), written)
