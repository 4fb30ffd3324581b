"""What a fit finds out besides the weights: fields, network options, and the end of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unrolled.align.forecast import AutoregressiveForecast, AutoregressiveOptions, DirectForecast, DirectOptions
from unrolled.data.panel.arrays import PanelFields
from unrolled.data.panel.columns import Columns
from unrolled.data.panel.panel import Panel
from unrolled.data.panel.windows import Windows
from unrolled.errors import ModelFileError
from unrolled.options import typed
from unrolled.tasks.forecast.options import ForecasterOptions
from unrolled.tasks.forecast.reading import read_again
from unrolled.tasks.forecast.windows import encode_panel, windows_at

__all__ = ["Fitted", "build_net"]

# How much of each series a saved model keeps, in look-backs and horizons: its own input, and a picture's history.
KEPT_LOOKBACKS, KEPT_HORIZONS = 2, 4
# Steps of a window that are never too many, whatever the model keeps.
FREE = 1 << 16


@dataclass(frozen=True, eq=False)
class Fitted:
    """fields: fitted on the training rows. net: the network's options. season: in steps. tail: the end of the data.

    seen: (S,) time of the last row that training or stopping has looked at, as int64. scales: (S, D) what errors are
    measured in for MASE. channels, resample: as in the options and the reading. constants: (S, D) the one value that
    the training rows of a series hold, else NaN; None for models that forecast such series like any other.
    """

    fields: PanelFields
    net: DirectOptions | AutoregressiveOptions
    season: int
    tail: Panel
    seen: np.ndarray
    scales: np.ndarray
    channels: str
    resample: str | None
    constants: np.ndarray | None = None

    @property
    def columns(self) -> Columns:
        """The parts of the columns."""
        return self.fields.columns

    def read(self, source: object) -> Panel:
        """Another table, read as the training data were."""
        return read_again(source, self.columns, self.fields.step, self.resample, self.tail.form)

    def windows(self, panel: Panel, cuts: np.ndarray, ends: np.ndarray | None = None) -> Windows:
        """Windows at `cuts` (S, n); a series the fit has not met is scaled by its rows before `ends`."""
        return windows_at(
            encode_panel(self.fields, panel, self.channels, ends), self.net.lookback, self.net.horizon, cuts
        )

    def known(self, ids: Sequence[str]) -> np.ndarray:
        """(n,) the number of each series in the fit, -1 for a new one."""
        number = {name: i for i, name in enumerate(self.fields.ids.values)}
        return np.array([number.get(name, -1) for name in ids], np.int64)

    def to_parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Plain JSON, and arrays by name."""
        tail, arrays = self.tail.to_parts()
        content = {
            "fields": self.fields.to_json(),
            "net": self.net.to_json(),
            "season": self.season,
            "tail": tail,
            "channels": self.channels,
            "resample": self.resample,
        }
        own = {"seen": self.seen, "scales": self.scales}
        own |= {} if self.constants is None else {"constants": self.constants}
        return content, {**own, **{f"tail.{name}": values for name, values in arrays.items()}}

    @classmethod
    def from_parts(cls, content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Fitted:
        """What `to_parts` took apart. Raises `ModelFileError` for windows far beyond the rows that are kept."""
        tail = {name.removeprefix("tail."): values for name, values in arrays.items() if name.startswith("tail.")}
        direct = content["options"]["decoder"] == "direct"
        net = (DirectOptions if direct else AutoregressiveOptions)(**content["net"])
        season, rows = typed(int, content["season"], "season"), len(tail["target"])
        if net.lookback + net.horizon > FREE + rows or net.horizon != content["options"]["horizon"]:
            raise ModelFileError(
                f"load: expected a look-back and one horizon within the {rows:,} rows that the model keeps, got "
                f"{net.lookback:,} and {net.horizon:,}."
            )
        return cls(
            fields=PanelFields.from_json(content["fields"]),
            net=net,
            season=season,
            tail=Panel.from_parts(content["tail"], tail),
            seen=arrays["seen"],
            scales=arrays["scales"],
            channels=content["channels"],
            resample=content["resample"],
            constants=arrays.get("constants"),
        )


def kept_rows(options: ForecasterOptions, lookback: int, season: int) -> int:
    """Rows of each series that a model keeps."""
    return max(KEPT_LOOKBACKS * lookback, lookback + KEPT_HORIZONS * options.horizon, 3 * season)


def build_net(fitted: Fitted) -> DirectForecast | AutoregressiveForecast:
    """A fresh network of the right sizes."""
    sizes = encode_panel(fitted.fields, fitted.tail, fitted.channels).sizes
    if isinstance(fitted.net, DirectOptions):
        return DirectForecast(sizes, fitted.net)
    return AutoregressiveForecast(sizes, fitted.net)
