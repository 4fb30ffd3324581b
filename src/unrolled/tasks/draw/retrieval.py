"""Does a drawer know which drawing belongs to a caption? By likelihood, among a few."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

__all__ = ["AMONG", "candidates_of", "retrieval_rate"]

AMONG, MOST = 10, 500
# So many captions tell a rate to some hundredths.


def candidates_of(captions: Sequence[str], seed: int) -> np.ndarray | None:
    """(n, 10) for up to 500 captions the row of its own drawing, and of nine that are called otherwise, each by another
    name; None where there are not so many names."""
    names, codes = np.unique(np.array(captions), return_inverse=True)
    if len(names) < AMONG:
        return None
    random = np.random.default_rng(seed)
    rows = []
    for row in np.sort(random.permutation(len(captions))[:MOST]).tolist():
        order = random.permutation(len(captions))
        # The first that bears each name, in an order that is another each time: names that come often come no oftener.
        _, first = np.unique(codes[order], return_index=True)
        others = [other for other in order[np.sort(first)].tolist() if codes[other] != codes[row]]
        rows.append([row, *others[: AMONG - 1]])
    return np.array(rows)


def retrieval_rate(
    captions: Sequence[str], seed: int, alone: np.ndarray, likelihood: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> float | None:
    """How often a caption's own drawing is the one that it makes likelier by most, among ten; None: too few names.

    A drawing's rank is log p(drawing | caption) - log p(drawing): what is plain is likely whatever a caption says.

    alone: log p of each drawing without a caption. likelihood: of drawings by their rows, and captions by theirs, the
    log p of each pair.
    """
    candidates = candidates_of(captions, seed)
    if candidates is None:
        return None
    told = likelihood(candidates.reshape(-1), np.repeat(candidates[:, 0], AMONG)).reshape(-1, AMONG)
    gains = told - alone[candidates]
    # Of equal gains none is the best: a model that is told nothing finds nothing.
    return float((gains[:, 0] > gains[:, 1:].max(1)).mean())
