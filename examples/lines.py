"""Reading lines of print: renders some in matplotlib's own font, learns to read them, and reads others.

python examples/lines.py

Writes lines/ (line.png with line.gt.txt, as Kraken, Ocropus and Tesseract lay them out), more_lines/ and line.png, a
line under the letters that were read in it. The same from the command line, once they are there:

unrolled fit recognize lines/ --test more_lines/ -o runs/print --plot
unrolled predict runs/print more_lines/
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

import unrolled as ur

WORDS = ["sun", "moon", "star", "rain", "snow", "wind", "north", "south", "east", "west", "one", "two", "three", "four"]
FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


def write_lines(folder: Path, count: int, seed: int) -> Path:
    """So many pictures of two words each, with the words beside them."""
    random, font = np.random.default_rng(seed), ImageFont.truetype(str(FONT), 20)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        text = " ".join(random.choice(WORDS, 2).tolist())
        picture = Image.new("L", (int(font.getlength(text)) + 8, 30), 235)
        ImageDraw.Draw(picture).text((4, 2), text, fill=30, font=font)
        noisy = np.clip(np.asarray(picture) + random.normal(0, 10, (30, picture.width)), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{number:03d}.png")
        (folder / f"{number:03d}.gt.txt").write_text(f"{text}\n", encoding="utf-8")
    return folder


def main(epochs: int = 40) -> None:
    lines, more = write_lines(Path("lines"), 300, 0), write_lines(Path("more_lines"), 20, 1)
    model = ur.Recognizer(epochs=epochs, hidden_size=64, layers=1, learning_rate=0.005).fit(lines)
    for found, file in zip(model.transcribe(more)[:5], sorted(more.glob("*.gt.txt")), strict=False):
        print(f"{found.text!r:24} is {file.read_text().strip()!r}")
    print(model.evaluate(more))
    model.plot(more, "line.png")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
