"""The live form of ink: steps of points while they are drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from unrolled.errors import DataError
from unrolled.fields.ink.steps import Form, Pen, placed

__all__ = ["InkFront"]


class InkFront:
    """Steps of the points of a drawing while they come: any split of them gives the steps of `Ink.encode` of the whole.

    `Ink.front()` makes it. A step comes when it is known whether the pen leaves the paper after its point: with the
    next point, with the mark of the last one, or at the end of the drawing.
    """

    def __init__(self, form: Form, size: float) -> None:
        self._form, self._size = form, size
        self._begin()

    def _begin(self) -> None:
        self._pen = Pen(self._form)
        self._origin: np.ndarray | None = None
        self._columns, self._clock = 0, -np.inf

    def push(self, points: ArrayLike) -> np.ndarray:
        """The steps (M, width) float32 that the next points lead to.

        Args:
            points: (N, 3), x, y and 1 where the pen leaves the paper after the point, else 0; or (N, 4) with the
                seconds before that mark, as the feature of speed needs them. N may be 0.

        Raises:
            DataError: points of another form; nothing of them is taken then.
        """
        values = self._checked(points)
        if not len(values):
            return np.zeros((0, self._form.width), np.float32)
        origin = values[0, :2] if self._origin is None else self._origin
        at = np.zeros((len(values), 3))
        at[:, :2] = placed(values[:, :2], origin, self._size)
        if values.shape[1] == 4:
            at[:, 2] = values[:, 2]
        steps = self._pen.take(at, values[:, -1] == 1)
        self._origin, self._columns, self._clock = origin, values.shape[1], at[-1, 2]
        return steps

    def flush(self) -> np.ndarray:
        """The last steps of a drawing whose last stroke is still open, none where it is not; the next one may begin."""
        steps = self._pen.finish()
        self._begin()
        return steps

    def _checked(self, points: ArrayLike) -> np.ndarray:
        try:
            values = np.array(points, np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"InkFront: expected points of numbers ({error}): give x, y[, seconds] and 0 or 1."
            ) from error
        if not values.size:
            return np.zeros((0, 3))
        wanted = (self._columns,) if self._columns else (4,) if self._form.pace is not None else (3, 4)
        if values.ndim != 2 or values.shape[1] not in wanted:
            columns = " or ".join(map(str, wanted))
            raise DataError(
                f"InkFront: expected points as (points, {columns}), x, y[, seconds] and pen up, got {values.shape}: "
                "give every point the same columns."
            )
        if not np.isfinite(values).all() or not np.isin(values[:, -1], (0, 1)).all():
            row = int(np.argmax(~np.isfinite(values).all(1) | ~np.isin(values[:, -1], (0, 1))))
            raise DataError(
                f"InkFront: expected finite numbers, the last of them 0 or 1, got {values[row].tolist()} as point "
                f"{row} of the piece: correct or leave out that point."
            )
        clock = np.concatenate([[self._clock], values[:, 2]])
        if values.shape[1] == 4 and (clock[1:] < clock[:-1]).any():
            raise DataError("InkFront: expected a clock that never runs back, got one that does: hold it before.")
        return values
