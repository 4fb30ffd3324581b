"""Sampling: sequences drawn from the model, with numbers that belong to a row and a step alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from unrolled.check import check_size
from unrolled.errors import OptionError, ShapeError
from unrolled.search.constraints import Constraint
from unrolled.search.greedy import Choose, CodeWalk, likeliest
from unrolled.search.step import CodeStep, Found, Start, make_start

__all__ = ["sample", "stream"]

S = TypeVar("S")


def sample(
    step: CodeStep[S],
    state: S,
    *,
    begin: Tensor | int,
    end: int | None,
    limit: Tensor | Sequence[int] | int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    rows: Sequence[int] | None = None,
    prefix: Sequence[Sequence[int]] | None = None,
    constraints: Sequence[Constraint] = (),
) -> list[Found]:
    """One sequence a row, drawn code by code from the model.

        p   ~ exp(log_probs / temperature), over the codes that the constraints allow
        p   -> its top_k most likely codes -> of these the fewest whose sum reaches top_p of theirs (the nucleus)
        code = the first code, in the order of the codes, at which the running sum of p exceeds u * sum(p)

    u in [0, 1) belongs to the seed, the number of the row and the place of the code in the output alone. So a row gets
    the same sequence in any batch and any order of rows (up to the step's own rounding), and one continued by handing
    it in as `prefix` goes on as if it had not stopped. All is float64; of equal codes at an edge the lower one stays.

    Args:
        step, state, begin, end, limit, prefix, constraints: as in `greedy`.
        temperature: at least 0; below 1 sharpens, above 1 flattens, 0 is `greedy`.
        top_k: at least 1: how many of the most likely codes may be drawn; None: all.
        top_p: in (0, 1]: the share of probability that may be drawn from; None: all.
        seed: any integer. rows: the number of each row, any integers; None: 0, 1, 2, ... Equal numbers draw alike.

    Returns one `Found` a row; its log-probabilities are the model's, not those of the truncated distribution. Raises
    OptionError for a temperature, top_k or top_p out of range, and what `greedy` raises.
    Source: the nucleus is that of Holtzman et al. 2019, arXiv:1904.09751, section 3.1.
    """
    _check("sample", temperature, top_k, top_p)
    origin = make_start("sample", step, state, begin=begin, end=end, limit=limit, prefix=prefix)
    choose = _chooser(origin, _numbers(rows, len(origin.limits)), seed, temperature, top_k, top_p)
    return CodeWalk("sample", step, origin, end, constraints, choose).finish()


def _numbers(rows: Sequence[int] | None, count: int) -> list[int]:
    numbers = list(range(count)) if rows is None else list(rows)
    if len(numbers) != count:
        raise ShapeError(f"sample: rows must hold one number for each of {count} rows, got {numbers}.")
    return numbers


def stream(
    step: CodeStep[S],
    state: S,
    *,
    begin: Tensor | int,
    end: int | None,
    limit: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    row: int = 0,
    prefix: Sequence[int] = (),
    constraints: Sequence[Constraint] = (),
) -> Iterator[int]:
    """The codes that `sample` would give for one row of this number, one by one as they are drawn: text shown live.

    state holds one row. Begin, the prefix and the end are not among the codes. Everything else is as in `sample`;
    mistakes in the arguments are told at the call, not at the first code.

    >>> def coin(codes, state):
    ...     return torch.tensor([[0.5, 0.5]]).log(), state
    >>> live = stream(coin, torch.zeros(1, 1), begin=0, end=None, limit=20, seed=3)
    >>> whole = sample(coin, torch.zeros(1, 1), begin=0, end=None, limit=20, seed=3)
    >>> list(live) == whole[0].codes.tolist()
    True
    """
    _check("stream", temperature, top_k, top_p)
    origin = make_start(
        "stream", step, state, begin=begin, end=end, limit=limit, prefix=[prefix] if len(prefix) else None
    )
    if len(origin.limits) != 1:
        raise ShapeError(f"stream: the state must hold one row, got {len(origin.limits)}; use sample for several.")
    choose = _chooser(origin, [row], seed, temperature, top_k, top_p)
    return _emit(CodeWalk("stream", step, origin, end, constraints, choose))


def _emit(walk: CodeWalk[S]) -> Iterator[int]:
    while walk.rows:
        yield from walk.advance()


def _check(owner: str, temperature: float, top_k: int | None, top_p: float | None) -> None:
    if not (math.isfinite(temperature) and temperature >= 0):
        raise OptionError(f"{owner}: temperature must be a number of at least 0, got {temperature!r}.")
    if top_k is not None:
        check_size(owner, "top_k", top_k)
    if top_p is not None and not 0 < top_p <= 1:
        raise OptionError(f"{owner}: top_p must lie in (0, 1], got {top_p!r}.")


def _chooser(
    origin: Start[S], numbers: Sequence[int], seed: int, temperature: float, top_k: int | None, top_p: float | None
) -> Choose:
    if temperature == 0:
        return likeliest
    # A generator that counts: the number at any place needs none of those before it.
    generators = [np.random.Philox(key=np.array([seed % 2**64, row % 2**64], np.uint64)) for row in numbers]
    for generator, codes in zip(generators, origin.emitted, strict=True):
        # The places of the prefix have their numbers, too.
        generator.random_raw(len(codes))

    def choose(log_probs: Tensor, rows: Sequence[int]) -> Tensor:
        # Raw words, because numpy promises that they stay the same from version to version.
        words = np.array([generators[row].random_raw() for row in rows], np.uint64)
        uniform = torch.from_numpy((words >> np.uint64(11)) * 2.0**-53).to(log_probs.device)
        return _invert(_truncate(_sharpen(log_probs, temperature), top_k, top_p), uniform)

    return choose


def _sharpen(log_probs: Tensor, temperature: float) -> Tensor:
    """Log-weights in float64, the highest of each row 0; all minus infinity where nothing is allowed."""
    log_probs = log_probs.double()
    highest = log_probs.amax(1, keepdim=True).clamp(min=torch.finfo(torch.float64).min)
    return (log_probs - highest) / temperature


def _truncate(weights: Tensor, top_k: int | None, top_p: float | None) -> Tensor:
    """The log-weights (n, size) with all but the most likely codes at minus infinity."""
    top_p = None if top_p == 1 else top_p
    count = weights.shape[1] if top_k is None else min(top_k, weights.shape[1])
    if count == weights.shape[1] and top_p is None:
        return weights
    # Only the values are taken from the sorted order: which of several equal codes stays is decided by code.
    values = weights.topk(count).values
    kept = torch.full_like(values[:, :1], count, dtype=torch.long)
    if top_p is not None:
        mass = values.exp().cumsum(1)
        kept = (mass < top_p * mass[:, -1:]).sum(1, keepdim=True) + 1
    edge = values.gather(1, kept - 1)
    above, tied = weights > edge, weights == edge
    stay = above | (tied & (tied.cumsum(1) <= kept - above.sum(1, keepdim=True)))
    return weights.masked_fill(~stay, -torch.inf)


def _invert(weights: Tensor, uniform: Tensor) -> Tensor:
    """The code of each row at which the running sum of the weights exceeds uniform times their sum."""
    running = weights.exp().cumsum(1)
    # uniform is at most 1 - 2**-53, so the product stays below the sum in float64, and some running sum exceeds it.
    threshold = uniform[:, None] * running[:, -1:]
    return torch.searchsorted(running, threshold, right=True)[:, 0].clamp(max=weights.shape[1] - 1)
