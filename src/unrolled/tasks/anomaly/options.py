"""What an anomaly detector may be asked for."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from unrolled.errors import OptionError
from unrolled.nn.build import ForwardOptions
from unrolled.options import Options
from unrolled.tasks.anomaly.calibration import RunningTail
from unrolled.tasks.options import TaskOptions
from unrolled.train import BatchedOptions, TrainOptions

__all__ = ["NARROWER", "AnomalyOptions", "pick_stream", "pick_stream_training", "pick_window", "running_calibration"]

# Streams that are read at once, and the rows of one of them that are worth a stream of its own.
STREAMS, WORTH = 32, 96
# Rows that are rebuilt at once, and how many of their values share a number of the code.
WINDOW, NARROWER = 16, 8


Rows = Annotated[int, Field(ge=1)]


class SurpriseOptions(Options):
    """What rows are compared with.

    network: "next" foresees each row from those before it; "each" rebuilds it, with the `window` - 1 rows before, from
    `code_size` numbers that have seen them all, an eighth as many as these values where nothing is said.
    scaling: of each channel by its training rows, "robust" (median and quartiles) or "standard" (mean and deviation).
    ahead: how many rows before it a row is foreseen from; with (1, 12) a slow change is seen that hides between
    neighbours. likelihood: how a value to come is described. calendar: read the time of day and the like, where there
    is a column of times and the rows of the fit hold the cycle twice. missing: "ignore" takes a missing value for as
    normal as any, "anomaly" for the strangest. held: the part at the end of each series that is not learned from but
    tells when to stop and what is usual. trim: the most surprising part of the training rows, which a second network
    leaves out.
    """

    network: Literal["next", "each"] = Field(default="next", description="Foresee rows, or rebuild them.")
    window: int | None = Field(default=None, ge=2, description="Rows that are rebuilt at once (each).")
    code_size: int | None = Field(default=None, ge=1, description="Numbers they are rebuilt from (each).")
    scaling: Literal["robust", "standard"] = Field(default="robust", description="How the numbers are scaled.")
    likelihood: Literal["student-t", "gaussian"] = Field(
        default="student-t", description="The distribution of the next value."
    )
    ahead: tuple[int, ...] = Field(default=(1,), description="Rows ahead from which each row is foreseen.")
    calendar: bool = Field(default=True, description="Read the time: hour, weekday.")
    missing: Literal["ignore", "anomaly"] = Field(default="ignore", description="What a missing value counts as.")
    held: float = Field(default=0.2, ge=0, lt=1, description="Part at the end that tells what is usual.")
    trim: float = Field(
        default=0.0, ge=0, lt=0.5, description="The most surprising part, left out of a second training."
    )


class AlarmOptions(Options):
    """How surprise becomes a score, and a score an alarm.

    calibration: "tail", the surprise of the last `recent` rows against the `past` rows before them; "conformal", the
    share of earlier rows that are at least as surprising as one; "record", by how much the mean surprise of the last
    rows, so many as `record` names, or the mean distance of values from the middle of the training rows, of
    `value_record` rows, is the highest so far. cap: the most nats that one row counts for (tail, record); None: all.
    false_alarms: the share of normal rows that is an alarm by the calibration. contamination: instead, the share of
    each training series that is one. quiet: a row is scored only where it is stranger than so many rows before it, so
    that one event is one alarm.
    """

    calibration: Literal["tail", "conformal", "record"] = Field(
        default="tail", description="What surprise is measured by."
    )
    false_alarms: float = Field(default=1e-4, gt=0, lt=1, description="Share of normal rows that are alarms.")
    contamination: float | None = Field(
        default=None, gt=0, le=0.5, description="Share of the training rows that are alarms."
    )
    recent: int = Field(default=5, ge=1, description="Rows whose mean surprise is judged (tail).")
    past: int = Field(default=1000, ge=2, description="Rows before them that it is judged by (tail).")
    record: tuple[Rows, ...] = Field(default=(5, 20), description="Rows whose mean surprise may be a record.")
    value_record: tuple[Rows, ...] = Field(
        default=(1, 20), description="Rows whose mean distance of values may be a record."
    )
    cap: float | None = Field(
        default=None, gt=0, description="Nats beyond the usual that a row counts for (tail, record)."
    )
    quiet: int = Field(default=0, ge=0, description="Rows for which one alarm silences weaker ones.")


class AnomalyOptions(TaskOptions):
    """Every option of an `AnomalyDetector`, in groups.

    surprise: `SurpriseOptions`. alarm: `AlarmOptions`. encoder: `ForwardOptions`. steps: rows through which gradients
    flow back. train: `BatchedOptions`.
    """

    owner = "AnomalyDetector"
    completed = frozenset({"train"})

    surprise: SurpriseOptions = SurpriseOptions()
    alarm: AlarmOptions = AlarmOptions()
    encoder: ForwardOptions = ForwardOptions(cell="gru", hidden_size=32)
    train: BatchedOptions = BatchedOptions()
    steps: int = Field(default=48, ge=1, description="Rows through which gradients flow back.")

    def check(self) -> None:
        """What can be said before the data are there, said now."""
        super().check()
        ahead = self.surprise.ahead
        if not ahead or list(ahead) != sorted(set(ahead)) or ahead[0] != 1:
            raise OptionError(
                f"AnomalyDetector: ahead must begin with 1 and rise, as in (1, 12), got {ahead}; each row is judged by "
                "the rows before it."
            )
        given = {"window": self.surprise.window, "code_size": self.surprise.code_size}
        alone = [f"{name}={value}" for name, value in given.items() if value is not None]
        if self.surprise.network == "next" and alone:
            raise OptionError(
                f"AnomalyDetector: {alone[0]} belongs to network='each', got network='next'; leave it out."
            )
        if self.surprise.network == "each" and ahead != (1,):
            raise OptionError(
                f"AnomalyDetector: ahead={ahead} belongs to network='next', got network='each'; leave it out."
            )
        if self.alarm.calibration == "record" and not (self.alarm.record or self.alarm.value_record):
            raise OptionError("AnomalyDetector: record and value_record are both empty; give one of them some rows.")
        if self.alarm.calibration == "record" and self.alarm.contamination is not None:
            raise OptionError(
                "AnomalyDetector: contamination is for the calibrations 'tail' and 'conformal', got 'record', by which "
                "no row of the fit is an alarm; give false_alarms."
            )
        if self.alarm.past < 2 * self.alarm.recent:
            raise OptionError(
                f"AnomalyDetector: past must be at least twice recent, got past={self.alarm.past} and "
                f"recent={self.alarm.recent}; compare with more rows."
            )
        if self.train.token_budget is not None:
            raise OptionError(
                "AnomalyDetector: token_budget is for rows of their own, but series are read as running streams; "
                "give batch_size, the number of streams."
            )


def pick_window(options: AnomalyOptions) -> int:
    """How many rows are rebuilt at once."""
    return options.surprise.window or WINDOW


def running_calibration(alarm: AlarmOptions) -> RunningTail:
    """The calibration of the method "tail"."""
    return RunningTail(alarm.recent, alarm.past, math.inf if alarm.cap is None else alarm.cap)


def pick_stream(options: AnomalyOptions, rows: int) -> int:
    """How many streams the rows are read as."""
    return options.train.batch_size or max(1, min(STREAMS, rows // WORTH))


def pick_stream_training(options: AnomalyOptions, streams: int, *, scored: bool) -> TrainOptions:
    """The training options given, the rest so that some hundred rows take seconds."""
    given = options.train.given()
    usual: dict[str, object] = {"learning_rate": 5e-3, "batch_size": streams, "checkpoint_every_minutes": 0.5}
    if not {"epochs", "max_steps", "max_minutes"} & given.keys():
        usual |= {"epochs": None, "max_steps": 600}
    elif "epochs" not in given:
        usual["epochs"] = None
    if scored:
        usual |= {"patience": 8, "evaluate_every_steps": 25}
    elif given.get("patience") is not None:
        options = options.replaced(patience=None)
    return options.training(**usual)
