"""The run folder of the command line: what was asked for, so that a run can be resumed and looked at later.

run.json          the task, its files and their SHA-256, how they are read, the options
model.unrolled    the model, also while training goes on
metrics.jsonl     what training told, line by line; checkpoints/ to go on from; refit/ likewise for the model to keep
scores.json       the scores on test data, or beside the baselines
*.png, *.csv      pictures and forecasts
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_type_hints

from unrolled.cli.values import write_text
from unrolled.errors import DataError, ModelFileError, OptionError
from unrolled.model.describe import TRAINED_ON, Asked, Request
from unrolled.options import typed

__all__ = ["MODEL", "RECORD", "check_files", "fresh_folder", "load_request", "make_request", "write_request"]

FORMAT = 2
RECORD, MODEL = "run.json", "model.unrolled"


def make_request(task: str, asked: Asked, options: Mapping[str, object]) -> Request:
    """The request, its files looked at; those that are None were not given."""
    every = {**asked.files, "vectors": options.get("vectors")}
    given = {role: str(path) for role, path in every.items() if path is not None}
    piped = [role for role, path in given.items() if path == "-"]
    for role in piped:
        if role not in TRAINED_ON or len(piped) > 1:
            raise OptionError(
                f"fit: expected one file at most on standard input, the one to learn from, got '-' for "
                f"{' and '.join(piped)}; save it as a file."
            )
    paths = {role: path if path == "-" else str(Path(path).resolve()) for role, path in given.items()}
    sums = {role: "" if path == "-" else digest(path) for role, path in paths.items()}
    chosen = {**options, "vectors": paths["vectors"]} if "vectors" in paths else dict(options)
    return Request(task, paths, sums, dict(asked.reading), chosen, dict(asked.held))


def write_request(request: Request, folder: Path) -> None:
    """Keep it in the run folder. Raises `SaveError`."""
    write_text(folder / RECORD, json.dumps({"format": FORMAT, **asdict(request)}, indent=1))


def check_files(request: Request, folder: Path) -> None:
    """Raises `DataError` unless every file is still what it was."""
    for role, path in request.files.items():
        if path == "-":
            raise DataError(
                f"{folder} was fitted on standard input, which cannot be read again; save it as a file and fit on that."
            )
        if not Path(path).exists():
            raise DataError(f"{folder} was fitted on {path}, which is no longer there; put the file back.")
        if digest(path) != request.sha256[role]:
            raise DataError(f"{folder} was fitted on {path}, which has changed since; put it back or start a new run.")


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
        return _typed(Request(**(_of_version_1(data) if version == 1 else data)))
    except ModelFileError:
        raise
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelFileError(f"{file} is damaged or cut short; start a new run.") from error


def _typed(request: Request) -> Request:
    """The request, if what a changed run.json says of it is of the right kinds. Raises `ModelFileError`."""
    for name, kind in get_type_hints(Request).items():
        typed(kind, getattr(request, name), name)
    return request


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
    name = "stdin" if source == "-" else Path(source).resolve().name.split(".")[0]
    folder, number = Path("runs") / name, 2
    while folder.exists():
        folder, number = Path("runs") / f"{name}-{number}", number + 1
    return folder


def digest(path: str) -> str:
    """The SHA-256 of a file, or of a folder's names and files; empty where it cannot be read."""
    try:
        if not Path(path).is_dir():
            if not Path(path).is_file():
                # Readers refuse it in a sentence; a device has no end, a pipe is read once.
                return ""
            with open(path, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        whole = hashlib.sha256()
        for member in sorted(part for part in Path(path).rglob("*") if part.is_file()):
            whole.update(f"{member.relative_to(path).as_posix()}\0{digest(str(member))}\n".encode())
        return whole.hexdigest()
    except OSError:
        return ""


def _of_version_1(data: dict[str, Any]) -> dict[str, Any]:
    """Version 1 knew forecasts alone, of one file each."""
    source, sha256 = data.pop("source"), data.pop("sha256")
    return {**data, "files": {"source": source}, "sha256": {"source": sha256}}
