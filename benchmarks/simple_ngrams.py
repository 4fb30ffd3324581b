"""Simple baselines of language models: interpolated Kneser-Ney over words or characters, in numpy.

Every function takes plain texts and trains on its first argument alone; PTB or Tiny Shakespeare take a few seconds.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

__all__ = [
    "END_OF_LINE",
    "END_OF_TURN",
    "UNKNOWN",
    "KneserNey",
    "character_nats",
    "dialogue_perplexity",
    "dialogue_tokens",
    "dialogue_vocabulary",
    "token_nats",
    "word_perplexity",
]

UNKNOWN, END_OF_LINE, END_OF_TURN = "<unk>", "<eos>", "<eot>"
DIALOGUE_TOKEN = re.compile(r"[a-z]+(?:'[a-z]+)?|[0-9]+|[^\sa-z0-9]")


class _Level(NamedTuple):
    """Counts after contexts of one length; a gram is context * (size + 1) + token, and grams are sorted."""

    contexts: np.ndarray
    grams: np.ndarray
    counts: np.ndarray
    totals: np.ndarray
    kinds: np.ndarray


class KneserNey:
    """Interpolated Kneser-Ney model of sequences of codes, with one discount D for every order.

        P_m(w | u) = max(c(u w) - D, 0) / c(u) + D kinds(u) / c(u) * P_(m-1)(w | u without its first token)
        P_(-1)(w)  = 1 / size

    u are the m tokens before w; c(u) = sum over w of c(u w); kinds(u) is the number of different w seen after u. For
    the longest context c(u w) counts occurrences, for a shorter one the different tokens seen before u w. After a
    context never seen, P_m is P_(m-1). Before a sequence stands one symbol, order - 1 times, that is never predicted;
    no context crosses from one sequence into another.

    sequences: 1-D arrays of codes in 0 .. size - 1. order: n of the n-grams, at least 1. discount: in (0, 1).
    Source: Chen and Goodman 1998, "An empirical study of smoothing techniques for language modeling", eq. 26.
    """

    def __init__(self, sequences: Sequence[np.ndarray], order: int, size: int, discount: float = 0.75) -> None:
        if order < 1 or not 0 < discount < 1:
            raise ValueError(f"KneserNey: expected order >= 1 and 0 < discount < 1, got {order} and {discount}.")
        self.order, self.size, self.discount = order, size, discount
        tokens, targets = self._lay_out(sequences)
        if not len(targets):
            raise ValueError("KneserNey: expected at least one token to count, got none.")
        contexts = [np.zeros(1, np.int64)]
        context = np.zeros(len(targets), np.int64)
        for back in range(1, order):
            keys, context = np.unique(self._pack(context, tokens[targets - back]), return_inverse=True)
            contexts.append(keys)
        self._levels = self._count(contexts, self._pack(context, tokens[targets]))

    def probabilities(self, sequences: Sequence[np.ndarray]) -> np.ndarray:
        """The probability of each token of the sequences, one after another: float64 (tokens,)."""
        tokens, targets = self._lay_out(sequences)
        context = np.zeros(len(targets), np.int64)
        p = np.full(len(targets), 1 / self.size)
        for back, level in enumerate(self._levels):
            if back:
                context = self._find(level.contexts, context, tokens[targets - back])
            gram = self._find(level.grams, context, tokens[targets])
            above = np.where(gram < 0, 0.0, level.counts[gram] - self.discount)
            seen = context >= 0
            p = np.where(seen, (above + self.discount * level.kinds[context] * p) / level.totals[context], p)
        return p

    def nats(self, sequences: Sequence[np.ndarray]) -> float:
        """The mean of -log P over all tokens of the sequences."""
        return float(-np.log(self.probabilities(sequences)).mean())

    def _pack(self, context: np.ndarray, token: np.ndarray) -> np.ndarray:
        packed: np.ndarray = context * (self.size + 1) + token
        return packed

    def _find(self, keys: np.ndarray, context: np.ndarray, token: np.ndarray) -> np.ndarray:
        """Where (context, token) stands in the sorted keys; -1 where it does not, or where the context is -1."""
        wanted = np.where(context < 0, -1, self._pack(context, token))
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[place] == wanted, place, -1)

    def _count(self, contexts: Sequence[np.ndarray], occurrences: np.ndarray) -> list[_Level]:
        """One level a length of context, the shortest first."""
        grams, counts = np.unique(occurrences, return_counts=True)
        levels = []
        for keys in reversed(contexts):
            context, token = np.divmod(grams, self.size + 1)
            totals, kinds = np.bincount(context, counts, len(keys)), np.bincount(context, minlength=len(keys))
            levels.append(_Level(keys, grams, counts, totals, kinds))
            shorter = keys[context] // (self.size + 1)
            grams, counts = np.unique(self._pack(shorter, token), return_counts=True)
        return levels[::-1]

    def _lay_out(self, sequences: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """All tokens, each sequence after order - 1 times the code `size`, and the places of the sequences' tokens."""
        before = np.full(self.order - 1, self.size, np.int64)
        tokens = np.concatenate([np.zeros(0, np.int64), *(part for codes in sequences for part in (before, codes))])
        lengths = np.array([len(codes) for codes in sequences], np.int64)
        inside = np.repeat(
            np.tile([False, True], len(lengths)), np.stack([0 * lengths + len(before), lengths], 1).ravel()
        )
        targets = np.flatnonzero(inside)
        wrong = tokens[targets][(tokens[targets] < 0) | (tokens[targets] >= self.size)]
        if len(wrong):
            raise ValueError(f"KneserNey: expected codes in 0 .. {self.size - 1}, got {wrong[0]}.")
        return tokens, targets


