"""The laws of sequences: padding, batch, chunk, reset, gradient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from unrolled.nn.recurrent import Recurrent
from unrolled.padding import valid_mask
from unrolled.state import concat_rows, leaves, select_rows
from unrolled.testing.book import padding_law
from unrolled.testing.proof import Make, Proof, Trial, outcome, values, weighted

__all__ = ["check_batch", "check_chunk", "check_gradient", "check_padding", "check_reset"]


def check_padding(make: Make) -> None:
    """What stands in the padding, NaN and infinity included, reaches no value and no gradient; y is zero there."""
    with Proof("padding", make) as proof:
        trial = proof.trial()
        valid = valid_mask(_counts(trial), trial.x.shape[1])[..., None]

        def filled(filling: float) -> Trial:
            return trial._replace(x=torch.where(valid, trial.x.detach(), filling).requires_grad_())

        def run(case: Trial) -> dict[str, Tensor]:
            y, final = proof.run(case)
            proof.require(bool((y.masked_fill(valid, 0) == 0).all()), "y is not zero in the padding")
            got = outcome(proof.layer, case, y, final)
            outside = got["gradient of x"].masked_fill(valid, 0)
            proof.require(bool((outside == 0).all()), "the gradient of x is not zero in the padding")
            return got

        spoilt = [(f"padding of {filling}", filled(filling)) for filling in (1e3, float("inf"), float("nan"))]
        proof.all_same(padding_law(run, filled(0.0), spoilt))


def check_batch(make: Make) -> None:
    """Each row alone, cut to its own length, equals the row in the batch; a row of length zero keeps its state."""
    with Proof("batch", make) as proof:
        for carried in (True, False):
            trial = proof.trial(carried=carried)
            got = outcome(proof.layer, trial, *proof.run(trial))
            alone = outcome(proof.layer, trial, *_apart(proof.layer, trial))
            proof.same("rows alone" + (", carried state" if carried else ""), got, alone)
        trial = proof.trial()
        counts = _counts(trial)
        expected = values(*proof.run(trial))
        forms = [counts.to(kind) for kind in (torch.int32, torch.int16, torch.uint8)]
        for form in [*forms, counts.tolist()]:
            given = form.dtype if isinstance(form, Tensor) else "list"
            y, final = proof.layer(trial.x, trial.state, lengths=form)
            proof.same(f"lengths as {given}", values(y, final), expected)
        full = proof.trial(None)
        proof.same(
            "lengths=None against full lengths",
            values(*proof.run(full)),
            values(*proof.run(full._replace(lengths=torch.full((5,), 7)))),
        )


def check_chunk(make: Make) -> None:
    """Any split into chunks, down to single steps, with the state carried, equals the whole. For streamable layers."""
    with Proof("chunk", make) as proof:
        if not proof.layer.streamable:
            return
        whole = proof.trial(None, batch=3)
        expected = outcome(proof.layer, whole, *proof.run(whole))
        for cuts in ([3, 4], [1, 5, 1]):
            got = outcome(proof.layer, whole, *_in_chunks(proof.layer, whole, cuts))
            proof.same(f"chunks {cuts}", got, expected)
        proof.same("single steps", outcome(proof.layer, whole, *_in_steps(proof.layer, whole)), expected)
        afresh = whole._replace(state=None)
        proof.same(
            "single steps from no state",
            outcome(proof.layer, afresh, *_in_steps(proof.layer, afresh)),
            outcome(proof.layer, afresh, *proof.run(afresh)),
        )
        ragged = _with_resets(proof.trial())
        proof.same(
            "chunks [4, 3] of ragged rows with resets",
            outcome(proof.layer, ragged, *_in_chunks(proof.layer, ragged, [4, 3])),
            outcome(proof.layer, ragged, *proof.run(ragged)),
        )


def check_reset(make: Make) -> None:
    """A row reset before step t equals a fresh run from t; its neighbours see nothing; resets in the padding are void.

    A layer that needs the whole sequence treats each segment between resets by itself.
    """
    with Proof("reset", make) as proof:
        for carried in (True, False) if proof.layer.streamable else (False,):
            trial = _with_resets(proof.trial(carried=carried))
            y, final = proof.run(trial)
            if proof.layer.streamable:
                expected = outcome(proof.layer, trial, *_apart(proof.layer, trial))
                proof.same("segments alone", outcome(proof.layer, trial, y, final), expected)
            else:
                y_apart, _ = _apart(proof.layer, trial)
                expected = outcome(proof.layer, trial, y_apart, None)
                proof.same("segments alone", outcome(proof.layer, trial, y, None), expected)
                _check_ends(proof, trial, final)
        trial = proof.trial()
        none = torch.zeros(trial.x.shape[:2], dtype=torch.bool)
        proof.same("no reset set", values(*proof.run(trial._replace(reset=none))), values(*proof.run(trial)))


def check_gradient(make: Make) -> None:
    """Gradients of x, the carried state and every parameter agree with differences of the values."""
    with Proof("gradient", make) as proof:
        for carried in (True, False):
            trial = _with_resets(proof.trial((5, 3, 0), time=5, carried=carried), [(0, 2)])
            states = {f"state leaf {i}": leaf for i, leaf in enumerate(leaves(trial.state))}
            inputs = {"x": trial.x} | states | dict(proof.layer.named_parameters())
            wanted = {name: tensor for name, tensor in inputs.items() if tensor.requires_grad}
            found = outcome(proof.layer, trial, *proof.run(trial))
            # From the initial state all at once, which costs less: only its own gradient is new there.
            for names in [[name] for name in wanted] if carried else [list(wanted)]:
                label = names[0] if carried else "everything, from no state"
                gradients = [found.get(f"gradient of {name}") for name in names]
                _check_slope(proof, trial, label, [wanted[name] for name in names], gradients)


def _check_slope(
    proof: Proof, trial: Trial, label: str, tensors: Sequence[Tensor], gradients: Sequence[Tensor | None]
) -> None:
    # A central difference loses some 1e-14 / width to rounding and (width / scale)**2 to curvature, where the scale of
    # a layer norm around zero is sqrt(1e-5): both stay below 1e-7.
    width = 1e-6
    directions = [torch.randn_like(tensor) for tensor in tensors]
    ends = []
    with torch.no_grad():
        kept = [tensor.clone() for tensor in tensors]
        for sign in (1, -1):
            for tensor, middle, direction in zip(tensors, kept, directions, strict=True):
                tensor.copy_(middle + sign * width * direction)
            ends.append(float(weighted(values(*proof.run(trial)))))
        for tensor, middle in zip(tensors, kept, strict=True):
            tensor.copy_(middle)
    slope = (ends[0] - ends[1]) / (2 * width)
    pairs = zip(gradients, directions, strict=True)
    claimed = sum(float((gradient * direction).sum()) for gradient, direction in pairs if gradient is not None)
    limit = 1e-6 * max(1.0, abs(slope), abs(ends[0]))
    proof.require(
        abs(slope - claimed) <= limit, f"the gradient of {label} gives a slope of {claimed:.8g}, the values {slope:.8g}"
    )


def _with_resets(trial: Trial, places: Sequence[tuple[int, int]] = ()) -> Trial:
    # By default for rows of LENGTHS. Row 0: two resets, the second in the last step. Row 1: at step 0, in its middle,
    # and, without effect, in the padding. Row 2 and the empty row 3: in the padding only. Row 4 sees none.
    reset = torch.zeros(trial.x.shape[:2], dtype=torch.bool)
    for row, step in places or [(0, 2), (0, 6), (1, 0), (1, 2), (1, 5), (2, 3), (3, 0), (3, 4)]:
        reset[row, step] = True
    return trial._replace(reset=reset)


def _counts(trial: Trial) -> Tensor:
    return torch.full(trial.x.shape[:1], trial.x.shape[1]) if trial.lengths is None else trial.lengths


def _segments(length: int, reset: Tensor | None) -> Iterator[tuple[int, int, bool]]:
    marks = [] if reset is None else [t for t in range(length) if reset[t]]
    starts = sorted({0, *marks})
    for start, stop in zip(starts, [*starts[1:], length], strict=True):
        yield start, stop, start in marks


def _apart(layer: Recurrent[Any], trial: Trial) -> tuple[Tensor, Any]:
    """What a call must give, out of calls on one row and one segment each, without lengths and resets."""
    ys, finals = [], []
    for row, length in enumerate(_counts(trial).tolist()):
        fresh = layer.initial_state(1, dtype=trial.x.dtype)
        state = fresh if trial.state is None else select_rows(trial.state, [row])
        pieces = []
        if length:
            for start, stop, restart in _segments(length, None if trial.reset is None else trial.reset[row]):
                y, state = layer(trial.x[row : row + 1, start:stop], fresh if restart else state)
                pieces.append(y)
        padding = trial.x.new_zeros(1, trial.x.shape[1] - length, layer.output_size)
        ys.append(torch.cat([*pieces, padding], 1))
        finals.append(state)
    return torch.cat(ys), concat_rows(finals)


def _check_ends(proof: Proof, trial: Trial, final: object) -> None:
    """Each final leaf of a layer that runs both ways comes out of a row's last segment, or out of its first."""
    for row, length in enumerate(_counts(trial).tolist()):
        if not length:
            continue
        cuts = list(_segments(length, None if trial.reset is None else trial.reset[row]))
        ends = [proof.layer(trial.x[row : row + 1, a:z])[1] for a, z, _ in (cuts[0], cuts[-1])]
        for number, leaf in enumerate(leaves(select_rows(final, [row]))):
            close = [torch.allclose(leaf, leaves(end)[number], rtol=1e-9, atol=1e-9) for end in ends]
            proof.require(any(close), f"final state leaf {number} of row {row} belongs to neither end segment")


def _in_chunks(layer: Recurrent[Any], trial: Trial, cuts: Sequence[int]) -> tuple[Tensor, Any]:
    ys, state, at = [], trial.state, 0
    for width in cuts:
        lengths = None if trial.lengths is None else (trial.lengths - at).clamp(0, width)
        reset = None if trial.reset is None else trial.reset[:, at : at + width]
        y, state = layer(trial.x[:, at : at + width], state, lengths=lengths, reset=reset)
        ys.append(y)
        at += width
    return torch.cat(ys, 1), state


def _in_steps(layer: Recurrent[Any], trial: Trial) -> tuple[Tensor, Any]:
    ys, state = [], trial.state
    for t in range(trial.x.shape[1]):
        y, state = layer.step(trial.x[:, t], state)
        ys.append(y)
    return torch.stack(ys, 1), state
