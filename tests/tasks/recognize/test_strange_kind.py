"""A kind of inputs that nobody told the recogniser of: drawings of a pen, registered by a stranger."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

import unrolled.inputs.input
from unrolled.data.batch.examples import PaddedColumn
from unrolled.data.batch.ragged import Ragged
from unrolled.data.read.files import Places
from unrolled.fields.ink import Drawing, Ink
from unrolled.fields.ink.front import InkFront
from unrolled.inputs.columns import LabelColumns
from unrolled.inputs.input import Fields, Inked, Input, ReadSource, register_input
from unrolled.model import load
from unrolled.nn.reading.reader import SeriesReader
from unrolled.tasks import Recognizer
from unrolled.tasks.recognize.picture import letters_of
from unrolled.tasks.recognize.transcription import HeardWord

# A stroke down, and one to the right; letters are written one behind the other.
STROKES = {"i": [[0.0, 0], [0, 1], [0, 2], [0, 3]], "t": [[0.0, 0], [1, 0], [2, 0], [3, 0]]}
QUICK: dict[str, Any] = {"hidden_size": 16, "layers": 1, "stride": 1, "epochs": 30, "learning_rate": 0.03, "warmup": 0,
                         "batch_size": 8, "head_dropout": 0.0}  # fmt: skip


class Doodles(Input[Any]):
    """Drawings in a dict of a list."""

    kind, field, lines, head_dropout = "doodles", "doodles", False, 0.0
    encoder: dict[str, object] = {}  # noqa: RUF012

    def __init__(self, drawings: Sequence[Drawing]) -> None:
        self.drawings = list(drawings)

    @classmethod
    def recognises(cls, source: object, columns: LabelColumns) -> bool:
        return isinstance(source, list) and bool(source) and isinstance(source[0], list)

    @classmethod
    def read(cls, source: Any, columns: LabelColumns, options: Any, *, labelled: bool) -> ReadSource:
        return ReadSource(cls(source), Places("the doodles", "row", np.arange(len(source))), columns)

    @classmethod
    def of(cls, values: Sequence[Drawing], options: Any) -> Self:
        return cls(values)

    def __len__(self) -> int:
        return len(self.drawings)

    def fit(self, rows: np.ndarray, options: Any) -> Fields:
        return {"doodles": Ink.fit([self.drawings[i] for i in rows.tolist()], "training")}

    def column(self, fields: Fields) -> tuple[PaddedColumn, np.ndarray]:
        column = PaddedColumn(Ragged.from_list(fields["doodles"].encode(one) for one in self.drawings))
        return column, column.ragged.lengths

    def width(self, options: Any) -> None:
        return None

    @classmethod
    def reader(cls, inputs: Self | None, fields: Fields, options: Any, width: int | None) -> SeriesReader:
        return SeriesReader(fields["doodles"].width)

    @classmethod
    def say(cls, fields: Fields) -> list[str]:
        return ["doodles"]

    @classmethod
    def front(cls, fields: Fields) -> InkFront:
        found: InkFront = fields["doodles"].front()
        return found

    def inked(self, row: int, fields: Fields) -> Inked:
        drawing = self.drawings[row]
        return Inked(drawing, np.repeat(np.arange(len(drawing)), [len(stroke) for stroke in drawing]))

    @classmethod
    def made_up(cls, fields: Fields, options: Any, draw: Sequence[np.random.Generator]) -> Self:
        return cls([fields["doodles"].draw(random) for random in draw])


def doodles(count: int, seed: int = 0) -> tuple[list[Drawing], list[str]]:
    random = np.random.default_rng(seed)
    texts = ["".join(random.choice(["i", "t"], random.integers(1, 5))) for _ in range(count)]
    drawings = [
        [np.array(STROKES[letter]) + [5.0 * place, 0] + 0.05 * random.normal(size=(4, 2))
         for place, letter in enumerate(text)]
        for text in texts
    ]  # fmt: skip
    return drawings, texts


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unrolled.inputs.input, "_KINDS", list(unrolled.inputs.input._KINDS))
    register_input(Doodles)


@pytest.mark.usefixtures("stranger")
def test_a_kind_works_the_day_that_it_is_registered(tmp_path: Path) -> None:
    model = Recognizer(**QUICK, streaming=True).fit(*doodles(60), valid=0)
    drawings, texts = doodles(20, seed=1)
    assert model.evaluate(drawings, texts).characters.rate < 0.1
    model.check()
    again = load(model.save(tmp_path / "doodles.unrolled"))
    assert isinstance(again, Recognizer)
    assert again.transcribe(drawings) == model.transcribe(drawings)
    live = again.stream()
    for drawing, expected in zip(drawings, model.predict(drawings), strict=True):
        for stroke in drawing:
            live.push(np.column_stack([stroke, np.arange(len(stroke)) == len(stroke) - 1]))
        assert live.finish().text == expected


@pytest.mark.usefixtures("stranger")
def test_strokes_are_drawn_in_the_colours_of_their_letters(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    model = Recognizer(**QUICK).fit(*doodles(60), valid=0)
    drawings, texts = doodles(12, seed=2)
    row = next(i for i, text in enumerate(texts) if len(text) > 2)
    drawn = model.plot(drawings, tmp_path / "a.svg", row=row).read_text()
    assert drawn.count("stroke-linecap: round") >= len(texts[row])


def test_a_stroke_has_the_letter_whose_middle_is_next_to_its_own() -> None:
    tokens = [HeardWord("a", 1.0, 3.0, 1.0), HeardWord(" ", 5.0, 6.0, 1.0), HeardWord("b", 8.0, 9.0, 1.0)]
    owners = np.repeat([0, 1, 2], [2, 3, 5])
    assert letters_of(owners, 3, tokens) == ["1 a", "1 a", "2 b"]
    slow = [HeardWord(one.text, one.begin / 100, one.end / 100, 1.0) for one in tokens]
    assert letters_of(owners, 3, slow, 0.01) == ["1 a", "1 a", "2 b"]
    assert letters_of(owners, 3, tokens[1:2]) == ["nothing"] * 3
    # A stroke of which no step is left stands with the first letter.
    assert letters_of(owners, 4, tokens)[3] == "1 a"
