"""Right padding: masks from lengths, reversal by length, the last valid step, and the door to PackedSequence."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from unrolled.errors import LengthsError

__all__ = [
    "Padded",
    "donors",
    "fill_padding",
    "from_packed",
    "last_step",
    "resets_from_the_right",
    "reverse_padded",
    "to_packed",
    "valid_mask",
    "zero_padding",
]


class Padded(NamedTuple):
    """A ragged batch of inputs, padded on the right.

    values: (batch, time) codes, or (batch, time, features) numbers. lengths: (batch,) valid steps a row.
    Words that are spelled out, too: spellings (words, characters), codes of the distinct words of this batch, 0 in the
    padding; forms (batch, time), which of them stands where. None where nothing is spelled.
    """

    values: Tensor
    lengths: Tensor
    forms: Tensor | None = None
    spellings: Tensor | None = None


def valid_mask(lengths: Tensor, time: int) -> Tensor:
    """(batch, time) bool: True where a step is valid. lengths: (batch,) integers."""
    return torch.arange(time, device=lengths.device) < lengths[:, None]


def zero_padding(x: Tensor, lengths: Tensor | None) -> Tensor:
    """x (batch, time, ...) with its padding set to zero by selection, so that NaN there reaches nothing."""
    if lengths is None:
        return x
    mask = valid_mask(lengths, x.shape[1])
    return torch.where(mask.view(*mask.shape, *[1] * (x.ndim - 2)), x, 0)


def fill_padding(x: Tensor, lengths: Tensor) -> Tensor:
    """x (batch, time, ...) with steps of the longest row in its padding: values that were read, none made up.

    What is computed of them is thrown away; but where a function has no slope at a made-up value, such as a root at 0,
    a gradient of zero would come back from there as NaN.
    """
    steps = torch.arange(x.shape[1], device=x.device)
    mask = valid_mask(lengths, x.shape[1])
    last = (lengths.amax() - 1).clamp(min=0)
    return x[donors(mask, lengths), torch.where(mask, steps, torch.minimum(steps, last))]


def donors(alive: Tensor, lengths: Tensor) -> Tensor:
    """The row itself where alive (batch, ...) is True, else the longest row, which is alive wherever any is."""
    own = torch.arange(alive.shape[0], device=alive.device).view(-1, *[1] * (alive.ndim - 1))
    return torch.where(alive, own, lengths.argmax())


def reverse_padded(x: Tensor, lengths: Tensor | None) -> Tensor:
    """x (batch, time, ...) with the valid steps of each row in reverse order; padding stays where it is."""
    if lengths is None:
        return x.flip(1)
    steps = torch.arange(x.shape[1], device=x.device)
    back = lengths.to(x.device)[:, None] - 1 - steps
    index = torch.where(back >= 0, back, steps)
    return x.gather(1, index.view(*index.shape, *[1] * (x.ndim - 2)).expand_as(x))


def resets_from_the_right(reset: Tensor) -> Tensor:
    """The resets by which a walk from right to left keeps each segment between resets by itself.

    Seen from the right a segment starts where it ends: at a step whose right neighbour is reset. reset: (batch, time)
    bool, False in the padding.
    """
    # By index: joining a slice of time - 1 steps would make an exported program refuse two steps.
    steps = torch.arange(reset.shape[1], device=reset.device)
    right = (steps + 1).clamp(max=reset.shape[1] - 1)
    return reset[:, right] & (steps < reset.shape[1] - 1)


def last_step(y: Tensor, lengths: Tensor | None) -> Tensor:
    """The last valid step of each row: (batch, time, feature) -> (batch, feature); zero for a row of length zero."""
    if lengths is None:
        return y[:, -1]
    index = (lengths.to(y.device, torch.long) - 1).clamp(min=0)[:, None, None].expand(-1, 1, y.shape[2])
    return torch.where((lengths.to(y.device) > 0)[:, None], y.gather(1, index).squeeze(1), 0)


def from_packed(packed: PackedSequence) -> tuple[Tensor, Tensor]:
    """A torch PackedSequence as (x (batch, time, feature), lengths (batch,)), rows in their original order."""
    return pad_packed_sequence(packed, batch_first=True)


def to_packed(x: Tensor, lengths: Tensor, *, enforce_sorted: bool = False) -> PackedSequence:
    """x (batch, time, feature) and lengths (batch,) as a torch PackedSequence, which holds no row of length zero."""
    counts = lengths.detach().cpu().to(torch.long)
    if int(counts.min()) < 1:
        raise LengthsError("to_packed: torch's PackedSequence holds no row of length 0; drop such rows before packing.")
    return pack_padded_sequence(x, counts, batch_first=True, enforce_sorted=enforce_sorted)
