"""Forecasting: from a table of one or many series to what comes next."""

from unrolled.tasks.forecast.forecaster import Forecaster

__all__ = ["Forecaster"]
