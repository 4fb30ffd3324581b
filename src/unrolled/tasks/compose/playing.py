"""Steps that a network composes, one after another: of a grid, and events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from unrolled.align.next import Next
from unrolled.fields.notes import NoteEvents
from unrolled.heads.grid import GridHead
from unrolled.search import sample
from unrolled.tasks.compose.metre import Metre

__all__ = ["Playable", "play_events", "play_grid"]

# The codes that `NoteEvents` keeps for what stands before a piece and for its end.
BEGIN, END = 1, 2


def play_grid(
    net: Next[Any],
    given: Sequence[np.ndarray],
    steps: int,
    *,
    numbers: Sequence[int],
    seed: int,
    temperature: float,
    allowed: np.ndarray | None,
    metre: Metre,
) -> list[np.ndarray]:
    """The steps (steps, width) float32 that follow on each of the grids given, (T, width), T may be 0.

    numbers: of each row; what is drawn belongs to the seed, the number and the step alone, so a row is the same beside
    any others (up to the rounding of the network). allowed: (width,) bool, which columns may be 1; None: all.
    """
    head = cast(GridHead, net.head)
    weight = next(net.parameters())
    generators = [_generator(seed, number, weight.device) for number in numbers]
    x, state = _read(net, given, weight, metre)
    lengths = np.array([len(grid) for grid in given])
    bounds = None if allowed is None else torch.where(torch.from_numpy(allowed), torch.nan, 0.0).to(weight)
    played = list[Tensor]()
    for step in range(steps):
        known = torch.from_numpy(metre(lengths + step)).to(weight)
        y, state = net.encoder.step(net.reader(torch.cat([x, known], 1)), state)
        rows = [
            head.choose(y[row : row + 1], generator, temperature=temperature, given=bounds)
            for row, generator in enumerate(generators)
        ]
        x = torch.cat(rows).to(weight)
        played.append(x.cpu())
    whole = torch.stack(played, 1) if played else torch.zeros(len(given), 0, x.shape[1])
    return list(whole.float().numpy())


def _read(net: Next[Any], given: Sequence[np.ndarray], weight: Tensor, metre: Metre) -> tuple[Tensor, Any]:
    """The last step of each row, which is still to be read, and the state before it."""
    width = given[0].shape[1]
    longest = max(len(grid) for grid in given)
    # Nothing stands before a piece.
    before = np.full((len(given), longest + 1, width), np.nan, np.float32)
    for place, grid in zip(before, given, strict=True):
        place[1 : len(grid) + 1] = grid
    lengths = torch.tensor([len(grid) for grid in given], device=weight.device)
    steps = torch.from_numpy(before).to(weight)
    last = steps[torch.arange(len(given), device=weight.device), lengths]
    if not longest:
        return last, net.begin(len(given))
    known = torch.from_numpy(metre(np.arange(longest))).to(weight).expand(len(given), -1, -1)
    _, state = net.vectors(torch.cat([steps[:, :-1], known], 2), lengths)
    return last, state


def _generator(seed: int, number: int, device: torch.device) -> torch.Generator:
    """The random numbers of one row, which are others on another kind of device."""
    words = np.random.SeedSequence([seed % 2**64, number]).generate_state(1, np.uint64)
    # torch takes seeds of 63 bits everywhere.
    return torch.Generator(device).manual_seed(int(words[0]) >> 1)


class Playable:
    """Events that make sense: a note goes off where it sounds, on where it does not; at the end of the time, none.

    allowed: (pitches,) bool, which may go on; None: all. total: steps of each row in all.
    """

    def __init__(self, field: NoteEvents, allowed: np.ndarray | None, total: Sequence[int]) -> None:
        self._field, self._allowed, self._total = field, allowed, list(total)

    def mask(self, emitted: Sequence[Sequence[int]], rows: Sequence[int], size: int) -> Tensor:
        """See `unrolled.search.constraints.Constraint.mask`."""
        return torch.from_numpy(
            np.stack([self._of(codes, self._total[row]) for codes, row in zip(emitted, rows, strict=True)])
        )

    def _of(self, codes: Sequence[int], total: int) -> np.ndarray:
        first, pitches = self._field.codes, self._field.measure.pitches
        sounding, begun, now = np.zeros(pitches, bool), np.zeros(pitches, bool), 0
        for code in codes:
            if first.shift <= code < first.velocity:
                now += code - first.shift + 1
                begun[:] = False
            elif first.off <= code < first.shift:
                sounding[code - first.off] = False
            elif first.on <= code < first.off:
                sounding[code - first.on] = begun[code - first.on] = True
        found = np.zeros(first.size, bool)
        if now >= total:
            return found
        on = ~sounding & ~begun if self._allowed is None else ~sounding & ~begun & self._allowed
        found[first.on : first.off] = on
        if codes and codes[-1] >= first.velocity and on.any():
            # Whoever has said how loud says what.
            return found
        found[END] = now > 0
        found[first.off : first.shift] = sounding & ~begun
        found[first.shift : first.shift + min(self._field.shifts, total - now)] = True
        found[first.velocity :] = on.any()
        return found


def play_events(
    net: Next[Any],
    field: NoteEvents,
    given: Sequence[np.ndarray],
    steps: Sequence[int],
    *,
    numbers: Sequence[int],
    seed: int,
    temperature: float,
    allowed: np.ndarray | None,
) -> list[np.ndarray]:
    """The events of whole pieces that begin with those given and last up to so many steps each; see `play_grid`.

    Notes that sound to the end of what is given may sound on.
    """
    given = [_open(codes, field) for codes in given]
    # Each note goes on and off at each step at most.
    most = [len(codes) + (2 * field.measure.pitches + 2) * count for codes, count in zip(given, steps, strict=True)]
    found = sample(
        net.step, net.begin(len(given)), begin=BEGIN, end=END, limit=most, temperature=temperature, seed=seed,
        rows=numbers, prefix=[codes.tolist() for codes in given], constraints=[Playable(field, allowed, steps)],
    )  # fmt: skip
    return [one.codes for one in found]


def _open(codes: np.ndarray, field: NoteEvents) -> np.ndarray:
    """Without the notes going off at the end."""
    first = field.codes
    off = (codes >= first.off) & (codes < first.shift)
    kept = np.flatnonzero(~off)
    return codes[: int(kept[-1]) + 1 if len(kept) else 0]
