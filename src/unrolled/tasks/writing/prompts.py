"""A text that a language model goes on from: its codes, what may follow it, and what was written after it as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from unrolled.errors import OptionError
from unrolled.fields.text import BEGIN, END, SPECIALS, UNKNOWN, Text
from unrolled.fields.tokens import JOINER
from unrolled.search import Forbid, NoRepeat, Opening
from unrolled.search.constraints import Constraint

__all__ = ["Prompt", "newline_of"]


def newline_of(text: Text) -> int:
    """The code of the end of a line; it stands before a text, too, as if a line had just ended."""
    if text.level == "word":
        return END
    code = int(text.encode("\n")[-1])
    return code if code != UNKNOWN else BEGIN


class Prompt:
    """How a text begins, and the number of tokens that may follow. codes: what the model is given of it.

    A line that has not ended has no END. Where the prompt ends in a space, that space begins the next piece of a word:
    a piece holds the space itself, and at word level no mark may then touch what stands before it.
    """

    def __init__(self, prompt: str, text: Text, length: int) -> None:
        if isinstance(length, bool) or not isinstance(length, int) or length < 0:
            raise OptionError(f"generate: length must be an integer of at least 0, got {length!r}.")
        self.text, self.length = text, length
        self._apart = text.level != "char" and prompt.endswith(" ")
        self.codes = self._encode(prompt[:-1] if self._apart else prompt)

    def constraints(self, no_repeat: int | None = None) -> list[Constraint]:
        """What may follow; no_repeat: no run of so many tokens twice."""
        text = self.text
        rules: list[Constraint] = [Forbid(code for code in range(len(SPECIALS)) if code != END or text.level != "word")]
        rules += [] if no_repeat is None else [NoRepeat(no_repeat)]
        if not self._apart:
            return rules
        opens = [
            text.join([token]).startswith(" ") if text.level == "subword" else not token.startswith(JOINER)
            for token in text.tokens
        ]
        return [*rules, Opening(torch.tensor(opens), len(self.codes))]

    def written(self, codes: np.ndarray) -> str:
        """The text of the codes after those of the prompt, joined to it as a text is."""
        whole, before = (self._decode(part) for part in (codes, codes[: len(self.codes)]))
        return whole[len(before) :].removeprefix(" ") if self._apart else whole[len(before) :]

    def pieces(self, live: Iterable[int]) -> Iterator[str]:
        """What codes that come one by one add to the text."""
        codes, text, shown = list(self.codes), "", 0
        for code in live:
            codes.append(code)
            text = self.written(np.array(codes, np.int64))
            # A character may take several pieces: until it is whole it is not shown.
            whole = text.rstrip("\ufffd")
            yield whole[shown:]
            shown = max(shown, len(whole))
        yield text[shown:]

    def _encode(self, prompt: str) -> list[int]:
        if self.text.level != "word":
            return [int(code) for code in self.text.encode(prompt)]
        lines = [[*self.text.encode(line).tolist(), END] for line in prompt.split("\n")]
        return [code for line in lines for code in line][:-1]

    def _decode(self, codes: np.ndarray) -> str:
        if self.text.level != "word":
            return self.text.decode(codes)
        ends = np.flatnonzero(codes == END)
        return "\n".join(self.text.decode(part) for part in np.split(codes, ends))
