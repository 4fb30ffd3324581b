"""Classes: how they are told, as the values they came as, and pictures of how well they are found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from unrolled.align.pool import PoolOptions
from unrolled.nn.build import Rate
from unrolled.options import Options
from unrolled.score.calibration import probabilities, reliability
from unrolled.score.classes import confusion_matrix

__all__ = ["ClassOptions", "as_they_came", "draw_calibration", "draw_confusions", "sklearn_tags"]


class ClassOptions(Options):
    """How a class is told. pooling, head_dropout: as in `PoolOptions`, None: chosen by what comes. label_smoothing: as
    in `SoftmaxHead`."""

    pooling: Literal["last", "mean", "max", "attention"] | None = Field(
        default=None, description="How the steps of an input become one vector."
    )
    head_dropout: Rate | None = Field(default=None, description="Dropout before the output.")
    label_smoothing: Rate = Field(default=0.0, description="Part of the truth that is spread over all classes.")

    def settled(self, dropout: float) -> PoolOptions:
        """The options of the alignment, everything decided; dropout: where none was asked for."""
        return PoolOptions(
            pooling=self.pooling or "max",
            dropout=dropout if self.head_dropout is None else self.head_dropout,
        )


def as_they_came(values: Sequence[str], kind: str) -> np.ndarray:
    """(K,) the classes as "whole" numbers, as "truth", or as the texts that they are."""
    if kind == "whole":
        return np.array([int(value) for value in values])
    return np.array([value == "True" for value in values] if kind == "truth" else list(values))


def draw_confusions(codes: np.ndarray, found: np.ndarray, values: Sequence[str], path: str | Path) -> Path:
    """The confusion matrix of the codes (N,) of classes and those found, -1 for a class that is not known."""
    from unrolled.inspect.confusion import draw_confusion

    return draw_confusion(confusion_matrix(codes[codes >= 0], found[codes >= 0], len(values)), values, path)


def draw_calibration(logits: np.ndarray, codes: np.ndarray, temperature: float, path: str | Path) -> Path:
    """How often the class found is right against how sure that was, before and after calibration."""
    from unrolled.inspect.reliability import draw_reliability

    known = codes >= 0
    both = (("as trained", 1.0), ("calibrated", temperature))
    curves = [(title, reliability(probabilities(logits[known], heat), codes[known])) for title, heat in both]
    return draw_reliability(curves, path)


def sklearn_tags() -> object:
    """What scikit-learn is told of a classifier of texts, series or sounds."""
    from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

    return Tags(
        estimator_type="classifier",
        target_tags=TargetTags(required=True),
        classifier_tags=ClassifierTags(),
        input_tags=InputTags(string=True, three_d_array=True, two_d_array=True, allow_nan=True),
    )
