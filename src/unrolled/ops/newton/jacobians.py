"""One step of the RNN, GRU and LSTM at many states at once, with its Jacobian in closed form.

Each function takes operands and a state of N rows (all times of all batch rows) and returns the new state, vectors
stacked as `stack_leaves` does, and the Jacobian of the new state with respect to the old one: (N, D, D) for "full",
(N, k, k, hidden) for "diagonal". The equations stand in the ops' `reference.py`, which also has the last word on every
solution; here they are written again because the Jacobian shares their gates.

In the diagonal form the mean and the size that a layer norm divides by are held fast: what they couple is of the order
of 1 / hidden, and an approximate Jacobian changes the way to a solution, not the solution.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from unrolled.ops.gru.reference import EPSILON, GRUOperands, GRUWeights
from unrolled.ops.lstm.reference import LSTMOperands, LSTMState, LSTMWeights
from unrolled.ops.rnn.reference import NONLINEARITIES, RNNOperands
from unrolled.state import HState

__all__ = ["RNNWeights", "linear_gru", "linear_lstm", "linear_rnn", "stack_leaves"]

S = TypeVar("S", HState, LSTMState)


class RNNWeights(NamedTuple):
    """weight_h (hidden, hidden)."""

    weight_h: Tensor


def stack_leaves(state: HState | LSTMState, form: str) -> Tensor:
    """The leaves (..., width) of a state as one vector: (..., D) for "full", (..., leaf, hidden) for "diagonal"."""
    return torch.cat(list(state), -1) if form == "full" else torch.stack(list(state), -2)


def linear_rnn(
    operands: RNNOperands, state: HState, weights: RNNWeights, form: str, nonlinearity: str, rate_h: float
) -> tuple[Tensor, Tensor]:
    """h' = f(a + W h): J = diag(f'(a + W h)) W."""
    weight, mask = weights.weight_h, operands.mask_h
    new = NONLINEARITIES[nonlinearity](operands.gates + _seen(state.h, mask) @ weight.T)
    slope = 1 - new * new if nonlinearity == "tanh" else (new > 0).to(new.dtype)
    if form == "full":
        jacobian = _columns(slope[:, :, None] * weight, mask)
    else:
        jacobian = _masked(slope * weight.diagonal(), mask)[:, None, None]
    return _zoned_h(new, jacobian, operands, state, rate_h, form)


def linear_gru(
    operands: GRUOperands, state: HState, weights: GRUWeights, form: str, reset_after: bool, rate_h: float
) -> tuple[Tensor, Tensor]:
    """h' = z h + (1 - z) n: J = diag(z) + diag((h - n) dz) + diag((1 - z) dn), dz and dn through what the gates see."""
    found = _gru_gates(operands, state, weights, reset_after)
    make = _full_gru if form == "full" else _diagonal_gru
    return _zoned_h(found.new, make(found, weights, operands.mask_h, reset_after), operands, state, rate_h, form)


class _GRUGates(NamedTuple):
    """A GRU step's values that its Jacobian is made of, each (N, hidden).

    into_z, into_n: slopes of h' by the pre-activations of z and n; by_r: slope by r's pre-activation of r u (reset
    after) or of r h (before). norm_rz, norm_n: the layer norms of U h, or None.
    """

    new: Tensor
    r: Tensor
    z: Tensor
    into_z: Tensor
    into_n: Tensor
    by_r: Tensor
    norm_rz: _Norm | None
    norm_n: _Norm | None


def _gru_gates(operands: GRUOperands, state: HState, weights: GRUWeights, reset_after: bool) -> _GRUGates:
    h, weight, gain = state.h, weights.weight_h, weights.norm_h
    cut = 2 * h.shape[1]
    seen = _seen(h, operands.mask_h)
    recurrent = seen @ (weight if reset_after else weight[:cut]).T
    rz, norm_rz = _normalise(recurrent[:, :cut], None if gain is None else gain[:cut])
    r, z = torch.sigmoid(operands.gates[:, :cut] + rz).chunk(2, -1)
    u = recurrent[:, cut:] if reset_after else (r * seen) @ weight[cut:].T
    u, norm_n = _normalise(u, None if gain is None else gain[cut:])
    if reset_after:
        u = u if weights.bias_h is None else u + weights.bias_h
    n = torch.tanh(operands.gates[:, cut:] + (r * u if reset_after else u))
    into_z, into_n = (h - n) * z * (1 - z), (1 - z) * (1 - n * n)
    by_r = (u if reset_after else seen) * r * (1 - r)
    return _GRUGates(z * h + (1 - z) * n, r, z, into_z, into_n, by_r, norm_rz, norm_n)


