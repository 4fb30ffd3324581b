"""How output time relates to input time: losses, predictions and scores of forecasts; knows no task."""

from unrolled.align.forecast.autoregressive import AutoregressiveForecast
from unrolled.align.forecast.direct import DirectForecast
from unrolled.align.forecast.inputs import Forecast
from unrolled.align.forecast.likelihood import LIKELIHOODS, make_likelihood
from unrolled.align.forecast.options import DirectOptions, NextOptions

__all__ = [
    "LIKELIHOODS",
    "AutoregressiveForecast",
    "DirectForecast",
    "DirectOptions",
    "Forecast",
    "NextOptions",
    "make_likelihood",
]
