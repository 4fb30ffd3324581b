"""Every Python snippet of the README runs as it stands; its commands exist."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import matplotlib as mpl
import pytest
from typer.testing import CliRunner

mpl.use("Agg")

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("index", range(len(blocks("python"))))
def test_a_snippet_of_the_readme_runs(index: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    code = compile(blocks("python")[index], f"README snippet {index + 1}", "exec")
    namespace: dict[str, object] = {}
    exec(code, namespace)
    assert namespace


def test_the_readme_names_its_two_commands() -> None:
    titles = [block.splitlines()[0] for block in blocks("sh")]
    assert titles == ["# install and run", "# install and test"]


def test_every_verb_in_the_readme_exists_with_its_options() -> None:
    from unrolled.cli.app import make_app

    lines = [line for block in [*blocks("sh"), *blocks("text")] for line in block.replace("\\\n", " ").splitlines()]
    commands = [line.split() for line in lines if line.startswith("unrolled ")]
    assert len(commands) >= 7
    for _, *words in commands:
        verbs = words[:2] if words[0] == "fit" and not words[1].startswith("-") else words[:1]
        shown = CliRunner().invoke(make_app(), [*verbs, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
        assert shown.exit_code == 0
        for option in (word for word in words if word.startswith("-")):
            assert option in shown.output, f"unrolled {' '.join(verbs)} has no {option}"


def test_the_map_of_the_house_names_every_room() -> None:
    rooms = {
        p.stem for p in (ROOT / "src" / "unrolled").iterdir() if not p.name.startswith("_") and p.suffix in ("", ".py")
    }
    for room in rooms:
        assert f"`{room}/`" in README or f"`{room}.py`" in README, f"README's map lacks {room}"
