"""Lists of files with captions: tables, COCO's JSON and Karpathy's, several captions a file, parts, missing files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unrolled.data.read.captions import CaptionColumns, CaptionList, read_captions
from unrolled.errors import DataError, OptionError

PLAIN = CaptionColumns()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files, which nobody opens, in a folder of their own."""
    (tmp_path / "shots").mkdir()
    for name in "abc":
        (tmp_path / "shots" / f"{name}.png").write_bytes(b"")
    return tmp_path


def read(source: object, columns: CaptionColumns = PLAIN, **how: Any) -> CaptionList:
    found = read_captions(source, columns, **how)
    assert found is not None
    return found


def table(folder: Path, *lines: str, name: str = "list.csv") -> Path:
    (folder / name).write_text("".join(f"{line}\n" for line in lines))
    return folder / name


def test_rows_of_the_same_file_belong_together(folder: Path) -> None:
    file = table(folder, "image,caption", "shots/a.png,one", "shots/b.png,two", "shots/../shots/a.png,another")
    found = read(file)
    assert found.paths == [str(folder / "shots" / f"{name}.png") for name in "ab"]
    assert found.files == ("shots/a.png", "shots/b.png")
    assert found.captions == [("one", "another"), ("two",)]
    assert [found.places.of(i) for i in range(2)] == ["line 2 of list.csv", "line 3 of list.csv"]
    assert found.remarks == ("captions: 3 of 2 files, column 'caption'",)


@pytest.mark.parametrize("names", [("file_name", "captions"), ("video", "title"), ("path", "sentences"), ("clip", "x")])
def test_lists_of_captions_and_columns_of_usual_names(names: tuple[str, str], folder: Path) -> None:
    rows = [{names[0]: "a.png", names[1]: ["one", "two", ""]}, {names[0]: "c.png", names[1]: "three"}]
    file = table(folder, *map(json.dumps, rows), name="list.jsonl")
    columns = CaptionColumns(caption="x" if names[1] == "x" else None, folder=folder / "shots")
    assert read(file, columns).captions == [("one", "two"), ("three",)]
    objects = table(folder, json.dumps(rows), name="list.json")
    assert read(objects, columns).captions == [("one", "two"), ("three",)]
    assert read(objects, columns).places.of(1) == "object 1 of list.json"
    memory = [{name: str(folder / "shots" / value) if name == names[0] else value for name, value in row.items()}
              for row in rows]  # fmt: skip
    assert read(memory, CaptionColumns(caption=columns.caption)).captions == [("one", "two"), ("three",)]


