"""`docs/extending.md` and `docs/data.md` are run: files are written, commands say what the page says.

A Python block that begins with `# NAME.py` is a file. A `sh` block is run, a line at a time, in a folder that holds the
files of its section and of those before it. A `text` block is what the commands before it say; "..." stands for any
part of a line that differs from one machine to the next.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from unrolled.ops import native

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
WORDS_ON_TWO_PAGES = 1300


class Block(NamedTuple):
    """What stands between two fences, and the language after the first."""

    language: str
    body: str


class Section(NamedTuple):
    """What stands under a heading of the second level."""

    title: str
    blocks: tuple[Block, ...]


def sections(name: str) -> list[Section]:
    page = (DOCS / name).read_text(encoding="utf-8")
    parts = re.split(r"^## (.+)$", page, flags=re.MULTILINE)[1:]
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return [Section(title, tuple(Block(*found) for found in FENCE.findall(body))) for title, body in pairs]


SECTIONS = sections("extending.md")
SHOWN = [section for section in sections("data.md") if section.blocks]


def file_name(block: Block) -> str | None:
    found = re.match(r"# (\w+\.py)\n", block.body)
    return found[1] if block.language == "python" and found is not None else None


def write_files(blocks: Sequence[Block], folder: Path) -> None:
    for block in blocks:
        name = file_name(block)
        if name is not None:
            (folder / name).write_text(block.body, encoding="utf-8")


def say(command: str, folder: Path) -> str:
    """What a line of a `sh` block says, run with this Python first on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    settings = {**os.environ, "PATH": path, "MPLBACKEND": "Agg", "COLUMNS": "200", "NO_COLOR": "1"}
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", command],
        cwd=folder, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


def missing(expected: str, said: str) -> list[str]:
    """The lines of a `text` block that were not said."""
    patterns = {line: ".*".join(map(re.escape, line.strip().split("..."))) for line in expected.splitlines()}
    return [line for line, pattern in patterns.items() if not re.search(pattern, said)]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_a_section_of_extending_runs_from_an_empty_file_to_a_command(section: Section, tmp_path: Path) -> None:
    if any("Stepper" in block.body for block in section.blocks) and not native.available():
        pytest.skip(native.reason() or "")
    for earlier in SECTIONS[: SECTIONS.index(section) + 1]:
        write_files(earlier.blocks, tmp_path)
    run_blocks(section, tmp_path)


@pytest.mark.parametrize("section", SHOWN, ids=lambda section: section.title)
def test_what_a_page_about_files_says_is_said(section: Section, tmp_path: Path) -> None:
    write_files(section.blocks, tmp_path)
    run_blocks(section, tmp_path)


def run_blocks(section: Section, folder: Path) -> None:
    said = ""
    for block in section.blocks:
        if block.language == "sh":
            said = "".join(say(line, folder) for line in block.body.replace("\\\n", " ").splitlines())
        elif block.language == "text":
            assert missing(block.body, said) == [], said
        else:
            assert file_name(block) is not None, f"a block of {section.title!r} is neither a file nor a command"


def test_extending_shows_all_that_can_be_added() -> None:
    assert [section.title for section in SECTIONS] == [
        "A cell", "A field", "An input", "An alignment", "A head", "A task", "A kernel",
    ]  # fmt: skip
    for section in SECTIONS:
        names = [name for block in section.blocks if (name := file_name(block)) is not None]
        assert any(name.startswith("test_") for name in names), f"{section.title!r} is not proved"
        assert "sh" in [block.language for block in section.blocks], f"{section.title!r} ends without a command"


def test_a_line_that_was_not_said_is_found() -> None:
    assert missing("3 passed in ...s\nh is 0.5", "3 passed in 0.21s\n") == ["h is 0.5"]


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda page: page.name)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    local = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", ["architecture.md", "reasons.md", "kernels.md", "extending.md"])
def test_every_file_of_the_house_that_a_page_names_is_there(page: str) -> None:
    package = ROOT / "src" / "unrolled"
    bases = [ROOT, package, package / "ops" / "csrc"]
    named = re.findall(r"`((?:[\w*]+/)+[\w*]+(?:\.\w+)?/?)`", (DOCS / page).read_text(encoding="utf-8"))
    assert named
    assert [name for name in named if not any(any(base.glob(name)) for base in bases)] == []


def test_the_page_about_the_house_is_two_printed_pages_long_at_most() -> None:
    assert len((DOCS / "architecture.md").read_text(encoding="utf-8").split()) <= WORDS_ON_TWO_PAGES
