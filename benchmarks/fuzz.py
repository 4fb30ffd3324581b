"""Broken files of every reader, and saved models and checkpoints that were changed and signed anew.

Each file is a sample of a reader with seeded changes: bytes flipped, cut, doubled or put in, lines moved, JSON values
replaced by others. It is read in a child process with bounded memory and time. A changed model is loaded, asked the
questions of its golden file, and saved; a run goes on from a changed checkpoint. What is right is a value or a
sentence of `unrolled.errors`; anything else is printed with its place.

    python benchmarks/fuzz.py --files 100000 --models 5000 --out fuzz.jsonl      goes on where an earlier run stopped

The counts of each kind go to benchmarks/results, every case to --out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from common import Results

GB = 1 << 30
# Files of one child, and seconds of a processor that one of them may take; in waiting, ten times as many.
BATCH, PATIENCE = 200, 20
GOLDEN = Path(__file__).parent.parent / "tests" / "model" / "golden"
ODD = [
    *("", "-", "nan", "inf", "1e999", "-0", "9" * 400, "0x10", "\0", "\ufeff", "\u202e", '"', ",", ";", "\t", "\r"),
    *("1,5", "NULL", "2024-13-45", "9999-12-31", "0001-01-01", "9" * 20, "2024-01-01T00:00:00+14:00", "[[[[", "é" * 50),
]
VALUES: list[object] = [
    None,
    True,
    -1,
    0,
    1,
    10**9,
    10**400,
    1.5,
    -1e308,
    "",
    "x",
    "\ud800",
    "x" * 5000,
    [],
    {},
    [None],
    [[]],
    {"a": 1},
]


def samples(folder: Path) -> dict[str, Path]:
    """A whole file for each reader."""
    import numpy as np
    import pyarrow as pa
    import soundfile
    from pyarrow import parquet

    days = [str(date(2024, 1, 1) + timedelta(i)) for i in range(60)]
    table = "day,shop,sales,mood\n" + "".join(
        f"{d},s{shop},{i * 1.5},m{i % 3}\n" for shop in (0, 1) for i, d in enumerate(days)
    )
    jsonl = "".join(json.dumps({"text": f"good {i}", "label": i % 2, "turns": [["a", "b"]]}) + "\n" for i in range(30))
    token = "".join(f"{1 + i % 5}\tw{i}\tw{i}\tNOUN\tN\t_\t0\troot\t_\t_\n" + "\n" * (i % 5 == 4) for i in range(40))
    words = "".join(f"w{i} {'B-X' if i % 3 else 'O'}\n" + "\n" * (i % 7 == 6) for i in range(40))
    ts = "@problemName x\n@univariate false\n@classLabel true a b\n@data\n" + "1,2,3:4,5,6:a\n2,3,?:1,1,1:b\n" * 5
    attributes = "".join(f"@attribute t{i} numeric\n" for i in range(4))
    classes = "".join(f"good {i} day,c{i % 2}\n" for i in range(30))
    texts = {
        "series.arff": f"@relation x\n{attributes}@attribute class {{a,b}}\n@data\n" + "1,2,?,4,a\n4,3,2.5,1,b\n" * 8,
        "classes.tsv": "".join(f"{1 + i % 2}\t{i}\t0.5\t{-i}\tNaN\n" for i in range(20)),
        "classes.csv": "text,label\n" + classes, "classes.jsonl": jsonl,
        "running.txt": "one two three\n\nfour five\n" * 15,
        "pairs.tsv": "source\ttarget\n" + classes.replace(",", "\t"),
        "steps.csv": "id,t,x,label\n" + "".join(f"{i // 5},{i},{i % 4}.5,{'ab'[i // 5 % 2]}\n" for i in range(40)),
        "tags.csv": "sentence,word,tag\n" + "".join(f"{i // 5},w{i},{'B-X' if i % 3 else 'O'}\n" for i in range(40)),
        "table.csv": table, "table.tsv": table.replace(",", "\t"), "records.csv": table, "panel.csv": table,
        "records.jsonl": jsonl, "tags.conllu": token, "tags.txt": words, "text.txt": "one two three\n" * 30,
        "series.ts": ts, "vectors.vec": "".join(f"w{i} 0.5 -1.5 2e-3\n" for i in range(20)),
        "tables/up/a.csv": "1,2\n3,4\n", "tables/down/b.csv": "5,2\n3,4\n1,1\n",
        "texts/up/a.txt": "some words\n", "texts/down/b.txt": "others\n",
        "sounds.jsonl": "".join(f'{{"audio_filepath": "sound.wav", "text": "a", "offset": 0.{i}}}\n' for i in (0, 1)),
        "ink.txt": "START\n" + "".join(f"{i},{-i},{20 * i}\n" for i in range(20)) + "BREAK\n3,4,500\nBREAK\n",
        "ink.inkml": '<ink xmlns="http://www.w3.org/2003/InkML"><annotation type="truth">a</annotation>'
        + "<trace>1 2, 3 4, 5.5 6</trace><trace>7 8, 9 10</trace></ink>\n",
        "ink.ndjson": '{"word": "cat", "drawing": [[[1, 2, 3], [4, 5, 6]], [[7], [8]]]}\n' * 9,
    }  # fmt: skip
    found: dict[str, Path] = {}
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        found[name] = path
    arrow = pa.table({"day": days, "sales": [float(i) for i in range(60)], "n": pa.array(range(60), pa.int32())})
    lists = pa.table(
        {"text": ["a", "b"] * 20, "turns": [["x"], ["y", None]] * 20, "t": pa.array(range(40), pa.timestamp("us"))}
    )
    parquet.write_table(arrow, folder / "table.parquet", compression="snappy")
    parquet.write_table(lists, folder / "records.parquet", compression="zstd", row_group_size=10)
    np.save(folder / "series.npy", np.arange(24.0).reshape(4, 3, 2))
    soundfile.write(folder / "sound.wav", np.sin(np.arange(2000) / 9), 8000)
    soundfile.write(folder / "sound.flac", np.sin(np.arange(2000) / 9), 8000)
    np.savez_compressed(folder / "ink.npz", train=np.ones((9, 3), np.int16), train_lengths=np.array([4, 5]))
    for name in ("up", "down"):
        (folder / "arrays" / name).mkdir(parents=True)
        np.save(folder / "arrays" / name / "c.npy", np.arange(6.0).reshape(3, 2))
    np.savez_compressed(
        folder / "series.npz", x=np.ones((3, 4, 1)), y=np.array(["a", "b", "c"]), lengths=np.array([1, 2, 4])
    )
    for name in (
        "table.parquet",
        "records.parquet",
        "series.npy",
        "series.npz",
        "arrays/up/c.npy",
        "sound.wav",
        "sound.flac",
        "ink.npz",
    ):
        found[name] = folder / name
    return found


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


def broken(whole: bytes, chance: random.Random) -> bytes:
    """One to four changes of the bytes."""
    data = bytearray(whole)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        to = min(len(data), at + chance.choice((1, 1, 2, 4, 16, 200)))
        kind = chance.randrange(8)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at:to] = chance.randbytes(to - at)
        elif kind == 2:
            del data[at:to]
        elif kind == 3:
            data[at:at] = data[at:to] * chance.choice((1, 2, 50))
        elif kind == 4:
            data[at:at] = chance.choice(ODD).encode("utf-8", "replace")
        elif kind == 5:
            data[at:to] = chance.choice((b"\xff", b"\0", b"\x7f")) * (to - at)
        elif kind == 6:
            del data[at:]
        else:
            lines = bytes(data).splitlines(keepends=True) or [b""]
            chance.shuffle(lines)
            data = bytearray(b"".join(lines))
    return bytes(data)


def places(value: object, path: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    """The places of all values in JSON."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from places(part, (*path, key))


