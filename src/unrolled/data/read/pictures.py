"""Lists of pictures with their labels or with what is written in them; pixels are read when they are asked for."""

from __future__ import annotations

from pathlib import Path

from unrolled.data.read.door import reader
from unrolled.data.read.images import PICTURES, ImageFile
from unrolled.data.read.listing import FileKind, checked_folder, files_of_folder, files_of_table, there
from unrolled.data.read.records import Records

__all__ = ["LISTED_PICTURES", "read_pictures"]

LISTED_PICTURES = FileKind(
    column="image", noun="picture", short="picture", plural="pictures", endings=PICTURES,
    paths=("image", "image_path", "img", "picture", "path", "file", "file_name", "filename", "filepath"),
    texts=(".gt.txt", ".txt"), inner=(".bin", ".nrm"),
)  # fmt: skip


@reader
def read_pictures(source: object, *, image: str | None = None, text: str | None = None) -> Records:
    """The pictures that a list or a folder names, and what belongs to each.

    Args:
        source: one of
            a table (.jsonl, .csv, .tsv, .parquet, "-", or in memory: what `read_records` takes) with a column of paths,
            relative to the table; other columns stay;
            a folder of pictures, each with what is written in it beside it, also in folders below: x.png and x.gt.txt,
            or x.txt; x.bin.png and x.nrm.png go with x.gt.txt, too;
            a folder with a folder of pictures for each class.
        image: the column of paths of a table; None: image, image_path, img, picture, path, file, file_name, filename or
            filepath, whichever is there.
        text: the column of what is written; None: text, sentence or transcript, if one of them is there.

    Returns:
        Records with the columns "image" (an `ImageFile` each, for `read_image`), "text" (str, None where missing) if
        there are transcripts, "label" (str) of a folder of classes, and the other columns of a table. No picture is
        opened.

    Raises:
        DataError: no such list, a picture that is not there (its line is named), no column of paths or several, a
            picture without a transcript, or files that are laid out otherwise.
    """
    folder = checked_folder(source, LISTED_PICTURES, image, text)
    if folder is None:
        return files_of_table(source, LISTED_PICTURES, image, text, _file)
    return files_of_folder(folder, LISTED_PICTURES, ImageFile)


def _file(_: Records, __: int, path: Path, place: str) -> ImageFile:
    return ImageFile(there(path, place, LISTED_PICTURES), place)
