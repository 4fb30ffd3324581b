"""Layers as evaluation uses them: the same parameters, without what acts in training alone."""

from __future__ import annotations

import copy
from typing import TypeVar, cast

from torch import nn

from unrolled.errors import OptionError
from unrolled.nn.recurrent import Recurrent
from unrolled.nn.wrappers.dropout import DropConnect, VariationalDropout
from unrolled.nn.wrappers.stack import Stack

__all__ = ["evaluated", "in_evaluation"]

S = TypeVar("S")
M = TypeVar("M", bound=nn.Module)


def evaluated(layer: Recurrent[S]) -> Recurrent[object]:
    """The layer as it is in evaluation: a copy in that mode which shares every parameter, without masks and dropout.

    `VariationalDropout` and `DropConnect` are taken off, at any depth, and a `Stack` drops nothing, so that the state
    holds no masks; `Zoneout` stays, since it mixes by its rates in evaluation. Weights that change in the layer change
    in the copy too. y is that of the layer in evaluation.

    >>> import torch
    >>> from unrolled.nn import EncoderOptions, make_encoder
    >>> options = EncoderOptions(cell="gru", hidden_size=5, recurrent_dropout=0.2, output_dropout=0.1)
    >>> plain = evaluated(make_encoder(3, options))
    >>> type(plain).__name__, type(plain.step(torch.zeros(2, 3))[1]).__name__
    ('GRU', 'HState')
    """
    if not isinstance(layer, Recurrent):
        raise OptionError(f"evaluated: layer must be a Recurrent layer, got {type(layer).__name__}.")
    return cast(Recurrent[object], _copied(layer, {}, strip=True))


def in_evaluation(module: M) -> M:
    """The module in evaluation, as a copy that shares every parameter; the module itself stays in its mode."""
    return module if not any(one.training for one in module.modules()) else cast(M, _copied(module, {}, strip=False))


def _copied(module: nn.Module, made: dict[int, nn.Module], *, strip: bool) -> nn.Module:
    """A copy of a tree of modules that shares their tensors; a module that stands twice in it stands twice again."""
    if strip and isinstance(module, VariationalDropout | DropConnect):
        return _copied(module.layer, made, strip=strip)
    if id(module) not in made:
        fresh = copy.copy(module)
        made[id(module)] = fresh
        fresh._modules = {
            name: None if held is None else _copied(held, made, strip=strip) for name, held in module._modules.items()
        }
        fresh.training = False
        if strip and isinstance(fresh, Stack):
            fresh.dropout = 0.0
    return made[id(module)]
