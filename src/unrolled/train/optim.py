"""The optimiser, which parameters it decays, and the learning rate at each step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from unrolled.errors import OptionError
from unrolled.train.options import TrainOptions

__all__ = ["decayed_names", "learning_rate", "make_optimizer", "plateaus", "progress_of", "set_learning_rate"]

NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm, _NormBase)
EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)


def decayed_names(module: nn.Module, *, embeddings: bool) -> set[str]:
    """Names of the parameters that weight decay acts on: those that multiply inputs or states."""
    return {name for name, owner, parameter in _owned(module) if _decays(name, owner, parameter, embeddings)}


def make_optimizer(module: nn.Module, options: TrainOptions) -> torch.optim.Optimizer:
    """AdamW, Adam or SGD over the trainable parameters, in two groups: decayed and not."""
    decayed = decayed_names(module, embeddings=options.decay_embeddings)
    trainable = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    if not trainable:
        raise OptionError("fit: the model has no trainable parameter; set requires_grad on those to be trained.")
    groups = [
        {"params": [p for name, p in trainable if name in decayed], "weight_decay": options.weight_decay},
        {"params": [p for name, p in trainable if name not in decayed], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    # The fused step is several times faster even on the CPU; loss scaling (fp16) wants to see the plain one.
    fused = options.precision != "fp16" and all(p.device.type in ("cpu", "cuda") for _, p in trainable)
    rate = options.learning_rate
    if options.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=options.momentum, fused=fused)
    family = torch.optim.AdamW if options.optimizer == "adamw" else torch.optim.Adam
    return family(groups, lr=rate, betas=options.betas, fused=fused)


def progress_of(options: TrainOptions, step: int, epoch: float, elapsed: float = 0.0) -> float:
    """The part of the run that is done, in [0, 1], by epochs, steps or the time `elapsed`, whichever is further."""
    by_epoch = epoch / options.epochs if options.epochs else 0.0
    by_step = step / options.max_steps if options.max_steps else 0.0
    return min(1.0, max(by_epoch, by_step, elapsed))


def learning_rate(options: TrainOptions, step: int, epoch: float, flat: int = 0, elapsed: float = 0.0) -> float:
    """The learning rate of optimiser step `step` (from 0), `epoch` epochs (with a fraction) into the run.

    flat: how many plateaus the score has seen, for the schedule that counts them. elapsed: the part of a time limit
    that is gone.
    """
    warm = min(1.0, (step + 1) / options.warmup) if options.warmup else 1.0
    return options.learning_rate * warm * _schedule(options, progress_of(options, step, epoch, elapsed), epoch, flat)


def plateaus(scores: Sequence[float], patience: int) -> int:
    """How many times `patience` scores in a row were no better than the best before them (lower is better)."""
    best, waited, found = math.inf, 0, 0
    for i, score in enumerate(scores):
        waited = 0 if score < best or i == 0 else waited + 1
        best = min(best, score)
        if waited == patience:
            found, waited = found + 1, 0
    return found


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give all parameter groups the same learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def _schedule(options: TrainOptions, progress: float, epoch: float, flat: int) -> float:
    final = options.final_factor
    match options.schedule:
        case "linear":
            return 1 - (1 - final) * progress
        case "cosine":
            return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2
        case "exponential":
            return math.pow(options.decay, max(0.0, epoch - options.hold_epochs))
        case "step":
            times = max(0, math.floor(epoch) - options.hold_epochs) // options.decay_every
            return math.pow(options.decay, times)
        case "plateau":
            return max(final, math.pow(options.decay, flat))
        case _:
            return 1.0


def _owned(module: nn.Module) -> Iterator[tuple[str, nn.Module, nn.Parameter]]:
    for prefix, owner in module.named_modules():
        for name, parameter in owner.named_parameters(recurse=False):
            yield f"{prefix}.{name}" if prefix else name, owner, parameter


def _decays(name: str, owner: nn.Module, parameter: nn.Parameter, embeddings: bool) -> bool:
    leaf = name.rpartition(".")[2]
    if parameter.ndim < 2 or "bias" in leaf or leaf.startswith("initial") or isinstance(owner, NORMS):
        return False
    return embeddings or not isinstance(owner, EMBEDDINGS)
