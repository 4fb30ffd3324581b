"""A whole file for each reader: made up, small, and with every kind of value that such files hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import soundfile
from pyarrow import parquet

__all__ = ["samples"]

Content: TypeAlias = str | Callable[[Path], object]
"""The text of a file, or what writes it."""

DAYS = [str(date(2024, 1, 1) + timedelta(i)) for i in range(60)]
RECORDS = "".join(json.dumps({"text": f"good {i}", "label": i % 2, "turns": [["a", "b"]]}) + "\n" for i in range(30))
CLASSES = "".join(f"good {i} day,c{i % 2}\n" for i in range(30))


def samples(folder: Path) -> dict[str, Path]:
    """The files of all kinds, written below `folder`, by their names."""
    contents = tables() | labelled() | tags() | running() | series() | folders() | sounds() | ink()
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content)
        else:
            content(path)
    return {name: folder / name for name in contents}


def tables() -> dict[str, Content]:
    """Tables of several series, and records."""
    table = "day,shop,sales,mood\n" + "".join(
        f"{day},s{shop},{i * 1.5},m{i % 3}\n" for shop in (0, 1) for i, day in enumerate(DAYS)
    )
    numbers = pa.table({"day": DAYS, "sales": [float(i) for i in range(60)], "n": pa.array(range(60), pa.int32())})
    lists = pa.table(
        {"text": ["a", "b"] * 20, "turns": [["x"], ["y", None]] * 20, "t": pa.array(range(40), pa.timestamp("us"))}
    )
    return {
        "table.csv": table, "table.tsv": table.replace(",", "\t"), "records.csv": table, "panel.csv": table,
        "records.jsonl": RECORDS,
        "table.parquet": partial(parquet.write_table, numbers, compression="snappy"),
        "records.parquet": partial(parquet.write_table, lists, compression="zstd", row_group_size=10),
    }  # fmt: skip


def labelled() -> dict[str, Content]:
    """Texts, series and steps with a class each."""
    return {
        "classes.tsv": "".join(f"{1 + i % 2}\t{i}\t0.5\t{-i}\tNaN\n" for i in range(20)),
        "classes.csv": "text,label\n" + CLASSES, "classes.jsonl": RECORDS,
        "steps.csv": "id,t,x,label\n" + "".join(f"{i // 5},{i},{i % 4}.5,{'ab'[i // 5 % 2]}\n" for i in range(40)),
    }  # fmt: skip


def tags() -> dict[str, Content]:
    """Words with a tag each."""
    return {
        "tags.csv": "sentence,word,tag\n" + "".join(f"{i // 5},w{i},{'B-X' if i % 3 else 'O'}\n" for i in range(40)),
        "tags.conllu": "".join(
            f"{1 + i % 5}\tw{i}\tw{i}\tNOUN\tN\t_\t0\troot\t_\t_\n" + "\n" * (i % 5 == 4) for i in range(40)
        ),
        "tags.txt": "".join(f"w{i} {'B-X' if i % 3 else 'O'}\n" + "\n" * (i % 7 == 6) for i in range(40)),
    }


def running() -> dict[str, Content]:
    """Running text, pairs of texts, and vectors of words."""
    return {
        "running.txt": "one two three\n\nfour five\n" * 15, "text.txt": "one two three\n" * 30,
        "pairs.tsv": "source\ttarget\n" + CLASSES.replace(",", "\t"),
        "vectors.vec": "".join(f"w{i} 0.5 -1.5 2e-3\n" for i in range(20)),
    }  # fmt: skip


def series() -> dict[str, Content]:
    """Series of numbers."""
    attributes = "".join(f"@attribute t{i} numeric\n" for i in range(4))
    return {
        "series.ts": "@problemName x\n@univariate false\n@classLabel true a b\n@data\n"
        + "1,2,3:4,5,6:a\n2,3,?:1,1,1:b\n" * 5,
        "series.arff": f"@relation x\n{attributes}@attribute class {{a,b}}\n@data\n" + "1,2,?,4,a\n4,3,2.5,1,b\n" * 8,
        "series.npy": partial(np.save, arr=np.arange(24.0).reshape(4, 3, 2)),
        "series.npz": partial(
            np.savez_compressed, x=np.ones((3, 4, 1)), y=np.array(["a", "b", "c"]), lengths=np.array([1, 2, 4])
        ),
    }


def folders() -> dict[str, Content]:
    """A folder for each class, of tables, texts or arrays."""
    array = partial(np.save, arr=np.arange(6.0).reshape(3, 2))
    return {
        "tables/up/a.csv": "1,2\n3,4\n", "tables/down/b.csv": "5,2\n3,4\n1,1\n",
        "texts/up/a.txt": "some words\n", "texts/down/b.txt": "others\n",
        "arrays/up/c.npy": array, "arrays/down/c.npy": array,
    }  # fmt: skip


def sounds() -> dict[str, Content]:
    """Sound files, and lists of them."""
    tone = partial(soundfile.write, data=np.sin(np.arange(2000) / 9), samplerate=8000)
    return {
        "sound.wav": tone, "sound.flac": tone,
        "sounds.jsonl": "".join(f'{{"audio_filepath": "sound.wav", "text": "a", "offset": 0.{i}}}\n' for i in (0, 1)),
    }  # fmt: skip


def ink() -> dict[str, Content]:
    """Drawings."""
    return {
        "ink.txt": "START\n" + "".join(f"{i},{-i},{20 * i}\n" for i in range(20)) + "BREAK\n3,4,500\nBREAK\n",
        "ink.inkml": '<ink xmlns="http://www.w3.org/2003/InkML"><annotation type="truth">a</annotation>'
        + "<trace>1 2, 3 4, 5.5 6</trace><trace>7 8, 9 10</trace></ink>\n",
        "ink.ndjson": '{"word": "cat", "drawing": [[[1, 2, 3], [4, 5, 6]], [[7], [8]]]}\n' * 9,
        "ink.npz": partial(np.savez_compressed, train=np.ones((9, 3), np.int16), train_lengths=np.array([4, 5])),
    }
