"""`unrolled fit compose`, and what is done with a composer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from unrolled.model.describe import Asked, Call, Command, Description, Finished, Request, Whole, Word, held_files
from unrolled.tasks.commands.results import evaluate_next, learning, scored, told
from unrolled.tasks.commands.words import Cell, HiddenSize, Layers, Test, Valid, part_of, part_or_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from unrolled.fields.notes import MusicPiece
    from unrolled.tasks.compose import Composer

__all__ = ["DESCRIPTION"]

# Beats of the picture after a training.
SHOWN, GIVEN = 32, 16

Music = Annotated[str, Word("Pieces as for fit: MIDI, a folder or zip of it, or JSON.", "FILE", placed=True)]
Part = Annotated[str | None, Word("Part of a file of JSON that is in parts.  [default: test]", "NAME")]
Length = Annotated[int, Word("Beats (quarter notes) to compose.", "BEATS", least=1)]
Temperature = Annotated[float, Word("Below 1 safer, above 1 wilder; 0: the likeliest.")]
Key = Annotated[str | None, Word("Key of what is composed, such as 'D minor' or Bb.", "KEY")]
Lowest = Annotated[int | None, Word("Lowest note to compose, 60 is the middle C.", "NOTE")]
Highest = Annotated[int | None, Word("Highest note to compose.", "NOTE")]
Tempo = Annotated[float | None, Word("Beats a minute.  [default: as given, or as learned]")]
Drawn = Annotated[str | None, Word("Write the piano roll, .png, .svg or .pdf.", "FILE")]
Again = Annotated[int, Word("The same seed gives the same piece.")]


def fit(
    file: Annotated[
        str,
        Word("MIDI file, folder or zip of MIDI files, or JSON of the notes of each step.", "FILE|FOLDER", placed=True),
    ],
    part: Annotated[str | None, Word("Part to learn from, of JSON in parts.  [default: train]", "NAME")] = None,
    valid: Valid = None,
    test: Test = None,
    encoding: Annotated[str | None, Word("What one step reads: grid or events.  [default: grid]")] = None,
    voicing: Annotated[
        str | None, Word("Notes of a step: independent, or conditioned on those below.  [default: conditioned]")
    ] = None,
    step: Annotated[float | None, Word("Beats (quarter notes) of a step.  [default: by the data]", "BEATS")] = None,
    cell: Cell = None,
    hidden_size: HiddenSize = None,
    layers: Layers = None,
) -> Asked:
    """Learn from pieces of music what comes next: to go on from a piece, or to make one up.

    JSON holds a list of MIDI numbers for each step: a piece [[60, 64, 67], [60], ...], a list of pieces, or parts of
    lists by name. Of a file in parts "train" is learned from, and "valid" decides when to stop.

    \b
      unrolled fit compose midi/ -o runs/songs
      unrolled fit compose chorales.json.gz --voicing independent --plot
      unrolled fit compose piano.zip --encoding events --step 0.25 --set notes_velocities=8
    """
    shared, valid_file = part_or_file(valid)
    return Asked(
        {"source": file, "valid": valid_file, "test": test},
        reading={"part": part},
        options={"notes_encoding": encoding, "voicing": voicing, "notes_step": step, "cell": cell,
                 "hidden_size": hidden_size, "layers": layers},
        held=part_of(shared),
    )  # fmt: skip


def held(request: Request, role: str) -> tuple[object, ...]:
    from unrolled.data.read.music import music_parts, read_pieces
    from unrolled.tasks.compose.reading import JUDGED, STOPPED, usual_part

    paths = held_files(request, role)
    for path in paths:
        parts = music_parts(path)
        usual = usual_part(path, STOPPED if role == "valid" else JUDGED)
        if not parts or usual is not None:
            read_pieces(path, part=usual)
    return paths


def generate(
    call: Call[Composer],
    prompt: Annotated[str, Word("File of the piece to go on from.", "PROMPT", placed=True)] = "",
    length: Length = 64,
    samples: Annotated[int, Word("Pieces to compose.", least=1)] = 1,
    temperature: Temperature = 1.0,
    key: Key = None,
    lowest: Lowest = None,
    highest: Highest = None,
    tempo: Tempo = None,
    seed: Again = 0,
    plot: Drawn = None,
) -> Whole:
    """Compose a piece, from nothing or going on from one: MIDI with -o NAME.mid, of several with -o FOLDER; else a line
    for each beat with the notes that begin there. --json: start, duration, pitch and velocity of each note.

    \b
      unrolled generate runs/songs -o new.mid --length 64 --seed 3 --plot new.png
      unrolled generate runs/songs begin.mid -o more/ --samples 5 --key "D minor" --temperature 0.9
    """
    pieces = call.model.generate(
        prompt or None, length=length, samples=samples, temperature=temperature, key=key, lowest=lowest,
        highest=highest, tempo=tempo, seed=seed,
    )  # fmt: skip
    return composed(call, pieces, plot, alone=samples == 1)


def predict(
    call: Call[Composer],
    file: Music,
    part: Part = None,
    given: Annotated[
        float | None, Word("Go on from so many beats of the beginning.  [default: the end]", "BEATS")
    ] = None,
    length: Length = 32,
    temperature: Temperature = 1.0,
    key: Key = None,
    lowest: Lowest = None,
    highest: Highest = None,
    tempo: Tempo = None,
    seed: Again = 0,
    plot: Drawn = None,
) -> Whole:
    """each piece of music and how it goes on, as MIDI with -o NAME.mid, of several with -o FOLDER; --plot: the first

    \b
      unrolled predict runs/songs begin.mid -o more.mid --length 32 --plot more.png
    """
    pieces = call.model.predict(
        file, part=part, given=given, length=length, temperature=temperature, key=key, lowest=lowest, highest=highest,
        tempo=tempo, seed=seed,
    )  # fmt: skip
    return composed(call, pieces, plot, alone=len(pieces) == 1)


def composed(call: Call[Composer], pieces: Sequence[MusicPiece], plot: str | None, *, alone: bool) -> Whole:
    """Pieces as lines, as MIDI files and as JSON; the first of them drawn."""
    if plot is not None:
        call.model.plot(pieces[0], plot)

    def write(path: Path) -> object:
        return call.model.write(pieces[0] if alone and path.suffix else pieces, path)

    data = [{**piece.to_json(), "given": piece.given} for piece in pieces]
    return Whole(lines(pieces), lambda: data, {".mid": write, ".midi": write, "": write})


def lines(pieces: Sequence[MusicPiece]) -> Iterator[str]:
    """A line for each beat, with the notes that begin there; --- between pieces, === before what is new."""
    from unrolled.fields.notes import pitch_name

    for number, piece in enumerate(pieces):
        if number:
            yield "---\n"
        for beat in range(int(piece.length)):
            if 0 < beat == int(piece.given):
                yield "===\n"
            begun = [pitch_name(note.pitch) for note in piece.notes if beat <= note.start < beat + 1]
            yield f"{beat}\t{' '.join(begun)}\n"


def evaluate(call: Call[Composer], file: Music, part: Part = None) -> Whole:
    """nats a step, and nats a note

    \b
      unrolled evaluate runs/songs chorales.json.gz --part test
    """
    return scored(call.model.evaluate(file, part=part))


def about(finished: Finished[Composer]) -> list[str]:
    model = finished.model
    return told(finished, [model.fields["notes"].describe()])


def composition(finished: Finished[Composer]) -> Path:
    """A held-out piece that goes on after its beginning, or a new one."""
    model, path = finished.model, finished.folder / "composition.png"
    if not finished.held:
        return model.plot(model.generate(length=SHOWN), path)
    return model.plot(model.predict(finished.held[0], given=GIVEN, length=SHOWN), path)


def closing(finished: Finished[Composer]) -> list[str]:
    return [
        f"next: unrolled generate {finished.folder} -o new.mid --plot new.png",
        f"      unrolled predict {finished.folder} FILE -o more.mid",
        *evaluate_next(finished),
    ]


DESCRIPTION: Description[Composer] = Description(
    fit=fit,
    commands={"generate": Command(generate), "predict": Command(predict), "evaluate": Command(evaluate)},
    examples=(
        "unrolled fit compose midi/ -o runs/songs",
        "unrolled generate runs/songs -o new.mid --plot new.png",
    ),
    held=held,
    about=about,
    pictures={"learning": learning, "composition": composition},
    closing=closing,
)