def _full_gru(found: _GRUGates, weights: GRUWeights, mask: Tensor | None, reset_after: bool) -> Tensor:
    width = found.z.shape[1]
    w_rz, w_n = weights.weight_h[: 2 * width], weights.weight_h[2 * width :]
    d_r, d_z = _normalised_rows(found.norm_rz, w_rz).chunk(2, -2)
    by_r = found.by_r[:, :, None] * d_r
    if reset_after:
        d_n = found.r[:, :, None] * _normalised_rows(found.norm_n, w_n) + by_r
    else:
        d_n = _normalised_rows(found.norm_n, w_n @ (torch.diag_embed(found.r) + by_r))
    through_gates = found.into_z[:, :, None] * d_z + found.into_n[:, :, None] * d_n
    return _columns(through_gates, mask) + torch.diag_embed(found.z)


def _diagonal_gru(found: _GRUGates, weights: GRUWeights, mask: Tensor | None, reset_after: bool) -> Tensor:
    width = found.z.shape[1]
    w_r, w_z, w_n = weights.weight_h.reshape(3, width, width)
    scale_r, scale_z = (None, None) if found.norm_rz is None else found.norm_rz.scale.chunk(2, -1)
    scale_n = None if found.norm_n is None else found.norm_n.scale
    by_r = _masked(found.by_r, scale_r)
    if reset_after:
        d_n = found.r * _masked(w_n.diagonal(), scale_n) + by_r * w_r.diagonal()
    else:
        # by_r @ ... is the diagonal of W_n diag(by_r) W_r, for many by_r at once.
        d_n = _masked(found.r * w_n.diagonal() + by_r @ (w_n.T * w_r), scale_n)
    through_gates = found.into_z * _masked(w_z.diagonal(), scale_z) + found.into_n * d_n
    return (_masked(through_gates, mask) + found.z)[:, None, None]


class _LSTMGates(NamedTuple):
    """An LSTM step's values that its Jacobian is made of; every slope is (N, hidden).

    into_c: slope of c' by the pre-activations of i, (f,) g; carry: slope of c' by c. into_h: slope of o tanh(.) by
    tanh's argument; peeped: its slope by c' past the layer norm, through the output gate; by_o: by o's pre-activation.
    """

    new: LSTMState
    into_c: tuple[Tensor, ...]
    carry: Tensor
    into_h: Tensor
    peeped: Tensor | None
    by_o: Tensor
    norm_h: _Norm | None
    norm_c: _Norm | None


def linear_lstm(
    operands: LSTMOperands,
    state: LSTMState,
    weights: LSTMWeights,
    form: str,
    coupled: bool,
    rate_h: float,
    rate_c: float,
) -> tuple[Tensor, Tensor]:
    """c' = f c + i g, h' = o tanh(c'): rows of h' by (h, c), then rows of c' by (h, c)."""
    found = _lstm_gates(operands, state, weights, coupled)
    jacobian = (_full_lstm if form == "full" else _blocks_lstm)(found, weights, operands.mask_h)
    shares = LSTMState(_share(operands.zone_h, rate_h, state.h), _share(operands.zone_c, rate_c, state.c))
    zoned = operands.zone_h is not None or operands.zone_c is not None or rate_h or rate_c
    return _mix(found.new, jacobian, state, shares if zoned else None, form)


def _lstm_gates(operands: LSTMOperands, state: LSTMState, weights: LSTMWeights, coupled: bool) -> _LSTMGates:
    p, gain_c = weights.peephole, weights.norm_c
    recurrent, norm_h = _normalise(_seen(state.h, operands.mask_h) @ weights.weight_h.T, weights.norm_h)
    i, *forget, g, o = (operands.gates + recurrent).chunk(3 if coupled else 4, -1)
    i = torch.sigmoid(i if p is None else i + p[0] * state.c)
    f = 1 - i if coupled else torch.sigmoid(forget[0] if p is None else forget[0] + p[1] * state.c)
    g = torch.tanh(g)
    c = f * state.c + i * g
    o = torch.sigmoid(o if p is None else o + p[-1] * c)
    inside, norm_c = (c, None) if gain_c is None else _normalise(c, gain_c[0], gain_c[1])
    squashed = torch.tanh(inside)
    h = o * squashed
    by_i, by_o = ((g - state.c if coupled else g) * i * (1 - i)), squashed * o * (1 - o)
    carry, into_c = f, [by_i, i * (1 - g * g)]
    if not coupled:
        into_c.insert(1, state.c * f * (1 - f))
    if p is not None:
        carry = carry + p[0] * by_i + (0 if coupled else p[1] * into_c[1])
    new = LSTMState(h if weights.weight_p is None else h @ weights.weight_p.T, c)
    peeped = None if p is None else p[-1] * by_o
    return _LSTMGates(new, tuple(into_c), carry, o * (1 - squashed * squashed), peeped, by_o, norm_h, norm_c)


