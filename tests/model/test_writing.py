"""Only regular files are ever replaced; links stay, modes stay, devices and pipes are written to or refused."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
import torch

from unrolled.errors import SaveError
from unrolled.model import write_atomically, writing
from unrolled.model.artefact import Artefact, read_artefact, write_artefact

ARTEFACT = Artefact("forecast", {"a": 1}, {"weights.w": torch.arange(6.0)})


def test_the_mode_of_a_file_that_is_replaced_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")
    path.chmod(0o600)
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("old")
    (tmp_path / "link").symlink_to(Path("there") / "file")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "file").read_bytes() == b"new"
    assert [p.name for p in (tmp_path / "there").iterdir()] == ["file"]


def test_a_link_is_replaced_where_it_must_not_be_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("old")
    (tmp_path / "link").symlink_to("victim")
    write_atomically(tmp_path / "link", b"new", follow=False)
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "victim").read_text() == "old"


def test_a_pipe_with_a_reader_is_written_to(tmp_path: Path) -> None:
    path, heard = tmp_path / "pipe", list[bytes]()
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: heard.append(path.read_bytes()))
    reader.start()
    write_atomically(path, b"said")
    reader.join()
    assert heard == [b"said"]
    assert stat.S_ISFIFO(path.stat().st_mode)


@pytest.mark.parametrize("name", ["model.unrolled", "model"])
def test_a_pipe_that_nobody_reads_is_refused_and_stays(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "PATIENCE", 0.1)
    os.mkfifo(tmp_path / name)
    with pytest.raises(SaveError, match=r"pipe that nobody reads|File exists"):
        write_artefact(ARTEFACT, tmp_path / name)
    assert stat.S_ISFIFO((tmp_path / name).stat().st_mode)


def test_a_device_that_is_full_stays_a_device(tmp_path: Path) -> None:
    path = tmp_path / "full"
    try:
        os.mknod(path, 0o20600, os.makedev(1, 7))
    except OSError:
        pytest.skip("this system lets nobody make a device")
    try:
        path.open("wb").close()
    except OSError:
        pytest.skip("this system lets nobody open a device of his own")
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"x" * 10)
    assert stat.S_ISCHR(path.stat().st_mode)


def test_a_folder_in_the_place_of_a_file_stays(tmp_path: Path) -> None:
    (tmp_path / "a.zip").mkdir()
    with pytest.raises(SaveError, match="it is a folder"):
        write_artefact(ARTEFACT, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").is_dir()


def test_a_save_removes_the_tensors_of_the_model_before_alone(tmp_path: Path) -> None:
    path = write_artefact(ARTEFACT, tmp_path / "model")
    (own,) = path.glob("tensors-*.safetensors")
    foreign = path / "tensors-0123456789ab.safetensors"
    foreign.write_text("another's")
    newer = ARTEFACT._replace(tensors={"weights.w": torch.zeros(2)})
    write_artefact(newer, path)
    assert foreign.read_text() == "another's"
    assert not own.exists()
    assert torch.equal(read_artefact(path).tensors["weights.w"], torch.zeros(2))
