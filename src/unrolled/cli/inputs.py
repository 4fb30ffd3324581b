"""Files of the command line as the tasks take them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from unrolled.cli.options import is_table
from unrolled.cli.runs import RECORD, Request, load_request
from unrolled.cli.values import names
from unrolled.errors import DataError

__all__ = ["columns_of_run", "fit_arguments", "opened", "pairs_of", "under_names"]

# What a column of a table may be for.
COLUMNS = ("text", "label", "source", "target", "turns")


def fit_arguments(request: Request) -> tuple[list[Any], dict[str, Any]]:
    """What `fit` of the task is called with, in order and by name; a validation file is read here."""
    reading = {name: value for name, value in request.reading.items() if value is not None and name != "names"}
    if request.task == "translate":
        from unrolled.tasks.pairs import PairColumns

        reading = {"columns": PairColumns(**reading)}
    valid = opened(request, "valid")
    if valid:
        reading["valid"] = valid if len(valid) > 1 else valid[0]
    source = [under_names(path, request.reading.get("names")) for path in request.paths("source")]
    return source, {**reading, **request.held}


def opened(request: Request, role: str) -> tuple[Any, ...]:
    """The files held out for "valid" or "test" as `evaluate` takes them; empty where there are none.

    They are read here, which comes before the training: a mistake in them is told before hours have passed.
    """
    paths, reading = request.paths(role), request.reading
    for path in paths:
        from unrolled.data.read.files import require_file

        require_file(path)
    if not paths:
        return ()
    if request.task == "tag":
        from unrolled.data.read.conll import read_conll

        return (read_conll(paths[0], reading.get("column")),)
    if request.task == "language":
        from unrolled.data.read.lines import read_lines

        for _ in read_lines(paths[0]):
            pass
        return (paths[0],)
    if len(paths) > 1:
        return _parallel(*paths)
    return (_table(paths[0], reading),)


def under_names(path: str, header: Sequence[str] | None) -> Any:
    """The path, or the rows of the file under the names given, for a table without a header."""
    if header is None:
        return path
    from unrolled.data.read.records import read_records

    return read_records(path, names=header)


def columns_of_run(run: str, file: str, given: str | None) -> tuple[str, ...] | None:
    """The names of all columns of a table without a header: those given, or those that the run was fitted with."""
    from unrolled.data.read.files import suffix
    from unrolled.data.read.table import DELIMITERS

    if given is not None:
        return names([given])
    # Other files than delimited text name their own columns.
    if suffix(file) not in DELIMITERS or not (Path(run) / RECORD).exists():
        return None
    kept = load_request(Path(run)).reading.get("names")
    return None if kept is None else tuple(kept)


def pairs_of(request: Request, held: tuple[Any, ...]) -> Iterator[tuple[str, str]]:
    """The pairs of texts that a translator was held to, or else those that it learned from."""
    from unrolled.data.read.lines import read_parallel
    from unrolled.tasks.pairs import PairColumns, rows_of

    given = held or tuple(request.paths("source"))
    if "-" in given:
        return iter(())
    if len(given) > 1:
        return read_parallel(*given)
    return rows_of(given[0], PairColumns(**{k: v for k, v in request.reading.items() if v is not None}))


def _parallel(source: str, target: str) -> tuple[list[str], list[str]]:
    from unrolled.data.read.lines import read_parallel

    pairs = list(read_parallel(source, target))
    if not pairs:
        raise DataError(f"{Path(source).name} and {Path(target).name} are empty: give a text a line.")
    return [first for first, _ in pairs], [second for _, second in pairs]


def _table(path: str, reading: dict[str, Any]) -> Any:
    """A table with the columns that were asked for; a folder or a file of series as it is."""
    if Path(path).is_dir() or not (is_table(path) or reading.get("names")):
        return path
    from unrolled.data.read.files import require_names
    from unrolled.data.read.records import read_records

    records = read_records(path, names=reading.get("names"))
    wanted = [reading[what] for what in COLUMNS if reading.get(what)]
    require_names(wanted, list(records.columns), records.source)
    return records