def altered(content: dict[str, object], chance: random.Random) -> dict[str, object]:
    """JSON with one to three values replaced, taken out or put in."""
    whole: object = json.loads(json.dumps(content))
    for _ in range(chance.randint(1, 3)):
        every = list(places(whole))
        # Shallow places hold the options; deep ones are mostly words and numbers.
        path = min((chance.choice(every) for _ in range(chance.choice((1, 3)))), key=len)
        if not path:
            continue
        at: object = whole
        for key in path[:-1]:
            at = at[key]  # type: ignore[index]
        if chance.random() < 0.15:
            del at[path[-1]]  # type: ignore[attr-defined]
        else:
            at[path[-1]] = chance.choice(VALUES)  # type: ignore[index]
    return whole  # type: ignore[return-value]


def file_case(name: str, seed: int, known: dict[str, Path]) -> None:
    chance = random.Random(f"{name} {seed}")
    path = known[name]
    whole = path.read_bytes()
    path.write_bytes(broken(whole, chance))
    try:
        readers()[name](path)
    finally:
        path.write_bytes(whole)


def model_case(seed: int, folder: Path) -> None:
    from unrolled.model import load
    from unrolled.model.artefact import read_artefact, write_artefact

    chance = random.Random(f"model {seed}")
    golden = chance.choice(sorted(GOLDEN.glob("*.unrolled")))
    artefact = read_artefact(golden)
    content = altered(artefact.content, chance)
    path = folder / "model.unrolled"
    # Half of a character can stand in JSON, and nowhere else.
    write_artefact(artefact._replace(content=content), path)
    model: Any = load(path)
    asked = golden.with_suffix(".json")
    if asked.exists():
        answers(model, json.loads(asked.read_text())["questions"])
    else:
        model.predict()
    model.save(folder / "again.unrolled")


