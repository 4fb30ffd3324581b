"""Metrics for TensorBoard, an extra: pass `callbacks=[TensorBoard("runs/board")]` to `fit`."""

from __future__ import annotations

from pathlib import Path

from unrolled.errors import OptionError
from unrolled.train.monitor.events import Event

__all__ = ["TensorBoard"]

CURVES = ("loss", "learning_rate", "grad_norm", "score", "valid_loss")


class TensorBoard:
    """A callback that writes loss, learning rate, gradient norm and scores as TensorBoard curves into `folder`."""

    def __init__(self, folder: str | Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise OptionError(
                "TensorBoard: the package tensorboard is missing; install it with pip install 'unrolled[tensorboard]'."
            ) from error
        self._writer = SummaryWriter(str(folder))

    def __call__(self, event: Event) -> None:
        """Write the numbers of one event; training curves under train/, those of evaluations under valid/."""
        if event.kind in ("step", "evaluate"):
            group = "train" if event.kind == "step" else "valid"
            for name, value in zip(CURVES, (getattr(event, curve) for curve in CURVES), strict=True):
                if value is not None:
                    self._writer.add_scalar(f"{group}/{name}", value, event.step)
        elif event.kind == "stop":
            self._writer.close()
