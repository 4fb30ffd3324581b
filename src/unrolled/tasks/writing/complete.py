"""Autocomplete: the words that may come next, also inside a half-typed one, with their probabilities."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from unrolled.align.next import Next
from unrolled.fields.text import END, SPECIALS, Text
from unrolled.fields.tokens import bare
from unrolled.search import CodeStep, beam, score

__all__ = ["Completion", "complete"]

S = TypeVar("S")

# Hypotheses that are followed for each word asked for, where words are made of several codes.
WIDTH = 6
# Characters inside words that are neither letters nor marks.
JOINING = "_\u200c\u200d"
# Codes of a word at most.
LONGEST = 24


class Completion(NamedTuple):
    """word: the whole word, its typed beginning included. probability: that it is this one, given what was typed."""

    word: str
    probability: float


def complete(net: Next[object], text: Text, typed: str, k: int, *, first: int) -> list[Completion]:
    """The k likeliest words after `typed`; what is typed of the last word is its beginning.

    At word level the probabilities are exact: p(word) over the sum of all words that begin like that. At char and
    subword level words are searched for by beam, up to where the next one begins, and the probabilities are relative
    to the beginning (char) or to all words that the beam has met (subword).
    """
    if text.level == "word":
        return _one_code(net, text, typed, k, first)
    return _spelled(net, text, typed, k, first)


def _one_code(net: Next[object], text: Text, typed: str, k: int, first: int) -> list[Completion]:
    *lines, last = [text.split_text(line) for line in typed.split("\n")]
    # A mark carries joiners by what stands on both its sides, so the line is split with its half-typed word.
    start = "" if not last or typed[-1].isspace() else bare(last[-1])
    if start and (text.split == "space" or _inside(start)):
        last = last[:-1]
    else:
        start = ""
    context = [code for line in lines for code in (*text.codes_of(line).tolist(), END)] + text.codes_of(last).tolist()
    device = next(net.parameters()).device
    log_probs, _ = net(torch.tensor([[first, *context]], device=device), state=net.begin(1))
    fits = [code for code in range(len(SPECIALS), text.size) if _fits(bare(text.tokens[code]), start)]
    if not fits:
        return []
    values = log_probs[0, -1, fits].double().softmax(-1)
    best = values.topk(min(k, len(fits)))
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [Completion(bare(text.tokens[fits[i]]), value) for i, value in pairs]


def _fits(word: str, start: str) -> bool:
    return word.startswith(start) and (start != "" or _inside(word[:1]))


def _inside(piece: str) -> bool:
    """Does it hold nothing but what words are made of: letters, digits, underscores, and the marks that join them?"""
    return piece != "" and all(c.isalnum() or c in JOINING or unicodedata.category(c)[0] == "M" for c in piece)


def _spelled(net: Next[object], text: Text, typed: str, k: int, first: int) -> list[Completion]:
    partial = "".join(reversed(list(takewhile(_inside, reversed(typed)))))
    before = typed[: len(typed) - len(partial)]
    # A piece of a word holds the space before it, so that space is typed again with the word.
    space = " " if text.level == "subword" and before.endswith(" ") else ""
    context = text.encode(before[: len(before) - len(space)]).tolist()
    pieces = [""] * len(SPECIALS) + [text.join([token]) for token in text.tokens[len(SPECIALS) :]]
    wanted = (space + partial).lower() if text.lower else space + partial
    words = _Word(pieces, wanted, len(context))
    found = beam(
        _ending(net.step, words.boundaries), net.begin(1), begin=first, end=END, limit=LONGEST,
        width=WIDTH * k, nbest=WIDTH * k, prefix=[context], constraints=[words],
    )[0]  # fmt: skip
    logs: dict[str, float] = {}
    for each in found:
        word = "".join(pieces[code] for code in each.codes[len(context) :]).strip()
        if each.ended and word:
            own = sum(each.log_probs[len(context) :])
            logs[word] = _log_sum([logs[word], own]) if word in logs else own
    if not logs:
        return []
    whole = _log_sum(list(logs.values()))
    if text.level == "char":
        [beginning] = score(net.step, net.begin(1), [[*context, *text.encode(partial).tolist()]], begin=first)
        whole = float(sum(beginning.log_probs[len(context) :]))
    best = sorted(logs, key=lambda word: -logs[word])[:k]
    return [Completion(word, math.exp(logs[word] - whole)) for word in best]


def _ending(step: CodeStep[S], boundaries: Tensor) -> CodeStep[S]:
    """The step with the probability of everything that begins a new word added up at END."""

    def ended(codes: Tensor, state: S, /) -> tuple[Tensor, S]:
        log_probs, state = step(codes, state)
        sums = log_probs[:, boundaries.to(log_probs.device)].logsumexp(-1)
        return log_probs.index_copy(1, torch.tensor([END], device=log_probs.device), sums[:, None]), state

    return ended


class _Word:
    """A constraint of search: one word that begins as wanted, then END.

    pieces: the text of each code. wanted: how the output must begin. skip: codes of context before it.
    """

    def __init__(self, pieces: Sequence[str], wanted: str, skip: int) -> None:
        self.pieces, self.wanted, self.skip = pieces, wanted, skip
        self.boundaries = torch.tensor([not _inside(piece) for piece in pieces])
        self.boundaries[END] = True

    def mask(self, emitted: Sequence[Sequence[int]], rows: Sequence[int], size: int) -> Tensor:
        """(n, size) bool."""
        return torch.stack([self._allowed("".join(self.pieces[c] for c in codes[self.skip :])) for codes in emitted])

    def _allowed(self, said: str) -> Tensor:
        if len(said) < len(self.wanted) or not said.strip():
            rest = self.wanted[len(said) :]
            return torch.tensor([self._goes_on(piece, rest) for piece in self.pieces])
        allowed = ~self.boundaries
        allowed[END] = True
        return allowed

    @staticmethod
    def _goes_on(piece: str, rest: str) -> bool:
        """Does the piece say what is left of the beginning, or more of the same word?"""
        if not piece:
            return False
        if len(piece) <= len(rest):
            return rest.startswith(piece)
        return piece.startswith(rest) and _inside(piece[len(rest) :])


def _log_sum(values: Sequence[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values))