def answers(model: Any, questions: dict[str, Any]) -> None:
    """All that the tests ask of a golden file."""
    sys.path.insert(0, str(GOLDEN.parent))
    try:
        from test_golden import answers as asked  # type: ignore[import-not-found]
    finally:
        sys.path.pop(0)
    asked(model, questions)


def train(folder: Path, *, resume: bool) -> None:
    """A run of a few milliseconds."""
    from unrolled.tasks import Classifier

    texts = [f"good {i % 5}" if i % 2 else f"bad {i % 3}" for i in range(40)]
    model = Classifier(hidden_size=4, epochs=3, seed=1, checkpoint_every_steps=4)
    model.fit(texts, [text[:2] for text in texts], run=folder, resume=resume, refit=False)


def checkpoint_case(seed: int, folder: Path) -> None:
    """A run that goes on from a changed checkpoint, from the middle or the end."""
    chance = random.Random(f"checkpoint {seed}")
    run = folder / "changed"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(folder / "run", run)
    at = sorted((run / "checkpoints").iterdir())
    if chance.random() < 0.5:
        shutil.rmtree(at.pop())
    for path in at:
        record, manifest = (json.loads((path / name).read_text()) for name in ("checkpoint.json", "manifest.json"))
        text = json.dumps(altered(record, chance)).encode()
        (path / "checkpoint.json").write_bytes(text)
        manifest["files"]["checkpoint.json"] = hashlib.sha256(text).hexdigest()
        (path / "manifest.json").write_text(json.dumps(manifest))
    train(run, resume=True)


CHANGED: dict[str, Callable[[int, Path], None]] = {"model": model_case, "checkpoint": checkpoint_case}


