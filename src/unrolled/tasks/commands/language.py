"""`unrolled fit language`, and what is done with a language model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from unrolled.model.describe import Asked, Call, Command, Description, Finished, Request, Whole, Word, held_files
from unrolled.tasks.commands.results import evaluate_next, learning, scored, told
from unrolled.tasks.commands.words import (
    Cell,
    HiddenSize,
    Layers,
    Level,
    Prompt,
    Test,
    Truth,
    Valid,
    part_of,
    part_or_file,
)

if TYPE_CHECKING:
    from unrolled.tasks.language import LanguageModel

__all__ = ["DESCRIPTION"]


def fit(
    file: Annotated[
        str, Word('Text (also .gz), a folder of texts, or "-" for standard input.', "FILE|FOLDER", placed=True)
    ],
    level: Level = None,
    valid: Valid = None,
    test: Test = None,
    cell: Cell = None,
    hidden_size: HiddenSize = None,
    layers: Layers = None,
) -> Asked:
    """Learn from text what comes next: to score text, to write on, to complete words.

    \b
      unrolled fit language book.txt --level char -o runs/book
      unrolled fit language train.txt --valid valid.txt --test test.txt --hidden-size 650 --layers 2
      unrolled fit language notes/ --level subword --set max_size=4000 --max-minutes 10
    """
    part, valid_file = part_or_file(valid)
    return Asked(
        {"source": file, "valid": valid_file, "test": test},
        options={"level": level, "cell": cell, "hidden_size": hidden_size, "layers": layers},
        held=part_of(part),
    )


def held(request: Request, role: str) -> tuple[object, ...]:
    from unrolled.data.read.lines import read_lines

    paths = held_files(request, role)
    for path in paths:
        # Read to the end, so that a byte that is no text is told now.
        for _ in read_lines(str(path)):
            pass
    return paths


def evaluate(call: Call[LanguageModel], file: Truth) -> Whole:
    """perplexity, and bits a character

    \b
      unrolled evaluate runs/book other.txt
    """
    return scored(call.model.evaluate(file))


def generate(
    call: Call[LanguageModel],
    prompt: Prompt = "",
    length: Annotated[
        int, Word("Tokens at most, as the model reads; of music beats, of drawings points.", least=1)
    ] = 200,
    temperature: Annotated[float, Word("Below 1 safer, above 1 wilder; 0: the likeliest.")] = 1.0,
    top_k: Annotated[int | None, Word("Draw from the k likeliest tokens alone.")] = None,
    top_p: Annotated[float | None, Word("Draw from the likeliest ones that reach this share.")] = None,
    samples: Annotated[int, Word("Texts, pieces of music or drawings to make.", least=1)] = 1,
    seed: Annotated[int, Word("The same seed gives the same text, piece or drawing.")] = 0,
) -> Whole:
    """Write text that goes on from a prompt. One text is shown as it comes; several have a line --- between them.

    \b
      unrolled generate runs/book 'It was a ' --length 500 --temperature 0.7
      unrolled generate runs/book --samples 5 --seed 3 --json
    """
    model = call.model
    begun = sys.stdin.read().removesuffix("\n") if prompt == "-" else prompt

    def texts() -> list[str]:
        return model.generate(
            begun, length=length, samples=samples, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed
        )

    def pieces() -> Iterator[str]:
        if samples > 1:
            yield "\n---\n".join(begun + text for text in texts()) + "\n"
            return
        live = model.stream(begun, length=length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
        for number, piece in enumerate(live):
            yield piece if number else begun + piece
        yield "\n"

    return Whole(pieces(), lambda: {"prompt": begun, "texts": texts()})


def complete(
    call: Call[LanguageModel],
    prefix: Annotated[str, Word("What has been typed so far.", "PREFIX", placed=True)],
    k: Annotated[int, Word("Words to offer.", flags=("-k",), least=1)] = 5,
) -> Whole:
    """Offer the likeliest words that go on from a text, also inside a half-typed word: a word and its probability.

    \b
      unrolled complete runs/book 'the quick br' -k 3
    """
    found = call.model.complete(prefix, k)
    lines = (f"{each.word}\t{each.probability:.4f}\n" for each in found)
    return Whole(lines, lambda: [each._asdict() for each in found])


def about(finished: Finished[LanguageModel]) -> list[str]:
    return told(finished, [finished.model.fields["text"].describe()])


def closing(finished: Finished[LanguageModel]) -> list[str]:
    return [
        f"next: unrolled generate {finished.folder} 'Once upon'",
        f"      unrolled complete {finished.folder} 'Once up' -k 5",
        *evaluate_next(finished),
    ]


DESCRIPTION: Description[LanguageModel] = Description(
    fit=fit,
    commands={"generate": Command(generate), "complete": Command(complete), "evaluate": Command(evaluate)},
    examples=(
        "unrolled fit language book.txt --level char -o runs/book",
        "unrolled generate runs/book 'It was a '",
    ),
    held=held,
    about=about,
    pictures={"learning": learning},
    closing=closing,
)
