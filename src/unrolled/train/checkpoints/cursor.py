"""Where a run stands in its data, and the pieces of a batch that this process computes there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from unrolled.data.batch.batching import Dataset, Rows, plan_batches, slice_rows
from unrolled.errors import ModelFileError
from unrolled.train.options import TrainOptions
from unrolled.train.processes import Processes

__all__ = ["Cursor", "Position", "cut_rows"]


class Position(NamedTuple):
    """The next optimiser step's piece: epoch, batch of the epoch, chunk of the batch, all from 0."""

    epoch: int = 0
    batch: int = 0
    chunk: int = 0


class Cursor:
    """Walks through epochs, batches and chunks; can be put anywhere, because a plan is a function of seed and epoch."""

    def __init__(self, data: Dataset, options: TrainOptions, processes: Processes, position: Position) -> None:
        self._data, self._options, self._processes = data, options, processes
        self.position = position
        self._plan_epoch()
        if position.batch >= len(self._plan):
            raise _beyond("batch", position.batch, len(self._plan))
        self._cut: list[Sequence[object]] | None = None
        self._chunks = 1

    @property
    def rows(self) -> Rows:
        """The rows of the current global batch."""
        return self._plan[self.position.batch]

    @property
    def epoch(self) -> float:
        """Epochs done, with a fraction."""
        inside = self.position.batch + self.position.chunk / self._chunks
        return self.position.epoch + inside / len(self._plan)

    def pieces(self) -> list[object | None]:
        """This process's piece of the current chunk for each micro-batch; None where its rows have ended before."""
        if self._cut is None:
            self._cut = cut_rows(self._data, self.rows, self._options, self._processes)
            here = max(len(chunks) for chunks in self._cut)
            self._chunks = self._processes.largest(here) if self._options.bptt else 1
            if self.position.chunk >= self._chunks:
                raise _beyond("chunk", self.position.chunk, self._chunks)
        at = self.position.chunk
        return [chunks[at] if at < len(chunks) else None for chunks in self._cut]

    def advance(self) -> tuple[bool, bool]:
        """Go to the next piece; tells whether a batch and whether an epoch has ended."""
        epoch, batch, chunk = self.position
        if chunk + 1 < self._chunks:
            self.position = Position(epoch, batch, chunk + 1)
            return False, False
        self._cut, self._chunks = None, 1
        if batch + 1 < len(self._plan):
            self.position = Position(epoch, batch + 1)
            return True, False
        self.position = Position(epoch + 1)
        self._plan_epoch()
        return True, True

    def _plan_epoch(self) -> None:
        chosen = self._options
        self._plan = plan_batches(
            self._data,
            batch_size=chosen.batch_size,
            token_budget=chosen.token_budget,
            seed=chosen.seed,
            epoch=self.position.epoch,
        )


def cut_rows(data: Dataset, rows: Rows, options: TrainOptions, processes: Processes) -> list[Sequence[object]]:
    """This process's share of a global batch: for each micro-batch its chunks, none where it has no rows."""
    share = slice_rows(rows, processes.index, processes.count)
    parts = options.micro_batches
    return [_chunks(data, slice_rows(share, i, parts), options.bptt) for i in range(parts)]


def _beyond(what: str, at: int, count: int) -> ModelFileError:
    return ModelFileError(f"fit: the checkpoint stands at {what} {at} of {count}; start a new run.")


def _chunks(data: Dataset, rows: Rows, steps: int | None) -> Sequence[object]:
    if not len(rows):
        return []
    batch = data.batch(rows)
    return data.chunks(batch, steps) if steps else [batch]
