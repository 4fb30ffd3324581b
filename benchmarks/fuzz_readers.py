"""How the broken files are read, by the names of their samples: as its tasks read each, up to what a network reads."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from unrolled import data, tasks
from unrolled.data.panel.steps import StepColumns
from unrolled.data.read.audio import read_sound
from unrolled.data.read.captions import CaptionColumns
from unrolled.data.read.ink import read_drawings
from unrolled.data.read.music import music_parts, read_pieces
from unrolled.errors import UnrolledError
from unrolled.fields.category import Category
from unrolled.inputs.columns import LabelColumns
from unrolled.tasks.anomaly.reading import Observed, read_layout, read_observed, read_table_of
from unrolled.tasks.anomaly.rows import RowFields
from unrolled.tasks.reading.captions import read_captioned
from unrolled.tasks.reading.labelled import read_examples
from unrolled.tasks.reading.measured import read_measured
from unrolled.tasks.reading.pairs import PairColumns, read_pairs
from unrolled.tasks.reading.running import read_running
from unrolled.tasks.reading.tagged import read_tagged
from unrolled.tasks.reading.transcripts import read_utterances

__all__ = ["readers"]

PLAIN, SAID = LabelColumns(), LabelColumns(said=True)
SHAPE = tasks.Classifier().options.text.shape


def examples(path: Path) -> object:
    """A class for each."""
    return read_examples(path, None, PLAIN, tasks.Classifier().options, labelled=True)


def panel(path: Path) -> object:
    """Series to forecast."""
    return data.build_panel(path, data.Columns(time="day", target=("sales",), id="shop"))


def folders(path: Path) -> object:
    """A folder for each class; the path is of one of the files."""
    return data.read_folders(path.parent.parent)


def lines(path: Path) -> object:
    """Lines of text."""
    return list(data.read_lines(path))


def steps(path: Path) -> object:
    """Series whose steps are rows: classes, numbers and tags."""
    with suppress(UnrolledError):
        read_tagged(path, None, SHAPE)
    with suppress(UnrolledError):
        columns = LabelColumns(label="x", steps=StepColumns("id", None))
        read_measured(path, None, columns, tasks.Regressor().options, labelled=True)
    return learned_from(path, PLAIN)


def watched(path: Path) -> object:
    """Rows of a detector: those of the fit, those a step apart, and later ones; all are asked for."""
    several = path.suffix == ".tsv"
    for step in (None, "5min"):
        table, layout = read_layout(
            path, time="timestamp", columns=None, id="shop" if several else None, step=step, but=["truth"]
        )
        rows = read_observed(table, layout)
        follow(rows, rows)
        follow(rows, read_observed(read_table_of(path, rows.layout), rows.layout, sparse=True))
    return rows


def follow(known: Observed, rows: Observed) -> None:
    """What a network reads of the rows, scaled as those that are known."""
    fields = RowFields.fit(known, known.lengths, scaling="robust", calendar=True, ahead=(1, 2))
    for i, name in enumerate(rows.ids):
        part = rows.rows(i)
        scale = fields.scale(name) if name in known.ids else fields.scale_by(rows.values[part])
        fields.encode(scale, rows.values[part], rows.clocks[part], fields.begin())


def learned_from(source: Path, columns: LabelColumns, **options: object) -> object:
    """What a classifier makes of a source, from its labels to the arrays that its network reads."""
    model = tasks.Classifier(**options)
    corpus = read_examples(source, None, columns, model.options, labelled=True)
    rows = np.arange(len(corpus))
    model.fields = model.make_fields(corpus, rows)
    return model.make_data(corpus, rows)


def heard(source: Path, **options: object) -> object:
    """What a recogniser makes of a source, from its texts to the arrays that its network reads."""
    model = tasks.Recognizer(**options)
    corpus = read_utterances(source, None, SAID, model.options, labelled=True)
    rows = np.arange(len(corpus))
    model.fields = model.make_fields(corpus, rows)
    return model.make_data(corpus, rows)


def sounds(path: Path) -> object:
    """Recordings with classes, and with texts."""
    with suppress(UnrolledError):
        learned_from(path, LabelColumns(label="label"))
    return heard(path)


def drawings(path: Path) -> object:
    """Drawings, also as what their file looks like once it is changed: classes, texts, and times that are read."""
    for read in (lambda: learned_from(path, PLAIN), lambda: heard(path, ink_speed=True), lambda: heard(path)):
        with suppress(UnrolledError):
            read()
    return read_drawings(path)


def music(path: Path) -> object:
    """Pieces of music as both fields make steps of them, in each part of a file in parts."""
    options = tasks.Composer().options.notes
    for part in music_parts(path) or [None]:
        pieces = read_pieces(path, part=part).values
        for encoding in ("grid", "events"):
            field = options.model_copy(update={"notes_encoding": encoding}).fitted(pieces)
            for piece in pieces:
                field.decode(field.encode(piece))
    return pieces


def pictures(path: Path) -> object:
    """Pictures as their list, their folder or a file of its own names them: classes, texts, and pixels alone."""
    for read in (lambda: learned_from(path, LabelColumns(label="label")), lambda: heard(path)):
        with suppress(UnrolledError):
            seen(read())
    return seen(unlabelled(path))


def captions(path: Path) -> object:
    """Pictures with their captions, up to what the network reads."""
    model = tasks.Captioner()
    corpus = read_captioned(path, None, CaptionColumns(), model.options, SHAPE, captioned=True)
    rows = np.arange(len(corpus))
    model.fields = model.make_fields(corpus, rows)
    return seen(model.make_data(corpus, rows))


def seen(dataset: Any) -> object:
    """The first rows of a dataset: what stays in files until a batch asks for it is read."""
    return dataset.batch(np.arange(min(3, len(dataset))))


def unlabelled(path: Path) -> Any:
    """The inputs of a source, up to what a classifier's network reads."""
    model = tasks.Classifier()
    corpus = read_examples(path, None, PLAIN, model.options, labelled=False)
    rows = np.arange(len(corpus))
    model.fields = {"label": Category(("a", "b")), **corpus.inputs.fit(rows, model.options)}
    return model.make_data(corpus, rows)


