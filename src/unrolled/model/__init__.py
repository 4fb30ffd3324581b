"""The artefact: a fitted task that predicts, is checked against the laws, and is saved and loaded whole."""

from unrolled.model.artefact import FORMAT, write_atomically
from unrolled.model.base import Model, load
from unrolled.model.laws import BrokenLaw, CheckReport, Law

__all__ = ["FORMAT", "BrokenLaw", "CheckReport", "Law", "Model", "load", "write_atomically"]
