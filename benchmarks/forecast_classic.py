"""A forecaster with no option set, on nine small real tables: its scores beside the baselines'.

    python benchmarks/forecast_classic.py            # rows of today are not repeated

The last fifth of each series, in whole horizons (at most 8), is held out; the model is trained and stopped on the rows
before it. Nothing is tuned by table: this is what a user gets who names a horizon and nothing else.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from common import Results, data_folder

import unrolled as ur

# Columns are named only where the table leaves a choice.
TABLES: dict[str, dict[str, Any]] = {
    "air_passengers": {"horizon": 12},
    "sunspots_yearly": {"horizon": 11},
    "monthly-sunspots": {"horizon": 24},
    "co2_weekly_maunaloa": {"horizon": 26},
    "daily-min-temperatures": {"horizon": 14},
    "seattle-weather": {"horizon": 14, "target": "temp_max", "past": ["temp_min", "precipitation", "wind"]},
    "seattle-temps": {"horizon": 24},
    "stocks": {"horizon": 6, "id": "symbol"},
    "gb_solar_power_halfhourly": {"horizon": 24},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="*", default=list(TABLES), help=f"among {', '.join(TABLES)}")
    folder, results = data_folder("classic_series"), Results("forecast_classic")
    for name in parser.parse_args().tables:
        if results.has(table=name):
            continue
        options = dict(TABLES[name])
        model = ur.Forecaster(options.pop("horizon"))
        begin = time.perf_counter()
        model.fit(folder / f"{name}.csv", **options, test=None)
        seconds = round(time.perf_counter() - begin, 1)
        for row in model.scores.rows:
            results.add(table=name, seconds=seconds if row["name"] == "model" else None, **row)


if __name__ == "__main__":
    main()
