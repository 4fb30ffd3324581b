"""`unrolled fit recognize`, and what is done with a recogniser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from unrolled.model.describe import Answer, Asked, Call, Command, Description, Finished, Whole, Word
from unrolled.tasks.commands.reading import files_of, read_files
from unrolled.tasks.commands.results import evaluate_next, learning, not_drawn, scored, told
from unrolled.tasks.commands.words import Beam, Cell, HiddenSize, Layers, Test, Valid, part_of, part_or_file

if TYPE_CHECKING:
    from unrolled.tasks.recognize import Recognizer

__all__ = ["DESCRIPTION"]

Source = Annotated[
    str,
    Word(
        "List of recordings or pictures (.jsonl, .csv, .tsv, .parquet), folder of them and texts, features, drawings.",
        "FILE|FOLDER",
        placed=True,
    ),
]
Sounds = Annotated[str, Word("New data as for fit, or a sound or picture.", "FILE", placed=True)]
Spoken = Annotated[str, Word("Data with the texts, as for fit.", "FILE", placed=True)]
LanguageRun = Annotated[str | None, Word("A language model that has a say: its run or file.", "RUN")]
Weight = Annotated[float | None, Word("Weight of the language model.  [default: 0.5]")]
Bonus = Annotated[float | None, Word("Added for every word, in nats.  [default: 0]")]
LexiconFile = Annotated[
    str | None, Word("The only words to write: a file of them, or 'training' for those learned from.", "FILE")
]
HotWords = Annotated[str | None, Word("Words that are expected; with =NATS what each is worth.", "A,B=6,...")]


def fit(
    file: Source,
    text: Annotated[str | None, Word("Column of the texts.", "COLUMN")] = None,
    audio: Annotated[str | None, Word("Column of the paths of recordings.", "COLUMN")] = None,
    image: Annotated[str | None, Word("Column of the paths of pictures.", "COLUMN")] = None,
    valid: Valid = None,
    test: Test = None,
    streaming: Annotated[bool, Word("Read forwards alone, to recognise while it is said.")] = False,
    level: Annotated[str | None, Word("What is written at a time: char, subword or word.  [default: char]")] = None,
    cell: Cell = None,
    hidden_size: HiddenSize = None,
    layers: Layers = None,
) -> Asked:
    """Learn to write down what is said in a sound, written by a pen, or printed in a line.

    A list names recordings and their texts, a folder holds x.wav with x.txt, or the files of Kaldi (wav.scp, text). An
    .npz file holds features computed elsewhere, as x and lengths, and the texts as its array text, or in a table of the
    same name beside it. Drawings stand in .ndjson or .npz, or in a folder of .inkml, each with its text. Lines of print
    are pictures: a folder of x.png with x.gt.txt, or a list of them; they are read from left to right.

    \b
      unrolled fit recognize train.jsonl --test test.jsonl -o runs/speech --plot
      unrolled fit recognize clips.tsv --audio path --text sentence --streaming
      unrolled fit recognize train.npz --set feature_noise=0.6 --set stride=2
      unrolled fit recognize lines/ --test more_lines/ --plot
    """
    part, valid_file = part_or_file(valid)
    return Asked(
        {"source": file, "valid": valid_file, "test": test},
        reading={"text": text, "audio": audio, "image": image},
        options={"cell": cell, "hidden_size": hidden_size, "layers": layers, "level": level,
                 "streaming": streaming or None},
        held=part_of(part),
    )  # fmt: skip


def predict(
    call: Call[Recognizer],
    file: Sounds,
    beam: Beam = None,
    nbest: Annotated[int, Word("So many answers a line.", least=1)] = 1,
    language_model: LanguageRun = None,
    lm_weight: Weight = None,
    word_bonus: Bonus = None,
    lexicon: LexiconFile = None,
    hot_words: HotWords = None,
    plot: Annotated[str | None, Word("Write a picture, .png, .svg or .pdf.", "FILE")] = None,
) -> Iterator[Answer]:
    """a line for each input, of a folder with the name of its file and a tab before it; --json: with words, their
    times and how sure they are; --plot: of the first input

    \b
      unrolled predict runs/speech new.wav --beam 16 --language-model runs/lines
    """
    search = asked(beam, language_model, lm_weight, word_bonus, lexicon, hot_words)
    source = read_files(call, file)
    every = call.model.transcribe(source, nbest=nbest, **search)
    if plot is not None:
        call.model.plot(source, plot, **search)
    for number, (own, found) in enumerate(zip(files_of(source, len(every)), every, strict=True), start=1):
        # Several answers have the number of their input before them, where it has no name.
        name = " ".join(own.get("file", str(number) if nbest > 1 else "").split())
        before = f"{name}\t" if name else ""
        lines = [" ".join(each.text.splitlines()) for each in found.hypotheses] or [""]
        yield Answer("".join(f"{before}{line}\n" for line in lines), {**own, **found.to_json()})


def evaluate(
    call: Call[Recognizer],
    file: Spoken,
    beam: Beam = None,
    language_model: LanguageRun = None,
    lm_weight: Weight = None,
    word_bonus: Bonus = None,
    lexicon: LexiconFile = None,
    hot_words: HotWords = None,
    normaliser: Annotated[str, Word("What both sides go through first: none, lower or words.")] = "none",
) -> Whole:
    """word and character error rate

    \b
      unrolled evaluate runs/speech test.jsonl --beam 16
    """
    search = asked(beam, language_model, lm_weight, word_bonus, lexicon, hot_words)
    return scored(call.model.evaluate(file, None, normaliser=normaliser, **search))


def asked(
    beam: int | None,
    language_model: str | None,
    lm_weight: float | None,
    word_bonus: float | None,
    lexicon: str | None,
    hot_words: str | None,
) -> dict[str, Any]:
    """The options of the search that were given."""
    given: dict[str, object] = {
        "beam": beam, "language_model": language_model, "lm_weight": lm_weight, "word_bonus": word_bonus,
        "lexicon": lexicon, "hot_words": None if hot_words is None else expected(hot_words),
    }  # fmt: skip
    return {name: value for name, value in given.items() if value is not None}


def expected(words: str) -> dict[str, float]:
    """ "Oslo,Rome=6" -> {"Oslo": 4.0, "Rome": 6.0}."""
    from unrolled.errors import OptionError
    from unrolled.tasks.recognize.scorers import EXPECTED

    found: dict[str, float] = {}
    for part in filter(None, map(str.strip, words.split(","))):
        word, equals, worth = part.partition("=")
        try:
            found[word] = float(worth) if equals else EXPECTED
        except ValueError as error:
            raise OptionError(f"--hot-words: expected words with commas, as Oslo,Rome=6, got {part!r}.") from error
    return found


def about(finished: Finished[Recognizer]) -> list[str]:
    model = finished.model
    return told(finished, [f"writes {model.fields['transcript'].describe()}", *model.kind.say(model.fields)])


def recognition(finished: Finished[Recognizer]) -> Path | None:
    """The first held-out recording, with the words at their times."""
    if not finished.held:
        return None
    return finished.model.plot(finished.held[0], finished.folder / "recognition.png")


def closing(finished: Finished[Recognizer]) -> list[str]:
    return [
        *not_drawn(finished, "recognition.png", "recordings, drawings or pictures with their texts"),
        f"next: unrolled predict {finished.folder} FILE",
        *evaluate_next(finished),
    ]


DESCRIPTION: Description[Recognizer] = Description(
    fit=fit,
    commands={"predict": Command(predict), "evaluate": Command(evaluate)},
    examples=(
        "unrolled fit recognize train.jsonl --test test.jsonl -o runs/speech --plot",
        "unrolled predict runs/speech new.wav --beam 16",
    ),
    about=about,
    pictures={"learning": learning, "recognition": recognition},
    closing=closing,
)
