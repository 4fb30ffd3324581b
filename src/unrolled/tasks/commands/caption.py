"""`unrolled fit caption`, and what is done with a captioner."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from unrolled.model.describe import (
    Answer,
    Asked,
    Call,
    Command,
    Description,
    Finished,
    Request,
    ScoreReport,
    Whole,
    Word,
)
from unrolled.tasks.commands.reading import csv_row
from unrolled.tasks.commands.results import evaluate_next, learning, not_drawn, scored, told
from unrolled.tasks.commands.words import Beam, Cell, HiddenSize, Layers, Level, Test, Valid, part_of, part_or_file

if TYPE_CHECKING:
    from unrolled.tasks.caption import Captioner
    from unrolled.tasks.reading.captions import Captions

__all__ = ["DESCRIPTION"]

BEAM = 5

Source = Annotated[
    str,
    Word(
        "List of pictures or videos with captions (.csv, .tsv, .jsonl, .parquet, COCO's .json), or a folder of both.",
        "FILE|FOLDER",
        placed=True,
    ),
]
Seen = Annotated[str, Word("A picture or video, a folder of them, or a list as for fit.", "FILE", placed=True)]
Told = Annotated[str, Word("Data with the captions, as for fit.", "FILE", placed=True)]
Images = Annotated[str | None, Word("Folder that the paths are relative to.  [default: that of the list]", "FOLDER")]
Part = Annotated[str | None, Word("Only rows whose column split says so, such as train.", "NAME")]


def fit(
    file: Source,
    image: Annotated[str | None, Word("Column of the paths of pictures or videos.", "COLUMN")] = None,
    caption: Annotated[str | None, Word("Column of the captions.", "COLUMN")] = None,
    images: Images = None,
    part: Part = None,
    valid: Valid = None,
    valid_part: Annotated[str | None, Word("Stop by the rows whose column split says so.", "NAME")] = None,
    test: Test = None,
    test_part: Annotated[str | None, Word("Score the model on the rows whose column split says so.", "NAME")] = None,
    level: Level = None,
    cell: Cell = None,
    hidden_size: HiddenSize = None,
    layers: Layers = None,
) -> Asked:
    """Learn to say what is to be seen in a picture or a video.

    A list names pictures or videos and their captions; several rows may name the same one, or a row have a list of
    captions. A folder holds x.png with x.txt. Drawings, series and sounds with a text each are taken, too.

    \b
      unrolled fit caption captions.csv --part train --valid-part valid --test-part test -o runs/emoji --plot
      unrolled fit caption captions_train2017.json --images train2017 --valid captions_val2017.json
      unrolled fit caption clips.jsonl --image video --caption text
    """
    share, valid_file = part_or_file(valid)
    folder = None if images is None else str(Path(images).resolve())
    parts = {"part": part, "valid_part": valid_part, "test_part": test_part}
    return Asked(
        {"source": file, "valid": valid_file, "test": test},
        reading={"image": image, "caption": caption, "images": folder, **parts},
        options={"level": level, "cell": cell, "hidden_size": hidden_size, "layers": layers},
        held=part_of(share),
    )


def arguments(request: Request) -> tuple[list[object], dict[str, object]]:
    how = {name: value for name, value in request.given().items() if name != "test_part"}
    return list(request.paths("source")), {**how, **request.held}


def held(request: Request, role: str) -> tuple[object, ...]:
    """The file that decides when to stop; of the test data the file, its folder of pictures and its part."""
    from unrolled.model.describe import held_files

    if role != "test":
        return held_files(request, role)
    part = request.reading.get("test_part")
    paths = held_files(request, role) or (tuple(request.paths("source")) if part is not None else ())
    return (*paths, request.reading.get("images"), part) if paths else ()


def score(model: Captioner, test: tuple[Any, ...]) -> ScoreReport | None:
    return model.evaluate(test[0], images=test[1], part=test[2]) if test else None


def predict(
    call: Call[Captioner],
    file: Seen,
    images: Images = None,
    part: Part = None,
    beam: Beam = None,
    nbest: Annotated[int, Word("So many captions for each.", least=1)] = 1,
    plot: Annotated[str | None, Word("Write a picture, .png, .svg or .pdf.", "FILE")] = None,
) -> Iterator[Answer]:
    """a caption for each input, of several files with the name of the file and a tab before it; --plot: the first input
    with where each word looked

    \b
      unrolled predict runs/emoji new.png --beam 8 --plot where.png
    """
    model = call.model
    corpus = model.read(file, images=images, part=part)
    every = model.candidates(corpus, width=beam or max(BEAM, nbest), nbest=nbest)
    if plot is not None:
        model.plot(corpus, plot)
    names = names_of(corpus, file)
    for number, ranked in enumerate(every):
        name = names[number] if names else str(number + 1) if nbest > 1 else ""
        before = f"{' '.join(name.split())}\t" if name else ""
        own = {"file": names[number]} if names else {}
        found = [{"text": text, "score": score} for text, score in ranked]
        text = "".join(f"{before}{' '.join(text.splitlines())}\n" for text, _ in ranked)
        yield Answer(text, {**own, "captions": found})


def embed(call: Call[Captioner], file: Seen, images: Images = None, part: Part = None) -> Iterator[Answer]:
    """CSV with a vector of unit length for each input, alike where captions begin alike

    \b
      unrolled embed runs/emoji photos/ -o vectors.csv
    """
    corpus = call.model.read(file, images=images, part=part)
    found, names = call.model.embed(corpus), names_of(corpus, file)
    header = [*(["file"] if names else []), *(f"v{place}" for place in range(1, found.shape[1] + 1))]
    yield Answer(csv_row(call, *header), None)
    for number, row in enumerate(found):
        cells = [*names[number : number + 1], *(f"{value:.7g}" for value in row)]
        yield Answer(csv_row(call, *cells), [float(value) for value in row])


def names_of(corpus: Captions, file: str) -> tuple[str, ...]:
    """The names of the files that a list or a folder holds; () where there is one input alone."""
    return corpus.files or (corpus.places.files if Path(file).is_dir() else ())


def evaluate(call: Call[Captioner], file: Told, images: Images = None, part: Part = None, beam: Beam = None) -> Whole:
    """BLEU-4, ROUGE-L, CIDEr-D, F1 of words and exact matches

    \b
      unrolled evaluate runs/emoji captions.csv --part test
    """
    return scored(call.model.evaluate(file, width=beam or BEAM, images=images, part=part))


def about(finished: Finished[Captioner]) -> list[str]:
    model = finished.model
    return told(finished, [f"writes {model.fields['caption'].describe()}", *model.kind.say(model.fields)])


def looked(finished: Finished[Captioner]) -> Path | None:
    """The first held-out input, with where each word looked."""
    if not finished.held or finished.model.options.head.attention == "none":
        return None
    given = finished.request.given()
    where = finished.held[1:] if len(finished.held) > 1 else (given.get("images"), given.get("valid_part"))
    images, part = (None if one is None else str(one) for one in where)
    corpus = finished.model.read(finished.held[0], images=images, part=part)
    return finished.model.plot(corpus, finished.folder / "caption.png")


def closing(finished: Finished[Captioner]) -> list[str]:
    return [
        *not_drawn(finished, "caption.png", "inputs with their captions"),
        f"next: unrolled predict {finished.folder} FILE",
        *evaluate_next(finished),
    ]


DESCRIPTION: Description[Captioner] = Description(
    fit=fit,
    commands={"predict": Command(predict), "evaluate": Command(evaluate), "embed": Command(embed)},
    examples=(
        "unrolled fit caption captions.csv --part train --test-part test -o runs/captions --plot",
        "unrolled predict runs/captions new.png",
    ),
    sources=arguments,
    held=held,
    score=score,
    about=about,
    pictures={"learning": learning, "caption": looked},
    closing=closing,
)
