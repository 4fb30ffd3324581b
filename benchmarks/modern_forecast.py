"""Every cell in the segmented forecaster: ETTh1, horizon 96, as many weights, as many seconds of a processor.

    python benchmarks/modern_forecast.py --jobs 2        # all rows, two side by side; rows that are there are kept
    python benchmarks/modern_forecast.py lstm gru        # some rows
    python benchmarks/memory_tables.py                   # docs/choosing-a-cell.md

The recipe, the official split and the baselines are those of forecast_etth1.py; the cell in its one layer is another,
as it is, with no norm around it, and the width is searched for as many weights as that recipe's GRU has. One seed. Each
of two learning rates is tried for a twentieth of the seconds, timed by the processor on one thread; the one whose
training loss falls lowest trains anew for as many steps as fill the rest, its rate falling along a cosine, and the
weights that the validation part likes best, of six, are scored once on the 2,785 test windows.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from functools import partial
from typing import Any

import pyarrow as pa
import torch
from equal import Contestant, Enough, Speed, contestants, parameters, race, state_size, width_for
from forecast_etth1 import HORIZON, RECIPE, TRAIN, VALID, baselines, read
from jobs import Continued, add_arguments, chosen, run

import unrolled as ur

SECONDS, HEADS, STEP = 60.0, 4, 4
RATES, SHARE, LOOKS = (1e-3, 3e-3), 0.05, 6
SIMPLE = ("last value", "last day", "ridge")
# Steps of a trial, which ends by its time.
MANY = 10**6


class Data:
    """The table, its channels, and what a fit of it takes."""

    def __init__(self) -> None:
        dates, self.names, self.values = read()
        self.table = pa.table({"date": dates, **{name: self.values[:, i] for i, name in enumerate(self.names)}})

    def fit(self, model: ur.Forecaster, speed: Speed) -> ur.Forecaster:
        """Train on the official training rows, choose among its steps by the validation rows."""
        rows, columns = self.table.slice(0, TRAIN + VALID), {"time": "date", "target": self.names}
        return model.fit(rows, **columns, valid=VALID, test=0, refit=False, callbacks=[speed])


def forecaster(contestant: Contestant, width: int, rate: float, steps: int) -> ur.Forecaster:
    """The recipe with another cell, width, rate and number of steps."""
    own = {
        "cell": contestant.cell, "cell_options": dict(contestant.options), "hidden_size": width, "learning_rate": rate,
        "epochs": None, "max_steps": steps, "evaluate_every_steps": max(1, steps // LOOKS), "patience": None,
    }  # fmt: skip
    return ur.Forecaster(HORIZON, seed=0, **{**RECIPE, **own})


def network(data: Data) -> Any:
    """The recipe's own network, as the data make it."""
    model = forecaster(Contestant("gru", "gru"), RECIPE["hidden_size"], 1e-3, MANY)
    with suppress(Enough):
        data.fit(model, Speed(0.0, skip=0))
    return model.fitted()


def widened(net: Any, contestant: Contestant, width: int) -> Any:
    """The same network with another cell of another width."""
    changed = {"cell": contestant.cell, "cell_options": dict(contestant.options), "hidden_size": width}
    return type(net)(net.sizes, net.options.model_copy(update=changed))


def measure(name: str, seconds: float) -> dict[str, Any]:
    """One row."""
    data = Data()
    if name in SIMPLE:
        mse, mae = baselines(data.values)[name]
        return {"mse": round(mse, 4), "mae": round(mae, 4), "baseline": True}
    contestant = next(c for c in contestants(HEADS) if c.name == name)
    usual = network(data)
    width = width_for(lambda width: widened(usual, contestant, width), parameters(usual), step=STEP)

    def fit(rate: float, steps: int, speed: Speed) -> ur.Forecaster:
        return data.fit(forecaster(contestant, width, rate, steps), speed)

    rate, per_step = race(lambda rate, speed: fit(rate, MANY, speed), RATES, SHARE * seconds)
    rest = (1 - len(RATES) * SHARE) * seconds
    speed = Speed()
    steps = max(1, round(rest / per_step))
    model = fit(rate, steps, speed)
    report = model.evaluate(data.table, stride=1)
    net: Any = model.fitted()
    return {
        "cell": name, "mse": round(report["model"]["rmse"] ** 2, 4), "mae": round(report["model"]["mae"], 4),
        "windows": report.windows // len(data.names), "width": width, "parameters": parameters(net),
        "state": state_size(net.encoder), "rate": rate, "steps": steps,
        "core_seconds": round(speed.seconds + len(RATES) * SHARE * seconds, 1),
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of a processor, for each row")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    names = chosen([*SIMPLE, *(contestant.name for contestant in contestants(HEADS))], asked.rows)
    results = Continued("modern_forecast", anew=asked.anew)
    if asked.list:
        for name in names:
            print(f"{name}{'  (done)' if results.has(row=name, seconds=asked.seconds) else ''}")
        return 0
    return run(partial(measure, seconds=asked.seconds), names, results, asked.jobs, {"seconds": asked.seconds})


if __name__ == "__main__":
    sys.exit(main())
