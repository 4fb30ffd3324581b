"""Learn to draw circles, spirals, stars and waves by their names, and go on from what somebody has begun.

python examples/draw.py            # writes drawn.png, one.svg, gone_on.png and painted.png into the folder "drawn"

All data are made here, seeded: shapes of one stroke or several, each a little other than the one before, as by hand.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import unrolled as ur
from unrolled.inspect.drawings import Shown, draw_sheet, save_drawings

COLOURS = {"red": (214, 40, 40), "blue": (38, 70, 140), "green": (42, 157, 80)}


def shape(name: str, random: np.random.Generator) -> list[np.ndarray]:
    """Strokes, about 40 wide, y downwards."""
    turn = np.linspace(0, 2 * np.pi, 17)
    if name == "circle":
        strokes = [20 * np.stack([np.cos(turn), np.sin(turn)], 1)]
    elif name == "spiral":
        turn = np.linspace(0, 5 * np.pi, 26)
        strokes = [1.3 * turn[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1)]
    elif name == "star":
        ends = np.linspace(0, np.pi, 4)[:3]
        across = [np.stack([np.cos(end), np.sin(end)]) * 20 for end in ends]
        strokes = [np.stack([-one, one]) for one in across]
    else:
        strokes = [np.stack([np.linspace(-20, 20, 17), down + 8 * np.sin(2 * turn)], 1) for down in (-8, 8)]
    size = random.uniform(0.8, 1.2)
    return [stroke * size + random.normal(0, 0.4, stroke.shape) for stroke in strokes]


def shapes(count: int, seed: int = 0) -> tuple[list[list[np.ndarray]], list[str]]:
    """Drawings and their names, in turns."""
    random = np.random.default_rng(seed)
    names = [("circle", "spiral", "star", "wave")[i % 4] for i in range(count)]
    return [shape(name, random) for name in names], names


def icon(caption: str, random: np.random.Generator) -> np.ndarray:
    """A picture of 24 x 24 pixels on white: "red dot", "blue frame", "green stripe"."""
    colour, form = caption.split()
    across, down = np.meshgrid(np.arange(24), np.arange(24))
    if form == "dot":
        middle = random.integers(10, 14, 2)
        covered = np.hypot(across - middle[0], down - middle[1]) < 2 * random.integers(3, 5)
    elif form == "frame":
        edge = np.minimum.reduce([across, down, 23 - across, 23 - down])
        covered = (edge >= 2) & (edge < 6)
    else:
        top = 2 * int(random.integers(2, 6))
        covered = (down >= top) & (down < top + 8)
    picture = np.full((24, 24, 3), 255, np.uint8)
    picture[covered] = COLOURS[colour]
    return picture


def icons(count: int, seed: int = 0) -> tuple[list[np.ndarray], list[str]]:
    """Pictures and their captions."""
    random = np.random.default_rng(seed)
    every = [f"{colour} {form}" for colour in COLOURS for form in ("dot", "frame", "stripe")]
    captions = random.choice(every, count).tolist()
    return [icon(caption, random) for caption in captions], captions


def main(folder: Path, epochs: int = 30) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pen = ur.Drawer(hidden_size=96, epochs=epochs, batch_size=16, mixtures=8, learning_rate=5e-3).fit(*shapes(600))
    print(pen.evaluate(*shapes(80, seed=1)))
    names = ["circle", "spiral", "star", "wave"]
    drawn = [Shown(one, 0, name) for name in names for one in pen.generate(name, samples=5, temperature=0.3)]
    draw_sheet(drawn, folder / "drawn.png")
    save_drawings(pen.generate("spiral", temperature=0.1), folder / "one.svg")
    begun = [one[:1] for one, name in zip(*shapes(40, seed=2), strict=True) if name in ("star", "wave")]
    pen.plot(begun, folder / "gone_on.png", temperature=0.3)

    painter = ur.Drawer(size=12, colours=4, hidden_size=64, epochs=epochs, keywords="words").fit(*icons(600))
    print(painter.evaluate(*icons(60, seed=1)))
    captions = ["red dot", "blue frame", "green stripe", "green dot", "blue dot"]
    painted = [Shown(painter.generate(caption, temperature=0.7)[0], 0, caption) for caption in captions]
    draw_sheet(painted, folder / "painted.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "drawn"))