def child(kind: str, start: int, stop: int, progress: Path) -> None:
    """Cases one after the other; what each came to is appended to a file, so that a kill loses only one."""
    import torch

    import unrolled.tasks  # noqa: F401
    from unrolled.errors import UnrolledError
    from unrolled.model import load

    torch.set_num_threads(1)
    load(sorted(GOLDEN.glob("*.unrolled"))[0])
    limit_memory()
    with tempfile.TemporaryDirectory() as name, progress.open("a") as file:
        folder = Path(name)
        known = samples(folder)
        if kind in known:
            # Whole, it is read.
            readers()[kind](known[kind])
        if kind == "checkpoint":
            train(folder / "run", resume=False)
        for seed in range(start, stop):
            signal.setitimer(signal.ITIMER_PROF, PATIENCE)
            signal.alarm(10 * PATIENCE)
            found = {"kind": kind, "seed": seed, "result": "value", "where": ""}
            try:
                if kind in CHANGED:
                    CHANGED[kind](seed, folder)
                else:
                    file_case(kind, seed, known)
            except UnrolledError as error:
                found["result"] = "sentence" if len(str(error)) <= 600 else "long sentence"
            except BaseException as error:  # noqa: BLE001
                last = traceback.extract_tb(error.__traceback__)
                own = [frame for frame in last if "unrolled" in frame.filename and "benchmarks" not in frame.filename]
                place = own[-1] if own else last[-1]
                found["result"] = "foreign"
                found["where"] = (
                    f"{Path(place.filename).name}:{place.lineno} {type(error).__name__}: {str(error)[:120]}"
                )
            signal.alarm(0)
            signal.setitimer(signal.ITIMER_PROF, 0)
            file.write(json.dumps(found) + "\n")
            file.flush()


def limit_memory() -> None:
    """No more than one gigabyte beside what the libraries take."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + GB
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def run(kind: str, count: int, out: Path) -> Counter[str]:
    """The cases of one kind, in children; the results are appended to `out`."""
    counted = Counter[str]()
    done = 0
    if out.exists():
        for line in out.read_text().splitlines():
            found = json.loads(line)
            if found["kind"] == kind:
                done = max(done, found["seed"] + 1)
                counted[found["result"]] += 1
    while done < count:
        command = [
            sys.executable,
            __file__,
            "--child",
            kind,
            str(done),
            str(min(count, done + BATCH)),
            "--out",
            str(out),
        ]
        before = out.stat().st_size if out.exists() else 0
        ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        with out.open() as file:
            file.seek(before)
            lines = [json.loads(line) for line in file]
        for found in lines:
            done = found["seed"] + 1
            counted[found["result"]] += 1
            if found["result"] in ("foreign", "long sentence"):
                print(kind, found["seed"], found["result"], found["where"], flush=True)
        if ended.returncode == 1:
            raise SystemExit(f"fuzz: the child of {kind} could not begin.\n{ended.stderr[-2000:]}")
        if ended.returncode != 0:
            result = "hang" if ended.returncode in (-signal.SIGALRM, -signal.SIGPROF) else "crash"
            print(kind, done, result, ended.returncode, ended.stderr[-300:], flush=True)
            with out.open("a") as file:
                file.write(json.dumps({"kind": kind, "seed": done, "result": result, "where": ""}) + "\n")
            counted[result] += 1
            done += 1
    return counted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1700)
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("fuzz.jsonl"))
    parser.add_argument("--child", nargs=3, metavar=("KIND", "START", "STOP"))
    asked = parser.parse_args()
    if asked.child:
        kind, start, stop = asked.child
        child(kind, int(start), int(stop), asked.out)
        return
    asked.out.touch()
    results = Results("fuzz")
    kinds = {"model": asked.models // 2, "checkpoint": asked.models // 2} | {
        name: -(-asked.files // len(readers())) for name in readers()
    }
    for kind, count in kinds.items():
        counted = run(kind, count, asked.out)
        if not results.has(kind=kind, count=sum(counted.values())):
            results.add(kind=kind, count=sum(counted.values()), results=dict(counted))


if __name__ == "__main__":
    main()
