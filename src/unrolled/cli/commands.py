"""How a group of commands ends: a user's mistake in one sentence and exit code 2, Ctrl-C with 130."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from unrolled.cli.options import with_options
from unrolled.cli.values import say
from unrolled.errors import UnrolledError, lacks_memory, listed, said_by, suggest

__all__ = ["Commands"]

INTERRUPTED = 130
MISTAKE = 2
# The class of all mistakes in the words of a command line; typer does not export it under its own name.
UsageError: Any = typer.BadParameter.__mro__[1]


class Commands(TyperGroup):
    """A group of commands that never ends in a traceback for what a user did."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except UnrolledError as error:
            _mistake(with_options(str(error), self.commands.get(ctx.invoked_subcommand or "")))
            raise typer.Exit(MISTAKE) from None
        except UsageError as error:
            _mistake(_sentence(error, ctx))
            raise typer.Exit(MISTAKE) from None
        except (MemoryError, RuntimeError) as error:
            if not lacks_memory(error):
                raise
            _mistake(f"{said_by(error)}: give smaller batches, fewer rows or a smaller network.")
            raise typer.Exit(MISTAKE) from None
        except KeyboardInterrupt:
            _mistake("interrupted.")
            raise typer.Exit(INTERRUPTED) from None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        known, word = self.list_commands(ctx), args[0]
        if word in known or word.startswith("-"):
            return super().resolve_command(ctx, args)
        raise UsageError(f"there is no command {word!r}.{self._nearest(word, ctx)} Commands: {listed(known)}.", ctx)

    def _nearest(self, word: str, ctx: Any) -> str:
        """The closest command, also one of the tasks under `fit`."""
        tasks = [name for group in self.commands.values() if isinstance(group, TyperGroup) for name in group.commands]
        close = suggest(word, [*self.list_commands(ctx), *tasks])
        return close.replace("'", "'fit ", 1) if any(f"'{task}'" in close for task in tasks) else close


def _mistake(sentence: str) -> None:
    # A line feed in a name would begin a line that looks like one of ours.
    say("unrolled: " + sentence.replace("\n", "\\n"), err=True)


def _sentence(error: Any, ctx: Any) -> str:
    """What was wrong with the words, and where they are explained."""
    path = (error.ctx or ctx).command_path
    said = error.format_message().rstrip(".")
    return f"{said}; see '{path} --help'."
