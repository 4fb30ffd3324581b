"""Model: fields, a network and a configuration in one object; what every task is once it has been fitted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from unrolled import randomness
from unrolled.errors import ModelFileError, OptionError, said_by
from unrolled.model.artefact import Artefact, read_artefact, write_artefact
from unrolled.model.bounds import bounded_by
from unrolled.model.describe import Description
from unrolled.model.laws import CheckReport, Law, recurrent_laws, run_laws
from unrolled.model.registry import find_task

__all__ = ["Model", "load"]

# What content of another form than its task wrote makes of a task's own code.
FOREIGN = (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)


class Model(ABC):
    """A task and, once fitted, its fields and its network.

    A subclass sets `task`, keeps its network in `net`, and writes `fit`, `pack`, `unpack` and `laws`. Registered with
    `register_task` it is known to `load`, and with a `description` to the command line.
    """

    task: ClassVar[str]
    description: ClassVar[Description[Any] | None] = None
    net: nn.Module | None = None
    understood: tuple[str, ...] = ()
    """What the last fit read from its data without being told, a fact each: which column is what, and the like."""

    @abstractmethod
    def fit(self, *sources: Any, **how: Any) -> Self:
        """Learn. A command line gives run, progress, resume and callbacks by name, as `unrolled.train.fit` has them."""

    @abstractmethod
    def pack(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Everything besides the weights: plain JSON (finite numbers only), and arrays as tensors."""

    @classmethod
    @abstractmethod
    def unpack(cls, content: dict[str, Any], arrays: dict[str, Tensor]) -> Self:
        """The model that `pack` described, its network built but its weights not yet set."""

    @abstractmethod
    def laws(self) -> Sequence[Law]:
        """The laws of this task that can be tried on this model and the data it keeps."""

    @classmethod
    def renamed(cls, name: str) -> str:
        """The name of a weight that a file of an earlier release may call `name`."""
        return name

    @property
    def device(self) -> torch.device:
        """Where the network's weights are."""
        return next(self.fitted().parameters()).device

    def fitted(self) -> nn.Module:
        """The network. Raises `OptionError` if there is none yet."""
        if self.net is None:
            raise OptionError(
                f"{type(self).__name__}: expected a fitted model, but fit() has not been called; call it first."
            )
        return self.net

    def save(self, path: str | Path) -> Path:
        """Write the model: one file if the name ends in .unrolled or .zip, else a folder; returns the path.

        JSON and safetensors with a format version; no pickle, no device. The file appears whole or not at all.

        Raises:
            SaveError: the place cannot be written or the disk is full; what was there before is intact.
        """
        content, arrays = self.pack()
        weights = {f"weights.{name}": tensor for name, tensor in self.fitted().state_dict().items()}
        data = {f"data.{name}": tensor for name, tensor in arrays.items()}
        content = {**content, "understood": list(self.understood)}
        return write_artefact(Artefact(self.task, content, {**weights, **data}), path)

    def check(self) -> CheckReport:
        """Try the laws on this very model and the data it keeps: padding, batch, chunk, reset, round trip, leak.

        Returns:
            A report with one line a law.

        Raises:
            BrokenLaw: one of them does not hold; its message says which and by how much.
        """
        with randomness.apart():
            return run_laws([*recurrent_laws(self.fitted()), *self.laws()])


def load(path: str | Path) -> Model:
    """The model that `save` or a run wrote: a .unrolled or .zip file, a folder, or a run folder. It is on the CPU.

    Raises:
        ModelFileError: missing, damaged, cut short, of a later format version, or of an unknown task.
    """
    artefact = read_artefact(path)
    try:
        task = find_task(artefact.task)
    except OptionError as error:
        raise ModelFileError(f"load: {path} cannot be read: {error}") from None
    return _restore(task, artefact, path)


def _restore(task: type[Model], artefact: Artefact, path: str | Path) -> Model:
    arrays = {name.removeprefix("data."): t for name, t in artefact.tensors.items() if name.startswith("data.")}
    weights = {
        task.renamed(name.removeprefix("weights.")): t
        for name, t in artefact.tensors.items()
        if name.startswith("weights.")
    }
    try:
        # Files of before hold no word of what was understood.
        understood = artefact.content.pop("understood", ())
        # A network draws the weights that are overwritten here.
        with randomness.apart(), bounded_by(weights):
            model = task.unpack(artefact.content, arrays)
        model.understood = tuple(map(str, understood))
        model.fitted().load_state_dict(weights)
    except FOREIGN as error:
        # The checksums hold, so the content is what was written: another release wrote it under the same version.
        # torch heads its list of what does not fit with a line that says nothing.
        reason = said_by(error, last=True).removeprefix("load: ")
        raise ModelFileError(
            f"load: {path} does not fit this version of unrolled ({reason}); load it with the version that wrote it, "
            "or import what registers its cells first."
        ) from error
    model.fitted().eval()
    return model
