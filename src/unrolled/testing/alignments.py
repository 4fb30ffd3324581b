"""The laws of alignments: padding, batch, chunk, resume, round trip, for any module with a loss over padded batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from unrolled.padding import Padded, valid_mask, zero_padding
from unrolled.state import from_bytes, leaves, to_bytes
from unrolled.testing.book import gradients, padding_law
from unrolled.testing.proof import Proof

__all__ = ["ALIGNMENT_LAWS", "check_alignment"]

GARBAGE: Sequence[tuple[float, int]] = ((0.0, 0), (1e3, 1), (float("inf"), 10**6), (float("nan"), -7))
"""What the padding is filled with: numbers, and codes."""


class Batch(Protocol):
    """A NamedTuple of tensors."""

    def _asdict(self) -> dict[str, Padded | Tensor | None]: ...


B = TypeVar("B", bound=Batch)


class _Case(NamedTuple, Generic[B]):
    """The arguments of `check_alignment`."""

    make: Callable[[], nn.Module]
    batch: Callable[[], B]
    aligned: Callable[[B], Mapping[str, Tensor]]
    predict: Callable[[Any, B], Tensor | tuple[Tensor, ...]] | None
    carries: bool


def check_alignment(
    make: Callable[[], nn.Module],
    batch: Callable[[], B],
    *,
    aligned: Callable[[B], Mapping[str, Tensor]] = lambda batch: {},
    predict: Callable[[Any, B], Tensor | tuple[Tensor, ...]] | None = None,
    carries: bool = False,
    laws: Iterable[str] | None = None,
) -> None:
    """Prove all laws for the modules that `make` builds; raises LawBroken, which names the law, at the first broken.

    make: returns a fresh nn.Module with `loss(batch, state) -> (total, count, state)` at every call. It is run in
        float64 and in evaluation mode, its parameters moved by random numbers. Small widths keep it fast.
    batch: returns a batch, a NamedTuple, the same at every call. Its fields are `Padded`; a tensor `lengths` (batch,),
        the valid steps of the batch's own padded fields; or tensors (batch, ...), padded if `aligned` names them, one
        value a row if not; None is left alone. Give ragged rows, and one of length 0 where that is allowed.
    aligned: of a batch, the names of its padded tensors (batch, time, ...) with their lengths, as in
        `lambda batch: {"tags": batch.x.lengths}`.
    predict: of a module and a batch, what it predicts: a tensor or a tuple of them, rows first, then time if any. None
        where the loss is all there is. All of it must be finite.
    carries: True where a batch may be cut along time and its pieces given one after another with the state carried on.
    laws: names out of ALIGNMENT_LAWS; None means all of them.
    """
    case = _Case(make, batch, aligned, predict, carries)
    for name in ALIGNMENT_LAWS if laws is None else laws:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            ALIGNMENT_LAWS[name](case)


def _check_padding(case: _Case[B]) -> None:
    """What stands in the padding, NaN and codes of no vocabulary included, and how much of it, changes nothing."""
    bench = _Bench("padding", case)
    batch = _ready(case)
    time = _sizes(case, batch)[1]

    def run(given: B) -> dict[str, Tensor]:
        got = bench.outcome(given)
        for name, value in got.items():
            # A prediction for every step has some for the steps added.
            if name.startswith("prediction") and value.ndim > 1 and value.shape[1] > time:
                got[name] = value[:, :time]
        return got | bench.slopes(given)

    spoilt = (
        (f"padding of {number} and {code}, {more} steps more", _filled(case, batch, number, code, more))
        for number, code in GARBAGE
        for more in (0, 3)
    )
    bench.all_same(padding_law(run, batch, spoilt))


def _check_batch(case: _Case[B]) -> None:
    """Loss, count and gradients of a batch are the sums over its rows alone; each row's predictions are its own."""
    bench = _Bench("batch", case)
    batch = _ready(case)
    got = bench.outcome(batch)
    rows = _sizes(case, batch)[0]
    alone = [bench.outcome(_row(case, batch, row)) for row in range(rows)]
    for name, value in got.items():
        if not name.startswith("prediction"):
            bench.same("all rows alone", {name: value}, {name: torch.stack([one[name] for one in alone]).sum(0)})
            continue
        bench.require(value.shape[:1] == (rows,), f"{name} is {tuple(value.shape)}, expected {rows} rows")
        for row, one in enumerate(alone):
            part = value[row : row + 1]
            part = part[:, : one[name].shape[1]] if part.ndim > 1 else part
            bench.same(f"row {row} alone", {name: part}, {name: one[name]})


