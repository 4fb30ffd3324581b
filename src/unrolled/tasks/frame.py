"""The frame of every sequence task: read, split, fit the fields, build the network, train, finish, keep."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
from torch import Tensor, nn

from unrolled import randomness
from unrolled.data.batch.batching import Dataset
from unrolled.errors import DataError, OptionError, UnrolledError
from unrolled.fields import field_from_json, field_to_json
from unrolled.inputs.input import Fields, Input, input_of
from unrolled.model import Law, Model
from unrolled.tasks.laws import sequence_laws
from unrolled.tasks.notes import Notes
from unrolled.tasks.options import TaskOptions, plain
from unrolled.train import History, TrainOptions
from unrolled.train.stages import Stage, Training, learn

__all__ = ["Fields", "SequenceTask", "Task", "Training", "given_source", "held_out", "ready"]

C = TypeVar("C", bound=Sized)
D = TypeVar("D", bound=Dataset)
X = TypeVar("X")


class Task(Model):
    """A model that is fitted by options; a subclass names their kind in `options_kind`."""

    options_kind: ClassVar[type[TaskOptions]]
    options: TaskOptions

    def __init__(self, **options: object) -> None:
        self._given = dict(options)
        self.options = self.options_kind.collect(options)
        self.history: History | None = None

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """The options that were given by name, as scikit-learn asks for them; the others are chosen from the data."""
        return dict(self._given)

    def set_params(self, **options: object) -> Self:
        """Other options, as if given from the start; those not named stay. Takes effect at the next `fit`."""
        given = {**self._given, **options}
        self.options = self.options_kind.collect(given)
        self._given = given
        return self

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """A new fit begins; if it ends in a mistake of the user, the model is what it was before."""
        before = dict(vars(self))
        try:
            yield
        except UnrolledError:
            vars(self).clear()
            vars(self).update(before)
            raise


class SequenceTask(Task, Generic[C, D]):
    """A task of fields, an encoder and an alignment, from corpora C, read into datasets D.

    A subclass names its `options_kind`, reads its sources in `fit`, and writes `make_fields`, `make_data`, `make_net`,
    `make_training` and `made_up`; what a fit finds out besides weights and fields it keeps in `notes`, of its
    `notes_kind`.
    """

    notes_kind: ClassVar[type[Notes]] = Notes
    score_name: ClassVar[str] = "nats"
    """What the score is that tells when to stop: of each label, tag or token."""
    notes: Notes

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.fields: Fields = {}
        self.notes = self.notes_kind()

    @property
    def kind(self) -> type[Input[Any]]:
        """The kind of inputs that it learned from. Raises `OptionError` before a fit."""
        if not self.fields:
            self.fitted()
        return input_of(self.fields)

    @abstractmethod
    def make_fields(self, corpus: C, rows: np.ndarray) -> Fields:
        """The fields, fitted on the `rows` of the corpus alone."""

    @abstractmethod
    def make_data(self, corpus: C, rows: np.ndarray) -> D:
        """The rows of the corpus as a dataset for the training loop, by the fields."""

    def make_training_data(self, corpus: C, rows: np.ndarray) -> D:
        """The rows that are learned from: those of `make_data`, or what training makes of them."""
        return self.make_data(corpus, rows)

    @abstractmethod
    def make_net(self, corpus: C | None = None) -> nn.Module:
        """The network, by fields and options; without a corpus its weights come from a file."""

    @abstractmethod
    def make_training(self, data: D, *, scored: bool) -> TrainOptions:
        """The options of training that were given, the rest chosen for these data."""

    @abstractmethod
    def made_up(self, seed: int, rows: int) -> C:
        """A corpus that the fields make up, for the laws; the seed changes the second half of its rows alone."""

    def split(self, corpus: C, part: float) -> tuple[np.ndarray, np.ndarray]:
        """Rows to learn from, and `part` of the rows to stop by: drawn at random, the same ones for the same seed."""
        order = np.random.default_rng(self.options.seed).permutation(len(corpus))
        held = held_out(len(corpus), part)
        return np.sort(order[held:]), np.sort(order[:held])

    def score_on(self, corpus: C, rows: np.ndarray) -> Callable[[nn.Module], float] | None:
        """A score of the network to stop by, lower is better; None: the mean loss."""
        return None

    def stops_by(self, held: int) -> bool:
        """Are so many rows enough to tell when to stop? If not, the whole schedule is trained, and they only finish."""
        return True

    def take_notes(self, data: D, rows: np.ndarray) -> None:
        """What is kept of the data that is learned from, the `rows` of the corpus, besides the fields."""

    def finish(self, corpus: C, rows: np.ndarray) -> None:
        """What is found out on the validation rows once the network is trained."""

    @contextmanager
    def anew(self, notes: Notes) -> Iterator[None]:
        """A new fit begins, with these notes: see `attempt`."""
        with self.attempt():
            self.notes = notes
            yield

    def learn(
        self, corpus: C, valid: C | None, *, part: float | None, refit: bool, training: Training, least: int = 2,
        remarks: tuple[str, ...] = (),
    ) -> Self:  # fmt: skip
        """Train on the corpus; stop by the corpus `valid`, or by a `part` of the rows, or never (0).

        remarks: what was understood of the corpus without being told, which the model keeps.

        With `refit`, rows that only told when to stop are learned from in the end: a second network is trained on all
        rows for as long as was best.
        """
        if len(corpus) < least:
            raise DataError(f"fit: expected at least {least} examples to learn from, got {len(corpus)}; give more.")
        self.understood = remarks
        rows, later, held = self._parts(corpus, valid, part)
        again = refit and valid is None and held is not None
        if again:
            self._check_again()
        judging = held if held is not None and (self.stops_by(len(held)) or self._watches()) else None

        def whole(_: Stage) -> Stage:
            return self._stage(corpus, np.arange(len(corpus)), corpus, None)

        self.history = learn(
            partial(self._stage, corpus, rows, later, judging),
            whole if again else None,
            training,
            between=lambda: None if held is None else self.finish(later, held),
            save=self.save,
        )
        return self

    def _parts(self, corpus: C, valid: C | None, part: float | None) -> tuple[np.ndarray, C, np.ndarray | None]:
        """The rows to learn from, the corpus that holds the rows to stop by, and those rows, None if there are none."""
        everything = np.arange(len(corpus))
        if valid is not None:
            return everything, valid, np.arange(len(valid))
        if not part:
            return everything, corpus, None
        rows, few = self.split(corpus, part)
        return rows, corpus, few if len(few) else None

    def _watches(self) -> bool:
        """Do the options that were given ask for a score?"""
        return self.options.train.watches_score() is not None

    def _check_again(self) -> None:
        asked = self.options.train.model_copy(update={"patience": None}).watches_score()
        if asked is not None:
            raise OptionError(
                f"fit: {asked} needs a score to the end, but all rows are learned from once more; "
                "give refit=False, or valid= as data of its own."
            )

    def _stage(self, corpus: C, rows: np.ndarray, later: C, held: np.ndarray | None) -> Stage:
        """Fields and a fresh network for these rows, to be stopped by the rows `held` of `later`."""
        self.fields = self.make_fields(corpus, rows)
        data = self.make_training_data(corpus, rows)
        self.take_notes(data, rows)
        net = self.net = ready(self.make_net, self.options.seed, corpus)
        options = self.make_training(data, scored=held is not None)
        if held is None:
            return Stage(net, data, len(rows), options)
        valid, score = self.make_data(later, held), self.score_on(later, held)
        return Stage(net, data, len(rows), options, valid, score)

    def pack(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Options, fields and notes."""
        given = {name: plain(value) for name, value in self._given.items()}
        kinds = {name: field_to_json(field) for name, field in self.fields.items()}
        return {"options": self.options.to_json(), "given": given, "fields": kinds, "notes": self.notes.to_json()}, {}

    @classmethod
    def unpack(cls, content: dict[str, Any], arrays: dict[str, Tensor]) -> Self:
        """What `pack` took apart, with a network whose weights are still to come."""
        model = cls.__new__(cls)
        SequenceTask.__init__(model)
        model.options = cls.options_kind.from_json(content["options"])
        model._given = cls.options_kind.without_absent(content["given"])
        model.fields = {name: field_from_json(data) for name, data in content["fields"].items()}
        model.notes = cls.notes_kind.from_json(content["notes"])
        model.net = model.make_net()
        return model

    def laws(self) -> Sequence[Law]:
        """Padding, batch, round trip and leak, on inputs that the fields make up."""
        return sequence_laws(self)


def given_source(valid: object, read: Callable[[Any, Any], C]) -> tuple[float | None, C | None]:
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


def ready(make: Callable[[X], nn.Module], seed: int, source: X) -> nn.Module:
    """A network with the weights that the seed gives, the caller's random state untouched."""
    import torch

    with randomness.apart():
        torch.manual_seed(seed)
        return make(source)
