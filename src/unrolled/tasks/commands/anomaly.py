"""`unrolled fit anomaly`, and what is done with a detector."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from unrolled.errors import OptionError, how_many
from unrolled.model.describe import Answer, Asked, Call, Command, Description, Finished, Whole, Word
from unrolled.tasks.commands.reading import csv_row
from unrolled.tasks.commands.results import learning, scored, told
from unrolled.tasks.commands.words import Cell, HiddenSize, column_names

if TYPE_CHECKING:
    from unrolled.tasks.anomaly import AnomalyDetector

__all__ = ["DESCRIPTION"]

Labels = Annotated[str | None, Word("Column of 0 and 1 where anomalies are known; it is not watched.", "COLUMN")]
Table = Annotated[str, Word('Table: .csv, .tsv, .parquet (also .gz), or "-" for standard input.', "FILE", placed=True)]


def fit(
    file: Table,
    time: Annotated[str | None, Word("Column of times.")] = None,
    columns: Annotated[list[str] | None, Word("Columns of numbers to watch, with commas.  [default: all]")] = None,
    id: Annotated[str | None, Word("Column that names the series, if there are several.")] = None,
    truth: Labels = None,
    step: Annotated[str | None, Word("Time between rows, by which others are missing: h, 5min, D.")] = None,
    calibration: Annotated[
        str | None, Word("tail (against the recent past), conformal or record.  [default: tail]")
    ] = None,
    false_alarms: Annotated[float | None, Word("Share of normal rows that are alarms.  [default: 0.0001]")] = None,
    contamination: Annotated[float | None, Word("Share of the training rows that are alarms.")] = None,
    cell: Cell = None,
    hidden_size: HiddenSize = None,
) -> Asked:
    """Learn what is normal in a table of one or many series, to say how strange each row is.

    Rows are foreseen from those before them; what is surprising is strange. Some anomalies among the rows do little
    harm; --set trim=0.02 leaves the most surprising ones out of a second training.

    \b
      unrolled fit anomaly machine.csv -o runs/machine --plot
      unrolled fit anomaly sensors.parquet --time at --id machine --truth failure --false-alarms 0.001
      unrolled fit anomaly load.csv --calibration conformal --set trim=0.02 --set likelihood=gaussian
    """
    return Asked(
        {"source": file},
        reading={"time": time, "columns": column_names(columns) or None, "id": id, "truth": truth, "step": step},
        options={
            "calibration": calibration,
            "false_alarms": false_alarms,
            "contamination": contamination,
            "cell": cell,
            "hidden_size": hidden_size,
        },
    )


def predict(
    call: Call[AnomalyDetector],
    file: Table,
    events: Annotated[bool, Word("Runs of alarms, in place of rows.")] = False,
    plot: Annotated[str | None, Word("Write a picture, .png, .svg or .pdf.", "FILE")] = None,
) -> Iterator[Answer]:
    """CSV with the series and the time of each row as in the file, its score, 1 where it is an alarm, and the channel
    that explains it; --events: runs of alarms

    \b
      unrolled predict runs/machine today.csv --events --plot today.png
    """
    from unrolled.data.panel.regular import show_time
    from unrolled.data.read.table import read_table

    model = call.model
    layout = model.state.layout
    table = read_table(file, text=[layout.id] if layout.id else [])
    if plot is not None:
        model.plot(plot, table)
    if events:
        # Found first, so that a mistake in the file leaves no output behind.
        found = model.events(table)
        yield Answer(csv_row(call, "series", "begin", "end", "peak", "score", "channel"), None)
        for event in found:
            told = event.to_json()
            cells = [event.series, *map(show_time, (event.begin, event.end, event.peak))]
            channel = event.channels[0][0] if event.channels else ""
            yield Answer(csv_row(call, *cells, f"{event.score:.6g}", channel), told)
        return
    judged = model.judge(table)
    known = [name for name in (layout.id, layout.time) if name]
    named = zip(*(table.column(name).to_pylist() for name in known)) if known else repeat(())
    yield Answer(csv_row(call, *known, "score", "alarm", "channel"), None)
    for row, score, alarm, excess in zip(named, judged.scores, judged.alarms, judged.excess):
        channel = layout.channels[int(excess.argmax())]
        cells = [str(value) for value in row]
        data = {
            **dict(zip(known, cells, strict=True)),
            "score": float(score),
            "alarm": int(alarm),
            "excess": dict(zip(layout.channels, excess.tolist(), strict=True)),
        }
        yield Answer(csv_row(call, *cells, f"{score:.6g}", int(alarm), channel), data)


def evaluate(call: Call[AnomalyDetector], file: Table, truth: Labels = None) -> Whole:
    """F1 of windows, areas under the curves, and NAB's score, beside a column of 0 and 1

    \b
      unrolled evaluate runs/machine labelled.csv --truth failure
    """
    request = call.request()
    name = truth or (None if request is None else request.reading.get("truth"))
    if not isinstance(name, str):
        raise OptionError("evaluate: expected --truth, the column of 0 and 1 that says what is an anomaly; give it.")
    return scored(call.model.evaluate(file, name))


def about(finished: Finished[AnomalyDetector]) -> list[str]:
    model = finished.model
    channels = len(model.state.layout.channels)
    parts = [how_many(channels, "channel"), f"{len(model.state.fields.ids)} series"]
    alarms, rows = int(model.labels_.sum()), len(model.labels_)
    level = f"threshold {model.threshold_:.4g}: {alarms:,} of the {rows:,} rows of the fit are alarms"
    return [*told(finished, parts), level]


def picture(finished: Finished[AnomalyDetector]) -> Path | None:
    files = finished.request.paths("source")
    truth = finished.request.reading.get("truth")
    if "-" in files:
        return None
    return finished.model.plot(finished.folder / "anomalies.png", files[0], truth if isinstance(truth, str) else None)


def closing(finished: Finished[AnomalyDetector]) -> list[str]:
    return [f"next: unrolled predict {finished.folder} FILE --events"]


DESCRIPTION: Description[AnomalyDetector] = Description(
    fit=fit,
    commands={"predict": Command(predict), "evaluate": Command(evaluate)},
    examples=("unrolled fit anomaly machine.csv -o runs/machine --plot",),
    score=lambda model, test: None,
    about=about,
    pictures={"learning": learning, "anomalies": picture},
    closing=closing,
)
