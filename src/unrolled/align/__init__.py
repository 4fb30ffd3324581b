"""How output time relates to input time: losses, predictions and scores of forecasts; knows no task."""

from unrolled.align.decode import DirectForecast
from unrolled.align.inputs import Forecast
from unrolled.align.likelihood import LIKELIHOODS, make_likelihood
from unrolled.align.next import AutoregressiveForecast
from unrolled.align.options import DirectOptions, NextOptions

__all__ = [
    "LIKELIHOODS",
    "AutoregressiveForecast",
    "DirectForecast",
    "DirectOptions",
    "Forecast",
    "NextOptions",
    "make_likelihood",
]
