"""What is asked of a run, checked before its first step."""

from __future__ import annotations

from pathlib import Path

from unrolled.errors import OptionError
from unrolled.train.checkpoints.checkpoint import Folder, Record
from unrolled.train.options import TrainOptions

__all__ = ["check_request", "check_same"]


def check_request(options: TrainOptions, folder: Folder | None, *, resume: bool, scored: bool) -> None:
    """Raises `OptionError` if the options need a score that is not there, or the folder is not as the call expects."""
    watching = None if scored else options.watches_score()
    if watching is not None:
        raise OptionError(f"fit: {watching} needs a score to watch; give valid= or score=.")
    if folder is None and resume:
        raise OptionError("fit: resume=True needs run=, the folder with the checkpoints to go on from.")
    if folder is not None and not resume and folder.serials():
        raise OptionError(
            f"fit: {folder.path} holds checkpoints of an earlier run; go on from them with resume=True, or choose "
            "another folder."
        )


def check_same(record: Record, path: Path, options: TrainOptions, *, data: str, processes: int) -> None:
    """Raises `OptionError` if a checkpoint's record is of another run: a run goes on only as what it was."""
    fresh = "resume it unchanged, or start a new run in another folder"
    different = options.differs_from(record["options"])
    if different is not None:
        raise OptionError(f"fit: cannot resume {path} with {different}; {fresh}.")
    if record["data"] != data:
        raise OptionError(f"fit: cannot resume {path}: the data differs from what it was trained on; {fresh}.")
    if record["processes"] != processes:
        raise OptionError(
            f"fit: cannot resume {path} with {processes} processes, it was written by {record['processes']}; {fresh}."
        )