def _full_lstm(found: _LSTMGates, weights: LSTMWeights, mask: Tensor | None) -> Tensor:
    gates = len(found.into_c) + 1
    *d_gates, d_o = _normalised_rows(found.norm_h, weights.weight_h).chunk(gates, -2)
    c_by_h = _columns(_sum(slope[:, :, None] * d for slope, d in zip(found.into_c, d_gates, strict=True)), mask)
    c_by_c = torch.diag_embed(found.carry)

    def through(matrix: Tensor) -> Tensor:
        direct = found.into_h[:, :, None] * _normalised_rows(found.norm_c, matrix)
        return direct if found.peeped is None else direct + found.peeped[:, :, None] * matrix

    h_by_h = through(c_by_h) + _columns(found.by_o[:, :, None] * d_o, mask)
    h_by_c = through(c_by_c)
    if weights.weight_p is not None:
        h_by_h, h_by_c = weights.weight_p @ h_by_h, weights.weight_p @ h_by_c
    return torch.cat([torch.cat([h_by_h, h_by_c], 2), torch.cat([c_by_h, c_by_c], 2)], 1)


def _blocks_lstm(found: _LSTMGates, weights: LSTMWeights, mask: Tensor | None) -> Tensor:
    gates = len(found.into_c) + 1
    width = found.carry.shape[1]
    diagonals = weights.weight_h.reshape(gates, width, width).diagonal(dim1=1, dim2=2)
    scales = [None] * gates if found.norm_h is None else list(found.norm_h.scale.chunk(gates, -1))
    *d_gates, d_o = [_masked(diagonal, scale) for diagonal, scale in zip(diagonals, scales, strict=True)]
    c_by_h = _masked(_sum(slope * d for slope, d in zip(found.into_c, d_gates, strict=True)), mask)
    through = found.into_h if found.norm_c is None else found.into_h * found.norm_c.scale
    through = through if found.peeped is None else through + found.peeped
    h_by_h = through * c_by_h + _masked(found.by_o * d_o, mask)
    return torch.stack([torch.stack([h_by_h, through * found.carry], 1), torch.stack([c_by_h, found.carry], 1)], 1)


class _Norm(NamedTuple):
    """A layer norm at some values: unit (N, n), what it makes of them before its gain; scale (N, n), gain / sigma."""

    unit: Tensor
    scale: Tensor


def _normalise(values: Tensor, gain: Tensor | None, bias: Tensor | None = None) -> tuple[Tensor, _Norm | None]:
    if gain is None:
        return values, None
    centred = values - values.mean(-1, keepdim=True)
    over = (centred.square().mean(-1, keepdim=True) + EPSILON).rsqrt()
    unit = centred * over
    normed = unit * gain
    return normed if bias is None else normed + bias, _Norm(unit, gain * over)


def _normalised_rows(norm: _Norm | None, matrix: Tensor) -> Tensor:
    """The layer norm's Jacobian (N, n, n) times a matrix (n, K) or (N, n, K)."""
    if norm is None:
        return matrix
    centred = matrix - matrix.mean(-2, keepdim=True)
    along = norm.unit[:, None] @ matrix / matrix.shape[-2]
    return norm.scale[:, :, None] * (centred - norm.unit[:, :, None] * along)


def _sum(terms: Iterable[Tensor]) -> Tensor:
    first, *rest = terms
    for term in rest:
        first = first + term
    return first


def _seen(h: Tensor, mask: Tensor | None) -> Tensor:
    return h if mask is None else h * mask


def _masked(values: Tensor, mask: Tensor | None) -> Tensor:
    return values if mask is None else values * mask


def _columns(matrix: Tensor, mask: Tensor | None) -> Tensor:
    return matrix if mask is None else matrix * mask[:, None]


def _share(mask: Tensor | None, rate: float, like: Tensor) -> Tensor:
    """Under zoneout: the share of the new value; the old one has the rest."""
    return torch.full_like(like, 1 - rate) if mask is None else mask.to(like.dtype)


def _zoned_h(
    new: Tensor, jacobian: Tensor, operands: RNNOperands | GRUOperands, state: HState, rate: float, form: str
) -> tuple[Tensor, Tensor]:
    zoned = operands.zone_h is not None or rate
    share = HState(_share(operands.zone_h, rate, new)) if zoned else None
    return _mix(HState(new), jacobian, state, share, form)


def _mix(new: S, jacobian: Tensor, old: S, share: S | None, form: str) -> tuple[Tensor, Tensor]:
    """share * new + (1 - share) * old as one vector, and the Jacobian of that."""
    vector = stack_leaves(new, form)
    if share is None:
        return vector, jacobian
    take = stack_leaves(share, form)
    # A selection by exact ones and zeros where the share is a mask.
    mixed = take * vector + (1 - take) * stack_leaves(old, form)
    if form == "full":
        return mixed, take[:, :, None] * jacobian + torch.diag_embed(1 - take)
    kept = torch.diag_embed(1 - take.transpose(1, 2)).permute(0, 2, 3, 1)
    return mixed, take[:, :, None] * jacobian + kept
