from __future__ import annotations

import json
import os
import struct
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from unrolled.errors import ModelFileError, SaveError
from unrolled.model import load
from unrolled.model.artefact import FORMAT, Artefact, read_artefact, write_artefact

ARTEFACT = Artefact(
    "forecast", {"a": [1, 2.5, None], "b": {"c": "d"}}, {"weights.w": torch.arange(6.0), "data.n": torch.tensor([3])}
)


def same(left: Artefact, right: Artefact) -> bool:
    tensors = left.tensors.keys() == right.tensors.keys() and all(
        torch.equal(t, right.tensors[n]) for n, t in left.tensors.items()
    )
    return tensors and left[:2] == right[:2]


@pytest.mark.parametrize("name", ["model", "model.unrolled", "model.zip", "deep/er/model"])
def test_what_is_written_is_read_back(name: str, tmp_path: Path) -> None:
    path = write_artefact(ARTEFACT, tmp_path / name)
    assert same(read_artefact(path), ARTEFACT)
    assert path.is_dir() == (path.suffix == "")


def test_a_new_save_replaces_the_old_one_and_leaves_strangers_alone(tmp_path: Path) -> None:
    path = write_artefact(ARTEFACT, tmp_path / "model")
    (path / "notes.txt").write_text("mine")
    newer = ARTEFACT._replace(tensors={"weights.w": torch.zeros(2)})
    write_artefact(newer, path)
    assert same(read_artefact(path), newer)
    assert sorted(p.suffix for p in path.iterdir()) == [".json", ".safetensors", ".txt"]


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (write_artefact(ARTEFACT, tmp_path / name).read_bytes() for name in ("a.zip", "b.zip"))
    assert first == second


@pytest.mark.parametrize("name", ["model", "model.zip"])
def test_a_failed_save_leaves_what_was_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_artefact(ARTEFACT, tmp_path / name)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for target in (path, tmp_path / f"new-{name}"):
        with pytest.raises(SaveError, match="No space left"):
            write_artefact(ARTEFACT._replace(content={}), target)
    monkeypatch.undo()
    assert same(read_artefact(path), ARTEFACT)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    folder = write_artefact(ARTEFACT, tmp_path / "model")
    for file in folder.iterdir():
        whole = file.read_bytes()
        for place in range(0, len(whole), max(1, len(whole) // 60)):
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            # White space of the JSON may change, nothing else.
            with suppress(ModelFileError):
                assert same(read_artefact(folder), ARTEFACT), f"{file.name} byte {place}"
        file.write_bytes(whole)


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    whole = write_artefact(ARTEFACT, tmp_path / "model.zip").read_bytes()
    for length in range(0, len(whole), 37):
        (tmp_path / "cut.zip").write_bytes(whole[:length])
        with pytest.raises(ModelFileError, match="damaged or cut short"):
            read_artefact(tmp_path / "cut.zip")


def test_a_part_that_claims_more_packed_bytes_than_the_file_has_takes_no_memory(tmp_path: Path) -> None:
    path = write_artefact(ARTEFACT, tmp_path / "model.zip")
    data = bytearray(path.read_bytes())
    # The size of what is packed stands 20 bytes into an entry of the directory.
    place = data.find(b"PK\x01\x02") + 20
    data[place : place + 4] = struct.pack("<I", 0xFF000000)
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match="a part of it claims more than its"):
        read_artefact(path)


def test_a_later_format_version_is_told_before_anything_else(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.json").write_text(json.dumps({"format": FORMAT + 1, "something": "new"}))
    with pytest.raises(ModelFileError, match=rf"format version {FORMAT + 1}.*update unrolled"):
        load(folder)


def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    folder = write_artefact(ARTEFACT, tmp_path / "model")
    record = json.loads((folder / "model.json").read_text())
    record["tensors"]["file"] = "../elsewhere.safetensors"
    (folder / "model.json").write_text(json.dumps(record))
    with pytest.raises(ModelFileError, match="not the record of a model"):
        load(folder)


def test_a_file_names_a_task_and_never_what_is_imported(tmp_path: Path) -> None:
    path = write_artefact(ARTEFACT._replace(task="os.system"), tmp_path / "model.zip")
    with pytest.raises(ModelFileError, match=r"task 'os\.system'"):
        load(path)
    with pytest.raises(ModelFileError, match="does not fit"):
        load(write_artefact(ARTEFACT, tmp_path / "odd.zip"))


def test_what_is_no_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no model at"):
        load(tmp_path / "nothing")
    with pytest.raises(ModelFileError, match=r"holds no model.json"):
        load(tmp_path)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("x", "y")
    with pytest.raises(ModelFileError, match="not a complete zip file of a model"):
        load(tmp_path / "other.zip")
