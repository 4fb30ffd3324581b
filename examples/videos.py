"""Which way does it move? Clips of a square, written as .mp4 files, and a classifier that learns from them.

python examples/videos.py

It needs the extra `video`, and takes a minute or two. Any folder with a folder of videos for each class is learned from
in the same way: .mp4, .webm, .avi, animated .gif, or folders of pictures.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import av
import numpy as np

import unrolled as ur

WAYS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
SIZE, SIDE, RATE = 24, 6, 8


def clip(way: str, random: np.random.Generator) -> np.ndarray:
    """Eight to twelve frames (SIZE, SIZE, 3) of a square of any colour, anywhere, that moves one way."""
    frames = int(random.integers(8, 13))
    steps = np.arange(frames)[:, None] * np.array(WAYS[way])
    places = random.integers(-steps.min(0), SIZE - SIDE - steps.max(0) + 1) + steps
    video, colour = np.full((frames, SIZE, SIZE, 3), 20, np.uint8), random.integers(120, 256, 3)
    for frame, (x, y) in zip(video, places, strict=True):
        frame[y : y + SIDE, x : x + SIDE] = colour
    return video


def write(path: Path, video: np.ndarray) -> None:
    """A file of the kind that its ending says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.height, stream.width, stream.pix_fmt = SIZE, SIZE, "yuv420p"
        for frame in video:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def main(count: int = 400, epochs: int = 8) -> None:
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(count):
            way = list(WAYS)[number % 4]
            write(folder / ("train", "test")[number % 8 // 4] / way / f"{number}.mp4", clip(way, random))
        model = ur.Classifier(epochs=epochs).fit(folder / "train")
        print(*model.understood, sep="\n")
        print(model.evaluate(folder / "test"))
        # Any video is asked in the same way, also frames in memory.
        print("up?", model.predict([clip("up", random)])[0])


if __name__ == "__main__":
    main()
