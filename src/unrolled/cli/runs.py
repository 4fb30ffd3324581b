"""The run folder of the command line: what was asked for, so that a run can be resumed and looked at later.

run.json          the source and its SHA-256, the columns, the options
model.unrolled    the model, also while training goes on
metrics.jsonl     what training told, line by line; checkpoints/ to go on from; refit/ likewise for the model to keep
scores.json       the model beside the baselines
forecast.csv, forecast.png
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unrolled.cli.values import write_text
from unrolled.errors import DataError, ModelFileError, OptionError

__all__ = ["Request", "fresh_folder", "load_request"]

FORMAT = 1
RECORD = "run.json"


@dataclass(frozen=True)
class Request:
    """What `fit forecast` was asked. source: an absolute path, or "-"; reading: the columns; held: valid and test."""

    task: str
    source: str
    sha256: str
    reading: dict[str, Any]
    options: dict[str, Any]
    held: dict[str, Any]

    @classmethod
    def of(cls, source: str, reading: dict[str, Any], options: dict[str, Any], held: dict[str, Any]) -> Request:
        """The request for a forecast, the source looked at."""
        path = source if source == "-" else str(Path(source).resolve())
        return cls("forecast", path, "" if source == "-" else digest(path), reading, options, held)

    def write(self, folder: Path) -> None:
        """Keep it in the run folder. Raises `SaveError`."""
        write_text(folder / RECORD, json.dumps({"format": FORMAT, **asdict(self)}, indent=1))

    def check_source(self, folder: Path) -> None:
        """Raises `DataError` unless the source is still what it was."""
        if self.source == "-":
            raise DataError(
                f"{folder} was fitted on standard input, which cannot be read again; save it as a file and fit on that."
            )
        if not Path(self.source).exists():
            raise DataError(f"{folder} was fitted on {self.source}, which is no longer there; put the file back.")
        if digest(self.source) != self.sha256:
            raise DataError(
                f"{folder} was fitted on {self.source}, which has changed since; put it back or start a new run."
            )


def load_request(folder: Path) -> Request:
    """What a run folder was asked for. Raises `ModelFileError`."""
    file = folder / RECORD
    if not file.exists():
        raise ModelFileError(f"{folder} is no run folder, it has no {RECORD}; give the folder that 'fit ... -o' wrote.")
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        version = data.pop("format")
        if version > FORMAT:
            raise ModelFileError(
                f"{file} has format version {version}, this version reads up to {FORMAT}; update unrolled."
            )
        return Request(**data)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelFileError(f"{file} is damaged or cut short; start a new run.") from error


def fresh_folder(wanted: str | None, source: str) -> Path:
    """The folder of a new run: the one wanted, or runs/<name of the source> with a number if that is taken."""
    if wanted is not None:
        folder = Path(wanted)
        if folder.exists() and not folder.is_dir():
            raise OptionError(f"-o: expected a folder for the run, but {folder} is a file; choose another name.")
        if (folder / RECORD).exists() or (folder / "checkpoints").exists():
            raise OptionError(
                f"-o: {folder} holds a run already; go on with 'unrolled fit --resume {folder}', or choose another."
            )
        return folder
    name = "stdin" if source == "-" else Path(source).name.split(".")[0]
    folder, number = Path("runs") / name, 2
    while folder.exists():
        folder, number = Path("runs") / f"{name}-{number}", number + 1
    return folder


def digest(path: str) -> str:
    """The SHA-256 of a file; empty where there is no such file, which reading it will tell."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