def token_nats(
    train: Iterable[Sequence[str]], test: Iterable[Sequence[str]], vocabulary: Sequence[str], order: int
) -> float:
    """Mean -log P, in nats a token, of interpolated Kneser-Ney (discount .75) on `test`, counted on `train`.

    Both are sequences of tokens, end marks included. vocabulary: the tokens that are told apart, UNKNOWN among them;
    every other token is read and predicted as UNKNOWN, which costs and counts like any token.
    """
    codes = {token: code for code, token in enumerate(vocabulary)}
    unknown = codes[UNKNOWN]

    def encode(sequences: Iterable[Sequence[str]]) -> list[np.ndarray]:
        return [np.array([codes.get(token, unknown) for token in tokens], np.int64) for tokens in sequences]

    return KneserNey(encode(train), order, len(codes)).nats(encode(test))


def word_perplexity(train_lines: Iterable[str], test_lines: Iterable[str], order: int = 3) -> float:
    """Perplexity a word of lines of words split at white space; each line is read alone and ends with <eos>, counted.

    The vocabulary is every word of the training lines, <eos> and <unk>.
    """
    train = [[*line.split(), END_OF_LINE] for line in train_lines]
    test = [[*line.split(), END_OF_LINE] for line in test_lines]
    vocabulary = dict.fromkeys([UNKNOWN, *itertools.chain.from_iterable(train)])
    return float(np.exp(token_nats(train, test, list(vocabulary), order)))


def character_nats(train: str, test: str, order: int = 7) -> float:
    """Nats a character of `test`, read as one sequence, after counting `train`, one sequence too.

    The vocabulary is every character of `train` and one for the unknown; the first characters of `test` have no
    context from `train`.
    """
    return token_nats([train], [test], [UNKNOWN, *sorted(set(train))], order)


def dialogue_tokens(turn: str) -> list[str]:
    """The tokens of one turn, in lower case.

    Letters a-z with at most one apostrophe inside ("don't"), runs of digits, and every other character that is no
    white space, alone; no end mark.
    """
    return DIALOGUE_TOKEN.findall(turn.lower())


def dialogue_vocabulary(train_turns: Iterable[str], least: int = 5) -> list[str]:
    """<unk>, <eot>, then every token seen at least `least` times in the training turns, the most frequent first.

    The training part of the film dialogues gives 8,117 tokens: 8,118 with <eot>, 8,119 with <unk>.
    """
    counts = Counter(itertools.chain.from_iterable(map(dialogue_tokens, train_turns)))
    return [UNKNOWN, END_OF_TURN, *(token for token, count in counts.most_common() if count >= least)]


def dialogue_perplexity(train_turns: Sequence[str], test_turns: Iterable[str], order: int = 3, least: int = 5) -> float:
    """Perplexity a token of single turns (no context from the turn before), each ended by <eot>, counted.

    Tokens are those of `dialogue_tokens`, the vocabulary that of `dialogue_vocabulary`; unknown tokens are <unk> and
    count too.
    """
    train = [[*dialogue_tokens(turn), END_OF_TURN] for turn in train_turns]
    test = [[*dialogue_tokens(turn), END_OF_TURN] for turn in test_turns]
    return float(np.exp(token_nats(train, test, dialogue_vocabulary(train_turns, least), order)))