def _check_chunk(case: _Case[B]) -> None:
    """Pieces, the state carried on, give loss, gradients and state of the whole: no step sees what lies after it."""
    if not case.carries:
        return
    bench = _Bench("chunk", case)
    batch = _ready(case)
    expected = bench.carried([batch])
    time = _sizes(case, batch)[1]
    for cuts in ([time // 2, time - time // 2], [1, time - 2, 1], [1] * time):
        bench.same(f"pieces of {cuts} steps", bench.carried(_pieces(case, batch, cuts)), expected)


def _check_resume(case: _Case[B]) -> None:
    """Weights and carried state, written and read between two pieces, make another module go on as this one would."""
    if not case.carries:
        return
    bench = _Bench("resume", case)
    batch = _ready(case)
    time = _sizes(case, batch)[1]
    first, second = _pieces(case, batch, [time // 2, time - time // 2])
    with torch.no_grad():
        _, _, state = bench.module.loss(first, None)
        expected = bench.carried([second], state)
        data, other = to_bytes(state), bench.copy()
        bench.same("after a stop", other.carried([second], from_bytes(data, state)), expected)


def _check_round_trip(case: _Case[B]) -> None:
    """Another module that loads the weights has the same loss, gradients and predictions."""
    bench = _Bench("round trip", case)
    batch = _ready(case)
    bench.same("the copy", bench.copy().outcome(batch), bench.outcome(batch))


ALIGNMENT_LAWS: Mapping[str, Callable[[_Case[Any]], None]] = {
    "padding": _check_padding,
    "batch": _check_batch,
    "chunk": _check_chunk,
    "resume": _check_resume,
    "round trip": _check_round_trip,
}
"""The laws of an alignment by name, as `check_alignment` takes them."""


class _Bench(Generic[B]):
    """One law on one module: what it gives for a batch, by name, and the comparison of two such results."""

    def __init__(self, law: str, case: _Case[B]) -> None:
        self.law, self.case = law, case
        self.module: Any = case.make().double().eval()
        with torch.no_grad():
            for parameter in self.module.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.3)
        proof = Proof(law, lambda: self.module)
        proof.owner = type(self.module).__name__
        self.same, self.all_same, self.require = proof.same, proof.all_same, proof.require

    def copy(self) -> _Bench[B]:
        """Another module from `make` that has loaded the weights of this one."""
        other = _Bench(self.law, self.case)
        other.module.load_state_dict({name: value.clone() for name, value in self.module.state_dict().items()})
        return other

    def outcome(self, batch: B) -> dict[str, Tensor]:
        """Loss, count, gradients of the parameters, and predictions of a batch by itself."""
        found = {name: value for name, value in self.carried([batch]).items() if not name.startswith("final")}
        if self.case.predict is not None:
            with torch.no_grad():
                given = self.case.predict(self.module, batch)
            for i, prediction in enumerate(given if isinstance(given, tuple) else (given,)):
                found[f"prediction {i}"] = prediction
        return found

    def carried(self, pieces: Sequence[B], state: object = None) -> dict[str, Tensor]:
        """Loss, count, gradients and final state of batches that follow one another."""
        total, count = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
        for piece in pieces:
            loss, terms, state = self.module.loss(piece, state)
            total, count = total + loss, count + torch.as_tensor(terms)
        found = {"loss": total, "count": count} | gradients(total, dict(self.module.named_parameters()))
        return found | {f"final state leaf {i}": leaf for i, leaf in enumerate(leaves(state))}

    def slopes(self, batch: B) -> dict[str, Tensor]:
        """Gradients of the floating inputs, cut to the longest row; they must be zero in the padding."""
        inputs: dict[str, tuple[Tensor, Tensor]] = {}

        def note(values: Tensor, lengths: Tensor) -> Tensor:
            if values.requires_grad:
                inputs[f"input {len(inputs)}"] = (values, lengths)
            return values

        _mapped(self.case, batch, note)
        found = gradients(self.module.loss(batch, None)[0], {name: pair[0] for name, pair in inputs.items()})
        for name, (_, lengths) in inputs.items():
            gradient = found[f"gradient of {name}"]
            inside = zero_padding(gradient, lengths)
            self.require(torch.equal(gradient, inside), f"the gradient of {name} is not zero in the padding")
            found[f"gradient of {name}"] = inside[:, : int(lengths.max())]
        return found


def _mapped(
    case: _Case[B],
    batch: B,
    timed: Callable[[Tensor, Tensor], Tensor],
    counted: Callable[[Tensor], Tensor] = lambda lengths: lengths,
    single: Callable[[Tensor], Tensor] = lambda values: values,
) -> B:
    """The batch, its padded tensors, its lengths and what stands once a row each sent through a function."""
    aligned = case.aligned(batch)
    parts: dict[str, object] = {}
    for name, value in batch._asdict().items():
        if isinstance(value, Padded):
            forms = None if value.forms is None else timed(value.forms, value.lengths)
            parts[name] = Padded(timed(value.values, value.lengths), counted(value.lengths), forms, value.spellings)
        elif value is None:
            parts[name] = None
        elif name == "lengths":
            parts[name] = counted(value)
        else:
            parts[name] = timed(value, aligned[name]) if name in aligned else single(value)
    return type(batch)(**parts)


def _ready(case: _Case[B]) -> B:
    """The batch with its numbers in float64, those with padding ready for gradients."""

    def wide(values: Tensor) -> Tensor:
        return values.double() if values.dtype.is_floating_point else values

    return _mapped(case, case.batch(), lambda v, _: _leaf(wide(v)), single=wide)


def _leaf(values: Tensor) -> Tensor:
    return values.detach().clone().requires_grad_(values.dtype.is_floating_point)


def _filled(case: _Case[B], batch: B, number: float, code: int, more: int) -> B:
    """The batch with `more` steps of padding added and all of it filled."""

    def fill(values: Tensor, lengths: Tensor) -> Tensor:
        longer = pad(values.detach(), (0, 0) * (values.ndim - 2) + (0, more))
        valid = valid_mask(lengths, longer.shape[1])
        garbage = torch.tensor(number if values.dtype.is_floating_point else code).to(values.dtype)
        return _leaf(torch.where(valid.view(*valid.shape, *[1] * (values.ndim - 2)), longer, garbage))

    return _mapped(case, batch, fill)


def _row(case: _Case[B], batch: B, row: int) -> B:
    """One row, cut to its own length, a row of length 0 to one step of padding."""
    one = slice(row, row + 1)
    return _mapped(case, batch, lambda v, n: v[one, : max(1, int(n[row]))], lambda n: n[one], lambda v: v[one])


def _pieces(case: _Case[B], batch: B, cuts: Sequence[int]) -> list[B]:
    """The batch cut along time."""

    def piece(start: int, width: int) -> B:
        return _mapped(case, batch, lambda v, _: v[:, start : start + width], lambda n: (n - start).clamp(0, width))

    return [piece(sum(cuts[:i]), width) for i, width in enumerate(cuts)]


def _sizes(case: _Case[B], batch: B) -> tuple[int, int]:
    """Rows and steps of a batch: those of its first padded tensor."""
    shapes: list[tuple[int, int]] = []

    def note(values: Tensor, _: Tensor) -> Tensor:
        shapes.append((values.shape[0], values.shape[1]))
        return values

    _mapped(case, batch, note)
    return shapes[0]
