"""The saved form of a model: a folder or one zip file that holds JSON and safetensors, and nothing that can run.

    model.json                        format version, task, content, the SHA-256 of the content and of the tensors
    tensors-<digest>.safetensors      every array: weights, and the end of the training data

The tensors' file carries its digest in its name, so a new save never touches the file that the old `model.json` points
to: replacing `model.json` is the one atomic step that turns the old model into the new one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from unrolled.errors import ModelFileError, SaveError, foreign_told
from unrolled.model.writing import write_atomically

__all__ = ["FORMAT", "Artefact", "read_artefact", "write_artefact"]

FORMAT = 1
RECORD = "model.json"
# The name under which a run folder keeps its model.
IN_RUN = "model.unrolled"
OWN = re.compile("tensors-[0-9a-f]{12}[.]safetensors")
# What the parts of a zip may become whatever its size, and how many times its size beyond that: weights hardly pack.
FREE, TIMES = 1 << 24, 20
SINGLE_FILE = (".zip", ".unrolled")
# A fixed time inside the zip, so that the same model gives the same bytes.
EPOCH = (1980, 1, 1, 0, 0, 0)


class Artefact(NamedTuple):
    """What a file holds: the task's name, plain JSON, and tensors on the CPU."""

    task: str
    content: dict[str, Any]
    tensors: dict[str, Tensor]


def write_artefact(artefact: Artefact, path: str | Path) -> Path:
    """Write a zip file if the name ends in .zip or .unrolled, else a folder; the old one stays whole until the end.

    Raises `SaveError` if the place cannot be written; nothing half-written is left behind.
    """
    path = Path(path)
    blob = safetensors.torch.save({name: t.detach().cpu().contiguous() for name, t in artefact.tensors.items()})
    digest = hashlib.sha256(blob).hexdigest()
    name = f"tensors-{digest[:12]}.safetensors"
    record = {
        "format": FORMAT,
        "task": artefact.task,
        "tensors": {"file": name, "sha256": digest},
        "content": artefact.content,
        "sha256": _digest(artefact.task, artefact.content),
    }
    text = json.dumps(record, indent=1, allow_nan=False).encode()
    try:
        if path.suffix.lower() in SINGLE_FILE:
            _write_zip(path, {RECORD: text, name: blob})
        else:
            _write_folder(path, text, name, blob)
    except OSError as error:
        raise SaveError(
            f"save: cannot write {path}: {error.strerror or error}; make room or choose another place, what was there "
            "before is intact."
        ) from error
    return path


def read_artefact(path: str | Path) -> Artefact:
    """Read what `write_artefact` wrote, every part checked. A run folder gives the model inside it.

    Raises `ModelFileError` for a missing, damaged or truncated file and for one of a later format version.
    """
    path = Path(path)
    with foreign_told(ModelFileError, "load: the name of the model is none that a file can have", "check the path"):
        path.exists()
    if path.is_dir() and not (path / RECORD).exists() and (path / IN_RUN).exists():
        path = path / IN_RUN
    if not path.exists():
        raise ModelFileError(f"load: there is no model at {path}; give the file, folder or run that save or fit wrote.")
    advice = "save it again or fetch a whole copy"
    with foreign_told(ModelFileError, f"load: {path} is damaged or cut short", advice):
        try:
            return _read_folder(path) if path.is_dir() else _read_zip(path)
        except OSError as error:
            raise ModelFileError(f"load: cannot read {path}: {error.strerror or error}.") from error


def _write_zip(path: Path, members: dict[str, bytes]) -> None:
    import io

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), data)
    write_atomically(path, buffer.getvalue())


def _write_folder(path: Path, text: bytes, name: str, blob: bytes) -> None:
    created, before = not path.exists(), _tensors_of(path)
    try:
        write_atomically(path / name, blob)
        write_atomically(path / RECORD, text)
    except OSError:
        if created:
            for left in (path / name, path / RECORD):
                with contextlib.suppress(OSError):
                    left.unlink()
            with contextlib.suppress(OSError):
                path.rmdir()
        raise
    if before not in (None, name):
        with contextlib.suppress(OSError):
            (path / str(before)).unlink()


