"""Videos as frames: at each instant what is shown then, whatever the file; and what is no video, in one sentence."""

from __future__ import annotations

import contextlib
import itertools
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from unrolled.data.read import video as reading
from unrolled.data.read.video import VideoFile, frame_files, measure_video, read_frames
from unrolled.errors import DataError, OptionError

av = pytest.importorskip("av")
image = pytest.importorskip("PIL.Image")

KINDS = [
    ("a.mp4", "libx264", "yuv420p"), ("a.mov", "libx264", "yuv420p"), ("a.mkv", "ffv1", "bgr0"),
    ("a.webm", "libvpx-vp9", "yuv420p"), ("a.avi", "mpeg4", "yuv420p"), ("b.avi", "mjpeg", "yuvj420p"),
    ("a.mpg", "mpeg1video", "yuv420p"),
]  # fmt: skip


def made(
    path: Path, frames: np.ndarray, *, codec: str = "ffv1", pixels: str = "bgr0", rate: int = 25,
    times: list[int] | None = None, options: dict[str, str] | None = None,
) -> Path:  # fmt: skip
    """A file of frames, shown at `times` in hundredths of a second, or one after another."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=100 if times else rate)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pixels
        for place, pixel in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixel, format="rgb24")
            if times:
                frame.pts, frame.time_base = times[place], Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def numbered(count: int, size: tuple[int, int] = (16, 16)) -> np.ndarray:
    """Frames, each of one colour of its own."""
    frames = np.zeros((count, *size, 3), np.uint8)
    frames[...] = np.arange(count)[:, None, None, None] * 7 % 251
    return frames


def seen(path: Path, rate: Fraction | int | None = None, place: str = "") -> list[np.ndarray]:
    return list(read_frames(VideoFile(path, place), None if rate is None else Fraction(rate)))


def numbers(frames: list[np.ndarray]) -> list[int]:
    """The numbers of `numbered` frames."""
    return [next(i for i in range(251) if i * 7 % 251 == int(frame[0, 0, 0])) for frame in frames]


@pytest.mark.parametrize(("name", "codec", "pixels"), KINDS)
def test_every_frame_of_a_file_comes_once_at_its_own_rate(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, codec: str, pixels: str
) -> None:
    random = np.random.default_rng(0)
    frames = np.repeat(random.integers(0, 256, (9, 1, 1, 3), dtype=np.uint8), 32, 1).repeat(48, 2)
    path = made(tmp_path / name, frames, codec=codec, pixels=pixels)
    size = measure_video(VideoFile(path))
    assert size == (9, Fraction(9, 25))
    assert size.rate == 25
    with av.open(str(path)) as container:
        expected = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    for rate in (None, 25):
        found = seen(path, rate)
        assert len(found) == len(expected) == size.length(None if rate is None else Fraction(rate))
        assert all(map(np.array_equal, found, expected))
    if codec == "ffv1":
        assert all(map(np.array_equal, found, frames))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("seed", range(6))
def test_at_each_instant_of_a_variable_rate_the_last_frame_is_shown(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    times = np.sort(random.choice(300, int(random.integers(2, 20)), replace=False))
    times -= times[0]
    path = made(tmp_path / "a.mkv", numbered(len(times)), times=times.tolist())
    size = measure_video(VideoFile(path))
    assert size.frames == len(times)
    assert size.seconds is not None
    for rate in (Fraction(3), Fraction(10), Fraction(30000, 1001), Fraction(100)):
        found = numbers(seen(path, rate))
        assert len(found) == size.length(rate)
        # A file of this kind tells times in thousandths of a second.
        expected = [int((times / 100 <= k / rate + 1e-9).sum()) - 1 for k in range(len(found))]
        assert found == expected
        assert (len(found) - 1) / rate < size.seconds <= len(found) / rate + Fraction(1, 1000)
    assert numbers(seen(path)) == list(range(len(times)))


def test_a_frame_that_stands_is_the_same_array_again(tmp_path: Path) -> None:
    path = made(tmp_path / "a.mkv", numbered(2), times=[0, 50])
    found = seen(path, 8)
    assert numbers(found) == [0, 0, 0, 0, 1]
    assert len({id(frame) for frame in found}) == 2


def test_one_frame_is_a_video(tmp_path: Path) -> None:
    path = made(tmp_path / "a.mp4", numbered(1), codec="libx264", pixels="yuv420p", rate=10)
    assert measure_video(VideoFile(path)) == (1, Fraction(1, 10))
    assert [len(seen(path, rate)) for rate in (None, 1, 10, 20)] == [1, 1, 1, 2]


def test_a_gif_is_as_pillow_has_it(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frames = random.choice(np.array([0, 90, 250], np.uint8), (5, 8, 6, 3))
    images = [image.fromarray(frame) for frame in frames]
    path = tmp_path / "a.gif"
    images[0].save(path, save_all=True, append_images=images[1:], duration=[100, 50, 300, 100, 100], optimize=False)
    assert measure_video(VideoFile(path)) == (5, Fraction(65, 100))
    assert all(map(np.array_equal, seen(path), frames))
    every = seen(path, 20)
    assert [next(i for i in range(5) if np.array_equal(frames[i], one)) for one in every] == [
        0, 0, 1, 2, 2, 2, 2, 2, 2, 3, 3, 4, 4,
    ]  # fmt: skip


def test_what_shines_through_stands_on_white(tmp_path: Path) -> None:
    clear = image.new("P", (4, 4), 0)
    clear.putpalette([9, 9, 9, 200, 0, 0])
    clear.putpixel((1, 2), 1)
    other = clear.copy()
    other.putpixel((3, 3), 1)
    clear.save(tmp_path / "a.gif", save_all=True, append_images=[other], transparency=0, duration=100, disposal=2)
    first, last = seen(tmp_path / "a.gif")
    assert first[2, 1].tolist() == last[3, 3].tolist() == [200, 0, 0]
    assert first[3, 3].tolist() == first[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize(("matrix", "quarters"), [((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)])
def test_frames_are_turned_as_the_camera_was_held(
    tmp_path: Path, matrix: tuple[int, int, int, int], quarters: int
) -> None:
    frames = np.zeros((2, 32, 48, 3), np.uint8)
    frames[:, :8, :8] = 255
    path = made(tmp_path / "a.mp4", frames, codec="libx264", pixels="yuv420p")
    plain, content = seen(path), bytearray(path.read_bytes())
    # The matrix in the head of a track: its first two rows, each with a third number after them.
    at = content.index(b"tkhd") + 4 + 40
    for place, value in zip((0, 1, 3, 4), matrix, strict=True):
        content[at + 4 * place : at + 4 * place + 4] = (value << 16).to_bytes(4, "big", signed=True)
    path.write_bytes(content)
    assert all(np.array_equal(now, np.rot90(was, quarters)) for now, was in zip(seen(path), plain, strict=True))
    # On the turned screen the right side of the first row is where the first column's top was.
    corner = {-1: (0, -1), 2: (-1, -1), 1: (-1, 0)}[quarters]
    assert seen(path)[0][corner].min() > 200


def test_pictures_of_a_folder_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    frames = numbered(12)
    for number, frame in enumerate(frames):
        image.fromarray(frame).save(tmp_path / f"frame_{number}.png")
    (tmp_path / "notes.txt").write_text("none")
    (tmp_path / ".frame_0.png").write_bytes(b"")
    assert [file.name for file in frame_files(tmp_path)] == [f"frame_{number}.png" for number in range(12)]
    size = measure_video(VideoFile(tmp_path))
    assert size == (12, None)
    assert size.rate is None
    for rate in (None, 3):
        assert all(map(np.array_equal, seen(tmp_path, rate), frames))
        assert size.length(rate if rate is None else Fraction(rate)) == 12


def test_a_broken_frame_of_a_folder_is_named(tmp_path: Path) -> None:
    image.fromarray(numbered(1)[0]).save(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"2\.png \(line 7 of a\.csv/2\.png\)|2\.png"):
        seen(tmp_path, place="line 7 of a.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"^empty is a folder without pictures, but expected the frames of a video"):
        seen(tmp_path / "empty")


def _broken(folder: Path) -> dict[str, bytes]:
    """Files that are no whole videos, by their names."""
    frames = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    h264 = {"codec": "libx264", "pixels": "yuv420p"}
    whole = made(folder / "w.mp4", frames, **h264).read_bytes()
    begun = made(folder / "f.mp4", frames, options={"movflags": "faststart"}, **h264).read_bytes()
    webm = made(folder / "w.webm", frames, codec="libvpx-vp9", pixels="yuv420p").read_bytes()
    files = {"junk.mp4": b"hello world" * 90, "empty.mp4": b"", "cut.mp4": whole[: len(whole) // 2]}
    files |= {"begun.mp4": begun[: len(begun) // 2], "cut.webm": webm[: len(webm) // 2]}
    # What names another file is no video, whatever that file is.
    files["list.mp4"] = b"ffconcat version 1.0\nfile w.mp4\n"
    files["list.m3u8"] = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nw.mp4\n#EXT-X-ENDLIST\n"
    return files


SAID = {
    "junk.mp4": r"^junk\.mp4 \(line 2 of a\.csv\) cannot be read as a video \(Invalid data found .*check that it is a",
    "empty.mp4": r"^empty\.mp4 \(line 2 of a\.csv\) is empty: get the whole file",
    "cut.mp4": r"^cut\.mp4 .*cannot be read as a video .*check that it is a whole video file",
    "begun.mp4": r"^begun\.mp4 \(line 2 of a\.csv\) is cut short: .* get the whole file",
    "cut.webm": r"^cut\.webm .*is cut short: 0\.\d\d s are left of 1\.60; get the whole file",
    "list.mp4": r"^list\.mp4 .*cannot be read as a video",
    "list.m3u8": r"^list\.m3u8 .*cannot be read as a video",
}


@pytest.mark.parametrize("name", SAID)
def test_what_is_no_whole_video_is_told_in_one_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(_broken(tmp_path)[name])
    for look in (measure_video, lambda file: list(read_frames(file))):
        with pytest.raises(DataError, match=SAID[name]):
            look(VideoFile(path, "line 2 of a.csv"))
    assert capfd.readouterr() == ("", "")


def test_a_frame_that_cannot_be_decoded_is_told_with_its_time(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    path = made(tmp_path / "a.webm", frames, codec="libvpx-vp9", pixels="yuv420p")
    with av.open(str(path)) as container:
        packet = [bytes(packet) for packet in container.demux(video=0) if packet.size][10]
    path.write_bytes(path.read_bytes().replace(packet, bytes(len(packet))))
    with pytest.raises(DataError, match=r"^a\.webm is broken after 0\.36 s \(.*\): get the whole file"):
        seen(path)


@pytest.mark.parametrize(("name", "codec", "pixels"), KINDS)
def test_a_file_with_changed_bytes_gives_its_frames_or_one_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, codec: str, pixels: str
) -> None:
    path = made(tmp_path / name, numbered(6, (32, 32)), codec=codec, pixels=pixels)
    whole, random = path.read_bytes(), np.random.default_rng(0)
    for _ in range(30):
        content = bytearray(whole)
        for at in random.integers(0, len(whole), int(random.choice([1, 3, 10]))).tolist():
            content[at] = int(random.integers(256))
        path.write_bytes(content)
        with contextlib.suppress(DataError):
            size = measure_video(VideoFile(path))
            assert len(seen(path, 10)) == size.length(Fraction(10))
    assert capfd.readouterr() == ("", "")


def test_a_video_of_an_unknown_kind_is_told(tmp_path: Path) -> None:
    path = made(tmp_path / "a.avi", numbered(3, (64, 64)), codec="mpeg4", pixels="yuv420p")
    path.write_bytes(path.read_bytes().replace(b"FMP4", b"ZZZZ"))
    with pytest.raises(DataError, match=r"^a\.avi holds a video of a kind that is unknown here: convert it"):
        measure_video(VideoFile(path))


def test_tags_that_are_no_text_change_nothing(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        container.metadata["title"] = "something"
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = 16, 16, "bgr0"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(1)[0], format="rgb24")))
        container.mux(stream.encode(None))
    content = (tmp_path / "a.mkv").read_bytes()
    assert b"something" in content
    (tmp_path / "a.mkv").write_bytes(content.replace(b"something", b"\xff" * 9))
    assert len(seen(tmp_path / "a.mkv")) == 1


def test_sound_alone_and_no_frame_are_no_video(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "a.wav", np.zeros(800), 8000)
    with pytest.raises(DataError, match=r"^a\.wav holds sound, but no video: give a video, or leave it out"):
        measure_video(VideoFile(tmp_path / "a.wav"))
    with av.open(str(tmp_path / "none.mp4"), "w") as container:
        container.add_stream("mpeg4", rate=8).width = 32
        container.streams.video[0].height = 32
        container.streams.video[0].pix_fmt = "yuv420p"
        container.start_encoding()
    with pytest.raises(DataError, match=r"^none\.mp4 holds no video: give a video, or leave it out"):
        seen(tmp_path / "none.mp4")


def test_what_is_not_there_is_told_with_the_place_that_names_it(tmp_path: Path) -> None:
    made(tmp_path / "clip.mp4", numbered(1), codec="libx264", pixels="yuv420p")
    with pytest.raises(DataError, match=r"^Line 4 of a\.csv: There is no file .*Did you mean 'clip\.mp4'"):
        measure_video(VideoFile(tmp_path / "clip.mp", "line 4 of a.csv"))


def test_large_frames_and_many_are_refused_with_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path / "a.mkv", numbered(30))
    monkeypatch.setattr(reading, "MOST_PIXELS", 255)
    with pytest.raises(DataError, match=r"^a\.mkv: expected frames of at most 255 pixels, got 16 x 16: make it smal"):
        seen(path)
    monkeypatch.setattr(reading, "MOST_PIXELS", 256)
    assert len(seen(path)) == 30
    # Shown for an hour, though the file is small.
    images = [image.new("L", (2, 2), shade) for shade in (0, 255)]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=[600_000, 600_000])
    assert measure_video(VideoFile(tmp_path / "a.gif")).length(Fraction(10)) == 12_000
    with pytest.raises(DataError, match=r"^a\.gif: expected a video of at most 10,000 frames .*, got 12,000: read it"):
        seen(tmp_path / "a.gif", 10)
    assert len(seen(tmp_path / "a.gif", 1)) == 1200


def test_frames_are_decoded_as_they_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, decoded = made(tmp_path / "a.mkv", numbered(30)), list[int]()
    pixels = reading._pixels
    monkeypatch.setattr(reading, "_pixels", lambda *given: decoded.append(0) or pixels(*given))
    some = list(itertools.islice(read_frames(VideoFile(path)), 3))
    assert numbers(some) == [0, 1, 2]
    assert len(decoded) == 3


def test_without_the_package_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path / "a.mkv", numbered(1))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(OptionError, match=r'PyAV, which is not installed: pip install "unrolled\[video\]"'):
        measure_video(VideoFile(path))
