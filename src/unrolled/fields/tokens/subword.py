"""Byte-level byte pair encoding: the merges learnt from texts, and the tokenizer that applies them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from unrolled.errors import OptionError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["Merges", "learn_merges", "make_tokenizer"]

Merges = tuple[tuple[str, str], ...]


def learn_merges(texts: Sequence[str], size: int, min_count: int) -> tuple[Merges, dict[str, int]]:
    """The merges that turn bytes into at most `size` pieces, and how often the texts hold each piece.

    The 256 bytes are always pieces, so that every text can be written. A merge joins two pieces that stand side by
    side at least `min_count` times.
    """
    package, tokenizer = _package(), make_tokenizer({}, ())
    trainer = package.trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=min_count,
        initial_alphabet=sorted(package.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    # Older versions of the package write a merge as one string; a piece never holds a space.
    written = json.loads(tokenizer.to_str())["model"]["merges"]
    merges = tuple((first, second) for first, second in (m.split(" ") if isinstance(m, str) else m for m in written))
    counts: Counter[str] = Counter(dict.fromkeys(tokenizer.get_vocab(), 0))
    for text in texts:
        counts.update(tokenizer.encode(text).tokens)
    return merges, dict(counts)


def make_tokenizer(codes: dict[str, int], merges: Merges) -> Tokenizer:
    """The tokenizer that gives the piece p the code `codes[p]`."""
    package = _package()
    tokenizer: Tokenizer = package.Tokenizer(package.models.BPE(vocab=codes, merges=list(merges)))
    tokenizer.pre_tokenizer = package.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = package.decoders.ByteLevel()
    return tokenizer


def _package() -> ModuleType:
    try:
        import tokenizers
    except ModuleNotFoundError as error:
        raise OptionError(
            "Text: level='subword' needs the package tokenizers, which is not installed; "
            "install unrolled[text], or choose level='word' or 'char'."
        ) from error
    return tokenizers
