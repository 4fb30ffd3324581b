"""What tasks share that say something of a whole input of any kind: its kind, its network, how that is trained."""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import Any

from unrolled.align.pool import Pool, PoolOptions
from unrolled.heads.head import Head
from unrolled.inputs.input import Fields, Input, input_of
from unrolled.tasks.options import enough_epochs
from unrolled.tasks.reading.options import InputOptions
from unrolled.train import TrainOptions

__all__ = ["ENOUGH", "pooled_net", "pooled_training"]

# Chosen by measurement on the data of benchmarks/tasks.py.
BATCH, EPOCHS, PATIENCE = 16, 60, 6
# Steps that a small set is trained for at least.
STEPS = 200
# Fewer held-out examples than this say nothing about when to stop.
ENOUGH = 100
# Examples from which on larger batches pay.
SMALL = 1000


def pooled_net(
    inputs: Input[Any] | None, fields: Fields, options: InputOptions, width: int | None, pooling: PoolOptions,
    make_head: Callable[[int], Head],
) -> Pool[Any]:  # fmt: skip
    """Reader, encoder and head, whose features `make_head` is told; without inputs its weights come from a file.

    width: of the vectors that a file gives.
    """
    kind = input_of(fields)
    reader = kind.reader(inputs, fields, options, width)
    encoder = options.make_encoder(reader.output_size, **kind.encoder)
    return Pool(reader, encoder, make_head(encoder.output_size), pooling)


def pooled_training(options: InputOptions, data: Sized, *, scored: bool) -> TrainOptions:
    """The options of training that were given, the rest chosen for so many examples."""
    batch = BATCH if len(data) < SMALL else 2 * BATCH
    epochs = enough_epochs(EPOCHS, len(data) // batch, STEPS)
    usual: dict[str, object] = {"learning_rate": 2e-3, "epochs": epochs}
    usual |= {"patience": PATIENCE} if scored else {"schedule": "cosine"}
    if "token_budget" not in options.train.given():
        usual["batch_size"] = batch
    return options.training(**usual)
