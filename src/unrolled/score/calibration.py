"""Do probabilities mean what they say: temperature scaling, calibration error, Brier score; all in float64.

Class probabilities and logits are (..., K), labels (...) are codes 0 .. K-1. A label of -1 is one that the model does
not know: it takes no part in fitting, and counts as wrong in the scores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled.check import check_choice, check_size
from unrolled.errors import DataError, OptionError
from unrolled.types import Json

__all__ = ["Reliability", "brier", "expected_calibration_error", "fit_temperature", "probabilities", "reliability"]

COLDEST, HOTTEST = 0.01, 100.0
# More than enough: halving alone brings the bracket to one part in 10^12 in 44 steps.
STEPS = 60

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often the most probable class is right, by how probable it was; bins that hold no row are left out.

    lower, upper: the bins (lower, upper] of the highest probability, the first with its lower end. confidence: its
    mean in each bin. accuracy: the part that is right. count: rows. All are (bins,).
    """

    lower: Array
    upper: Array
    confidence: Array
    accuracy: Array
    count: NDArray[np.int64]

    @property
    def error(self) -> float:
        """Expected calibration error: the mean of |accuracy - confidence| over rows, in [0, 1]."""
        return float(np.average(np.abs(self.accuracy - self.confidence), weights=self.count))

    def to_json(self) -> Json:
        """The bins and the error as plain JSON."""
        columns = ("lower", "upper", "confidence", "accuracy", "count")
        return {"error": self.error, **{name: getattr(self, name).tolist() for name in columns}}


def probabilities(logits: ArrayLike, temperature: float = 1.0) -> Array:
    """softmax(logits / temperature) over the last dimension."""
    if not temperature > 0:
        raise OptionError(f"probabilities: temperature must be greater than 0, got {temperature!r}.")
    values = np.asarray(logits, np.float64) / temperature
    weights = np.exp(values - values.max(-1, keepdims=True))
    return np.asarray(weights / weights.sum(-1, keepdims=True))


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """The temperature T for which softmax(logits / T) has the least negative log likelihood, within [0.01, 100].

    Fit it on data that were not trained on. A model that is always right there wants T = 0 and gets 0.01; one whose
    logits tell nothing gets 100, and one whose logits are all equal 1. Newton's method in log T, kept inside a
    bracket, finds the only minimum: the likelihood is convex in 1 / T.

    Raises:
        DataError: no label is known, or a value is not finite.

    Source: Guo et al. 2017, arXiv:1706.04599, section 4.2.
    """
    values, codes = _rows("fit_temperature", logits, labels)
    known = codes >= 0
    if not known.any():
        raise DataError("fit_temperature: expected at least one known label, got none; give labelled data.")
    values, codes = values[known] - values[known].max(1, keepdims=True), codes[known]
    own = values[np.arange(len(codes)), codes].mean()
    low, high = -math.log(HOTTEST), -math.log(COLDEST)
    if _slope(values, own, high)[0] <= 0:
        return COLDEST if _slope(values, own, low)[0] < 0 else 1.0
    if _slope(values, own, low)[0] >= 0:
        return HOTTEST
    at = 0.0
    for _ in range(STEPS):
        slope, rise = _slope(values, own, at)
        low, high = (low, at) if slope > 0 else (at, high)
        new = at - slope / rise if rise > 0 else math.inf
        if not low < new < high:
            new = (low + high) / 2
        if abs(new - at) < 1e-12:
            break
        at = new
    return math.exp(-at)


