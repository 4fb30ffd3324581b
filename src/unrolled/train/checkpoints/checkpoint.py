"""Checkpoints: folders of JSON and safetensors that appear whole or not at all.

    run/checkpoints/000007/
        checkpoint.json       where the run stood, its options, its early stopping
        tensors.safetensors   weights, optimiser state, best weights
        process-0.safetensors random states and carried state of one process (one file each)
        manifest.json         the SHA-256 of the files above

A checkpoint is written under another name, forced to the disk, and renamed; the last two are kept. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple, NotRequired

from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

# That of Python 3.11 cannot be checked by pydantic.
from typing_extensions import TypedDict

from unrolled.errors import ModelFileError, SaveError, foreign_told
from unrolled.options import typed

__all__ = ["Checkpoint", "Folder", "Record"]

# No run takes that many steps, and every float holds them.
Count = Annotated[int, Field(ge=0, le=1 << 40)]
Row = tuple[Count, Count, float | None, float, float | None, float | None, float]

FORMAT = 1
KEPT = 2
RECORD, TENSORS, MANIFEST = "checkpoint.json", "tensors.safetensors", "manifest.json"


class Record(TypedDict):
    """Where a run stood, as plain JSON; a row of `evaluations` holds the parts of an `Evaluation`."""

    options: dict[str, object]
    data: str
    processes: int
    finished: Annotated[str, Field(pattern="^(epochs|max_steps|patience)?$")]
    position: tuple[Count, Count, Count]
    step: Count
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    since: tuple[float, float]
    best: tuple[float | None, Count | None, Count]
    averaged: NotRequired[Count]
    evaluations: Sequence[Row]
    scaler: dict[str, object] | None


class Checkpoint(NamedTuple):
    """All that a run needs to go on. processes: what each alone knows, as safetensors bytes."""

    record: Record
    tensors: dict[str, Tensor]
    processes: list[bytes]


class Folder:
    """The checkpoints of one run folder."""

    def __init__(self, run: Path) -> None:
        self.path = run / "checkpoints"

    def serials(self) -> list[int]:
        """Serial numbers of the complete checkpoints, oldest first."""
        if not self.path.is_dir():
            return []
        return sorted(
            int(entry.name) for entry in self.path.iterdir() if entry.name.isascii() and entry.name.isdecimal()
        )

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write one atomically, then drop all but the last two. Raises `SaveError`; older ones stay as they are."""
        serial = max(self.serials(), default=0) + 1
        target, draft = self.path / f"{serial:06d}", self.path / f".draft-{serial:06d}"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            _write_all(draft, checkpoint)
            os.replace(draft, target)
            _sync_folder(self.path)
        except OSError as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise SaveError(
                f"fit: cannot write the checkpoint {target}: {error.strerror or error}; make room or choose another "
                "run folder, the checkpoints before it are intact."
            ) from error
        for old in self.serials()[:-KEPT]:
            shutil.rmtree(self.path / f"{old:06d}", ignore_errors=True)
        return target

    def keep_if(self, same: Callable[[dict[str, object]], bool]) -> None:
        """Drop the checkpoints of a run whose options are not the same any more."""
        loaded = self.load()
        if loaded is not None and not same(loaded[0].record["options"]):
            for serial in self.serials():
                shutil.rmtree(self.path / f"{serial:06d}", ignore_errors=True)

    def load(self) -> tuple[Checkpoint, Path] | None:
        """The newest readable checkpoint and its path; None if there is none at all.

        A damaged one is passed over with a warning if the one before it is good; otherwise `ModelFileError`.
        """
        problem: ModelFileError | None = None
        for serial in reversed(self.serials()):
            path = self.path / f"{serial:06d}"
            try:
                checkpoint = read(path)
            except ModelFileError as error:
                problem = problem or error
                continue
            if problem is not None:
                warnings.warn(f"{problem} Going back to the checkpoint before it, {path}.", stacklevel=3)
            return checkpoint, path
        if problem is not None:
            raise problem
        return None


def read(path: Path) -> Checkpoint:
    """One checkpoint, every file checked against its SHA-256. Raises `ModelFileError` naming the damaged file."""
    manifest = _parse(path / MANIFEST, _read(path / MANIFEST))
    if manifest.get("format") != FORMAT:
        raise ModelFileError(
            f"fit: the checkpoint {path} has format {manifest.get('format')!r}, this version reads {FORMAT}; "
            "resume it with the version of unrolled that wrote it."
        )
    contents: dict[str, bytes] = {}
    for name, digest in typed(dict[str, str], manifest.get("files"), "files").items():
        if Path(name).name != name:
            raise _damaged(path / MANIFEST)
        contents[name] = _read(path / name)
        if hashlib.sha256(contents[name]).hexdigest() != digest:
            raise _damaged(path / name)
    try:
        tensors = read_tensors(contents[TENSORS])
        shares = [contents[f"process-{i}.safetensors"] for i in range(len(contents) - 2)]
        record = typed(Record, _parse(path / RECORD, contents[RECORD]), RECORD, strict=False)
        return Checkpoint(record, tensors, shares)
    except (SafetensorError, KeyError) as error:
        raise _damaged(path) from error


def _write_all(draft: Path, checkpoint: Checkpoint) -> None:
    contents = {
        RECORD: json.dumps(checkpoint.record, indent=1).encode(),
        TENSORS: tensors_to_bytes(checkpoint.tensors),
    }
    contents.update({f"process-{i}.safetensors": share for i, share in enumerate(checkpoint.processes)})
    files = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    contents[MANIFEST] = json.dumps({"format": FORMAT, "files": files}, indent=1).encode()
    for name, data in contents.items():
        _write(draft / name, data)
    _sync_folder(draft)


def _write(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    if os.name != "posix":
        return  # other systems cannot open a folder
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise FileNotFoundError(2, "No such file")
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise ModelFileError(f"fit: cannot read {path}: {reason}; the checkpoint is incomplete.") from error


def _parse(path: Path, data: bytes) -> dict[str, object]:
    with foreign_told(ModelFileError, f"fit: {path} is damaged or cut short", "use an earlier checkpoint"):
        value = json.loads(data, parse_constant=float)
    if not isinstance(value, dict):
        raise _damaged(path)
    return value


def _damaged(path: Path) -> ModelFileError:
    return ModelFileError(f"fit: {path} is damaged or cut short (its content does not match its checksum).")
