"""What each of two processes runs under torchrun for test_processes; the first writes what it saw as JSON."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from small_model import Data, Regressor, same_bits, weights

from unrolled.errors import SaveError
from unrolled.train import Event, TrainOptions, fit

# 22 items in batches of 7: the last batch has one row, so one of two processes has nothing to do there.
COMMON: dict[str, Any] = {"epochs": None, "max_steps": 50, "batch_size": 7, "learning_rate": 1e-2, "device": "cpu"}
WAYS: dict[str, dict[str, Any]] = {
    "full": {},
    "truncated": {"bptt": 4, "micro_batches": 2},
    "budget": {"batch_size": None, "token_budget": 45},
    "exponential average": {"average": "ema"},
    "mean and plateaus": {
        "average": "asgd",
        "average_after": 1,
        "schedule": "plateau",
        "decay": 0.5,
        "evaluate_every_steps": 4,
        "learning_rate": 0.3,
        "optimizer": "sgd",
    },
}


def losses_of(way: str) -> list[float | None]:
    seen: list[Event] = []
    options = TrainOptions(**{**COMMON, "evaluate_every_steps": 20, **WAYS[way]})
    fit(Regressor(), Data(), options, valid=Data(5, seed=3), callbacks=[seen.append])
    return [event.loss if event.kind == "step" else event.score for event in seen if event.kind in ("step", "evaluate")]


def resumes_exactly(folder: Path) -> bool:
    options = TrainOptions(**{**COMMON, "bptt": 4, "max_steps": 20})
    alone, resumed = Regressor(dropout=0.3), Regressor(dropout=0.3)

    def press(event: Event) -> None:
        if event.step == 6 and event.kind == "step":
            os.kill(os.getpid(), signal.SIGINT)

    fit(alone, Data(), options)
    try:
        fit(resumed, Data(), options, run=folder, callbacks=[press])
    except KeyboardInterrupt as stop:
        print(stop)
    else:
        return False
    resumed = Regressor(dropout=0.3)
    fit(resumed, Data(), options, run=folder, resume=True)
    return same_bits(weights(alone), weights(resumed))


def all_learn_of_a_full_disk(folder: Path) -> bool:
    real = os.fsync

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    os.fsync = full
    try:
        fit(Regressor(), Data(), TrainOptions(**COMMON), run=folder)
    except SaveError:
        return True
    finally:
        os.fsync = real
    return False


def main() -> None:
    folder = Path(sys.argv[1])
    result = {way: losses_of(way) for way in WAYS}
    checks = {"resumes": resumes_exactly(folder / "resumed"), "full_disk": all_learn_of_a_full_disk(folder / "full")}
    (folder / f"result-{os.environ['RANK']}.json").write_text(json.dumps({**result, **checks}))


if __name__ == "__main__":
    main()