def readers() -> dict[str, Callable[[Path], object]]:
    """How each sample is read."""
    return {
        "table.csv": data.read_table, "table.tsv": data.read_table, "table.parquet": data.read_table,
        "records.csv": data.read_records, "records.jsonl": data.read_records, "records.parquet": data.read_records,
        "panel.csv": panel, "tags.conllu": data.read_conll, "tags.txt": data.read_conll, "text.txt": lines,
        "series.ts": data.read_series, "series.npy": data.read_series, "series.npz": data.read_series,
        "vectors.vec": data.read_vectors, "series.arff": data.read_series,
        "classes.tsv": examples, "classes.csv": examples, "classes.jsonl": examples,
        "tags.csv": lambda path: read_tagged(path, None, SHAPE),
        "pairs.tsv": lambda path: read_pairs(path, None, PairColumns(), SHAPE, SHAPE),
        "running.txt": lambda path: read_running(path, SHAPE),
        "tables/up/a.csv": folders, "texts/up/a.txt": folders, "arrays/up/c.npy": folders,
        **dict.fromkeys(("steps.csv", "steps.tsv", "steps.jsonl", "steps.parquet"), steps),
        **dict.fromkeys(("watched.csv", "watched.tsv", "watched.parquet"), watched),
        **dict.fromkeys(("sound.wav", "sound.flac", "sound.ogg", "sound.mp3", "stereo.wav", "floats.wav"), read_sound),
        **dict.fromkeys(("sounds.jsonl", "sounds.csv", "sounds.tsv"), sounds),
        **dict.fromkeys(("kaldi/wav.scp", "kaldi/segments", "kaldi/text"), lambda path: heard(path.parent)),
        **dict.fromkeys(("said/one.wav", "said/one.txt"), lambda path: heard(path.parent)),
        "spoken/up/one.wav": lambda path: learned_from(path.parent.parent, PLAIN),
        **dict.fromkeys(("told.npz", "features.npz", "lines.npz"), heard),
        **dict.fromkeys(("features.tsv", "lines.txt"), lambda path: heard(path.with_suffix(".npz"))),
        **dict.fromkeys(("ink.txt", "ink.inkml", "timed.inkml", "ink.ndjson", "raw.ndjson", "ink.npz"), drawings),
        **dict.fromkeys(("ink.zip",), drawings), "drawn/a/0001_01.txt": lambda path: drawings(path.parent.parent),
        "written/one.inkml": lambda path: drawings(path.parent),
        **dict.fromkeys(("song.mid", "band.mid", "steps.json", "parts.json", "pieces.jsonl"), music),
        **dict.fromkeys(("picture.png", "picture.jpg", "picture.bmp", "picture.webp", "picture.tiff"), pictures),
        **dict.fromkeys(("glass.png", "palette.gif", "print.jpg", "pictures.csv", "pictures.tsv"), pictures),
        "shown/up/one.png": lambda path: seen(learned_from(path.parent.parent, PLAIN)),
        **dict.fromkeys(("print/one.png", "print/one.gt.txt"), lambda path: seen(heard(path.parent))),
        **dict.fromkeys(("coco.json", "captions.jsonl", "captions.csv"), captions),
        **dict.fromkeys(("video.mp4", "video.webm", "video.gif"), pictures),
        "tunes/up/a.mid": lambda path: learned_from(path.parent.parent, PLAIN),
    }  # fmt: skip
