"""Small tables and quick options that the tests of the task and the command line share."""

from __future__ import annotations

from typing import Any

import numpy as np

QUICK: dict[str, Any] = {"hidden_size": 8, "max_steps": 6, "evaluate_every_steps": 3}


def days(count: int, start: str = "2020-01-01") -> list[str]:
    return [str(day) for day in np.datetime64(start) + np.arange(count)]


def one_series(count: int = 60) -> dict[str, list[Any]]:
    """Daily values with a weekly rhythm, a covariate known in advance and one known only up to now."""
    t = np.arange(count)
    noise, wind = np.random.default_rng(0).normal(0, 1, (2, 200))[:, :count]
    free = (t % 7 >= 5).astype(float)
    values = 20 + 5 * np.sin(2 * np.pi * t / 7) + 3 * free + 0.3 * noise
    return {"day": days(count), "load": values.tolist(), "free": free.tolist(), "wind": wind.tolist()}


def two_series(count: int = 50) -> dict[str, list[Any]]:
    """Two series in long format, with an id that must stay text, a static text column, and two targets."""
    t = np.arange(count)
    north, south = 10 + np.sin(t), 100 + 10 * np.cos(t)
    return {
        "shop": ["01"] * count + ["02"] * count,
        "day": days(count) * 2,
        "sales": np.concatenate([north, south]).tolist(),
        "visits": np.concatenate([3 * north, 2 * south]).tolist(),
        "region": ["north"] * count + ["south"] * count,
    }


def write_csv(path: Any, table: dict[str, list[Any]]) -> str:
    rows = zip(*table.values(), strict=True)
    lines = [",".join(table), *(",".join("" if v is None else str(v) for v in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return str(path)
