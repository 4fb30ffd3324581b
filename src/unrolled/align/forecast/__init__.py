"""How output time relates to input time: losses, predictions and scores of forecasts; knows no task."""

from unrolled.align.forecast.autoregressive import AutoregressiveForecast
from unrolled.align.forecast.direct import DirectForecast
from unrolled.align.forecast.inputs import Forecast
from unrolled.align.forecast.options import AutoregressiveOptions, DirectOptions

__all__ = [
    "AutoregressiveForecast",
    "DirectForecast",
    "DirectOptions",
    "Forecast",
    "AutoregressiveOptions",
]
