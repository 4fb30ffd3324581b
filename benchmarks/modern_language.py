"""Every cell as a character language model: tinyshakespeare, as many weights, as many seconds of a processor.

    python benchmarks/modern_language.py --jobs 2        # all rows, two side by side; rows that are there are kept
    python benchmarks/modern_language.py lstm mlstm      # some rows
    python benchmarks/memory_tables.py                   # docs/choosing-a-cell.md

The first nine tenths of the text are learned from, the last tenth is scored: nats a character, each given all before
it. Nothing is chosen by the scored part. Two layers of one shape around every cell (`equal.Layer`; whole blocks stand
as published); "lstm plain" is the one-layer network that `LanguageModel` makes by itself, at as many weights. The width
is searched for a million weights. One seed, Adam, 32 streams of 100 characters, dropout 0.2 before the output.
Each of three learning rates is tried for a twentieth of the seconds, timed by the processor on one thread; the one
whose training loss falls lowest trains anew for as many steps as fill the rest, its rate falling along a cosine.
"""

from __future__ import annotations

import argparse
import sys
from functools import cache, partial
from statistics import mean
from typing import Any

import torch
from equal import Contestant, Deep, Speed, contestants, parameters, race, state_size, width_for
from jobs import Continued, add_arguments, chosen, run
from tasks_writing import shakespeare_parts, shakespeare_simple
from torch import nn

import unrolled as ur
from unrolled.align.next import Next, NextOptions
from unrolled.heads.softmax import OutputLayer
from unrolled.nn import Embedding, make_cell

PARAMETERS, SECONDS, HEADS, STEP = 1_000_000, 600.0, 4, 4
RATES, SHARE = (2e-3, 4e-3, 8e-3), 0.05
PLAIN = Contestant("lstm plain", "lstm")
PLAIN_EMBEDDING = 64
RECIPE: dict[str, Any] = {
    "level": "char", "streams": 32, "steps": 100, "epochs": None, "output_dropout": 0.2,
}  # fmt: skip
# A trial is too short to spend much of it on small steps.
WARMUP, TRIAL_WARMUP = 100, 20
# Steps of a trial, which ends by its time.
MANY = 10**6
# Steps whose mean loss is reported, which is with dropout.
LAST = 200


class Language(ur.LanguageModel):
    """The language model of the house around another network.

    contestant, width: the cell and its layers' width. options: those of `LanguageModel`.
    """

    def __init__(self, contestant: Contestant, width: int, **options: Any) -> None:
        super().__init__(**options)
        self.contestant, self.width = contestant, width

    def make_net(self, corpus: Any | None = None) -> nn.Module:
        return network(self.fields["text"].size, self.contestant, self.width, self.options.head.output_dropout)


def network(size: int, contestant: Contestant, width: int, dropout: float) -> Next:
    """Embedding, layers and tied output over so many codes."""
    embedding = Embedding(size, PLAIN_EMBEDDING if contestant is PLAIN else width)
    encoder = make_cell("lstm", PLAIN_EMBEDDING, width) if contestant is PLAIN else Deep(contestant, width)
    head = OutputLayer(encoder.output_size, size, embedding)
    return Next(embedding, encoder, head, NextOptions(output_dropout=dropout))


@cache
def codes_of(text: str) -> int:
    """The number of codes that a model of this text has."""
    model = Language(PLAIN, STEP, **RECIPE, max_steps=1, seed=0)
    model.fit([text], valid=0)
    return int(model.fields["text"].size)


def runners() -> list[Contestant]:
    """Every cell, and the plain network beside them."""
    return [PLAIN, *contestants(HEADS)]


def measure(name: str, seconds: float) -> dict[str, Any]:
    """One row."""
    train, test = shakespeare_parts()
    if name == "baseline":
        return {"score": round(shakespeare_simple()["Kneser-Ney 7"], 4), "metric": "nats per character"}
    contestant = next(c for c in runners() if c.name == name)
    size = codes_of(train)
    width = width_for(lambda width: network(size, contestant, width, RECIPE["output_dropout"]), PARAMETERS, step=STEP)

    def fit(rate: float, steps: int, warmup: int, speed: Speed) -> Language:
        own = {"learning_rate": rate, "max_steps": steps, "warmup": warmup, "schedule": "cosine", "seed": 0}
        return Language(contestant, width, **RECIPE, **own).fit([train], valid=0, callbacks=[speed])

    rate, per_step = race(lambda rate, speed: fit(rate, MANY, TRIAL_WARMUP, speed), RATES, SHARE * seconds)
    rest = (1 - len(RATES) * SHARE) * seconds
    speed = Speed()
    model = fit(rate, max(1, round(rest / per_step)), WARMUP, speed)
    net: Any = model.fitted()
    found = model.evaluate([test])
    return {
        "cell": name, "metric": "nats per character", "score": round(found.nats / found.tokens, 4), "width": width,
        "parameters": parameters(net), "state": state_size(net.encoder), "rate": rate, "steps": model.history.steps,
        "epochs": round(model.history.epochs, 2), "train_loss": round(mean(speed.losses[-LAST:]), 4),
        "core_seconds": round(speed.seconds + len(RATES) * SHARE * seconds, 1),
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of a processor, for each row")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    names = chosen(["baseline", *(runner.name for runner in runners())], asked.rows)
    results = Continued("modern_language", anew=asked.anew)
    if asked.list:
        for name in names:
            print(f"{name}{'  (done)' if results.has(row=name, seconds=asked.seconds) else ''}")
        return 0
    return run(partial(measure, seconds=asked.seconds), names, results, asked.jobs, {"seconds": asked.seconds})


if __name__ == "__main__":
    sys.exit(main())
