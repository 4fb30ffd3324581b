"""Tasks: presets that put fields, a network and metrics together. Imported only when one is used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from unrolled.model.registry import TaskHome, announce_task

if TYPE_CHECKING:
    from unrolled.tasks.anomaly import AnomalyDetector
    from unrolled.tasks.caption import Captioner
    from unrolled.tasks.classify import Classifier
    from unrolled.tasks.compose import Composer
    from unrolled.tasks.draw import Drawer
    from unrolled.tasks.forecast import Forecaster
    from unrolled.tasks.language import LanguageModel
    from unrolled.tasks.reading.pairs import PairColumns
    from unrolled.tasks.recognize import Recognizer
    from unrolled.tasks.regress import Regressor
    from unrolled.tasks.tag import Tagger
    from unrolled.tasks.translate import Translator

__all__ = [
    "AnomalyDetector",
    "Captioner",
    "Classifier",
    "Composer",
    "Drawer",
    "Forecaster",
    "LanguageModel",
    "PairColumns",
    "Recognizer",
    "Regressor",
    "Tagger",
    "Translator",
]

_HOMES = {
    "AnomalyDetector": "anomaly",
    "Captioner": "caption",
    "Classifier": "classify",
    "Composer": "compose",
    "Drawer": "draw",
    "Forecaster": "forecast",
    "LanguageModel": "language",
    "PairColumns": "reading.pairs",
    "Recognizer": "recognize",
    "Regressor": "regress",
    "Tagger": "tag",
    "Translator": "translate",
}


for _task, _name in (
    ("classify", "Classifier"),
    ("regress", "Regressor"),
    ("tag", "Tagger"),
    ("language", "LanguageModel"),
    ("translate", "Translator"),
    ("forecast", "Forecaster"),
    ("recognize", "Recognizer"),
    ("caption", "Captioner"),
    ("anomaly", "AnomalyDetector"),
    ("compose", "Composer"),
    ("draw", "Drawer"),
):
    announce_task(_task, TaskHome(f"unrolled.tasks.{_HOMES[_name]}", _name, f"unrolled.tasks.commands.{_task}"))


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f"unrolled.tasks.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
