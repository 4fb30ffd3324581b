"""A whole file for each reader: made up, small, and with every kind of value that such files hold."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeAlias

import mido
import numpy as np
import pyarrow as pa
import soundfile
from moving_shapes import write_gif, write_video
from PIL import Image
from pyarrow import parquet

from unrolled.fields.notes import MusicPiece, to_midi

__all__ = ["samples"]

Content: TypeAlias = str | Callable[[Path], object]
"""The text of a file, or what writes it."""

DAYS = [str(date(2024, 1, 1) + timedelta(i)) for i in range(60)]
RECORDS = "".join(json.dumps({"text": f"good {i}", "label": i % 2, "turns": [["a", "b"]]}) + "\n" for i in range(30))
CLASSES = "".join(f"good {i} day,c{i % 2}\n" for i in range(30))


def samples(folder: Path) -> dict[str, Path]:
    """The files of all kinds, written below `folder`, by their names."""
    contents: dict[str, Content] = {}
    every = (
        tables, labelled, tags, running, series, folders, steps, anomalies, sounds, recordings, features, ink, music,
        pictures, captions, videos,
    )  # fmt: skip
    for kind in every:
        contents |= kind()
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
    """Texts and series with a class each."""
    return {
        "classes.tsv": "".join(f"{1 + i % 2}\t{i}\t0.5\t{-i}\tNaN\n" for i in range(20)),
        "classes.csv": "text,label\n" + CLASSES, "classes.jsonl": RECORDS,
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


def steps() -> dict[str, Content]:
    """Series with a row for each step: read as classes, as numbers to foresee, and as tags."""
    rows = [(i // 5, DAYS[i % 5], i % 4 + 0.5, -i, "ab"[i // 5 % 2]) for i in range(40)]
    names = ("id", "date", "x", "z", "label")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    return {
        "steps.csv": "id,t,x,label\n" + "".join(f"{i // 5},{i},{i % 4}.5,{'ab'[i // 5 % 2]}\n" for i in range(40)),
        "steps.tsv": "\t".join(names) + "\n" + "".join("\t".join(map(str, row)) + "\n" for row in rows),
        "steps.jsonl": "".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows),
        "steps.parquet": partial(parquet.write_table, pa.table({name: list(each) for name, each in columns.items()})),
    }


def anomalies() -> dict[str, Content]:
    """Rows to be watched: one series with times, several of them, and one whose types are known."""
    begin = datetime(2024, 1, 1)
    rows = [(begin + timedelta(minutes=5 * i), i % 7 * 1.5, "" if i == 9 else -i, int(20 < i < 24)) for i in range(60)]
    names = ("timestamp", "value", "other", "truth")
    return {
        "watched.csv": ",".join(names) + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows),
        "watched.tsv": "shop\t" + "\t".join(names) + "\n"
        + "".join(f"s{i % 2}\t" + "\t".join(map(str, row)) + "\n" for i, row in enumerate(rows)),
        "watched.parquet": partial(
            parquet.write_table, pa.table({names[0]: [row[0] for row in rows], names[1]: [row[1] for row in rows],
                                           names[3]: [row[3] for row in rows]})
        ),
    }  # fmt: skip


def sounds() -> dict[str, Content]:
    """Sound files."""
    tone = np.sin(np.arange(2000) / 9)
    mono = partial(soundfile.write, data=tone, samplerate=8000)
    both = partial(soundfile.write, data=np.stack([tone, -tone / 2], 1), samplerate=11025, subtype="PCM_24")
    return {
        "sound.wav": mono, "sound.flac": mono, "sound.ogg": mono, "sound.mp3": mono, "stereo.wav": both,
        "floats.wav": partial(soundfile.write, data=tone, samplerate=8000, subtype="DOUBLE"),
    }  # fmt: skip


def recordings() -> dict[str, Content]:
    """Recordings with what is said in them: lists, Kaldi's files, texts beside them, and a folder for each class."""
    tone = partial(soundfile.write, data=np.sin(np.arange(2000) / 9), samplerate=8000)
    rows = [("sound.wav", 0.0, 0.2, "a"), ("sound.flac", 0.05, "", "b a"), ("sound.wav", 0.1, 0.1, "")]
    plain = "".join(f"{path},{offset},{length},{text},c{len(text)}\n" for path, offset, length, text in rows)
    names = ("audio_filepath", "offset", "duration", "text")
    lines = [json.dumps({name: value for name, value in zip(names, row, strict=True) if value != ""}) for row in rows]
    return {
        "sounds.jsonl": "\n".join(lines) + "\n", "sounds.csv": f"path,offset,duration,text,label\n{plain}",
        "sounds.tsv": f"path\toffset\tduration\tsentence\tlabel\n{plain}".replace(",", "\t"),
        "kaldi/wav.scp": "one one.wav\ntwo ../sound.wav\n", "kaldi/one.wav": tone,
        "kaldi/segments": "one-1 one 0.0 0.1\none-2 one 0.1 0.25\ntwo-1 two 0.01 0.24\n",
        "kaldi/text": "one-1 a\none-2 b a\ntwo-1\n",
        "said/one.wav": tone, "said/one.txt": "a\n", "said/below/two.flac": tone, "said/below/two.txt": "b\na\n",
        "spoken/up/one.wav": tone, "spoken/down/two.flac": tone,
    }  # fmt: skip


