"""Tasks: presets that put fields, a network and metrics together. Imported only when one is used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unrolled.tasks.classify import Classifier
    from unrolled.tasks.forecast import Forecaster
    from unrolled.tasks.language import LanguageModel
    from unrolled.tasks.pairs import PairColumns
    from unrolled.tasks.tag import Tagger
    from unrolled.tasks.translate import Translator

__all__ = ["Classifier", "Forecaster", "LanguageModel", "PairColumns", "Tagger", "Translator"]

_HOMES = {
    "Classifier": "classify",
    "Forecaster": "forecast",
    "LanguageModel": "language",
    "PairColumns": "pairs",
    "Tagger": "tag",
    "Translator": "translate",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"unrolled.tasks.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
