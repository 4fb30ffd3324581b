"""ETTh1, all 7 channels, horizon 96, official split, z-scored by train: test MSE and MAE over 2,785 windows.

    python benchmarks/forecast_etth1.py            # the baselines and three seeds; rows of today are not repeated

The recipe follows SegRNN (arXiv:2308.11200): one GRU over segments of 48 hours, shared by all channels, told apart in
the decoder alone, the last value taken off each window, L1 loss. The best epoch is chosen by the validation part alone.
Beside it, computed here: ridge regression on the window less its last value, the last day and the last value repeated.
"""

from __future__ import annotations

import argparse
import time
from statistics import mean, stdev

import numpy as np
import pyarrow as pa
import pyarrow.csv
import torch
from common import Results, data_folder

import unrolled as ur

HORIZON = 96
TRAIN, VALID, TEST = 8640, 2880, 2880
RECIPE = {
    "cell": "gru",
    "lookback": 528,
    "segment": 48,
    "static_inputs": "decoder",
    "hidden_size": 128,
    "dropout": 0.3,
    "likelihood": "point",
    "likelihood_options": {"loss": "l1"},
    "level": "last",
    "calendar": False,
    "stride": 1,
    "scaling": "standard",
    "optimizer": "adam",
    "weight_decay": 0.0,
    "clip_norm": None,
    "learning_rate": 3e-3,
    "schedule": "cosine",
    "epochs": 6,
    "batch_size": 448,
}


def read() -> tuple[pa.Array, list[str], np.ndarray]:
    """Dates, channel names, and the rows of the official split (14400, 7) z-scored by the training rows."""
    table = pa.csv.read_csv(data_folder("etth1") / "ETTh1.csv").slice(0, TRAIN + VALID + TEST)
    names = table.column_names[1:]
    values = np.column_stack([table[name].to_numpy() for name in names])
    scaled = (values - values[:TRAIN].mean(0)) / values[:TRAIN].std(0)
    return table["date"], names, scaled


def windows(values: np.ndarray, first: int, last: int, lookback: int) -> tuple[np.ndarray, np.ndarray]:
    """Every window whose targets lie in rows [first, last): past (n, 7, lookback) and target (n, 7, HORIZON)."""
    whole = np.lib.stride_tricks.sliding_window_view(values[first - lookback : last], lookback + HORIZON, axis=0)
    return whole[..., :lookback], whole[..., lookback:]


def baselines(values: np.ndarray) -> dict[str, tuple[float, float]]:
    """Test MSE and MAE of each simple forecast."""
    lookback = 336
    past, target = windows(values, TRAIN + VALID, len(values), lookback)
    found = {
        "last value": np.broadcast_to(past[..., -1:], target.shape),
        "last day": np.tile(past[..., -24:], HORIZON // 24),
        "ridge": ridge(values, lookback)(past),
    }
    return {name: errors(target, forecast) for name, forecast in found.items()}


def ridge(values: np.ndarray, lookback: int, penalty: float = 100.0):
    """One linear map for all channels, from the window less its last value to the horizon less that value."""
    past, target = windows(values, lookback, TRAIN, lookback)
    x, y = ((part - past[..., -1:]).reshape(-1, part.shape[-1]) for part in (past, target))
    weights = np.linalg.solve(x.T @ x + penalty * np.eye(lookback), x.T @ y)
    return lambda seen: (seen - seen[..., -1:]) @ weights + seen[..., -1:]


def errors(target: np.ndarray, forecast: np.ndarray) -> tuple[float, float]:
    """Mean squared and mean absolute error over windows, channels and steps."""
    difference = target - forecast
    return float((difference**2).mean()), float(np.abs(difference).mean())


def train(dates: pa.Array, names: list[str], values: np.ndarray, seed: int) -> dict[str, float | int]:
    """One seed: fit on the training rows, stop by the validation rows, score once on the test rows."""
    table = pa.table({"date": dates, **{name: values[:, i] for i, name in enumerate(names)}})
    model = ur.Forecaster(HORIZON, seed=seed, **RECIPE)
    begin = time.perf_counter()
    model.fit(table.slice(0, TRAIN + VALID), time="date", target=names, valid=VALID, test=0, refit=False)
    seconds = time.perf_counter() - begin
    report = model.evaluate(table, stride=1)
    ours = report["model"]
    return {
        "seed": seed,
        "mse": ours["rmse"] ** 2,
        "mae": ours["mae"],
        "windows": report.windows // len(names),
        "train_seconds": round(seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    dates, names, values = read()
    results = Results("forecast_etth1")
    for name, (mse, mae) in baselines(values).items():
        if not results.has(model=name):
            results.add(model=name, mse=mse, mae=mae)
    for seed in range(arguments.seeds):
        if not results.has(model="segmented GRU", seed=seed):
            results.add(model="segmented GRU", **train(dates, names, values, seed))
    mses = [row["mse"] for row in results.rows() if row["model"] == "segmented GRU"]
    spread = f" +- {stdev(mses):.4f}" if len(mses) > 1 else ""
    print(f"segmented GRU: test MSE {mean(mses):.4f}{spread} over {len(mses)} seeds")


if __name__ == "__main__":
    main()