def features() -> dict[str, Content]:
    """Features of recordings, with their texts in the file itself or beside it."""
    random = np.random.default_rng(0)
    rows, lengths = random.normal(size=(40, 3)), np.array([12, 9, 19])
    return {
        "told.npz": partial(np.savez_compressed, x=random.normal(size=(2, 12, 3)), text=np.array(["a", "b a"])),
        "features.npz": partial(np.savez_compressed, features=rows.astype(np.float32), lengths=lengths),
        "features.tsv": "text\tspeaker\na\tann\nb a\tbob\n\tann\n",
        "lines.npz": partial(np.savez, x=rows, lengths=lengths), "lines.txt": "a\nb a\n\n",
    }  # fmt: skip


def ink() -> dict[str, Content]:
    """Drawings: files of one and of several, folders and zips of them."""
    omniglot = "START\n" + "".join(f"{i},{-i},{20 * i}\n" for i in range(20)) + "BREAK\n3,4,500\nBREAK\n"
    untold = '<ink xmlns="http://www.w3.org/2003/InkML">'
    begin = f'{untold}<annotation type="truth">a</annotation>'
    traces = "<trace>1 2, 3 4, 5.5 6</trace><trace>7 8, 9 10</trace></ink>\n"
    timed = (
        '<traceFormat><channel name="X" type="decimal"/><channel name="Y"/><channel name="F"/>'
        '<channel name="T" units="s"/></traceFormat><trace type="penUp">1 1 0 0</trace>'
        '<trace>1 2 9 0, 3 4 9 0.1, 5.5 6 9 0.2</trace><trace id="t2">7 8 9 0.5, 9 10 9 0.75</trace></ink>\n'
    )
    raw = '{"text": "a b", "drawing": [[[1, 2.5, 3], [4, 5, 6], [0, 10, 20]], [[7, 8], [8, 9], [30, 45]]]}\n'
    return {
        "ink.txt": omniglot, "ink.inkml": begin + traces, "timed.inkml": begin + timed, "raw.ndjson": raw * 5,
        "ink.ndjson": '{"word": "cat", "drawing": [[[1, 2, 3], [4, 5, 6]], [[7], [8]]]}\n' * 9,
        "ink.npz": partial(np.savez_compressed, train=np.ones((9, 3), np.int16), train_lengths=np.array([4, 5])),
        "ink.zip": partial(write_zip, files={"a/0001_01.txt": omniglot, "b/1.inkml": untold + timed}),
        "drawn/a/0001_01.txt": omniglot, "drawn/b/0002_02.txt": omniglot,
        "written/one.inkml": begin + timed, "written/two.inkml": begin + traces,
    }  # fmt: skip


def music() -> dict[str, Content]:
    """Pieces of music: MIDI of one track and of several, lists of the notes of each step."""
    song = MusicPiece.of([(i / 2, 0.5, 60 + i % 7, 40 + i) for i in range(20)], 90)
    steps = [[60, 64, 67], [60], [], [62, -1, 65]] * 3
    alone, parts = json.dumps(steps), json.dumps({"train": [steps, steps], "valid": [steps], "test": [steps]})
    return {
        "song.mid": lambda path: path.write_bytes(to_midi(song)), "band.mid": write_band,
        "steps.json": alone, "parts.json": parts, "pieces.jsonl": f"{alone}\n{json.dumps(song.to_json())}\n" * 3,
        "tunes/up/a.mid": write_band, "tunes/down/b.mid": lambda path: path.write_bytes(to_midi(song)),
    }  # fmt: skip


