"""Seeded videos of shapes that move: what moves where, as a caption or as a class, in memory and as real files."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

__all__ = [
    "COLOURS",
    "DIRECTIONS",
    "FOLDS",
    "RATE",
    "SHAPES",
    "SPEEDS",
    "Figure",
    "actions",
    "captions",
    "fold_of",
    "say",
    "write_frames",
    "write_gif",
    "write_video",
]

SHAPES = ("circle", "square", "triangle", "cross")
COLOURS = {
    "red": (230, 60, 50), "green": (60, 200, 80), "blue": (70, 110, 240), "yellow": (235, 210, 60),
    "white": (235, 235, 235),
}  # fmt: skip
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
"""Where each word leads, in x and y; y grows downwards."""

SPEEDS = {"slowly": (0.3, 0.5), "steadily": (0.7, 1.0), "quickly": (1.3, 1.6)}
"""Pixels a frame, drawn evenly."""

FOLDS = 8
"""Combinations of a shape, a colour and a direction fall into so many parts, see `fold_of`."""

RATE = 8
"""Frames a second."""

FRAMES = (8, 16)
# Half of a shape's width, in pixels.
RADIUS = (3.0, 4.0)
# Pixels a frame of shapes that a caption tells, as far as the frame lets them.
PACE = (0.6, 1.2)
# Pixels that the starts of two shapes are apart from left to right, for the order in which they are told.
APART = 3.0
TURNS = 0.3
NOISE = 4.0


class Figure(NamedTuple):
    """One shape: its colour, the directions that it moves in, and where it begins, (x, y), its radius and its pace."""

    shape: str
    colour: str
    moves: tuple[str, ...]
    start: tuple[float, float]
    radius: float
    pace: float


def fold_of(shape: str, colour: str, direction: str) -> int:
    """The part that a combination falls into, from 0 to 7: every two of its words are together in other parts, too."""
    places = SHAPES.index(shape), list(COLOURS).index(colour), list(DIRECTIONS).index(direction)
    return (places[0] + 2 * places[1] + places[2]) % FOLDS


def say(figures: Sequence[Figure]) -> str:
    """What happens, from left to right as the shapes begin: "a red circle moves left then up and a ..."."""
    told = sorted(figures, key=lambda figure: figure.start[0])
    return " and ".join(f"a {one.colour} {one.shape} moves {' then '.join(one.moves)}" for one in told)


def captions(
    count: int, seed: int, *, folds: Container[int] = range(1, FOLDS), most: int = 3, size: int = 32
) -> tuple[list[np.ndarray], list[str]]:
    """Videos (T, size, size, 3) uint8 of one to `most` shapes, and what happens in each.

    Shapes and directions are drawn evenly among the combinations of these folds: of the others none is there. Shapes
    begin apart from each other, and each stays within the frame.
    """
    random = np.random.default_rng(seed)
    several = itertools.product(SHAPES, COLOURS, DIRECTIONS)
    combinations = [one for one in several if fold_of(*one) in folds]
    videos, told = list[np.ndarray](), list[str]()
    for _ in range(count):
        frames, figures = int(random.integers(FRAMES[0], FRAMES[1] + 1)), list[Figure]()
        wanted = int(random.integers(1, most + 1))
        while len(figures) < wanted:
            figure = _told(combinations, frames, size, random)
            if all(_are_apart(figure, other) for other in figures):
                figures.append(figure)
        videos.append(drawn(figures, frames, size, random))
        told.append(say(figures))
    return videos, told


def actions(count: int, seed: int, *, size: int = 32) -> tuple[list[np.ndarray], list[str]]:
    """Videos (T, size, size, 3) uint8 of one shape, and where it moves how fast: "left slowly"; classes by turns.

    Its way lies anywhere in the frame, so that where it is says little of where it moves.
    """
    random = np.random.default_rng(seed)
    classes = list(itertools.product(DIRECTIONS, SPEEDS))
    videos, labels = list[np.ndarray](), list[str]()
    for number in range(count):
        direction, speed = classes[number % len(classes)]
        frames = int(random.integers(FRAMES[0], FRAMES[1] + 1))
        shape, colour = SHAPES[random.integers(len(SHAPES))], list(COLOURS)[random.integers(len(COLOURS))]
        radius, pace = random.uniform(*RADIUS), random.uniform(*SPEEDS[speed])
        start = _start((direction,), frames, size, radius, pace, random)
        videos.append(drawn([Figure(shape, colour, (direction,), start, radius, pace)], frames, size, random))
        labels.append(f"{direction} {speed}")
    return videos, labels


def _told(combinations: Sequence[tuple[str, str, str]], frames: int, size: int, random: np.random.Generator) -> Figure:
    """A shape in one or two of the directions that its combinations have."""
    shape, colour, first = combinations[random.integers(len(combinations))]
    others = [way for kind, tone, way in combinations if (kind, tone) == (shape, colour) and way != first]
    moves = (first, others[random.integers(len(others))]) if others and random.random() < TURNS else (first,)
    radius, pace = random.uniform(*RADIUS), random.uniform(*PACE)
    return Figure(shape, colour, moves, _start(moves, frames, size, radius, pace, random), radius, pace)


def _start(
    moves: Sequence[str], frames: int, size: int, radius: float, pace: float, random: np.random.Generator
) -> tuple[float, float]:
    """A place from which the whole way lies in the frame."""
    way = path(moves, frames, pace)
    low, high = radius - way.min(0), size - radius - way.max(0)
    x, y = random.uniform(low, high).tolist()
    return x, y


def _are_apart(one: Figure, other: Figure) -> bool:
    """Whether two shapes can be seen both, one left of the other, as they begin."""
    gap = np.abs(np.subtract(one.start, other.start))
    return bool(gap[0] >= APART and gap.max() >= one.radius + other.radius + 1)


def path(moves: Sequence[str], frames: int, pace: float) -> np.ndarray:
    """(frames, 2) where it is from its start on; each move takes as many of the frames as the others."""
    which = np.arange(frames - 1) * len(moves) // (frames - 1)
    steps = pace * np.array([DIRECTIONS[move] for move in moves], float)[which]
    return np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])


def drawn(figures: Sequence[Figure], frames: int, size: int, random: np.random.Generator) -> np.ndarray:
    """(frames, size, size, 3) uint8: the shapes on a dark ground, one before the other, with a little noise."""
    rows, columns = np.mgrid[:size, :size] + 0.5
    video = np.full((frames, size, size, 3), random.uniform(0, 40))
    for figure in figures:
        x, y = (np.add(figure.start, path(figure.moves, frames, figure.pace)).T)[:, :, None, None]
        inside = np.clip(0.5 - EDGES[figure.shape](columns - x, rows - y, figure.radius), 0, 1)[..., None]
        video += inside * (np.array(COLOURS[figure.colour]) - video)
    video += random.normal(0, NOISE, video.shape)
    return np.clip(np.rint(video), 0, 255).astype(np.uint8)


def _circle(x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    return np.hypot(x, y) - radius


def _square(x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    return np.maximum(np.abs(x), np.abs(y)) - 0.9 * radius


def _triangle(x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    # Both sides rise from a corner below to the tip above the middle.
    slope = (2 * np.abs(x) - y - radius) / np.sqrt(5.0)
    return np.maximum(slope, y - radius)


def _cross(x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    thin = 0.35 * radius
    return np.minimum(
        np.maximum(np.abs(x) - thin, np.abs(y) - radius), np.maximum(np.abs(x) - radius, np.abs(y) - thin)
    )


Edge = Callable[[np.ndarray, np.ndarray, float], np.ndarray]

# How far outside of a shape a point is, in pixels; inside it is negative.
EDGES: dict[str, Edge] = {"circle": _circle, "square": _square, "triangle": _triangle, "cross": _cross}


def write_video(
    path: Path, video: np.ndarray, *, rate: int | Fraction = RATE, codec: str = "libx264", pixels: str = "yuv420p"
) -> Path:
    """A file of the kind that its ending says, .mp4 and others, of so many frames a second."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = video.shape[1], video.shape[2], pixels
        for image in video:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def write_gif(path: Path, video: np.ndarray, *, rate: float = RATE) -> Path:
    """An animated .gif, whose frames last as many hundredths of a second as come next."""
    images = _images(video)
    each = round(100 / rate) * 10
    images[0].save(path, save_all=True, append_images=images[1:], duration=each, loop=0, optimize=False)
    return path


def write_frames(folder: Path, video: np.ndarray) -> Path:
    """A folder of pictures, frame_1.png and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(_images(video), start=1):
        image.save(folder / f"frame_{number}.png")
    return folder


def _images(video: np.ndarray) -> list[object]:
    from PIL import Image

    return [Image.fromarray(frame) for frame in video]
