"""How the broken files are read, by the names of their samples."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

__all__ = ["readers"]


def readers() -> dict[str, Callable[[Path], object]]:
    """How the files are read, by the names of their samples."""
    from unrolled import data, tasks
    from unrolled.data.read.audio import read_clip, read_sound
    from unrolled.data.read.ink import read_drawings
    from unrolled.data.read.manifests import read_recordings
    from unrolled.errors import UnrolledError
    from unrolled.inputs.columns import LabelColumns
    from unrolled.tasks.reading.labelled import read_examples
    from unrolled.tasks.reading.pairs import PairColumns, read_pairs
    from unrolled.tasks.reading.running import read_running
    from unrolled.tasks.reading.tagged import read_tagged

    options = tasks.Classifier().options
    shape = options.text.shape

    def examples(path: Path) -> object:
        return read_examples(path, None, LabelColumns(), options, labelled=True)

    def drawings(path: Path) -> object:
        # A file that no longer looks like a drawing is read as what it looks like, too.
        with suppress(UnrolledError):
            read_examples(path, None, LabelColumns(), options, labelled=False)
        return read_drawings(path)

    def panel(path: Path) -> object:
        return data.build_panel(path, data.Columns(time="day", target=("sales",), id="shop"))

    def folders(path: Path) -> object:
        return data.read_folders(path.parent.parent)

    def lines(path: Path) -> object:
        return list(data.read_lines(path))

    return {
        "table.csv": data.read_table, "table.tsv": data.read_table, "table.parquet": data.read_table,
        "records.csv": data.read_records, "records.jsonl": data.read_records, "records.parquet": data.read_records,
        "panel.csv": panel, "tags.conllu": data.read_conll, "tags.txt": data.read_conll, "text.txt": lines,
        "series.ts": data.read_series, "series.npy": data.read_series, "series.npz": data.read_series,
        "vectors.vec": data.read_vectors, "series.arff": data.read_series,
        "classes.tsv": examples, "classes.csv": examples, "classes.jsonl": examples,
        "tags.csv": lambda path: read_tagged(path, None, shape),
        "steps.csv": lambda path: (examples(path), read_tagged(path, None, shape)),
        "pairs.tsv": lambda path: read_pairs(path, None, PairColumns(), shape, shape),
        "running.txt": lambda path: read_running(path, shape),
        "sound.wav": read_sound, "sound.flac": read_sound,
        "sounds.jsonl": lambda path: [read_clip(clip) for clip in read_recordings(path).columns["audio"]],
        "ink.txt": drawings, "ink.inkml": drawings, "ink.ndjson": drawings, "ink.npz": drawings,
        "tables/up/a.csv": folders, "texts/up/a.txt": folders, "arrays/up/c.npy": folders,
    }  # fmt: skip
