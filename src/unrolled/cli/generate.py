"""`unrolled generate` and `unrolled complete`: what a language model writes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from unrolled.cli.loaded import load_model
from unrolled.cli.options import AsJson, Run
from unrolled.cli.values import print_json

__all__ = ["complete", "generate"]


def generate(
    run: Run,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help='How the text begins; "-" is standard input.')] = "",
    length: Annotated[
        int, typer.Option(min=1, help="Tokens at most: characters, words or pieces, as the model reads.")
    ] = 200,
    temperature: Annotated[float, typer.Option(help="Below 1 safer, above 1 wilder; 0: the likeliest.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(help="Draw from the k likeliest tokens alone.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw from the likeliest ones that reach this share.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Texts to write.")] = 1,
    seed: Annotated[int, typer.Option(help="The same seed gives the same text.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Write text that goes on from a prompt. One text is shown as it comes; several have a line --- between them.

    \b
      unrolled generate runs/book 'It was a ' --length 500 --temperature 0.7
      unrolled generate runs/book --samples 5 --seed 3 --json
    """
    model = load_model("generate", run, ("language",))
    begun = sys.stdin.read().removesuffix("\n") if prompt == "-" else prompt
    if samples == 1 and not as_json:
        live = model.stream(begun, length=length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
        for number, piece in enumerate(live):
            typer.echo(piece if number else begun + piece, nl=False)
        typer.echo()
        return
    texts = model.generate(
        begun, length=length, samples=samples, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed
    )
    if as_json:
        print_json({"prompt": begun, "texts": texts})
        return
    typer.echo("\n---\n".join(begun + text for text in texts))


def complete(
    run: Run,
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="What has been typed so far.")],
    k: Annotated[int, typer.Option("-k", min=1, help="Words to offer.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Offer the likeliest words that go on from a text, also inside a half-typed word: a word and its probability.

    \b
      unrolled complete runs/book 'the quick br' -k 3
    """
    found = load_model("complete", run, ("language",)).complete(prefix, k)
    if as_json:
        print_json([each._asdict() for each in found])
        return
    for each in found:
        typer.echo(f"{each.word}\t{each.probability:.4f}")
