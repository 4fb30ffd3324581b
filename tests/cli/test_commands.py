from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from unrolled.cli.runs import load_request, make_request, write_request
from unrolled.errors import ModelFileError
from unrolled.model.describe import Asked, Request


@pytest.mark.parametrize(("words", "message"), [
    (["clasify", "x.csv"], "Did you mean 'fit classify'"), (["tag", "x.csv"], "Did you mean 'fit tag'"),
    (["predct", "x"], "Did you mean 'predict'"), (["fit", "languag", "x"], "Did you mean 'language'"),
    (["fit", "tag"], "'FILE'"), (["fit", "tag", "x", "--colum", "1"], "--colum"), (["complete", "x"], "PREFIX"),
    (["fit", "tag", "x", "--epochs", "many"], "--epochs"), (["fit", "--plot", "tag", "x"], "after the task"),
    (["fit", "--resume", "x", "tag", "y"], "got both"), (["fit", "--resume", "nowhere"], "run.json"),
])  # fmt: skip
def test_words_that_are_no_command_end_in_one_sentence(words: list[str], message: str, shell: Any) -> None:
    assert message in shell.mistake(*words)


def test_every_task_has_help_that_teaches(shell: Any) -> None:
    for task in ("classify", "tag", "language", "translate", "forecast"):
        assert f"unrolled fit {task} " in shell.ok("fit", task, "--help")
    for verb in ("predict", "evaluate", "generate", "complete"):
        assert f"unrolled {verb} " in shell.ok(verb, "--help")


def test_the_help_of_a_task_imports_no_torch() -> None:
    code = (
        "import sys\nsys.argv = ['unrolled', 'fit', 'translate', '--help']\nfrom unrolled.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\nassert not {'torch', 'numpy'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_run_of_the_first_version_is_still_read(tmp_path: Path) -> None:
    old = {"format": 1, "task": "forecast", "source": "/a.csv", "sha256": "12", "reading": {"time": "t"},
           "options": {"horizon": 2}, "held": {"test": None}}  # fmt: skip
    (tmp_path / "run.json").write_text(json.dumps(old))
    wanted = Request("forecast", {"source": "/a.csv"}, {"source": "12"}, {"time": "t"}, {"horizon": 2}, {"test": None})
    assert load_request(tmp_path) == wanted
    write_request(wanted, tmp_path)
    assert load_request(tmp_path) == wanted
    (tmp_path / "run.json").write_text(json.dumps({**old, "format": 99}))
    with pytest.raises(ModelFileError, match="format version 99"):
        load_request(tmp_path)


def test_vectors_are_a_file_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("a 1\n")
    request = make_request("tag", Asked({"source": "-"}), {"vectors": str(tmp_path / "v.txt")})
    assert request.files == {"source": "-", "vectors": str(tmp_path / "v.txt")}
    assert len(request.sha256["vectors"]) == 64
