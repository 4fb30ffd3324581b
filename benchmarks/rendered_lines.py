"""Lines of print as pictures: random words of a text, set in the fonts that come with matplotlib, as a scan has them.

python benchmarks/rendered_lines.py lines/      # twenty of each part, as line.png with line.gt.txt
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from common import data_folder
from PIL import Image, ImageDraw, ImageFilter, ImageFont

__all__ = ["HELD", "SEEN", "rendered", "rendered_lines", "words_of"]

# Three families, each in three forms; and one of another house that no training sees.
SEEN = tuple(
    f"DejaVu{family}{form}" for family, slanted in (("Sans", "Oblique"), ("Serif", "Italic"), ("SansMono", "Oblique"))
    for form in ("", "-Bold", f"-{slanted}")
)  # fmt: skip
HELD = ("STIXGeneral",)
# Pixels of a letter's height, ink and paper, degrees that a page lies askew, noise, blur, and the edges of a cut line.
SIZES, INK, PAPER, DEGREES, NOISE, BLUR, EDGE = (18, 34), (0, 90), (190, 255), 1.0, (0.0, 14.0), (0.0, 0.9), (1, 7)
WORDS = (2, 6)
# Of the text the last tenth is for tests.
TESTED = 0.1


def words_of(*, test: bool) -> list[str]:
    """The words of tinyshakespeare with the marks that cling to them, each once, of its first or of its last part."""
    text = (data_folder("tinyshakespeare") / "input.txt").read_text(encoding="utf-8").split()
    cut = int(len(text) * (1 - TESTED))
    return sorted(set(text[cut:] if test else text[:cut]))


def rendered_lines(
    count: int, seed: int, fonts: Sequence[str], words: Sequence[str]
) -> tuple[list[np.ndarray], list[str]]:
    """So many lines of two to six random words, each (height, width) uint8 in one of the fonts, and what they say."""
    random = np.random.default_rng(seed)
    pictures, texts = [], []
    for _ in range(count):
        text = " ".join(words[int(place)] for place in random.integers(len(words), size=random.integers(*WORDS) + 1))
        pictures.append(rendered(text, fonts[int(random.integers(len(fonts)))], random))
        texts.append(text)
    return pictures, texts


def rendered(text: str, font: str, random: np.random.Generator) -> np.ndarray:
    """A line as a scan shows it: a little askew, blurred and noisy, cut out with edges of any width."""
    face = _face(font, int(random.integers(*SIZES)))
    left, top, right, bottom = face.getbbox(text)
    edges = random.integers(*EDGE, size=4).tolist()
    # The height is that of the letters there are, as who cuts lines out of a page finds it.
    size = int(right - left) + edges[0] + edges[1], int(bottom - top) + edges[2] + edges[3]
    paper, ink = int(random.integers(*PAPER)), int(random.integers(*INK))
    picture = Image.new("L", size, paper)
    ImageDraw.Draw(picture).text((edges[0] - left, edges[2] - top), text, fill=ink, font=face)
    askew = picture.rotate(random.uniform(-DEGREES, DEGREES), Image.Resampling.BICUBIC, expand=True, fillcolor=paper)
    blurred = np.asarray(askew.filter(ImageFilter.GaussianBlur(random.uniform(*BLUR))), np.float64)
    noisy = blurred + random.uniform(*NOISE) * random.normal(size=blurred.shape)
    scanned: np.ndarray = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    return scanned


@cache
def _face(font: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{font}.ttf"), size)


def main(folder: Path, count: int = 20) -> None:
    parts = {"train": (0, SEEN, False), "seen": (1, SEEN, True), "held": (2, HELD, True)}
    for part, (seed, fonts, test) in parts.items():
        pictures, texts = rendered_lines(count, seed, fonts, words_of(test=test))
        (folder / part).mkdir(parents=True, exist_ok=True)
        for row, (picture, text) in enumerate(zip(pictures, texts, strict=True)):
            Image.fromarray(picture).save(folder / part / f"{row:04d}.png")
            (folder / part / f"{row:04d}.gt.txt").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
