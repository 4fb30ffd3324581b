"""What the tests of the command line share: commands run in this process, and training that is interrupted."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from unrolled.cli.app import make_app


class Shell:
    """Runs `unrolled` with some words and looks at how it ended."""

    def run(self, *words: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(make_app(), list(words), input=stdin)

    def ok(self, *words: str, stdin: str | None = None) -> str:
        """The standard output of a command that must succeed."""
        result = self.run(*words, stdin=stdin)
        assert result.exit_code == 0, result.output
        return result.stdout

    def mistake(self, *words: str, stdin: str | None = None) -> str:
        """The one sentence of a command that must fail with exit code 2 and print nothing else."""
        result = self.run(*words, stdin=stdin)
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        lines = result.stderr.strip().splitlines()
        assert len(lines) == 1, result.stderr
        assert lines[0].startswith("unrolled: ")
        return lines[0]


@pytest.fixture(scope="session")
def shell() -> Shell:
    return Shell()


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Ctrl-C after the third step of training; calling it lets training go on again."""
    from unrolled.train import loop

    whole = loop.fit

    def fit(*args: Any, callbacks: Any, **options: Any) -> Any:
        def press(event: Any) -> None:
            if event.kind == "step" and event.step == 3:
                signal.raise_signal(signal.SIGINT)

        return whole(*args, callbacks=[*callbacks, press], **options)

    monkeypatch.setattr(loop, "fit", fit)
    return lambda: monkeypatch.setattr(loop, "fit", whole)
