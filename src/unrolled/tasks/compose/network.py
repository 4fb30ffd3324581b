"""The network of a composer: what comes next, learned from pieces some of which are heard in another key."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from unrolled.align.next import Next
from unrolled.data.batch.stream import Stretch
from unrolled.nn.reading.keys import OtherKeys

__all__ = ["ComposerNet", "Keyed"]

S = TypeVar("S")


class Keyed(NamedTuple, Generic[S]):
    """inner: the state of the encoder. chosen: (batch,) the key of each row, which it keeps to its end."""

    inner: S
    chosen: Tensor


class ComposerNet(nn.Module, Generic[S]):
    """A `Next` that hears rows in other keys while it learns; nothing of it when it is judged or plays."""

    def __init__(self, following: Next[S], keys: OtherKeys) -> None:
        super().__init__()
        self.following, self.keys = following, keys

    def loss(self, batch: Stretch, state: Keyed[S] | None = None) -> tuple[Tensor, Tensor, Keyed[S]]:
        """See `Next.loss`."""
        chosen = self.keys.draw(len(batch.x), batch.x.device) if state is None else state.chosen
        if self.training and self.keys.rate:
            # What is known of a step beside its notes has no key.
            notes = batch.x.shape[-1] if self.keys.codes else batch.target.shape[-1]
            heard, known = batch.x[..., :notes], batch.x[..., notes:]
            x = torch.cat([self.keys(heard, chosen), known], -1)
            batch = batch._replace(x=x, target=self.keys(batch.target, chosen))
        total, count, inner = self.following.loss(batch, None if state is None else state.inner)
        return total, count, Keyed(inner, chosen)
