"""The frame of every sequence task: read, split, fit the fields, build the network, train, finish, keep."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from torch import Tensor, nn

from unrolled.errors import DataError, OptionError, UnrolledError
from unrolled.fields import field_from_json, field_to_json
from unrolled.model import Law, Model
from unrolled.tasks.laws import sequence_laws
from unrolled.tasks.options import TaskOptions, plain
from unrolled.train import Callback, Event, History, TrainOptions, fit

__all__ = ["SequenceTask", "Training", "given_source", "held_out", "ready"]

# Training on more rows than when the best step was found takes longer, but not without bound.
LONGEST = 1.5
# The part of a time limit that finds out when to stop, where all rows are learned from afterwards.
SEARCH = 0.6


@dataclass(frozen=True)
class Training:
    """How a fit was asked for: where it writes, whether it goes on, whom it tells."""

    run: Path | None = None
    progress: bool = False
    resume: bool = False
    callbacks: tuple[Callback, ...] = ()


class SequenceTask(Model):
    """A task of fields, an encoder and an alignment.

    A subclass names its `options_kind`, reads its sources in `fit`, and writes `make_fields`, `make_data`, `make_net`
    and `make_training`; what a fit finds out besides weights and fields it keeps in `notes` (plain JSON).
    """

    options_kind: ClassVar[type[TaskOptions]]
    score_name: ClassVar[str] = "nats"
    """What the score is that tells when to stop: of each label, tag or token."""
    options: Any

    def __init__(self, **options: Any) -> None:
        self._given = dict(options)
        self.options = self.options_kind.collect(options)
        self.fields: dict[str, Any] = {}
        self.notes: dict[str, Any] = {}
        self.history: History | None = None

    @abstractmethod
    def make_fields(self, corpus: Any, rows: np.ndarray) -> dict[str, Any]:
        """The fields, fitted on the `rows` of the corpus alone."""

    @abstractmethod
    def make_data(self, corpus: Any, rows: np.ndarray) -> Any:
        """The rows of the corpus as a dataset for the training loop, by the fields."""

    @abstractmethod
    def make_net(self, corpus: Any | None = None) -> nn.Module:
        """The network, by fields and options; without a corpus its weights come from a file."""

    @abstractmethod
    def make_training(self, data: Any, *, scored: bool) -> TrainOptions:
        """The options of training that were given, the rest chosen for these data."""

    @abstractmethod
    def made_up(self, seed: int, rows: int) -> Any:
        """A corpus that the fields make up, for the laws; the seed changes the second half of its rows alone."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The options that were given by name, as scikit-learn asks for them; the others are chosen from the data."""
        return dict(self._given)

    def set_params(self, **options: Any) -> Self:
        """Other options, as if given from the start; those not named stay. Takes effect at the next `fit`."""
        given = {**self._given, **options}
        self.options = self.options_kind.collect(given)
        self._given = given
        return self

    def split(self, corpus: Any, part: float) -> tuple[np.ndarray, np.ndarray]:
        """Rows to learn from, and `part` of the rows to stop by: drawn at random, the same ones for the same seed."""
        order = np.random.default_rng(self.options.seed).permutation(len(corpus))
        held = held_out(len(corpus), part)
        return np.sort(order[held:]), np.sort(order[:held])

    def score_on(self, corpus: Any, rows: np.ndarray) -> Callable[[Any], float] | None:
        """A score of the network to stop by, lower is better; None: the mean loss."""
        return None

    def stops_by(self, held: int) -> bool:
        """Are so many rows enough to tell when to stop? If not, the whole schedule is trained, and they only finish."""
        return True

    def take_notes(self, data: Any, rows: np.ndarray) -> None:
        """What is kept of the data that is learned from, the `rows` of the corpus, besides the fields."""

    def finish(self, corpus: Any, rows: np.ndarray) -> None:
        """What is found out on the validation rows once the network is trained."""

    @contextmanager
    def anew(self, notes: dict[str, Any]) -> Iterator[None]:
        """A new fit begins, with these notes; if it ends in a mistake of the user, the model is what it was before."""
        before = (self.notes, self.fields, self.net, self.history)
        self.notes = notes
        try:
            yield
        except UnrolledError:
            self.notes, self.fields, self.net, self.history = before
            raise

    def learn(
        self, corpus: Any, valid: Any, *, part: float | None, refit: bool, training: Training, least: int = 2
    ) -> Self:
        """Train on the corpus; stop by the corpus `valid`, or by a `part` of the rows, or never (0).

        With `refit`, rows that only told when to stop are learned from in the end: a second network is trained on all
        rows for as long as was best.
        """
        if len(corpus) < least:
            raise DataError(f"fit: expected at least {least} examples to learn from, got {len(corpus)}; give more.")
        everything = np.arange(len(corpus))
        rows, held, later = everything, None, valid
        if valid is None and part:
            rows, few = self.split(corpus, part)
            held, later = (few, corpus) if len(few) else (None, None)
        elif valid is not None:
            held = np.arange(len(valid))
        again = refit and valid is None and held is not None
        share = SEARCH if again else 1.0
        if again:
            self._check_again()
        judging = held if held is not None and (self.stops_by(len(held)) or self._watches()) else None
        history = self._train(corpus, rows, later, judging, training, share=share)
        if held is not None:
            self.finish(later, held)
        if again:
            inner = replace(training, run=None if training.run is None else training.run / "refit")
            self._train(corpus, everything, None, None, inner, share=1 - SEARCH, like=(history, len(rows)))
        self.fitted().eval()
        if training.run is not None:
            self.save(training.run / "model.unrolled")
        return self

    def _watches(self) -> bool:
        """Do the options that were given ask for a score?"""
        return TrainOptions.from_json(dict(self.options.train)).watches_score() is not None

    def _check_again(self) -> None:
        asked = TrainOptions.from_json({**self.options.train, "patience": None}).watches_score()
        if asked is not None:
            raise OptionError(
                f"fit: {asked} needs a score to the end, but all rows are learned from once more; "
                "give refit=False, or valid= as data of its own."
            )

    def _train(
        self,
        corpus: Any,
        rows: np.ndarray,
        later: Any,
        held: np.ndarray | None,
        training: Training,
        *,
        share: float,
        like: tuple[History, int] | None = None,
    ) -> History:
        """One network on `rows`, stopped by the rows `held` of `later`, or trained as long as an earlier run's best."""
        self.fields = self.make_fields(corpus, rows)
        data = self.make_data(corpus, rows)
        self.take_notes(data, rows)
        net = self.net = ready(self.make_net, self.options.seed, corpus)
        options = self.make_training(data, scored=held is not None)
        if options.max_minutes is not None:
            options = options.model_copy(update={"max_minutes": options.max_minutes * share})
        if like is not None:
            options = _as_long(options, *like, len(rows))
        on_best = None if training.run is None else training.run / "model.unrolled"

        def keep(event: Event) -> None:
            if event.kind == "evaluate" and event.best and on_best is not None:
                self.save(on_best)

        self.history = fit(
            net,
            data,
            options,
            valid=None if held is None else self.make_data(later, held),
            score=None if held is None else self.score_on(later, held),
            run=training.run,
            progress=training.progress,
            resume=training.resume,
            callbacks=[keep, *training.callbacks],
        )
        net.eval()
        return self.history

    def pack(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Options, fields and notes."""
        given = {name: plain(value) for name, value in self._given.items()}
        kinds = {name: field_to_json(field) for name, field in self.fields.items()}
        return {"options": self.options.to_json(), "given": given, "fields": kinds, "notes": self.notes}, {}

    @classmethod
    def unpack(cls, content: dict[str, Any], arrays: dict[str, Tensor]) -> Self:
        """What `pack` took apart, with a network whose weights are still to come."""
        model = cls.__new__(cls)
        SequenceTask.__init__(model)
        model.options = cls.options_kind(**content["options"])
        model._given = dict(content["given"])
        model.fields = {name: field_from_json(data) for name, data in content["fields"].items()}
        model.notes = content["notes"]
        model.net = model.make_net()
        return model

    def laws(self) -> Sequence[Law]:
        """Padding, batch, round trip and leak, on inputs that the fields make up."""
        return sequence_laws(self)


def given_source(valid: Any, read: Callable[[Any, Any], Any]) -> tuple[float | None, Any]:
    """The `valid` of a fit as a part of the rows, or as a corpus of its own: (inputs, labels) or one source."""
    if valid is None or isinstance(valid, int | float):
        if not 0 <= (valid or 0) < 1:
            raise OptionError(f"fit: valid must be a part in [0, 1), or data of its own, got {valid!r}.")
        return float(valid or 0), None
    if isinstance(valid, tuple) and len(valid) != 2:
        raise OptionError(f"fit: valid as a tuple must be (inputs, what belongs to them), got {len(valid)} parts.")
    return None, read(*valid) if isinstance(valid, tuple) else read(valid, None)


def held_out(count: int, part: float) -> int:
    """How many of so many rows are a part of them: at least one, and not all."""
    return min(max(1, round(part * count)), count - 1)


def ready(make: Callable[[Any], nn.Module], seed: int, corpus: Any) -> nn.Module:
    """A network with the weights that the seed gives, the caller's random state untouched."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(corpus)


def _as_long(options: TrainOptions, history: History, rows: int, more: int) -> TrainOptions:
    """The options for `more` rows, to be trained for as many epochs as were best with `rows`."""
    best = history.best_step or history.steps
    steps = max(1, round(best * min(LONGEST, more / max(1, rows))))
    return options.model_copy(
        update={"max_steps": steps, "epochs": None, "patience": None, "evaluate_every_steps": None}
    )
