"""Initialisation per gate: every gate's block of a stacked matrix is drawn as a matrix of its own."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["INITIALISATIONS", "orthogonal_per_gate", "torch_uniform", "xavier_per_gate"]

INITIALISATIONS = ("xavier", "torch")


def xavier_per_gate(weight: Tensor, gates: int) -> None:
    """Fill weight (gates * hidden, features) with Xavier-uniform blocks (Glorot and Bengio 2010, eq. 16)."""
    with torch.no_grad():
        for block in weight.chunk(gates):
            nn.init.xavier_uniform_(block)


def orthogonal_per_gate(weight: Tensor, gates: int) -> None:
    """Fill weight (gates * hidden, features) with orthogonal blocks (Saxe et al. 2013, arXiv:1312.6120)."""
    with torch.no_grad():
        for block in weight.chunk(gates):
            nn.init.orthogonal_(block)


def torch_uniform(tensor: Tensor, hidden_size: int, *, draws: int = 1) -> None:
    """Fill as torch.nn does, uniform in +-1/sqrt(hidden_size); `draws` = 2 for a bias that stands for torch's two."""
    bound = 1 / math.sqrt(hidden_size)
    with torch.no_grad():
        tensor.zero_()
        for _ in range(draws):
            tensor += torch.empty_like(tensor).uniform_(-bound, bound)