def write_band(path: Path) -> None:
    """A MIDI file of three tracks, one of them drums, with tempos, a metre, a key and a note that never ends."""
    band = mido.MidiFile(type=1, ticks_per_beat=96)
    times = [mido.MetaMessage("set_tempo", tempo=400_000 + 10_000 * i, time=96 * i) for i in range(4)]
    signs = [mido.MetaMessage("time_signature", numerator=3), mido.MetaMessage("key_signature", key="Bb")]
    band.tracks.append(mido.MidiTrack([*signs, *times]))
    for channel in (0, 9):
        notes = [
            mido.Message(kind, channel=channel, note=50 + i, velocity=70, time=48 * (kind == "note_off"))
            for i in range(9) for kind in ("note_on", "note_off")
        ]  # fmt: skip
        band.tracks.append(mido.MidiTrack([*notes, mido.Message("note_on", channel=channel, note=40)]))
    band.save(str(path))


def pictures() -> dict[str, Content]:
    """Picture files of every usual kind, lists of them, folders of classes and of lines with their texts."""
    grey = np.add.outer(np.arange(12), np.arange(17)).astype(np.uint8) * 8
    colour = np.stack([grey, grey[::-1], 255 - grey], -1)
    seen = np.concatenate([colour, grey[..., None]], -1)
    told = "picture.png,a,c0\npicture.jpg,b a,c1\nglass.png,,c0\n"
    return {
        "picture.png": partial(write_picture, pixels=colour), "picture.jpg": partial(write_picture, pixels=colour),
        "picture.bmp": partial(write_picture, pixels=colour), "picture.webp": partial(write_picture, pixels=colour),
        "picture.tiff": partial(write_picture, pixels=grey), "glass.png": partial(write_picture, pixels=seen),
        "palette.gif": partial(write_picture, pixels=colour, mode="P"),
        "print.jpg": partial(write_picture, pixels=colour, mode="CMYK"),
        "pictures.csv": f"image,text,label\n{told}", "pictures.tsv": f"path\ttext\tlabel\n{told}".replace(",", "\t"),
        "shown/up/one.png": partial(write_picture, pixels=colour),
        "shown/down/two.jpg": partial(write_picture, pixels=grey),
        "print/one.png": partial(write_picture, pixels=grey), "print/one.gt.txt": "a b\n",
        "print/two.png": partial(write_picture, pixels=grey.repeat(2, 1)), "print/two.gt.txt": "b\n",
    }  # fmt: skip


def captions() -> dict[str, Content]:
    """Lists of pictures with their captions."""
    images = [{"id": i, "file_name": name} for i, name in enumerate(("picture.png", "picture.jpg"))]
    notes = [{"id": 9 + i, "image_id": i % 2, "caption": f"a picture {i}"} for i in range(4)]
    lines = [{"image": one["file_name"], "captions": ["a picture", "another one"]} for one in images]
    return {
        "coco.json": json.dumps({"images": images, "annotations": notes}),
        "captions.jsonl": "".join(json.dumps(line) + "\n" for line in lines),
        "captions.csv": "image,caption\npicture.png,a picture\npicture.png,the same\npicture.jpg,another\n",
    }


def videos() -> dict[str, Content]:
    """Video files of usual kinds."""
    frames = np.random.default_rng(0).integers(0, 255, (6, 16, 16, 3)).astype(np.uint8)
    return {
        "video.mp4": partial(write_video, video=frames), "video.webm": partial(write_video, video=frames, codec="vp9"),
        "video.gif": lambda path: write_gif(path, frames),
    }  # fmt: skip


def write_picture(path: Path, pixels: np.ndarray, mode: str | None = None) -> None:
    """Pixels as the kind of file that the name ends in, in another mode of Pillow's where one is named."""
    picture = Image.fromarray(pixels)
    (picture if mode is None else picture.convert(mode)).save(path)


def write_zip(path: Path, files: dict[str, str]) -> None:
    """A zip of texts."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)
