"""Arguments that the commands of several tasks take, and what their words mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from unrolled.errors import OptionError
from unrolled.model.describe import Word
from unrolled.types import TABLES

__all__ = [
    "CELLS",
    "At",
    "Beam",
    "Cell",
    "Column",
    "Epochs",
    "File",
    "HiddenSize",
    "Layers",
    "Level",
    "MaxMinutes",
    "Names",
    "Prompt",
    "Seed",
    "Series",
    "Set",
    "Test",
    "Truth",
    "Valid",
    "Vectors",
    "column_names",
    "is_table",
    "number_or_name",
    "numbers",
    "one_or_all",
    "part_of",
    "part_or_file",
    "settings",
]

# The names of `unrolled.nn.CELLS`, said without importing a layer; a test compares the two.
CELLS = (
    "rnn", "lstm", "gru", "mingru", "minlstm", "rglru", "lru", "slstm", "mlstm",
    "slstm_block", "mlstm_block", "rwkv7", "gated_deltanet",
)  # fmt: skip

File = Annotated[str, Word('New data as for fit; "-" or .txt: a text a line.', "FILE", placed=True)]
Truth = Annotated[str, Word('Data with the truth, as for fit; or "-".', "FILE", placed=True)]
Cell = Annotated[str | None, Word(f"Recurrent cell: {', '.join(CELLS)}.  [default: by the task]")]
HiddenSize = Annotated[int | None, Word("Units of each layer and direction.")]
Layers = Annotated[int | None, Word("Recurrent layers, one on top of another.")]
Level = Annotated[str | None, Word("What one step reads: word, char or subword.")]
Prompt = Annotated[
    str,
    Word('How a text begins ("-": standard input), the file of a piece, or a keyword.', "PROMPT", placed=True),
]
Vectors = Annotated[str | None, Word("Word vectors to start from: GloVe or word2vec text, also .gz.", "FILE")]
Valid = Annotated[
    str | None, Word("What decides when to stop: a file, or a part (0.1) of the data; 0: none.", "FILE|PART")
]
Test = Annotated[str | None, Word("Score the model on this file once it is trained.", "FILE")]
Names = Annotated[str | None, Word("Names of all columns, for a table without a header.", "A,B,...")]
Column = Annotated[str | None, Word("Column of the tags, as upos or xpos, or a number from 0.", "NAME|NUMBER")]
Series = Annotated[str | None, Word("Column that names the series of a row, in a table of series.", flags=("--id",))]
At = Annotated[str | None, Word("Column of the time of a row, in a table of series.", flags=("--time",))]
Beam = Annotated[int | None, Word("Hypotheses followed.  [default: by the task]", least=1)]

# What every fit takes.
Set = Annotated[
    list[str] | None, Word("Any other option; 'unrolled options TASK' lists them all.", "NAME=VALUE", flags=("--set",))
]
Seed = Annotated[int, Word("The same seed gives the same model.")]
Epochs = Annotated[int | None, Word("Train for so many passes at most.  [default: until it gets no better]")]
MaxMinutes = Annotated[float | None, Word("Train for so long at most.")]


def is_table(path: str) -> bool:
    """Does the name say that the file holds rows of columns, rather than lines of text?"""
    endings = [ending.lower() for ending in Path(path).suffixes if ending.lower() != ".gz"]
    return bool(endings) and endings[-1] in TABLES


def column_names(words: Sequence[str] | str | None) -> tuple[str, ...]:
    """Repeated options and commas alike: ["a,b", "c"] -> ("a", "b", "c")."""
    every = [words] if isinstance(words, str) else words or ()
    return tuple(part.strip() for word in every for part in word.split(",") if part.strip())


def one_or_all(words: Sequence[str] | None) -> str | list[str] | None:
    """The values of a repeated option: one as it is, several as a list."""
    return words[0] if words and len(words) == 1 else list(words) if words else None


def numbers(option: str, word: str | None) -> tuple[float, ...] | None:
    """ "80,95" or "80 95" -> (80.0, 95.0)."""
    if word is None:
        return None
    try:
        return tuple(float(part) for part in word.replace(",", " ").split())
    except ValueError as error:
        raise OptionError(f"{option}: expected numbers with commas, for instance 80,95, got {word!r}.") from error


def number_or_name(word: str | None) -> str | int | None:
    """The word behind --column."""
    try:
        return None if word is None else int(word)
    except ValueError:
        return word


def part_or_file(word: str | None) -> tuple[float | None, str | None]:
    """The word behind --valid as a part of the data, or as the name of a file."""
    try:
        part = None if word is None else float(word)
    except ValueError:
        return None, word
    if part is not None and not 0 <= part < 1:
        raise OptionError(f"--valid: expected a file, or a part of at least 0 and below 1, got {word}.")
    return part, None


def part_of(part: float | None) -> dict[str, object]:
    """What is held out where a part was given."""
    return {} if part is None else {"valid": part}


def settings(words: Sequence[str] | None) -> dict[str, object]:
    """name=value, the value read as JSON where it is JSON: ["learning_rate=0.001", "level=mean"]."""
    found: dict[str, object] = {}
    for word in words or ():
        name, equals, value = word.partition("=")
        if not equals or not name.strip():
            raise OptionError(f"--set: expected name=value, for instance hidden_size=128, got {word!r}.")
        try:
            found[name.strip()] = json.loads(value)
        except ValueError:
            found[name.strip()] = value
    return found
