"""Saved models and checkpoints, changed and signed anew: loaded, asked, saved, and gone on from."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import sys
from pathlib import Path
from typing import Any

from fuzz_changes import altered

__all__ = ["GOLDEN", "checkpoint_case", "model_case", "train"]

GOLDEN = Path(__file__).parent.parent / "tests" / "model" / "golden"


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
