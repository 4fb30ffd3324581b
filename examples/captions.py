"""Captions: draws cards with a shape of some colour at a place, learns to say what is on them, and tells others.

python examples/captions.py

Writes cards/ (pictures, and captions.csv with two captions of each) and looked.png, a card with where each word looked.
The same from the command line, once they are there:

unrolled fit caption cards/captions.csv --part train --test-part test -o runs/cards --plot
unrolled predict runs/cards cards/299.png
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import unrolled as ur

COLOURS = {"red": (220, 50, 40), "green": (40, 170, 70), "blue": (50, 80, 220), "black": (30, 30, 30)}
PLACES = {"top left": (8, 8), "top right": (24, 8), "bottom left": (8, 24), "bottom right": (24, 24)}
SHAPES = ("circle", "square", "bar")


def card(shape: str, colour: str, place: str, random: np.random.Generator) -> Image.Image:
    """32 x 32 pixels, a shape on white."""
    picture = Image.new("RGB", (32, 32), "white")
    x, y = (np.array(PLACES[place]) + random.integers(-2, 3, 2)).tolist()
    half = int(random.integers(4, 7))
    pen = ImageDraw.Draw(picture)
    box = (x - half, y - (1 if shape == "bar" else half), x + half, y + (1 if shape == "bar" else half))
    (pen.ellipse if shape == "circle" else pen.rectangle)(box, fill=COLOURS[colour])
    return picture


def write_cards(folder: Path, count: int, seed: int = 0) -> Path:
    """So many cards and the table of their captions, the last tenth for the test."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "captions.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "caption", "split"])
        for number in range(count):
            shape, colour, place = (str(random.choice(list(some))) for some in (SHAPES, COLOURS, PLACES))
            card(shape, colour, place, random).save(folder / f"{number:03d}.png")
            part = "test" if number >= count - count // 10 else "train"
            for text in (f"a {colour} {shape} at the {place}", f"{place}: one {shape}, {colour}"):
                rows.writerow([f"{number:03d}.png", text, part])
    return folder / "captions.csv"


def main(count: int = 300, epochs: int = 30) -> None:
    cards = write_cards(Path("cards"), count)
    model = ur.Captioner(
        epochs=epochs, hidden_size=64, embedding_size=32, image_widths=(8, 16, 32), learning_rate=0.005
    )
    model.fit(cards, part="train", valid=0)
    last = cards.parent / f"{count - 1:03d}.png"
    print(*model.predict(last), *model.candidates(last, nbest=2), sep="\n")
    print(model.evaluate(cards, part="test"))
    model.plot(last, "looked.png")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