def test_parquet_keeps_lists(folder: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    whole = pyarrow.table({"image": ["shots/b.png"], "captions": [["one", "two"]]})
    parquet.write_table(whole, folder / "list.parquet")
    assert read(folder / "list.parquet").captions == [("one", "two")]


def test_the_captions_of_coco_are_found_by_the_ids_of_images(folder: Path) -> None:
    content = {
        "images": [{"id": 7, "file_name": "b.png"}, {"id": 9, "file_name": "a.png"}, {"id": 8, "file_name": "c.png"}],
        "annotations": [{"id": n, "image_id": image, "caption": f" text {n} "} for n, image in enumerate([9, 7, 9])],
    }
    file = table(folder, json.dumps(content), name="captions.json")
    found = read(file, CaptionColumns(folder=folder / "shots"))
    assert [Path(path).name for path in found.paths] == ["b.png", "a.png"]
    assert found.captions == [(" text 1 ",), (" text 0 ", " text 2 ")]
    assert found.places.of(1) == "image 1 of captions.json"
    assert found.remarks == ("captions: 3 of 2 files, as its annotations", "1 row without a caption left out")
    silent = read(file, CaptionColumns(folder=folder / "shots"), captioned=False)
    assert silent.files == ("b.png", "a.png", "c.png")


def test_sentences_of_images_and_their_parts(folder: Path) -> None:
    images = [
        {"filename": f"{name}.png", "filepath": "shots", "split": split, "sentences": [{"raw": name, "tokens": []}] * 2}
        for name, split in zip("abc", ["train", "test", "train"], strict=True)
    ]
    file = table(folder, json.dumps({"images": images}), name="karpathy.json")
    assert read(file, CaptionColumns(part="train")).captions == [("a", "a"), ("c", "c")]
    assert read(file, CaptionColumns(part="train")).places.of(1) == "image 2 of karpathy.json"
    assert "'split' of the images says test, train: all are read; part= chooses one" in read(file).remarks


def test_a_part_is_chosen_by_a_column(folder: Path) -> None:
    file = table(folder, "image,caption,split", "shots/a.png,one,train", "shots/b.png,two,test", "shots/c.png,,train")
    found = read(file, CaptionColumns(part="train"))
    assert (found.files, found.captions) == (("shots/a.png",), [("one",)])
    assert found.remarks[-1] == "1 row without a caption left out"
    with pytest.raises(DataError, match=r"no row is of the part 'valid'; column 'split' says test, train\."):
        read(file, CaptionColumns(part="valid"))
    with pytest.raises(DataError, match="part='train' needs a column that says the part of each row, split, part or"):
        read(table(folder, "image,caption", "shots/a.png,one"), CaptionColumns(part="train"))


def test_files_are_told_without_looking_for_captions(folder: Path) -> None:
    file = table(folder, "image,size", "shots/a.png,1", "shots/b.png,2")
    assert read(file, captioned=False).captions == [(), ()]
    with pytest.raises(DataError, match=r"list\.csv: expected captions in a column caption, captions, text, "):
        read(file)


def test_what_names_no_files_is_no_list(folder: Path) -> None:
    assert read_captions(table(folder, "text,label", "a,b"), PLAIN) is None
    assert read_captions(folder, PLAIN) is None
    assert read_captions([np.ones(3)], PLAIN) is None
    with pytest.raises(OptionError, match="images= is for a list of files with captions, but x is none"):
        CaptionColumns(folder=folder).check_unused("x")


@pytest.mark.parametrize(("lines", "columns", "sentence"), [
    (["image,caption", "shots/a.png,x", "shots/d.png,y"], {},
     r"Line 3 of list\.csv: There is no file .*d\.png'.* name that with images="),
    (["image,caption", ",x"], {}, r"Expected the path of a file in line 2 of list\.csv, got None: write it"),
    (["image,path,caption", "a,b,c"], {}, "has the columns image, path, and one is expected: name it with image="),
    (["image,caption,text", "shots/a.png,c,d"], {}, "caption, text, and one is expected: name it with caption="),
    (["image,caption", "shots/a.png, "], {}, "All captions of list.csv are empty: write what is to be seen"),
    (["image,caption", "shots/a.png,x"], {"caption": "said"}, "Column 'said' is not in list.csv"),
])  # fmt: skip
def test_a_broken_table_is_told_by_its_line(
    lines: list[str], columns: dict[str, Any], sentence: str, folder: Path
) -> None:
    with pytest.raises(DataError, match=sentence):
        read(table(folder, *lines), CaptionColumns(**columns))


IMAGE = {"id": 1, "file_name": "shots/a.png"}


@pytest.mark.parametrize(("content", "sentence"), [
    ("{", r"captions\.json is no JSON"),
    ("[" * 100_000, r"captions\.json is no JSON"),
    ("[1, 2]", "expected the captions of COCO, with images"),
    ('{"images": [], "annotations": []}', "expected the captions of COCO"),
    ([{"a": 1}], "expected the captions of COCO"),
    ({"images": [{"id": 1}], "annotations": []}, "Expected a file_name of image 0 of captions.json, got none"),
    ({"images": [IMAGE, IMAGE], "annotations": []}, "expected an id of its own for each of the 2 images"),
    ({"images": [IMAGE], "annotations": 5}, "expected annotations as a list of objects, got int"),
    ({"images": [IMAGE], "annotations": [{"caption": "x"}]}, "Expected image_id and caption in annotation 0 of"),
    ({"images": [IMAGE], "annotations": [{"image_id": 2, "caption": "x"}]},
     "Annotation 0 of captions.json is of the image 2, which is not among the 1 image"),
    ({"images": [IMAGE], "annotations": [{"image_id": 1, "caption": {"a": 1}}]},
     "Expected a caption, or a list of them, in image 0 of captions.json, got {'a': 1}"),
    ({"images": [IMAGE]}, "expected captions in a column"),
])  # fmt: skip
def test_broken_json_is_one_sentence(content: Any, sentence: str, folder: Path) -> None:
    file = table(folder, content if isinstance(content, str) else json.dumps(content), name="captions.json")
    with pytest.raises(DataError, match=sentence) as told:
        read(file)
    assert len(str(told.value)) < 600
