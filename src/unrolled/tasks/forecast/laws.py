"""The laws of the house, tried on a fitted forecaster with the data it keeps."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unrolled.data.panel.arrays import PanelFields
from unrolled.data.panel.build import extend_panel
from unrolled.data.panel.panel import Panel
from unrolled.data.panel.windows import WindowBatch
from unrolled.model import Law
from unrolled.tasks.forecast.channels import forecast
from unrolled.tasks.laws import reloaded
from unrolled.testing.book import difference, loss_and_gradients, padding_law, worst

if TYPE_CHECKING:
    from unrolled.tasks.forecast import Forecaster

__all__ = ["forecast_laws"]

# Series that the laws are tried on, and rows at the end of each that play the future.
SERIES = 4
# Networks run in float64 here, so forecasts agree up to the rounding of sums in another order.
CLOSE = 1e-8


def forecast_laws(model: Forecaster) -> list[Law]:
    """Padding, batch, round trip and leak on this model's own data."""
    laws = [
        Law(
            "padding",
            "what stands under a missing value reaches no loss and no gradient",
            lambda: _padding(model),
            CLOSE,
        ),
        Law("batch", "a series forecast alone equals the series among others", lambda: _batch(model), CLOSE),
        Law("round trip of values", "decode(encode(v)) = v for the target", lambda: _values(model), 1e-10),
        Law("round trip of the model", "load(save(model)) forecasts bit for bit the same", lambda: _saved(model), 0.0),
        Law(
            "leak into the fields",
            "what lies after the cut-off changes no scaler and no vocabulary",
            lambda: _fields(model),
            0.0,
        ),
    ]
    # Series that are no longer than one horizon have no known future to replace.
    if (_panel(model).lengths > model.options.horizon).all():
        claim = "what lies after the cut-off changes no forecast"
        laws.append(Law("leak into the forecast", claim, lambda: _leak(model), 0.0))
    return laws


def _panel(model: Forecaster) -> Panel:
    tail = model.state.tail
    return tail.select(np.arange(min(SERIES, len(tail.ids))))


def _cuts(model: Forecaster, panel: Panel) -> np.ndarray:
    """(S, 1): a horizon before the end, where the future is known."""
    return np.asarray(np.maximum(panel.lengths - model.options.horizon, 1)[:, None])


def _exact(model: Forecaster) -> Any:
    return copy.deepcopy(model.fitted()).cpu().double().eval()


def _window_batch(model: Forecaster, panel: Panel) -> WindowBatch:
    panel = panel if (panel.lengths > model.options.horizon).all() else _longer(model, panel)
    windows = model.state.windows(panel, _cuts(model, panel))
    batch = windows.batch(np.arange(len(windows)))
    return WindowBatch(*(part.double() if part.is_floating_point() else part for part in batch))


def _longer(model: Forecaster, panel: Panel) -> Panel:
    return extend_panel(replace(panel, columns=replace(panel.columns, future=())), model.options.horizon)


def _padding(model: Forecaster) -> float:
    batch = _window_batch(model, _panel(model))
    generator = torch.Generator().manual_seed(0)
    mask = (torch.rand(batch.target.shape, generator=generator) > 0.3).to(batch.target.dtype) * batch.target_mask
    past_mask = (torch.rand(batch.past.shape, generator=generator) > 0.3).to(batch.past.dtype) * batch.past_mask
    clean = batch._replace(
        target=torch.where(mask > 0, batch.target, 0), target_mask=mask,
        past=torch.where(past_mask > 0, batch.past, 0), past_mask=past_mask,
    )  # fmt: skip
    dirty = clean._replace(
        target=torch.where(mask > 0, batch.target, torch.nan), past=torch.where(past_mask > 0, batch.past, torch.nan)
    )
    return worst(padding_law(lambda batch: loss_and_gradients(_exact(model), batch), clean, [("NaN", dirty)]))


def _batch(model: Forecaster) -> float:
    batch, net = _window_batch(model, _panel(model)), _exact(model)
    levels = model.options.quantiles
    whole = net.predict(batch, levels, samples=8)
    worst = 0.0
    for row in range(len(batch.cut)):
        alone = net.predict(WindowBatch(*(part[row : row + 1] for part in batch)), levels, samples=8)
        worst = max(worst, difference(alone.quantiles, whole.quantiles[row : row + 1]))
    return worst


def _values(model: Forecaster) -> float:
    panel, target = _panel(model), model.state.fields.target
    owner = np.repeat(np.arange(len(panel.ids)), panel.lengths)
    known = ~np.isnan(panel.target)
    back = target.decode(target.encode(panel.target, owner), owner)
    return difference(torch.from_numpy(back[known]), torch.from_numpy(panel.target[known]))


def _saved(model: Forecaster) -> float:
    panel = _panel(model)
    return difference(*(torch.from_numpy(_forecast(m, panel)) for m in (reloaded(model), model)))


def _leak(model: Forecaster) -> float:
    """Everything after the cut-off is replaced, but for what the user says is known in the future."""
    panel = _panel(model)
    late = np.arange(len(panel.time)) - np.repeat(panel.offsets[:-1], panel.lengths) >= np.repeat(
        _cuts(model, panel)[:, 0], panel.lengths
    )
    spoiled = replace(
        panel, target=np.where(late[:, None], 1e6, panel.target), past=np.where(late[:, None], -1e6, panel.past),
        past_text={name: replace(text, codes=np.where(late, 0, text.codes)) for name, text in panel.past_text.items()},
    )  # fmt: skip
    return difference(*(torch.from_numpy(_forecast(model, each)) for each in (spoiled, panel)))


def _fields(model: Forecaster) -> float:
    panel = _panel(model)
    ends = np.maximum(panel.lengths // 2, 1)
    late = np.arange(len(panel.time)) - np.repeat(panel.offsets[:-1], panel.lengths) >= np.repeat(ends, panel.lengths)
    spoiled = replace(
        panel, target=np.where(late[:, None], 1e6, panel.target), past=np.where(late[:, None], -1e6, panel.past),
        future=np.where(late[:, None], 1e6, panel.future),
        past_text={name: replace(text, values=(*text.values, "new"), codes=np.where(late, len(text.values), text.codes))
                   for name, text in panel.past_text.items()},
    )  # fmt: skip
    scaling = model.state.fields.target.scaling
    fitted = [PanelFields.fit(each, ends, scaling=scaling).to_json() for each in (spoiled, panel)]
    return 0.0 if fitted[0] == fitted[1] else float("inf")


def _forecast(model: Forecaster, panel: Panel) -> np.ndarray:
    cuts = _cuts(model, panel)
    panel = panel if (panel.lengths > model.options.horizon).all() else _longer(model, panel)
    windows = model.state.windows(panel, cuts, cuts[:, 0])
    return forecast(model.fitted(), windows, model.options.quantiles, samples=16, seed=0).quantiles
