"""What the names of files say of the drawings in them: functions of a path, for whoever knows that they do."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from unrolled.errors import DataError

__all__ = ["file_label", "folder_label", "omniglot_drawer", "omniglot_label"]


def file_label(name: str) -> str:
    """The file itself, as the class of all drawings in it; what Quick Draw puts before the class is left out.

    >>> file_label("drawings/full_simplified_The Eiffel Tower.ndjson.gz"), file_label("cat.npz")
    ('The Eiffel Tower', 'cat')
    """
    path = PurePosixPath(name)
    if path.suffix.lower() == ".gz":
        path = path.with_suffix("")
    return re.sub(r"^full_(simplified|raw|binary)_(?=.)", "", path.stem)


def folder_label(name: str) -> str:
    """The folder that a file is in, as its class.

    >>> folder_label("cats/17.inkml")
    'cats'
    """
    folders = PurePosixPath(name).parts[:-1]
    if not folders:
        raise DataError(f"Expected a folder as the class of {name}, but it is in none: give the folder of the classes.")
    return folders[-1]


def omniglot_label(name: str) -> str:
    """The alphabet and the character: characters are numbered anew in each alphabet.

    >>> omniglot_label("strokes_background/Latin/character26/0708_20.txt")
    'Latin/character26'
    """
    folders = PurePosixPath(name).parts[:-1]
    if len(folders) < 2:
        raise DataError(
            f"Expected the folders of an alphabet and of a character above {name}: give a folder that holds alphabets."
        )
    return "/".join(folders[-2:])


def omniglot_drawer(name: str) -> str:
    """Who drew it: the number at the end of the file's name.

    >>> omniglot_drawer("strokes_background/Latin/character26/0708_20.txt")
    '20'
    """
    found = re.search(r"[0-9]+_([0-9]+)\.txt(\.gz)?$", name)
    if found is None:
        raise DataError(f"Expected a name such as 0708_20.txt, with its drawer at the end, but got {name}: rename it.")
    return found[1]
