"""Messages on the command line speak of its options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from unrolled.cli.app import make_app
from unrolled.cli.options import with_options


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("name it with time=.", "name it with --time."),
        ("give past= and future=, or id=", "give --past and --future, or --id"),
        ("There is no resample='sun'.", "There is no --resample 'sun'."),
        ("plot=True draws", "--plot draws"),
        ("Expected horizon= as a number", "Expected --horizon as a number"),
        ("1 == 1, level=word, x.time=5, --set id=3", "1 == 1, level=word, x.time=5, --set id=3"),
    ],
)
def test_arguments_of_python_become_options(sentence: str, said: str) -> None:
    app: Any = get_command(make_app())
    assert with_options(sentence, app.commands["fit"].commands["forecast"]) == said


def test_a_mistake_in_a_table_is_told_in_options(tmp_path: Path, shell: Any) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n3,4\n")
    said = shell.mistake("fit", "forecast", str(path), "--horizon", "2")
    assert "name it with --time." in said
    assert "time=" not in said