def reliability(probabilities: ArrayLike, labels: ArrayLike, *, bins: int = 15, equal: str = "width") -> Reliability:
    """Bins of the highest probability of each row.

    bins: how many. equal: "width" cuts [0, 1] into equal parts (Guo et al. 2017); "mass" puts as equal a number of
    rows into each as ties allow, which suits models that are nearly always sure.
    """
    check_size("reliability", "bins", bins)
    check_choice("reliability", "equal", equal, ("width", "mass"))
    values, codes = _probabilities("reliability", probabilities, labels)
    confidence, right = values.max(1), values.argmax(1) == codes
    edges = np.linspace(0, 1, bins + 1)
    if equal == "mass":
        edges = np.quantile(confidence, edges, method="inverted_cdf")
    place = np.searchsorted(edges[1:-1], confidence, side="left")
    count = np.bincount(place, minlength=bins)
    held = count > 0
    sums = [np.bincount(place, weights=column, minlength=bins)[held] for column in (confidence, right)]
    means = [column / count[held] for column in sums]
    return Reliability(edges[:-1][held], edges[1:][held], means[0], means[1], count[held].astype(np.int64))


def expected_calibration_error(
    probabilities: ArrayLike, labels: ArrayLike, *, bins: int = 15, equal: str = "width"
) -> float:
    """Mean distance between how sure the model is and how often it is right, in [0, 1]; the bins are `reliability`'s.

    Source: Naeini et al. 2015; with 15 bins of equal width as in Guo et al. 2017, arXiv:1706.04599, eq. 3.
    """
    return reliability(probabilities, labels, bins=bins, equal=equal).error


def brier(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean over rows of sum_k (p_k - [k is the label])^2, in [0, 2]; lower is better.

    Source: Brier 1950, the form for several classes: for two classes it is twice the form of one probability.
    """
    values, codes = _probabilities("brier", probabilities, labels)
    known = codes >= 0
    own = values[np.arange(len(codes)), np.where(known, codes, 0)] * known
    return float((np.square(values).sum(1) - 2 * own + 1).mean())


def _slope(values: Array, own: np.float64, at: float) -> tuple[float, float]:
    """Derivative of the mean negative log likelihood by b = 1 / T at b = exp(at), and how that rises with `at`."""
    inverse = math.exp(at)
    weights = np.exp(inverse * values)
    weights /= weights.sum(1, keepdims=True)
    mean = (weights * values).sum(1)
    spread = (weights * np.square(values - mean[:, None])).sum(1)
    return float(mean.mean() - own), float(inverse * spread.mean())


def _rows(name: str, values: ArrayLike, labels: ArrayLike) -> tuple[Array, NDArray[np.int64]]:
    """(rows, K) and (rows,)."""
    table, codes = np.asarray(values, np.float64), np.asarray(labels)
    if table.ndim < 2 or table.shape[:-1] != codes.shape or not codes.size:
        raise DataError(
            f"{name}: expected rows (..., classes) and a label for each, got {table.shape} and {codes.shape}."
        )
    table, codes = table.reshape(-1, table.shape[-1]), codes.reshape(-1)
    if not np.isfinite(table).all():
        raise DataError(f"{name}: expected finite values, got {int((~np.isfinite(table)).sum())} that are not.")
    if codes.dtype.kind not in "iu" or codes.min() < -1 or codes.max() >= table.shape[1]:
        raise DataError(f"{name}: expected integer labels from -1 to {table.shape[1] - 1}, got {_shown(codes)}.")
    return table, codes.astype(np.int64)


def _probabilities(name: str, values: ArrayLike, labels: ArrayLike) -> tuple[Array, NDArray[np.int64]]:
    table, codes = _rows(name, values, labels)
    if table.min() < 0 or np.abs(table.sum(1) - 1).max() > 1e-3:
        raise DataError(
            f"{name}: expected probabilities that add up to 1 in each row, got {table[_worst(table)].tolist()[:6]}; "
            "make them of logits with probabilities()."
        )
    return table, codes


def _worst(table: Array) -> int:
    return int(np.argmax(np.where(table.min(1) < 0, np.inf, np.abs(table.sum(1) - 1))))


def _shown(codes: np.ndarray) -> str:
    return f"{codes.dtype}" if codes.dtype.kind not in "iu" else f"{codes.min()} to {codes.max()}"
