"""Forecasting: from a table of one or many series to what comes next, with bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from unrolled.data.panel.build import extend_panel
from unrolled.data.panel.panel import Ends, Panel
from unrolled.errors import DataError, OptionError, listed
from unrolled.model import Law
from unrolled.score.forecast import seasonal_error
from unrolled.tasks.forecast.channels import Channels, forecast
from unrolled.tasks.forecast.constant import held_values
from unrolled.tasks.forecast.fit import Prepared, make_plan, prepare, seasonal
from unrolled.tasks.forecast.fitted import Fitted, build_net
from unrolled.tasks.forecast.laws import forecast_laws
from unrolled.tasks.forecast.options import ForecasterOptions
from unrolled.tasks.forecast.prediction import Prediction, prediction
from unrolled.tasks.forecast.reading import Names, Reading, merge
from unrolled.tasks.forecast.report import Report, compare
from unrolled.tasks.forecast.windows import every
from unrolled.tasks.frame import Task, ready
from unrolled.train import Callback
from unrolled.train.stages import Stage, Training, learn

__all__ = ["Forecaster"]


class Forecaster(Task):
    """Learns from past values (and covariates) of one or many series what the next `horizon` values will be.

    horizon: steps ahead. options: any of `ForecasterOptions` and `unrolled.train.TrainOptions` by name, for instance
    cell="lstm", levels=(80, 95), decoder="autoregressive", hidden_size=128, max_minutes=5. What is left out is chosen
    from the data by `fit`.

    Raises `OptionError` for an unknown option (with the nearest known one) or a bad value.
    """

    task = "forecast"
    options_kind = ForecasterOptions
    options: ForecasterOptions

    def __init__(self, horizon: int, **options: object) -> None:
        super().__init__(horizon=horizon, **options)
        self.panel: Panel | None = None
        self.scores: Report | None = None
        self._fitted: Fitted | None = None

    def fit(
        self, source: object, *, time: str | None = None, target: Names = None, id: str | None = None,
        future: Names = (), past: Names = (), static: Names = (), step: str | None = None, resample: str | None = None,
        day_first: bool | None = None, valid: int | float | None = None, test: int | float | None = 0,
        refit: bool = True, run: str | Path | None = None, progress: bool = False, resume: bool = False,
        callbacks: Sequence[Callback] = (),
    ) -> Self:  # fmt: skip
        """Learn from a table: CSV, TSV, Parquet, a pandas, polars or Arrow table, or a dict of columns.

        The last rows of each series are held out to find out when to stop; then, with `refit`, the model is trained
        again on all rows for as long as was best. With `test`, the rows at the very end are kept out of both the
        training and the stopping of the first model, which is scored on them beside the baselines: see `scores`.

        Args:
            source: the table, in long format if it holds several series.
            time, target, id: its columns; seen from the table where only one choice makes sense.
            future, past, static: covariates known in advance, known only up to now, and constant in each series.
            step, resample: the time step ("h", "D", "MS", ...), and how rows within one join ("mean", "sum", ...).
            day_first: whether 01/02/2012 is in February; None: seen from the column, or refused where it cannot be.
            valid: rows (int) or part (float) of each series that decide when to stop; None: about a tenth, 0: none.
            test: rows or part of each series, after those, to score by; None: about a fifth, whole horizons.
            refit: train the model to keep on all rows.
            run: a folder for checkpoints, metrics and the model so far; None writes nothing.
            progress: a bar on a terminal.
            resume: go on from the last checkpoint in `run`.
            callbacks: called with every `unrolled.train.Event`.

        Returns:
            The forecaster itself.

        Raises:
            DataError, OptionError: the table or an option cannot be used, in one sentence.
            TrainingError, SaveError: training broke down, or a file could not be written.
        """
        reading = Reading(time, target, id, future, past, static, step, resample, day_first)
        panel = reading.panel(source)
        training = Training(None if run is None else Path(run), progress, resume, tuple(callbacks))
        with self.attempt():
            self._train(panel, resample, valid, test, refit, training)
        return self

    def _train(
        self,
        panel: Panel,
        resample: str | None,
        valid: int | float | None,
        test: int | float | None,
        refit: bool,
        training: Training,
    ) -> None:
        """Find out when to stop, score on the test rows, train on all rows."""
        self.panel, self.scores = panel, None
        plan = make_plan(panel, self.options, valid, test)
        self.understood = (*panel.remarks, *seasonal(panel, plan.season))
        ends = plan.ends

        def search() -> Stage:
            return self._stage(prepare(panel, self.options, plan, ends.train, ends.valid, resample))

        def whole(found: Stage) -> Stage:
            # Its steps are counted in batches of the first stage.
            everything = prepare(panel, self.options, plan, ends.test, ends.test, resample)
            return self._stage(replace(everything, options=found.options))

        self.history = learn(
            search,
            whole if refit and bool((ends.test > ends.train).any()) else None,
            training,
            between=lambda: self._score_held(panel, ends),
            save=self.save,
        )

    def _score_held(self, panel: Panel, ends: Ends) -> None:
        """Score the model on the test rows, if there are any."""
        if (ends.test > ends.valid).any():
            cuts = every(ends.valid, ends.test - self.options.horizon, self.options.horizon)
            basis = "the rows held out at the end, the model trained on those before them"
            self.scores = self._report(panel, cuts, ends.valid, basis)

    def predict(self, source: object = None, *, future: object = None) -> Prediction:
        """Forecast the `horizon` steps after the end of the training data, or of another history.

        Args:
            source: a table with the columns of the training data whose end is forecast; None: the training data's.
            future: a table with the time (and id) and the covariates known in the future, for the horizon.

        Raises:
            DataError: a column, or a date of the future covariates, is missing.
        """
        extended, channels = self.extended(source, future)
        return prediction(extended, channels, self.options.chosen_levels)

    def extended(self, source: object = None, future: object = None) -> tuple[Panel, Channels]:
        """The history with the horizon after it, and the forecasts for its last rows."""
        fitted = self.state
        panel = fitted.tail if source is None else fitted.read(source)
        if fitted.columns.future and future is None and panel.ahead is None:
            names = listed(fitted.columns.future)
            raise DataError(
                f"predict: expected the covariates known in the future ({names}), but got none: "
                f"pass future= (--future), a table with {fitted.columns.time!r} and them for each step ahead."
            )
        extended = extend_panel(panel, self.options.horizon, future)
        cuts = extended.lengths - self.options.horizon
        return extended, self._channels(extended, cuts[:, None], None)

    def evaluate(self, source: object, *, stride: int | None = None) -> Report:
        """Score the model on a table: forecasts of its rows that come after the training data, `stride` rows apart.

        The table may hold those rows alone (the model remembers what came before), or the history as well. Where all of
        it lies inside the training data, all of it is scored and the report says so.

        Raises:
            DataError: there are fewer new rows than one horizon.
        """
        fitted, horizon = self.state, self.options.horizon
        panel = merge(fitted.tail, fitted.read(source))
        first, basis = _new_rows(panel, fitted, horizon)
        cuts = every(first, panel.lengths - horizon, horizon if stride is None else stride)
        return self._report(panel, cuts, first, basis)

    def backtest(
        self, source: object = None, *, windows: int = 8, stride: int | None = None, refit: bool = True,
        progress: bool = False, time: str | None = None, target: Names = None, id: str | None = None,
        future: Names = (), past: Names = (), static: Names = (), step: str | None = None, resample: str | None = None,
        day_first: bool | None = None,
    ) -> Report:  # fmt: skip
        """Score on rolling origins: the last `windows` forecasts of each series, `stride` (the horizon) rows apart.

        A copy of the model is fitted on the rows before the first origin alone and makes all the forecasts, each from
        the rows before its own origin; so no forecast has seen what it forecasts.

        Args:
            source: a table; None: the training data (after `load`, give them again).
            windows, stride: origins of each series, and rows between them.
            refit: False scores this model as it is; the report then says what it was trained on.
            progress: a bar on a terminal.
            time, target, ...: the columns, as in `fit`; left out they are those of the fit.

        Raises:
            DataError: a series is too short for that many windows.
        """
        given = Reading(time, target, id, future, past, static, step, resample, day_first)
        panel = self._history(source, given)
        stride = self.options.horizon if stride is None else stride
        cuts = self._origins(panel, windows, stride)
        if not refit:
            end = "the model as it was fitted; windows inside its training rows count as seen"
            return self._report(panel, cuts, cuts[:, 0], end)
        model = Forecaster(**self.options.to_json())
        model._train(panel.head(cuts[:, 0]), resample, None, 0, True, Training(progress=progress))
        return model._report(
            panel, cuts, cuts[:, 0], "rolling origin, the model fitted on the rows before the first origin"
        )

    def _origins(self, panel: Panel, windows: int, stride: int) -> np.ndarray:
        """The last `windows` cuts of each series, (S, windows), with rows to learn from before them."""
        if windows < 1 or stride < 1:
            raise OptionError(f"backtest: windows and stride must be at least 1, got {windows} and {stride}.")
        cuts = panel.lengths[:, None] - self.options.horizon - stride * np.arange(windows)[::-1]
        short = np.flatnonzero(cuts[:, 0] < self.options.horizon + 2)
        if len(short):
            i = int(short[0])
            raise DataError(
                f"backtest: series {panel.ids[i]!r} has {panel.lengths[i]} rows, too few to learn from before "
                f"{windows} windows of {self.options.horizon} steps; ask for fewer windows."
            )
        return np.asarray(cuts)

    def plot(self, path: str | Path, source: object = None, *, future: object = None) -> Path:
        """Write a picture of the history, the forecast and its bands (needs matplotlib, extra `report`)."""
        from unrolled.inspect.forecast import draw_forecast
        from unrolled.tasks.forecast.picture import pictures

        extended, channels = self.extended(source, future)
        return draw_forecast(pictures(extended, channels, self.options.chosen_levels, self.state.season), path)

    @property
    def state(self) -> Fitted:
        """What the fit found out. Raises `OptionError` before the fit."""
        self.fitted()
        assert self._fitted is not None
        return self._fitted

    def _stage(self, prepared: Prepared) -> Stage:
        """Take over what a stage is fitted to, with a fresh network made for it."""
        self._fitted = prepared.fitted
        net = self.net = ready(build_net, self.options.seed, prepared.fitted)
        return Stage(net, prepared.train, len(prepared.train), prepared.options, prepared.valid)

    def pack(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        content, arrays = self.state.to_parts()
        content["options"] = self.options.to_json()
        content["scores"] = None if self.scores is None else self.scores.to_json()
        return content, {name: torch.from_numpy(np.array(values)) for name, values in arrays.items()}

    @classmethod
    def unpack(cls, content: dict[str, Any], arrays: dict[str, Tensor]) -> Self:
        model = cls(**content["options"])
        model._fitted = Fitted.from_parts(content, {name: tensor.numpy() for name, tensor in arrays.items()})
        model.net = build_net(model._fitted)
        model.scores = None if content["scores"] is None else Report.from_json(content["scores"])
        return model

    def laws(self) -> Sequence[Law]:
        return forecast_laws(self)

    def _history(self, source: object, given: Reading) -> Panel:
        if source is not None:
            return given.panel(source) if self._fitted is None or given != Reading() else self._fitted.read(source)
        if self.panel is None:
            raise OptionError(
                "backtest: expected the history, but this model was loaded or not fitted; pass the table it is about."
            )
        return self.panel

    def _channels(self, panel: Panel, cuts: np.ndarray, ends: np.ndarray | None) -> Channels:
        windows = self.state.windows(panel, cuts, ends)
        options, fitted = self.options, self.state
        found = forecast(self.fitted(), windows, options.quantiles, samples=options.head.samples, seed=options.seed)
        if fitted.constants is None:
            return found
        trained = np.append(fitted.constants, np.full_like(fitted.constants[:1], np.nan), axis=0)
        held = held_values(panel, trained[fitted.known(panel.ids)], found.series, found.column, found.cut)
        exact = ~np.isnan(held)
        found.quantiles[exact] = held[exact, None, None]
        return found

    def _report(self, panel: Panel, cuts: np.ndarray, first: np.ndarray, basis: str) -> Report:
        """Score this model at `cuts` (S, n), -1 for none; series new to it are scaled by their rows before `first`."""
        fitted = self.state
        known = fitted.known(panel.ids)
        scales = np.stack(
            [
                fitted.scales[j]
                if j >= 0
                else seasonal_error(panel.target[panel.rows(i)][: int(first[i])], fitted.season)
                for i, j in enumerate(known)
            ]
        )
        channels = self._channels(panel, cuts, first)
        return compare(panel, channels, scales, fitted.season, self.options.chosen_levels, basis)


def _new_rows(panel: Panel, fitted: Fitted, horizon: int) -> tuple[np.ndarray, str]:
    """The first row to score of each series (S,), and what the model has seen of those rows."""
    known = fitted.known(panel.ids)
    time = panel.time.astype(np.int64)
    first = np.empty(len(panel.ids), np.int64)
    for i, j in enumerate(known):
        seen = int((time[panel.rows(i)] <= fitted.seen[j]).sum()) if j >= 0 else 0
        first[i] = max(seen, 1) if j >= 0 else max(1, min(fitted.net.lookback, panel.lengths[i] - horizon))
    new = panel.lengths - first
    if (new >= horizon).any():
        return first, "rows after the training data"
    if (new > 0).any():
        raise DataError(
            f"evaluate: expected at least {horizon} rows (one horizon) after the training data, got {int(new.max())}; "
            "give more."
        )
    first = np.clip(panel.lengths - horizon, 1, fitted.net.lookback)
    if (panel.lengths - first < horizon).all():
        raise DataError(f"evaluate: expected more than {horizon} rows, got {int(panel.lengths.max())}; give more.")
    return first, "rows the model was trained on, so expect worse on new ones"
