"""Drawing from a keyword, from what has been begun, or from nothing: strokes of a pen, or small pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from torch import Tensor, nn

from unrolled.align.next import Next, NextOptions
from unrolled.check import check_size
from unrolled.data.batch.examples import Examples, TagColumn
from unrolled.data.batch.ragged import Ragged
from unrolled.data.read.files import Places
from unrolled.errors import DataError, ModelFileError, OptionError, listed
from unrolled.fields.text import END, Text
from unrolled.inputs.texts import make_embedding, random_texts, width_of
from unrolled.nn.reading.bag import BagOfWords
from unrolled.nn.wrappers.told import Told
from unrolled.tasks.draw.drawing import draw_on
from unrolled.tasks.draw.examples import DrawingScores, examples_of, silent, steps_of
from unrolled.tasks.draw.keywords import captions_of, codes_of, come_again, unknown_words
from unrolled.tasks.draw.medium import Medium
from unrolled.tasks.draw.net import DrawingNet, Drawn
from unrolled.tasks.draw.options import DrawerOptions
from unrolled.tasks.draw.report import DrawerReport
from unrolled.tasks.draw.retrieval import retrieval_rate
from unrolled.tasks.draw.sketches import MEDIA, Sketches, read_sketches
from unrolled.tasks.frame import Fields, SequenceTask, Training, given_source
from unrolled.tasks.laws import generators
from unrolled.tasks.notes import Notes
from unrolled.tasks.options import enough_epochs
from unrolled.train import Callback, TrainOptions

__all__ = ["Drawer"]

# Features of a word's vector where nothing says how many.
WIDTH = 64
# The rate at which words of captions are left out in training.
DROPPED = 0.2
# Steps that a small set is trained for at least, and those in which the learning rate rises.
STEPS, WARMUP = 400, 100
# Fewer held-out drawings than this say nothing about which step is the best.
ENOUGH = 50


@dataclass(frozen=True)
class DrawerNotes(Notes):
    """label: where names stood. whole: they are classes. width: of the file of vectors. deviation: of the moves of the
    training part, as the field tells them. longest: steps of the longest drawing."""

    label: str | None = None
    whole: bool = False
    width: int | None = None
    deviation: float = 1.0
    longest: int = 0


class Drawer(SequenceTask[Sketches, Examples[Drawn]]):
    """Learns to draw from drawings of strokes, or from pictures, and from what they are called, if they are.

    options: any of `DrawerOptions`, flat. Raises `OptionError` for an unknown option or a bad value.
    """

    task = "draw"
    options_kind = DrawerOptions
    options: DrawerOptions
    notes_kind = DrawerNotes
    notes: DrawerNotes

    def fit(
        self,
        source: object,
        y: Iterable[object] | None = None,
        *,
        label: str | None = None,
        valid: object = 0.05,
        refit: bool = False,
        run: str | Path | None = None,
        progress: bool = False,
        resume: bool = False,
        callbacks: Sequence[Callback] = (),
    ) -> Self:
        """Learn from drawings and what they are called.

        Args:
            source: drawings: .ndjson of Quick Draw, .inkml, .npz of moves, Omniglot's texts, a folder or zip of them,
                or lists of strokes; or pictures: a table with a column of their files, a folder of them, with a text
                beside each or in a folder for each class, or arrays (height, width[, 3 or 4]) of whole numbers from 0
                to 255.
            y: what each is called: the name of a class, or a caption of several words; None: as it stands beside the
                drawings, or nothing.
            label: where that stands in the file; of a table of pictures the column, if it is not called caption,
                keyword, word, label, class, text, title or name.
            valid: what tells which step was the best: a part of these (0.05), a source of the same kind, or (drawings,
                names). 0: none, then the last step counts.
            refit: learn from the part that told which step was the best, too, in the end.
            run, progress, resume, callbacks: as in `unrolled.train.fit`.

        Raises:
            DataError, OptionError: the data or an option cannot be used, in one sentence.
        """
        corpus = self._read(source, y, label)
        training = Training(None if run is None else Path(run), progress, resume, tuple(callbacks))
        with self.anew(DrawerNotes(label, self._whole(corpus))):
            part, later = given_source(valid, self._read)
            if later is not None:
                later.check_medium("valid", corpus.medium)
                if corpus.captions is not None and later.captions is None:
                    raise DataError("fit: expected valid to say what its drawings are called, as those to learn from.")
            remarks = (*corpus.remarks, *self._remarks(corpus))
            return self.learn(corpus, later, part=part, refit=refit, training=training, remarks=remarks)

    def generate(
        self,
        keyword: str | None = None,
        *,
        samples: int = 1,
        temperature: float = 1.0,
        length: int | None = None,
        begun: object = None,
        seed: int = 0,
    ) -> list[Any]:
        """New drawings, lists of strokes, or new pictures (size, size, 3).

        Args:
            keyword: what is drawn; None: anything.
            samples: how many; number i of a seed is the same however many are asked for.
            temperature: at least 0: below 1 safer, above 1 wilder; 0: the likeliest step each time.
            length: points or pixels at most; None: as many as the longest drawing learned from.
            begun: a drawing to go on from, which is part of what comes; of a picture its upper rows.
            seed: the same seed gives the same drawings.

        Raises:
            DataError: a keyword that the model does not know, or a drawing that is none.
            OptionError: there are no keywords in this model, or an option is out of range.
        """
        words = self._words(keyword)
        check_size("generate", "samples", samples)
        return [self._drawn(begun, words, temperature, length, seed, number) for number in range(samples)]

    def predict(
        self, source: object, *, keyword: str | None = None, temperature: float = 1.0, length: int | None = None,
        seed: int = 0,
    ) -> list[Any]:  # fmt: skip
        """Each drawing of a source, of any kind as in `fit`, gone on from: see `generate`."""
        words = self._words(keyword)
        corpus = self._asked(source, whole=False)
        return [self._drawn(one, words, temperature, length, seed, row) for row, one in enumerate(corpus.values)]

    def plot(
        self, source: object, path: str | Path, *, keyword: str | None = None, samples: int = 10,
        temperature: float = 1.0, seed: int = 0,
    ) -> Path:  # fmt: skip
        """Draw what `predict` makes of the first drawings of a source, what was given and what was drawn told apart; of
        None, new drawings as `generate` gives them."""
        from unrolled.inspect.drawings import Shown, draw_sheet

        named = keyword or ""
        if source is None:
            new = self.generate(keyword, samples=samples, temperature=temperature, seed=seed)
            return draw_sheet([Shown(one, 0, named) for one in new], path)
        given = self._asked(source, whole=False).values[:samples]
        gone_on = self.predict(list(given), keyword=keyword, temperature=temperature, seed=seed)
        counts = [self._medium.given(one) for one in given]
        return draw_sheet([Shown(one, n, named) for one, n in zip(gone_on, counts, strict=True)], path)

    def evaluate(self, source: object, y: Iterable[object] | None = None, *, seed: int = 0) -> DrawerReport:
        """How well each step of drawings is predicted, and whether they are told apart by what they are called.

        The nats of a drawing of strokes are those of all it is made of, and a point is one that the pen moves to: its
        density is of moves in deviations of those of training. seed: of the nine others among which the drawing of a
        caption is looked for, of 500 captions at most.
        """
        corpus, medium, deviation = self._asked(source, y), self._medium, self.notes.deviation
        every, net = np.arange(len(corpus)), cast("DrawingNet", self.fitted())
        likelihood = DrawingScores(net, *steps_of(medium, corpus.values), self._codes(corpus, every))
        steps = medium.counted(likelihood.steps.values)
        if not steps:
            raise DataError("evaluate: expected drawings of two points at least, got none; give some.")
        score = medium.scored(-float(likelihood(every, every).sum()), steps, deviation)
        report = DrawerReport(score, medium.unit, steps, None, None, medium.in_units(deviation), ())
        if corpus.captions is None or not self._conditioned:
            return report
        alone = likelihood(every, None)
        texts = captions_of(corpus.captions, self.options.words, whole=self.notes.whole)
        return report._replace(
            alone=medium.scored(-float(alone.sum()), steps, deviation),
            retrieval=retrieval_rate(corpus.captions, seed, alone, likelihood),
            unknown=unknown_words(texts, self.fields["caption"]),
        )

    def make_fields(self, corpus: Sketches, rows: np.ndarray) -> Fields:
        chosen, medium = self.options, corpus.medium
        fields: Fields = {medium.name: medium.fit([corpus.values[row] for row in rows.tolist()], chosen)}
        if corpus.captions is not None:
            texts = captions_of(corpus.captions, chosen.words, whole=self.notes.whole)
            vectors = texts.vectors(chosen.words)
            fields["caption"] = texts.fit(rows, chosen.words, () if vectors is None else vectors.words)
        return fields

    def make_data(self, corpus: Sketches, rows: np.ndarray) -> Examples[Drawn]:
        values = [corpus.values[row] for row in rows.tolist()]
        return examples_of(*steps_of(self._medium, values), self._codes(corpus, rows))

    def take_notes(self, data: Examples[Drawn], rows: np.ndarray) -> None:
        steps = data.parts[1]
        assert isinstance(steps, TagColumn)
        deviation = self._medium.spread(steps.ragged.values)
        self.notes = replace(self.notes, deviation=deviation, longest=int(data.lengths.max(initial=0)))

    def make_net(self, corpus: Sketches | None = None) -> nn.Module:
        chosen, medium = self.options, self._medium
        bag = self._bag(corpus)
        told = 0 if bag is None else bag.output_size
        reader = medium.reader(chosen)
        encoder = chosen.make_encoder(reader.output_size + told, **medium.encoder)
        if told:
            encoder = Told(encoder, told)
        dropout = medium.dropout if chosen.head_dropout is None else chosen.head_dropout
        options = NextOptions(output_dropout=dropout, condition_size=told)
        head = medium.head(encoder.output_size, chosen)
        return DrawingNet(Next(reader, encoder, head, options), bag, medium.hands(chosen))

    def make_training(self, data: Examples[Drawn], *, scored: bool) -> TrainOptions:
        usual = dict(self._medium.training)
        batch, epochs = int(str(usual["batch_size"])), int(str(usual["epochs"]))
        usual |= {"epochs": enough_epochs(epochs, len(data) // batch, STEPS), "schedule": "cosine", "warmup": WARMUP}
        if "token_budget" in self.options.train.given():
            del usual["batch_size"]
        return self.options.training(**usual)

    def stops_by(self, held: int) -> bool:
        return held >= ENOUGH

    def made_up(self, seed: int, rows: int) -> Sketches:
        medium, draw = self._medium, generators(seed, rows)
        values = [medium.field.draw(random) for random in draw]
        captions = self._random_captions(draw) if self._conditioned else None
        return Sketches(type(medium), values, captions, Places("the made-up drawings", "row", np.arange(rows)))

    @property
    def _medium(self) -> Medium[Any]:
        if not self.fields:
            self.fitted()
        for name, kind in MEDIA.items():
            if name in self.fields:
                return kind(self.fields[name])
        raise ModelFileError(f"load: expected a drawer with a field {' or '.join(MEDIA)}, got {listed(self.fields)}.")

    @property
    def _conditioned(self) -> bool:
        """Has it learned what drawings are called?"""
        return "caption" in self.fields

    def _read(
        self, source: object, y: Iterable[object] | None = None, label: str | None = None, *, labelled: bool = True,
        whole: bool = True,
    ) -> Sketches:  # fmt: skip
        """A source as `fit` reads it; nothing is said of what drawings are called where that is not learned."""
        chosen = self.options
        wanted = labelled and chosen.keyword.keywords != "none"
        found = read_sketches(
            source, y if wanted else None, label or self.notes.label, chosen, labelled=wanted, whole=whole
        )
        if not len(found):
            raise DataError("Drawer: expected at least one drawing, got none; give some.")
        return found

    def _asked(self, source: object, y: Iterable[object] | None = None, *, whole: bool = True) -> Sketches:
        """A source for the fitted model. whole: else drawings have been begun, and have no names."""
        self.fitted()
        corpus = self._read(source, y, labelled=whole, whole=whole)
        corpus.check_medium("Drawer", type(self._medium))
        return corpus

    def _whole(self, corpus: Sketches) -> bool:
        """Are captions the names of classes?"""
        asked = self.options.keyword.keywords
        return asked == "whole" or (asked is None and corpus.captions is not None and come_again(corpus.captions))

    def _remarks(self, corpus: Sketches) -> tuple[str, ...]:
        if corpus.captions is None:
            return (f"{corpus.medium.said}: nothing says what they are called, so one draws without a keyword",)
        names = len({*corpus.captions})
        return (f"keywords: {names:,} classes" if self._whole(corpus) else "keywords: the words of captions",)

    def _words(self, keyword: str | None) -> Tensor | None:
        """The codes of what is asked for."""
        self.fitted()
        if keyword is None:
            return None
        if not self._conditioned:
            raise OptionError(
                f"generate: got the keyword {keyword!r}, but what drawings are called was not learned; leave it out, "
                "or fit drawings with names."
            )
        return torch.from_numpy(codes_of(keyword, self.fields["caption"], whole=self.notes.whole))

    def _drawn(
        self, begun: object, words: Tensor | None, temperature: float, length: int | None, seed: int, number: int
    ) -> Any:
        if not (math.isfinite(temperature) and temperature >= 0):
            raise OptionError(f"generate: temperature must be a number of at least 0, got {temperature!r}.")
        if length is not None:
            check_size("generate", "length", length)
        net, medium = cast("DrawingNet", self.fitted()), self._medium
        course = medium.course(begun, length or self.notes.longest)
        return draw_on(net, medium, course, words, temperature, seed, number)

    def _codes(self, corpus: Sketches, rows: np.ndarray) -> Ragged | None:
        """The codes of the captions of the rows; None where captions are not learned."""
        if not self._conditioned:
            return None
        if corpus.captions is None:
            return silent(len(rows))
        texts = captions_of([corpus.captions[row] for row in rows.tolist()], self.options.words, whole=self.notes.whole)
        return texts.codes(self.fields["caption"])

    def _bag(self, corpus: Sketches | None) -> BagOfWords | None:
        """What makes a vector of a caption."""
        if not self._conditioned:
            return None
        chosen, field = self.options, self.fields["caption"]
        vectors = None
        if corpus is not None and corpus.captions is not None:
            vectors = captions_of([], chosen.words, whole=self.notes.whole).vectors(chosen.words)
            self.notes = replace(self.notes, width=width_of(chosen.words, vectors, None, chosen.owner))
        words = chosen.words
        if words.embedding_dropout is None:
            words = words.model_copy(update={"embedding_dropout": 0.0 if self.notes.whole else DROPPED})
        embedding = make_embedding(field, words, self.notes.width or WIDTH, vectors)
        return BagOfWords(embedding, chosen.keyword.keyword_size, first=END + 1, silence=chosen.keyword.silence)

    def _random_captions(self, draw: Sequence[np.random.Generator]) -> list[str]:
        field: Text = self.fields["caption"]
        if not self.notes.whole:
            return random_texts(field, draw)
        return [field.tokens[int(random.integers(END + 1, field.size))] for random in draw]
