"""A caption for each input of any kind: a picture, a video, a drawing, a series."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

import numpy as np
from torch import nn

from unrolled.align.decode import Decode, Pair
from unrolled.data.batch.examples import Examples, PaddedColumn, PickedColumn
from unrolled.data.read.captions import CaptionColumns
from unrolled.data.read.files import Places
from unrolled.errors import DataError, OptionError
from unrolled.fields.text import Text
from unrolled.fields.tokens import bare
from unrolled.inputs.columns import LabelColumns
from unrolled.inputs.input import version_rows
from unrolled.inputs.text import TextInput
from unrolled.inputs.texts import random_texts
from unrolled.score.captions import caption_scores
from unrolled.state import map_state
from unrolled.tasks.batches import per_row, unit_length
from unrolled.tasks.caption.options import CaptionerOptions
from unrolled.tasks.frame import Fields, SequenceTask, Training, given_source
from unrolled.tasks.laws import generators
from unrolled.tasks.notes import Notes
from unrolled.tasks.options import enough_epochs
from unrolled.tasks.reading.captions import Captions, read_captioned
from unrolled.tasks.reports import CaptionReport
from unrolled.tasks.writing.targets import Search, Writer
from unrolled.train import Callback, TrainOptions

__all__ = ["Captioner", "Looked"]

# As a translator has them, in half the width of words; no others were tried on captions.
ENCODER: dict[str, object] = {"cell": "gru", "hidden_size": 256, "bidirectional": True}
WIDTH = 128
BATCH, EPOCHS, PATIENCE = 32, 30, 6
# Steps that a small set is trained for at least, and those in which the learning rate rises.
STEPS, WARMUP = 800, 100


@dataclass(frozen=True)
class CaptionerNotes(Notes):
    """columns: of paths and of captions. longest: tokens of the longest caption. width: of the file of vectors."""

    columns: tuple[str | None, str | None] = (None, None)
    longest: int = 0
    width: int | None = None


class Looked(NamedTuple):
    """weights (words, steps): how much the decoder looked at each step of the input while it wrote each word, the end
    of the caption the last. grid: rows and columns of the steps, in reading order; None where they are times."""

    weights: np.ndarray
    words: list[str]
    grid: tuple[int, int] | None


class Captioner(SequenceTask[Captions, Examples[Pair]]):
    """Learns from inputs of any kind and their captions to write such captions.

    options: any of `CaptionerOptions`, flat. Raises `OptionError` for an unknown option or a bad value.
    """

    task = "caption"
    options_kind = CaptionerOptions
    options: CaptionerOptions
    notes_kind = CaptionerNotes
    notes: CaptionerNotes

    def fit(
        self,
        source: object,
        captions: Iterable[object] | None = None,
        *,
        image: str | None = None,
        caption: str | None = None,
        images: str | Path | None = None,
        part: str | None = None,
        valid: object = 0.1,
        valid_part: str | None = None,
        refit: bool = False,
        run: str | Path | None = None,
        progress: bool = False,
        resume: bool = False,
        callbacks: Sequence[Callback] = (),
    ) -> Self:
        """Learn from inputs and their captions.

        Args:
            source: a list of files: a table with a column of paths and one of captions (several rows may name the same
                file), or the JSON of COCO; or inputs of any kind with a text each; or the inputs themselves.
            captions: a caption, or a list of captions, for each input.
            image, caption: the columns of the paths and of the captions of a table.
            images: the folder that the paths are relative to; None: that of the list.
            part: learn from the rows alone whose column split (part, subset) says so.
            valid: what decides when to stop: a part of the inputs (0.1), with all captions of each; a source of the
                same kind, or (inputs, captions). 0: none.
            valid_part: stop by those rows alone, of `valid`, or, where that is no source, of the source itself.
            refit: learn from the part that decided when to stop, too, in the end.
            run, progress, resume, callbacks: as in `unrolled.train.fit`.

        Raises:
            DataError, OptionError: the data or an option cannot be used, in one sentence.
        """
        columns = CaptionColumns(image, caption, None if images is None else Path(images), part)
        corpus = self._captioned(source, captions, columns)
        if image is not None and not corpus.files:
            raise OptionError(
                f"fit: image={image!r} is a column of a list of files, but {corpus.places.source} is none: leave it "
                "out."
            )
        held = replace(columns, part=valid_part)
        if valid_part is not None and (valid is None or isinstance(valid, int | float)):
            valid = source
        training = Training(None if run is None else Path(run), progress, resume, tuple(callbacks))
        with self.anew(CaptionerNotes((image, caption))):
            share, later = given_source(valid, lambda source, captions: self._captioned(source, captions, held))
            corpus.check_held(later)
            return self.learn(corpus, later, part=share, refit=refit, training=training, remarks=corpus.remarks)

    def predict(self, source: object, **search: Any) -> list[str]:
        """The best caption of each input, as `candidates` finds it: of any source as in `fit`, or of a file."""
        return [ranked[0][0] for ranked in self.candidates(source, **{"nbest": 1, **search})]

    def candidates(
        self, source: object, *, width: int = 5, nbest: int = 5, length_penalty: float = 1.0,
        no_repeat: int | None = None, images: str | Path | None = None, part: str | None = None,
    ) -> list[list[tuple[str, float]]]:  # fmt: skip
        """The `nbest` best captions of each input that a beam of `width` finds, with the scores that rank them.

        Of an input without any step, an empty caption. length_penalty: 0 favours short captions; see
        `unrolled.search.beam`. no_repeat: no run of so many words twice. images, part: as in `fit`; of a list, each
        file once.
        """
        self.fitted()
        search = Search(width, nbest, length_penalty, no_repeat).check("predict")
        return self._candidates(self.read(source, images=images, part=part), search)

    def evaluate(
        self, source: object, captions: Iterable[object] | None = None, *, width: int = 5, length_penalty: float = 1.0,
        images: str | Path | None = None, part: str | None = None,
    ) -> CaptionReport:  # fmt: skip
        """BLEU-4, ROUGE-L, CIDEr-D, F1 of words and exact matches of what is predicted, by all captions of an input."""
        self.fitted()
        if isinstance(source, tuple) and captions is None and len(source) == 2:
            source, captions = source
        corpus = self._captioned(source, captions, self._columns(images, part))
        corpus.check_kind("evaluate", self.kind.kind)
        search = Search(width, 1, length_penalty, None).check("evaluate")
        said = [ranked[0][0] for ranked in self._candidates(corpus, search)]
        pairs = [(text, list(own)) for text, own in zip(said, corpus.told, strict=True) if own]
        references = [own for _, own in pairs]
        scores = caption_scores([text for text, _ in pairs], references)
        return CaptionReport(scores, len(pairs), sum(map(len, references)))

    def embed(self, source: object, *, images: str | Path | None = None, part: str | None = None) -> np.ndarray:
        """A vector of unit length for each input, (N, D) float64, that its caption starts from; 0 where it is empty."""
        net, corpus = cast("Decode[object]", self.fitted()), self.read(source, images=images, part=part)
        data = self.make_data(replace(corpus, texts=None), np.arange(len(corpus)))
        found = per_row(data, net, lambda batch: net.summary(batch.source))
        vectors = np.stack(found).astype(np.float64) if found else np.zeros((0, net.bridge.input_size))
        vectors[data.lengths == 0] = 0
        return unit_length(vectors)

    def read(self, source: object, *, images: str | Path | None = None, part: str | None = None) -> Captions:
        """The inputs of a source, which `candidates` and `plot` take, too. Raises `DataError` for another kind."""
        if isinstance(source, Captions):
            return source
        columns = self._columns(images, part)
        corpus = read_captioned(source, None, columns, self.options, self._shape, captioned=False)
        corpus.check_kind("predict", self.kind.kind)
        return corpus

    def attention(self, source: object, caption: str | None = None, *, row: int = 0) -> Looked:
        """Where the decoder looks while it writes a caption of one input of a source; None: the best caption."""
        return self._looked(self.read(source), caption, row)

    def plot(self, source: object, path: str | Path, caption: str | None = None, *, row: int = 0) -> Path:
        """Draw one input of a source, and where the decoder looks at each word; of a video, words over their frames.

        The name's ending says which kind of picture.
        """
        from unrolled.tasks.caption.picture import draw_looked

        corpus = self.read(source)
        looked = self._looked(corpus, caption, row)
        return draw_looked(corpus.inputs.pictured(row, self.fields), *looked, path)

    def make_fields(self, corpus: Captions, rows: np.ndarray) -> Fields:
        _, texts = corpus.pairs(rows)
        if not len(texts):
            raise DataError("fit: expected captions to learn from, got none: give some.")
        caption: Text = corpus.captions.fit(texts, self.options)[TextInput.field]
        lengths = corpus.captions.texts.codes(caption).lengths[texts]
        self.notes = replace(self.notes, longest=int(lengths.max(initial=0)))
        return {"caption": caption, **corpus.inputs.fit(rows, self.options)}

    def make_data(self, corpus: Captions, rows: np.ndarray) -> Examples[Pair]:
        reading, lengths = corpus.inputs.column(self._read_fields)
        if corpus.texts is None:
            return Examples(Pair, (reading, None, None), lengths).select(rows)
        which, texts = corpus.pairs(rows)
        codes = corpus.captions.texts.codes(self.fields["caption"]).select(texts)
        parts = (PickedColumn(reading, which), PaddedColumn(codes), None)
        return Examples(Pair, parts, lengths[which] + codes.lengths + 1)

    def make_training_data(self, corpus: Captions, rows: np.ndarray) -> Examples[Pair]:
        versions = corpus.versions(self.options)
        return self.make_data(versions, version_rows(rows, len(corpus), len(versions)))

    def make_net(self, corpus: Captions | None = None) -> nn.Module:
        chosen, fields = self.options, self._read_fields
        captions = None if corpus is None else corpus.captions
        if captions is not None:
            self.notes = replace(self.notes, width=captions.width(chosen))
        reader = self.kind.reader(None if corpus is None else corpus.inputs, fields, chosen, None)
        encoded = self.kind.grid(fields, chosen) is None if chosen.encode is None else chosen.encode
        encoder = chosen.make_encoder(reader.output_size, **ENCODER) if encoded else None
        caption = self.fields["caption"]
        embedding = TextInput.embedding(captions, {TextInput.field: caption}, chosen, self.notes.width or WIDTH)
        options = chosen.head.decoding(chosen.encoder.over(**ENCODER))
        return Decode(reader, encoder, embedding, caption.size, options)

    def make_training(self, data: Examples[Pair], *, scored: bool) -> TrainOptions:
        epochs = enough_epochs(EPOCHS, len(data) // BATCH, STEPS)
        usual: dict[str, object] = {"learning_rate": 2e-3, "epochs": epochs, "schedule": "cosine", "warmup": WARMUP}
        if "token_budget" not in self.options.train.given():
            usual["batch_size"] = BATCH
        if scored:
            usual["patience"] = PATIENCE
        return self.options.training(**usual)

    def made_up(self, seed: int, rows: int) -> Captions:
        draw = generators(seed, rows)
        inputs = self.kind.made_up(self._read_fields, self.options, draw)
        texts: list[tuple[str, ...]] = [(text,) for text in random_texts(self.fields["caption"], draw)]
        places = Places("the made-up inputs", "row", np.arange(rows))
        return Captions(inputs, places, LabelColumns(), (), self._shape, texts)

    @property
    def _shape(self) -> Text:
        return self.options.text.shape

    @property
    def _read_fields(self) -> Fields:
        """The fields of what is read."""
        return {name: field for name, field in self.fields.items() if name != "caption"}

    def _columns(self, images: str | Path | None = None, part: str | None = None) -> CaptionColumns:
        """The columns of the training data."""
        return CaptionColumns(*self.notes.columns, None if images is None else Path(images), part)

    def _captioned(self, source: object, captions: object, columns: CaptionColumns) -> Captions:
        return read_captioned(source, captions, columns, self.options, self._shape, captioned=True)

    def _candidates(self, corpus: Captions, search: Search) -> list[list[tuple[str, float]]]:
        data = self.make_data(replace(corpus, texts=None), np.arange(len(corpus)))
        filled = np.flatnonzero(corpus.inputs.filled & (data.lengths > 0))
        written = self._writer().write(data.select(filled), search)
        found = dict(zip(filled.tolist(), written, strict=True))
        return [found.get(row, [("", 0.0)]) for row in range(len(corpus))]

    def _looked(self, corpus: Captions, caption: str | None, row: int) -> Looked:
        if self.options.head.attention == "none":
            raise OptionError("Captioner: expected a model with attention, but it has attention='none'; fit another.")
        if not 0 <= row < len(corpus):
            raise DataError(f"plot: expected a row from 0 to {len(corpus) - 1}, got {row}; choose one that is there.")
        data = self.make_data(replace(corpus, texts=None), np.array([row]))
        if not data.lengths[0]:
            raise DataError(f"plot: {corpus.places.of(row)} is empty, so there is nothing to look at; choose another.")
        text, writer = self.fields["caption"], self._writer()
        said = writer.write(data, Search(5, 1, 1.0, None))[0][0][0] if caption is None else caption
        codes = text.encode(said).tolist()
        batch = map_state(lambda leaf: leaf.to(self.device), data.batch(np.arange(1)))
        words = [bare(text.tokens[code]) for code in codes]
        return Looked(
            writer.weights(batch, 0, codes), [*words, "</s>"], self.kind.grid(self._read_fields, self.options)
        )

    def _writer(self) -> Writer:
        return Writer(cast("Decode[object]", self.fitted()), self.fields["caption"], self.notes.longest)
