"""Lists of pictures: tables that name them, pictures with their texts, a folder for each class."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unrolled.data.read.images import ImageFile
from unrolled.data.read.listing import names_files
from unrolled.data.read.pictures import LISTED_PICTURES, read_pictures
from unrolled.errors import DataError, OptionError


def place(root: Path, files: dict[str, str]) -> Path:
    """Files by name; what a picture holds is not looked at here."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")
    return root


@pytest.mark.parametrize(("name", "content"), [
    ("a.csv", "image,split,caption\nin/a.png,train,a cat\nin/b.jpg,test,a dog\n"),
    ("a.tsv", "file_name\tsplit\tcaption\nin/a.png\ttrain\ta cat\nin/b.jpg\ttest\ta dog\n"),
    ("a.jsonl", json.dumps({"path": "in/a.png", "split": "train", "caption": "a cat"}) + "\n"
     + json.dumps({"path": "in/b.jpg", "split": "test", "caption": "a dog"}) + "\n"),
])  # fmt: skip
def test_tables_name_pictures_and_what_belongs_to_each(tmp_path: Path, name: str, content: str) -> None:
    place(tmp_path, {"in/a.png": "", "in/b.jpg": "", name: content})
    records = read_pictures(tmp_path / name)
    first = 1 if name.endswith("jsonl") else 2
    assert records.columns["image"] == [
        ImageFile(tmp_path / "in" / "a.png", f"line {first} of {name}"),
        ImageFile(tmp_path / "in" / "b.jpg", f"line {first + 1} of {name}"),
    ]
    assert records.columns["caption"] == ["a cat", "a dog"]
    assert set(records.columns) == {"image", "split", "caption"}
    assert names_files(tmp_path / name, LISTED_PICTURES)
    assert not names_files(tmp_path / name, LISTED_PICTURES, "caption")


def test_columns_of_any_name_can_be_named(tmp_path: Path) -> None:
    place(tmp_path, {"a.png": "", "m.csv": "path,scan,words\nx,a.png,one\n"})
    records = read_pictures(tmp_path / "m.csv", image="scan", text="words")
    assert records.columns["text"] == ["one"]
    assert records.columns["path"] == ["x"]


@pytest.mark.parametrize(("content", "said"), [
    ("image\na.png\nb.png\n", r"^Line 3 of m\.csv: There is no file '.*b\.png'\. Did you mean 'a\.png'"),
    ("image,label\n,x\n", r"Expected the path of a picture as 'image' in line 2 of m\.csv, got None: write it"),
    ("where\na.png\n", r"m\.csv: expected a column image, image_path, .* or filepath; it has: where\. Name .* image="),
    ("image,path\na.png,a.png\n", r"has the columns image, path, and one is expected: name it with image="),
    ("image\nin\n", r"Expected a picture in line 2 of m\.csv, but 'in' is a folder"),
])  # fmt: skip
def test_a_line_that_does_not_fit_is_named(tmp_path: Path, content: str, said: str) -> None:
    place(tmp_path, {"a.png": "", "in/c.png": "", "m.csv": content})
    with pytest.raises(DataError, match=said):
        read_pictures(tmp_path / "m.csv")


def test_pictures_with_their_texts(tmp_path: Path) -> None:
    files = {
        "b.png": "", "b.gt.txt": "two words\n", "b.txt": "another text", "deep/a.bin.png": "", "deep/a.gt.txt": "three",
        "deep/a.nrm.png": "", "c.x.png": "", "c.x.txt": "four", "read.me": "x",
    }  # fmt: skip
    records = read_pictures(place(tmp_path, files))
    places = [records.place(row) for row in range(4)]
    assert dict(zip(places, records.columns["text"], strict=True)) == {
        "b.png": "two words", "c.x.png": "four", "deep/a.bin.png": "three", "deep/a.nrm.png": "three",
    }  # fmt: skip
    (tmp_path / "b.txt").unlink()
    (tmp_path / "b.gt.txt").unlink()
    with pytest.raises(DataError, match=r"a transcript beside each picture of .* but b\.png has no b\.gt\.txt"):
        read_pictures(tmp_path)


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    records = read_pictures(place(tmp_path, {"cat/1.png": "", "cat/0.JPG": "", "dog/0.gif": "", "about.txt": "x"}))
    assert records.columns["label"] == ["cat", "cat", "dog"]
    assert records.columns["image"][0] == ImageFile(tmp_path / "cat" / "0.JPG", "cat/0.JPG")


@pytest.mark.parametrize(("files", "said"), [
    ({"7_0.png": "", "7_1.png": ""}, r"7_0\.png: expected a folder of pictures for each class in 'data', or a \.gt"),
    ({"cat/0.png": "", "dog/0.psd": ""}, r"Expected pictures in the class folder 'dog', but it holds 0\.psd: remove"),
    ({"read.me": ""}, r"The folder 'data' holds no pictures: put \.png, .* files there"),
])  # fmt: skip
def test_a_folder_laid_out_otherwise_is_not_guessed(tmp_path: Path, files: dict[str, str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_pictures(place(tmp_path / "data", files))


def test_columns_are_of_tables_alone(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"image= and text= name columns of a table, but the pictures are a folder"):
        read_pictures(tmp_path, image="a")
