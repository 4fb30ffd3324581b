"""The laws of the house, tried on a fitted detector with rows that its fields make up."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unrolled.data.batch.stream import Stretch
from unrolled.model import Law
from unrolled.tasks.anomaly.follow import read_and_wanted
from unrolled.tasks.laws import reloaded
from unrolled.testing.book import difference, loss_and_gradients, padding_law, worst

if TYPE_CHECKING:
    from unrolled.tasks.anomaly.detector import AnomalyDetector

__all__ = ["detector_laws"]

ROWS, PIECES = 60, (1, 7, 8, 30)
# Networks run in float64 here, so that values agree up to the rounding of sums in another order.
CLOSE = 1e-8
HOUR = np.timedelta64(3600 * 10**9, "ns")


def detector_laws(model: AnomalyDetector) -> list[Law]:
    """Padding, batch, pieces, round trip and leak on made-up rows."""
    return [
        Law("padding", "what stands in the padding reaches no loss and no gradient", lambda: _padding(model), CLOSE),
        Law("batch", "rows alone have the loss of the batch", lambda: _batch(model), CLOSE),
        Law("pieces", "a series in pieces is scored as the whole", lambda: _pieces(model), CLOSE),
        Law("round trip of the model", "load(save(model)) scores bit for bit the same", lambda: _saved(model), 0.0),
        Law("leak", "later rows change no score", lambda: _leak(model), CLOSE),
    ]


def _exact(model: AnomalyDetector) -> Any:
    return copy.deepcopy(model.network).cpu().double().eval()


def _rows(model: AnomalyDetector, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Values (T, D) around what the first series holds, some missing, and their clocks."""
    random = np.random.default_rng(seed)
    scale = model.state.fields.scale(model.state.fields.ids[0])
    values = scale.center + scale.spread * random.normal(size=(ROWS, len(scale.center)))
    clocks = np.datetime64("2024-03-01", "ns") + np.arange(ROWS) * HOUR
    return np.where(random.random(values.shape) < 0.1, np.nan, values), clocks


def _judged(
    model: AnomalyDetector, net: Any, cuts: tuple[int, ...], rows: tuple[np.ndarray, np.ndarray], *, new: bool = False
) -> Any:
    """Scores and excess of the rows, pushed in pieces; new: as those of a series that the fit has not met."""
    learned = model.state
    follower = (
        learned.newcomer(net, model.options) if new else learned.follower(net, model.options, learned.fields.ids[0])
    )
    parts = [follower.push(*piece) for piece in zip(*(np.split(each, cuts) for each in rows), strict=True)]
    return tuple(torch.from_numpy(np.concatenate(column)) for column in zip(*parts, strict=True))


def _batch_of(model: AnomalyDetector) -> Stretch:
    fields, found = model.state.fields, []
    for seed in range(3):
        values, clocks = _rows(model, seed)
        scale = fields.scale(fields.ids[0])
        encoded, _ = fields.encode(scale, values, clocks, fields.begin())
        found.append(read_and_wanted(model.network, encoded))
    x, target = (torch.from_numpy(np.stack(part)).double() for part in zip(*found, strict=True))
    return Stretch(x, target, torch.tensor([ROWS, 3, ROWS // 2]))


def _padding(model: AnomalyDetector) -> float:
    clean = _batch_of(model)
    valid = torch.arange(ROWS) < clean.lengths[:, None]
    dirty = {name: torch.where(valid[..., None], getattr(clean, name), torch.inf) for name in ("x", "target")}
    spoilt = [("rubbish", clean._replace(**dirty))]
    return worst(padding_law(lambda batch: loss_and_gradients(_exact(model), batch), clean, spoilt))


@torch.no_grad()
def _batch(model: AnomalyDetector) -> float:
    net, batch = _exact(model), _batch_of(model)
    whole = net.loss(batch)[0]
    alone = sum(net.loss(Stretch(*(part[i : i + 1] for part in batch[:3])))[0] for i in range(len(batch.x)))
    return difference(alone, whole)


def _pieces(model: AnomalyDetector) -> float:
    net, rows = _exact(model), _rows(model)
    kinds = [[_judged(model, net, cuts, rows, new=new) for cuts in (PIECES, ())] for new in (False, True)]
    return max(difference(*pair) for pair in kinds)


def _saved(model: AnomalyDetector) -> float:
    other, rows = reloaded(model), _rows(model)
    here = copy.deepcopy(model.network).cpu().eval()
    return difference(_judged(other, other.network, (), rows), _judged(model, here, (), rows))


def _leak(model: AnomalyDetector) -> float:
    net, rows = _exact(model), _rows(model)
    later = (np.where(np.arange(ROWS)[:, None] < 40, rows[0], rows[0] + 7), rows[1])
    kinds = [
        [tuple(part[:40] for part in _judged(model, net, (), each, new=new)) for each in (later, rows)]
        for new in (False, True)
    ]
    return max(difference(*pair) for pair in kinds)
