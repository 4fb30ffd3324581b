"""Recurrent neural networks on PyTorch: every cell behind one contract, trained from raw files, run live.

Names are imported when they are first used, so that `import unrolled` is quick: neither torch nor anything heavier is
loaded by it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unrolled import errors, nn, ops, padding, state, testing
    from unrolled.live import Stepper
    from unrolled.model import Model, load
    from unrolled.nn.torch.adopt import adopt
    from unrolled.tasks.anomaly import AnomalyDetector
    from unrolled.tasks.caption import Captioner
    from unrolled.tasks.classify import Classifier
    from unrolled.tasks.compose import Composer
    from unrolled.tasks.draw import Drawer
    from unrolled.tasks.forecast import Forecaster
    from unrolled.tasks.language import LanguageModel
    from unrolled.tasks.recognize import Recognizer
    from unrolled.tasks.regress import Regressor
    from unrolled.tasks.tag import Tagger
    from unrolled.tasks.translate import Translator

__version__ = "0.1.0"

__all__ = [
    "AnomalyDetector",
    "Captioner",
    "Classifier",
    "Composer",
    "Drawer",
    "Forecaster",
    "LanguageModel",
    "Model",
    "Recognizer",
    "Regressor",
    "Stepper",
    "Tagger",
    "Translator",
    "__version__",
    "adopt",
    "errors",
    "load",
    "nn",
    "ops",
    "padding",
    "state",
    "testing",
]

_HOMES = {
    "AnomalyDetector": "unrolled.tasks.anomaly",
    "Captioner": "unrolled.tasks.caption",
    "Classifier": "unrolled.tasks.classify",
    "Composer": "unrolled.tasks.compose",
    "Drawer": "unrolled.tasks.draw",
    "Forecaster": "unrolled.tasks.forecast",
    "LanguageModel": "unrolled.tasks.language",
    "Model": "unrolled.model",
    "Recognizer": "unrolled.tasks.recognize",
    "Regressor": "unrolled.tasks.regress",
    "Stepper": "unrolled.live",
    "Tagger": "unrolled.tasks.tag",
    "Translator": "unrolled.tasks.translate",
    "adopt": "unrolled.nn.torch.adopt",
    "load": "unrolled.model",
}
# Live steps for the layers, and the package's own tasks for the registry.
_FILLED_BY = {"nn": "live", "model": "tasks"}
_ROOMS = ("errors", "nn", "ops", "padding", "state", "testing")


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    elif name in _ROOMS:
        value = importlib.import_module(f"unrolled.{name}")
    else:
        raise AttributeError(f"module 'unrolled' has no attribute {name!r}")
    globals()[name] = value
    return value


def fill_slots(room: str) -> None:
    """Import the room that fills the slot of a lower one, which therefore need not know it."""
    importlib.import_module(f"unrolled.{_FILLED_BY[room]}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
