"""The one training loop of every task."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from unrolled import randomness
from unrolled.data.batch.batching import Dataset, fingerprint
from unrolled.errors import ModelFileError, NonFiniteError, TrainingError, foreign_told
from unrolled.state import from_bytes
from unrolled.train import gradient
from unrolled.train.average import Average
from unrolled.train.checkpoints import snapshot
from unrolled.train.checkpoints.checkpoint import Checkpoint, Folder, Record
from unrolled.train.checkpoints.cursor import Cursor, Position
from unrolled.train.checkpoints.lock import locked
from unrolled.train.evaluate import Best, evaluating_aside, mean_loss, modes_kept, weights_of
from unrolled.train.interrupt import Interrupt
from unrolled.train.monitor.diagnose import describe, diverged
from unrolled.train.monitor.events import Callback, Evaluation, Event, History, Kind
from unrolled.train.monitor.report import JsonLines, Progress, reporter
from unrolled.train.objective import loss_of
from unrolled.train.optim import learning_rate, make_optimizer, plateaus, progress_of, set_learning_rate
from unrolled.train.options import TrainOptions
from unrolled.train.processes import Processes
from unrolled.train.request import check_request, check_same

__all__ = ["fit"]

# Steps in a row that fp16 may skip while its loss scale is found.
SKIPS = 50


def fit(
    module: nn.Module,
    data: Dataset,
    options: TrainOptions,
    *,
    valid: Dataset | None = None,
    score: Callable[[nn.Module], float] | None = None,
    run: str | Path | None = None,
    progress: Progress = False,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
) -> History:
    """Train a module in place and return what happened.

    One optimiser step follows the gradient of (sum of loss totals) / (sum of counts) over the global batch, whatever
    the number of processes (`torchrun`, `accelerate launch`) and micro-batches. A CPU run is repeated bit for bit by
    the same seed and number of threads, also when it was killed and resumed. The caller's random states and the
    module's modes are left as they were.

    module: an nn.Module with `loss(batch, state) -> (total, count, state)`: the sum of the losses as a scalar tensor,
        the number of terms in it, and the state to carry on (nested NamedTuple) or None.
    data, valid: see `Dataset`. Without `score`, the score is the mean loss over `valid`.
    score: a function of the module (in evaluation mode, without gradients), lower is better.
    run: a folder for checkpoints and metrics.jsonl; None writes nothing.
    progress: True shows a bar on a terminal, "plain" prints lines anywhere.
    resume: go on from the last checkpoint in `run`; starts from the beginning if there is none.
    callbacks: called with every `Event`, in the first process.

    Raises `TrainingError` when loss or gradient are not finite (the bad step is not applied), `SaveError` when a file
    cannot be written, `OptionError` and `ModelFileError` when a run cannot be resumed as asked. On Ctrl-C a run with a
    folder finishes the step in hand, writes a checkpoint and raises KeyboardInterrupt.
    """
    folder = None if run is None else Folder(Path(run))
    check_request(options, folder, resume=resume, scored=valid is not None or score is not None)
    with locked(run), randomness.kept(), modes_kept(module), Interrupt(folder is not None) as interrupt:
        training = _Training(module, data, options, valid, score, folder, interrupt, resume)
        with training.processes.failing_together():
            if training.processes.first:
                training.tell(callbacks, progress, run)
        return training.go()


class _Training:
    """One run: its module, its optimiser, and where it stands."""

    def __init__(
        self,
        module: nn.Module,
        data: Dataset,
        options: TrainOptions,
        valid: Dataset | None,
        score: Callable[[nn.Module], float] | None,
        folder: Folder | None,
        interrupt: Interrupt,
        resume: bool,
    ) -> None:
        self.module, self.data, self.options, self.loss = module, data, options, loss_of(module)
        self.valid, self.score, self.folder, self.interrupt = valid, score, folder, interrupt
        self.scored = valid is not None or score is not None
        self.processes = Processes(options)
        self.processes.adopt(module)
        randomness.seed_all(options.seed, self.processes.index)
        self.optimizer = make_optimizer(module, options)
        self.prepared = self.processes.prepare(self.optimizer)
        self.parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.average = Average(module, options, self.processes.wide)
        self.callbacks: list[Callback] = []
        self.step, self.resumed, self.finished = 0, False, ""
        self.states: list[object] = [None] * options.micro_batches
        self.best, self.evaluations, self.plateaus = Best(), list[Evaluation](), 0
        self.since, self.scoring, self.elapsed = (0.0, 0.0), 0.0, 0.0
        self.skipped, self.norms = 0, deque[float](maxlen=32)
        self.checkpoint_path: Path | None = None
        self.began = self.saved = time.monotonic()
        self.identity = "" if folder is None else " ".join(fingerprint(d) for d in (data, valid) if d is not None)
        module.train()
        loaded = folder.load() if folder is not None and resume else None
        if loaded is None:
            self.cursor = Cursor(data, options, self.processes, Position())
        else:
            record = loaded[0].record
            check_same(record, loaded[1], options, data=self.identity, processes=self.processes.count)
            self.cursor = Cursor(data, options, self.processes, Position(*record["position"]))
            self._restore(*loaded)

    @property
    def seconds(self) -> float:
        """Wall clock of this run, parts before a resume included."""
        return time.monotonic() - self.began

    def tell(self, callbacks: Sequence[Callback], progress: Progress, run: str | Path | None) -> None:
        """Tell the metrics of the run folder, the bar, and these callbacks, in this order."""
        bar = reporter(progress)
        self.callbacks = [*([bar] if bar else []), *callbacks]
        if run is not None:
            at = self.step if self.resumed else None
            metrics = JsonLines(Path(run) / "metrics.jsonl", resumed_at=at, every=self.options.log_every)
            self.callbacks.insert(0, metrics)

    def go(self) -> History:
        """Train until a limit is reached, then leave the best weights in the module."""
        message = "error"
        try:
            self._emit("start", self.cursor.position.epoch + 1)
            if self.folder is not None and not self.resumed:
                self._save()
            reason = self.finished or self._limit((0.0, self.elapsed))
            while reason is None:
                reason = self._advance()
            message = reason
            if reason == "interrupted":
                raise KeyboardInterrupt(f"stopped at step {self.step}; resume=True goes on from {self.checkpoint_path}")
        except KeyboardInterrupt:
            message = "interrupted"
            raise
        finally:
            self._emit("stop", self._epoch_of_last_step(), message=message)
        if self.best.weights is not None:
            self.module.load_state_dict(self.best.weights)
        else:
            self.average.settle()
        return History(
            tuple(self.evaluations), self.step, self.cursor.epoch, self.seconds, reason, self.best.step, self.best.score
        )

    def _advance(self) -> str | None:
        """One optimiser step and all that follows from it; the reason to stop, if there is one."""
        epoch = self.cursor.position.epoch + 1
        pieces = [None if piece is None else self.processes.place(piece) for piece in self.cursor.pieces()]
        rate = learning_rate(self.options, self.step, self.cursor.epoch, self.plateaus, self.elapsed)
        set_learning_rate(self.optimizer, rate)
        sums = self._update(pieces, rate)
        self.step += 1
        batch_ended, epoch_ended = self.cursor.advance()
        if epoch_ended or (batch_ended and not self.data.carries_state):
            self.states = [None] * self.options.micro_batches
        self.since = (self.since[0] + sums.total, self.since[1] + sums.terms)
        self._emit("step", epoch, loss=sums.loss, learning_rate=rate, grad_norm=sums.norm)
        interrupted, self.elapsed, checkpoint_due = sums.votes
        every = self.options.evaluate_every_steps
        evaluated = self.step % every == 0 if every else epoch_ended
        if evaluated:
            self._evaluate(epoch, rate)
        reason = self._limit((interrupted, self.elapsed))
        if reason not in (None, "interrupted") and not evaluated:
            self._evaluate(epoch, rate)
        if self.folder is not None and (reason or checkpoint_due or self._step_due()):
            self.finished = reason if reason in ("epochs", "max_steps", "patience") else ""
            self._save()
        return reason

    def _update(self, pieces: Sequence[object | None], rate: float) -> gradient.Sums:
        """Compute the gradient and apply it, unless it is not finite."""
        self.optimizer.zero_grad(set_to_none=True)
        unit = self._unit()
        try:
            mine = gradient.accumulate(self.loss, pieces, self.states, self.processes, unit)
        except NonFiniteError as error:
            raise self._diverged(str(error).rstrip("."), pieces, rate) from error
        sums = gradient.finish(mine, self._votes(), self.parameters, self.processes, self.prepared, unit)
        problem = describe(sums.total, sums.norm)
        if problem is None:
            if sums.terms:
                gradient.clip(self.parameters, self.options, sums.norm)
                self.prepared.step()
                self.average.update()
                self.norms.append(sums.norm)
                self.skipped = 0
            return sums
        self.skipped += 1
        if self.processes.scaler is None or not math.isfinite(sums.total) or self.skipped > SKIPS:
            raise self._diverged(problem, pieces, rate)
        # The loss scale of fp16 was too large: its scaler skips the update and lowers the scale.
        self.prepared.step()
        return sums

    def _unit(self) -> float:
        """A power of two near the number of steps in the batch, for fp16 alone; 1 changes nothing."""
        if self.processes.scaler is None:
            return 1.0
        steps = sum(max(1, int(n)) for n in self.data.lengths[self.cursor.rows])
        return 2.0 ** math.ceil(math.log2(steps))

    def _votes(self) -> tuple[float, float, float]:
        """What all processes must agree on: stop by Ctrl-C, the part of the time that is gone, write a checkpoint."""
        every = self.options.checkpoint_every_minutes
        due = every is not None and time.monotonic() - self.saved >= 60 * every
        first = self.processes.first
        return float(self.interrupt.requested), self._time_gone() * first, float(due and first)

    def _time_gone(self) -> float:
        """The part of the time limit that is gone once the last score has been taken; 0 without a limit."""
        limit = self.options.max_minutes
        return 0.0 if limit is None else (self.seconds + self.scoring) / (60 * limit)

    def _step_due(self) -> bool:
        every = self.options.checkpoint_every_steps
        return every is not None and self.step % every == 0

    def _limit(self, votes: tuple[float, float]) -> str | None:
        chosen = self.options
        if chosen.epochs is not None and self.cursor.position.epoch >= chosen.epochs:
            return "epochs"
        if chosen.max_steps is not None and self.step >= chosen.max_steps:
            return "max_steps"
        if chosen.patience is not None and self.best.failures >= chosen.patience:
            return "patience"
        interrupted, elapsed = votes
        return "max_minutes" if elapsed >= 1 else "interrupted" if interrupted else None

    def _evaluate(self, epoch: int, rate: float) -> None:
        """Take the score, remember the best weights, add a row to the table, and heed what the scores ask for."""
        total, count = self.since
        loss = total / count if count else None
        self.since = (0.0, 0.0)
        valid_loss, score, best = None, None, None
        if self.scored:
            began = time.monotonic()
            with evaluating_aside(self.module), self.average.in_place():
                valid_loss, score = self._measure()
                self.scoring = time.monotonic() - began
                best = self.best.judge(score, self.step, self.module)
        self.evaluations.append(Evaluation(self.step, epoch, loss, rate, valid_loss, score, self.seconds))
        scores = self._scores()
        self.plateaus = plateaus(scores, self.options.decay_patience)
        if self.average.watch(scores):
            self.best.failures = 0
        self._emit("evaluate", epoch, loss=loss, learning_rate=rate, score=score, valid_loss=valid_loss, best=best)

    def _measure(self) -> tuple[float | None, float]:
        """The mean loss over the validation data, if there are any, and the score, of the weights in place."""
        valid_loss, score = None, math.nan
        if self.valid is not None:
            valid_loss = score = mean_loss(self.loss, self.valid, self.options, self.processes)
        if self.score is not None:
            score = self.processes.from_first(float(self.score(self.module)))
        if math.isnan(score):
            raise TrainingError(f"fit: the validation score is nan at step {self.step}; check the validation data.")
        return valid_loss, score

    def _scores(self) -> list[float]:
        return [row.score for row in self.evaluations if row.score is not None]

    def _emit(
        self,
        kind: Kind,
        epoch: int,
        *,
        loss: float | None = None,
        learning_rate: float | None = None,
        grad_norm: float | None = None,
        score: float | None = None,
        valid_loss: float | None = None,
        best: bool | None = None,
        message: str | None = None,
    ) -> None:
        if not self.callbacks:
            return
        done = progress_of(self.options, self.step, self.cursor.epoch, self._time_gone())
        numbers = (done, loss, learning_rate, grad_norm, score, valid_loss, best, message)
        event = Event(kind, self.step, epoch, self.seconds, *numbers)
        for callback in self.callbacks:
            callback(event)

    def _epoch_of_last_step(self) -> int:
        at = self.cursor.position
        return at.epoch + (1 if at.batch or at.chunk or not self.step else 0)

    def _diverged(self, what: str, pieces: Sequence[object | None], rate: float) -> TrainingError:
        at = self.cursor.position
        return diverged(
            what,
            step=self.step + 1,
            epoch=at.epoch + 1,
            batch=at.batch + 1,
            rows=self.cursor.rows,
            pieces=pieces,
            module=self.module,
            options=self.options,
            rate=rate,
            norms=list(self.norms),
            checkpoint=None if self.checkpoint_path is None else str(self.checkpoint_path),
        )

    def _save(self) -> None:
        """Write a checkpoint; every process takes part, the first writes."""
        folder = self.folder
        shares = self.processes.gather_bytes(snapshot.pack_share(self._states_to_keep()))
        with self.processes.failing_together():
            if self.processes.first and folder is not None:
                self.checkpoint_path = folder.save(Checkpoint(self._record(), self._tensors(), shares))
        self.saved = time.monotonic()
        self._emit("checkpoint", self._epoch_of_last_step(), message=str(self.checkpoint_path))

    def _states_to_keep(self) -> list[object]:
        at = self.cursor.position
        return self.states if at.chunk or (at.batch and self.data.carries_state) else []

    def _tensors(self) -> dict[str, torch.Tensor]:
        return {
            **snapshot.pack_weights("weights", weights_of(self.module)),
            **snapshot.pack_weights("best", self.best.weights or {}),
            **snapshot.pack_weights("average", self.average.weights),
            **snapshot.pack_optimizer(self.optimizer),
        }

    def _record(self) -> Record:
        scaler = self.processes.scaler
        return {
            "options": self.options.to_json(),
            "data": self.identity,
            "processes": self.processes.count,
            "finished": self.finished,
            "position": self.cursor.position,
            "step": self.step,
            "seconds": self.seconds,
            "since": self.since,
            "best": (self.best.score, self.best.step, self.best.failures),
            "averaged": self.average.count,
            "evaluations": list(self.evaluations),
            "scaler": None if scaler is None else scaler.state_dict(),
        }

    @foreign_told(ModelFileError, "fit: the checkpoint does not fit this run", "go back to an earlier one")
    def _restore(self, checkpoint: Checkpoint, path: Path) -> None:
        """Put everything back where the checkpoint has it; the random states last."""
        record, tensors = checkpoint.record, checkpoint.tensors
        random_states, carried = snapshot.unpack_share(checkpoint.processes[self.processes.index])
        self._carry(carried)
        expected = self.module.state_dict()
        weights = snapshot.unpack_weights("weights", tensors, expected)
        if weights is None:
            raise ModelFileError(f"fit: {path} holds no weights; go back to an earlier checkpoint.")
        self.module.load_state_dict(weights)
        snapshot.unpack_optimizer(tensors, self.optimizer)
        if self.processes.scaler is not None:
            self.processes.scaler.load_state_dict(record["scaler"] or {})
        self.best = Best(*record["best"], snapshot.unpack_weights("best", tensors, expected))
        self.average.restore(
            snapshot.unpack_weights("average", tensors, self.average.copies()), record.get("averaged", 0)
        )
        self.evaluations = [Evaluation(*row) for row in record["evaluations"]]
        self.plateaus = plateaus(self._scores(), self.options.decay_patience)
        self.step, self.since, self.finished = record["step"], record["since"], record["finished"]
        self.began -= record["seconds"]
        self.elapsed = self.processes.from_first(self._time_gone())
        self.resumed, self.checkpoint_path = True, path
        randomness.restore(random_states)

    def _carry(self, carried: dict[int, bytes]) -> None:
        """Carried states from bytes; the module's own loss shows their structure."""
        if not carried:
            return
        for i, piece in enumerate(self.cursor.pieces()):
            if piece is not None and i in carried:
                with torch.no_grad(), self.processes.autocast():
                    _, _, like = self.loss(self.processes.place(piece), None)
                self.states[i] = self.processes.place(from_bytes(carried[i], like))