def _tensors_of(path: Path) -> str | None:
    """The file of tensors that the model before wrote beside its record; nothing else is ever removed."""
    try:
        name = json.loads((path / RECORD).read_bytes())["tensors"]["file"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return name if isinstance(name, str) and OWN.fullmatch(name) else None


def _read_folder(path: Path) -> Artefact:
    if not (path / RECORD).exists():
        raise ModelFileError(
            f"load: {path} holds no {RECORD} and no {IN_RUN}; give the file or folder that save wrote, or a run whose "
            "training has begun."
        )
    _require_files(path / RECORD)
    record = _parse(path, (path / RECORD).read_bytes())
    file = path / record["tensors"]["file"]
    if not file.exists():
        raise _damaged(path, f"{file.name} is missing")
    _require_files(file)
    return _check(path, record, file.read_bytes())


def _read_zip(path: Path) -> Artefact:
    _require_files(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_sizes(path, archive)
            record = _parse(path, archive.read(RECORD))
            return _check(path, record, archive.read(record["tensors"]["file"]))
    except (zipfile.BadZipFile, KeyError, EOFError, NotImplementedError, RuntimeError) as error:
        raise _damaged(path, "it is not a complete zip file of a model") from error


def _check_sizes(path: Path, archive: zipfile.ZipFile) -> None:
    """Raises `ModelFileError` where the parts claim to be far more than the file can hold."""
    size, members = path.stat().st_size, archive.infolist()
    parts = sum(member.file_size for member in members)
    if any(member.compress_size > size for member in members):
        raise _damaged(path, f"a part of it claims more than its {size:,} bytes")
    if parts > FREE + TIMES * size:
        raise _damaged(path, f"its {size:,} bytes would unpack to {parts:,}")


def _require_files(path: Path) -> None:
    """Raises `ModelFileError` where a device, a pipe or a socket stands in the place of a file."""
    if not path.is_file():
        raise ModelFileError(f"load: expected a file at {path}, but it is none; give what save or fit wrote.")


def _parse(path: Path, data: bytes) -> dict[str, Any]:
    """model.json with the version checked first, then that its parts have the right form."""
    try:
        # Numbers that are none are never written.
        record: Any = json.loads(data, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"{RECORD} is not JSON") from error
    version = record.get("format") if isinstance(record, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise ModelFileError(
            f"load: {path} has format version {version}, this unrolled reads up to {FORMAT}; update unrolled."
        )
    tensors = record.get("tensors") if isinstance(record, dict) else None
    parts = (
        isinstance(tensors, dict) and isinstance(record.get("content"), dict) and isinstance(record.get("task"), str)
    )
    name = tensors.get("file") if isinstance(tensors, dict) else None
    if version != FORMAT or not parts or not isinstance(name, str) or Path(name).name != name:
        raise _damaged(path, f"{RECORD} is not the record of a model")
    return dict(record)


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is no number of JSON")


def _check(path: Path, record: dict[str, Any], blob: bytes) -> Artefact:
    if record.get("sha256") != _digest(record["task"], record["content"]):
        raise _damaged(path, f"{RECORD} does not match its checksum")
    if record["tensors"].get("sha256") != hashlib.sha256(blob).hexdigest():
        raise _damaged(path, f"{record['tensors']['file']} does not match its checksum")
    try:
        tensors = safetensors.torch.load(blob)
    except SafetensorError as error:
        raise _damaged(path, f"{record['tensors']['file']} is not in the safetensors format") from error
    return Artefact(record["task"], record["content"], tensors)


def _digest(task: str, content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps([task, content], sort_keys=True).encode()).hexdigest()


def _damaged(path: Path, how: str) -> ModelFileError:
    return ModelFileError(f"load: {path} is damaged or cut short ({how}); save it again or fetch a whole copy.")
