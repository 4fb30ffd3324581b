"""The laws of the house, tried on a fitted sequence task with inputs that its own fields make up."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from unrolled.data.batch.examples import CodeColumn, Examples
from unrolled.model import Law, Model, load
from unrolled.padding import Padded, valid_mask
from unrolled.state import map_state
from unrolled.testing.book import difference, loss_and_gradients, padding_law, worst

if TYPE_CHECKING:
    from unrolled.tasks.frame import SequenceTask

    AnyTask = SequenceTask[Any, Any]

__all__ = ["generators", "reloaded", "sequence_laws"]

M = TypeVar("M", bound=Model)

ROWS = 8
# Steps of padding that even the longest row gets.
MORE = 2
# Networks run in float64 here, so losses agree up to the rounding of sums in another order.
CLOSE = 1e-9


def sequence_laws(model: AnyTask) -> list[Law]:
    """Padding, batch, round trip and leak on made-up rows."""
    laws = [
        Law("padding", "what stands in the padding reaches no loss and no gradient", lambda: _padding(model), CLOSE),
        Law("round trip of the fields", "a field read back from its JSON is the same", lambda: _fields(model), 0.0),
        Law("round trip of the model", "load(save(model)) has the same loss, bit for bit", lambda: _saved(model), 0.0),
        Law("leak", "rows that are not learned from change no field", lambda: _leak(model), 0.0),
    ]
    if not _data(model).carries_state:
        laws.insert(1, Law("batch", "rows alone have the loss of the batch", lambda: _batch(model), CLOSE))
    return laws


def generators(seed: int, rows: int) -> list[np.random.Generator]:
    """One for each made-up row; the seed changes the second half of them alone."""
    return [np.random.default_rng([seed if i >= rows // 2 else 0, i]) for i in range(rows)]


def _data(model: AnyTask) -> Any:
    return model.make_data(model.made_up(0, ROWS), np.arange(ROWS))


def _whole(model: AnyTask) -> Any:
    data = _data(model)
    return data.batch(np.arange(min(ROWS, len(data))))


def _exact(model: AnyTask) -> Any:
    return copy.deepcopy(model.fitted()).cpu().double().eval()


def _doubled(batch: Any) -> Any:
    return map_state(lambda leaf: leaf.double() if leaf.is_floating_point() else leaf, batch)


def _padding(model: AnyTask) -> float:
    clean = _doubled(_whole(model))
    spoilt = [("rubbish", _spoiled(clean, _once_a_row(_data(model))))]
    return worst(padding_law(lambda batch: loss_and_gradients(_exact(model), batch), clean, spoilt))


def _once_a_row(data: Any) -> set[int]:
    """Which parts of a batch stand once a row, though they may be several numbers."""
    parts = data.parts if isinstance(data, Examples) else ()
    return {place for place, part in enumerate(parts) if isinstance(part, CodeColumn)}


def _spoiled(batch: Any, once: set[int]) -> Any:
    """The batch with some steps more, and rubbish in the padding of everything that has steps."""
    if "lengths" in batch._fields:
        lengths = batch.lengths
    else:
        lengths = next(part.lengths for part in batch if isinstance(part, Padded))
    parts: list[Any] = []
    for place, part in enumerate(batch):
        if isinstance(part, Padded):
            parts.append(_dirty_words(part))
        else:
            single = part is None or place in once or part.ndim < 2
            parts.append(part if single else _dirty(part, lengths))
    return type(batch)(*parts)


def _dirty_words(x: Padded) -> Padded:
    forms = None if x.forms is None or x.spellings is None else _dirty(x.forms, x.lengths, len(x.spellings) - 1)
    return x._replace(values=_dirty(x.values, x.lengths), forms=forms)


def _dirty(values: Tensor, lengths: Tensor, rubbish: int = 1) -> Tensor:
    """(batch, time, ...) as (batch, time + `MORE`, ...): NaN where there is no valid step, or in codes a valid code."""
    shape = (values.shape[0], values.shape[1] + MORE, *values.shape[2:])
    dirty = values.new_full(shape, torch.nan if values.is_floating_point() else rubbish)
    valid = valid_mask(lengths, values.shape[1])
    dirty[:, : values.shape[1]][valid] = values[valid]
    return dirty


@torch.no_grad()
def _batch(model: AnyTask) -> float:
    net, data = _exact(model), _data(model)
    whole = net.loss(_doubled(data.batch(np.arange(ROWS))), None)[:2]
    alone = [net.loss(_doubled(data.batch(np.array([row]))), None)[:2] for row in range(ROWS)]
    sums = tuple(torch.stack([torch.as_tensor(part[i]).double() for part in alone]).sum() for i in range(2))
    return difference(sums, tuple(torch.as_tensor(part).double() for part in whole))


def _fields(model: AnyTask) -> float:
    same = all(type(field).from_json(field.to_json()).to_json() == field.to_json() for field in model.fields.values())
    return 0.0 if same else float("inf")


@torch.no_grad()
def _saved(model: AnyTask) -> float:
    nets: list[Any] = [reloaded(model).fitted(), copy.deepcopy(model.fitted()).cpu().eval()]
    batch = _whole(model)
    return difference(*(net.loss(batch, None)[0] for net in nets))


def reloaded(model: M) -> M:
    """The model, written to a file and read again."""
    with tempfile.TemporaryDirectory() as folder:
        return cast(M, load(model.save(Path(folder) / "model.unrolled")))


def _leak(model: AnyTask) -> float:
    # A file of vectors adds the same words whatever is learned from, and may be gone.
    twin = copy.copy(model)
    if "vectors" in model.options.meanings():
        twin.options = model.options.replaced(vectors=None)
    rows = np.arange(ROWS // 2)
    fitted = [twin.make_fields(model.made_up(seed, ROWS), rows) for seed in (1, 2)]
    plain = [{name: field.to_json() for name, field in fields.items()} for fields in fitted]
    return 0.0 if plain[0] == plain[1] else float("inf")
