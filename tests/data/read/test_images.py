"""Picture files: every kind as the pixels that are seen, and what is no picture in one sentence."""

from __future__ import annotations

import contextlib
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from unrolled.data.read.images import MOST_PIXELS, ImageFile, image_name, measure_image, read_image
from unrolled.errors import DataError

Image = pytest.importorskip("PIL.Image")


def picture(height: int = 6, width: int = 4, channels: int = 3) -> np.ndarray:
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def saved(path: Path, pixels: np.ndarray, **options: object) -> ImageFile:
    Image.fromarray(pixels).save(path, **options)
    return ImageFile(path)


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "ppm"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_those_that_were_saved(tmp_path: Path, ending: str, channels: int) -> None:
    pixels = picture(channels=channels)
    file = saved(tmp_path / f"a.{ending}", pixels)
    assert np.array_equal(read_image(file), pixels.reshape(6, 4, channels))
    assert measure_image(file) == (6, 4, channels == 1, False)


def test_what_shines_through_stands_on_white(tmp_path: Path) -> None:
    pixels = picture(channels=4)
    pixels[0, :, 3], pixels[1, :, 3] = 0, 255
    for name in ("a.png", "a.webp"):
        found = read_image(saved(tmp_path / name, pixels, **({"lossless": True, "exact": True} if "w" in name else {})))
        assert (found[0] == 255).all()
        assert np.array_equal(found[1], pixels[1, :, :3])
        cover = pixels[..., 3:] / 255
        # What is written is a whole number, so at most half of one away.
        assert np.abs(found - (pixels[..., :3] * cover + 255 * (1 - cover))).max() <= 0.5 + 1e-9
    grey = np.stack([picture(channels=1), np.zeros((6, 4), np.uint8)], -1)
    bands = [Image.fromarray(np.ascontiguousarray(grey[..., band])) for band in range(2)]
    Image.merge("LA", bands).save(tmp_path / "la.png")
    assert (read_image(ImageFile(tmp_path / "la.png")) == 255).all()


def test_palettes_and_their_holes(tmp_path: Path) -> None:
    image = Image.fromarray(picture()).quantize(8)
    image.save(tmp_path / "p.png")
    assert np.array_equal(read_image(ImageFile(tmp_path / "p.png")), np.asarray(image.convert("RGB")))
    image.save(tmp_path / "hole.png", transparency=3)
    found, holes = read_image(ImageFile(tmp_path / "hole.png")), np.asarray(image) == 3
    assert holes.any()
    assert (found[holes] == 255).all()
    assert np.array_equal(found[~holes], np.asarray(image.convert("RGB"))[~holes])


def test_one_bit_sixteen_bits_and_cmyk(tmp_path: Path) -> None:
    bits = picture(channels=1) > 127
    assert np.array_equal(read_image(saved(tmp_path / "1.png", bits))[..., 0], bits * 255)
    deep = np.array([[0, 128, 129, 257, 65535]], np.uint16)
    for name in ("16.png", "16.tif"):
        file = saved(tmp_path / name, deep)
        assert read_image(file)[..., 0].tolist() == [[0, 0, 1, 1, 255]]
        assert measure_image(file).grey
    four = Image.fromarray(picture()).convert("CMYK")
    four.save(tmp_path / "cmyk.tif")
    assert np.array_equal(read_image(ImageFile(tmp_path / "cmyk.tif")), np.asarray(four.convert("RGB")))
    four.save(tmp_path / "cmyk.jpg")
    assert read_image(ImageFile(tmp_path / "cmyk.jpg")).shape == (6, 4, 3)
    floats = Image.fromarray(np.array([[0, 0.5, 1]], np.float32))
    floats.save(tmp_path / "f.tif")
    assert read_image(ImageFile(tmp_path / "f.tif"))[..., 0].tolist() == [[0, 128, 255]]


@pytest.mark.parametrize("held", range(1, 9))
def test_a_camera_that_was_held_otherwise(tmp_path: Path, held: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = held
    pixels = picture(5, 3)
    file = saved(tmp_path / "a.png", pixels, exif=exif)
    turns = {1: (0, False), 2: (0, True), 3: (2, False), 4: (2, True), 5: (3, True), 6: (3, False), 7: (1, True),
             8: (1, False)}  # fmt: skip
    quarter, mirrored = turns[held]
    expected = np.rot90(pixels[:, ::-1] if mirrored and held in (2, 4) else pixels, quarter)
    if held in (5, 7):
        expected = np.rot90(pixels, quarter)[:, ::-1]
    found = read_image(file)
    assert np.array_equal(found, expected)
    assert measure_image(file)[:2] == found.shape[:2]


def test_the_first_picture_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((4, 4, 3), value, np.uint8)) for value in (10, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    file = ImageFile(tmp_path / "a.gif")
    assert measure_image(file).several
    assert (read_image(file) == 10).all()


def test_a_large_jpeg_is_decoded_smaller(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(320), np.arange(480)) * 255 // 800
    file = saved(tmp_path / "a.jpg", smooth.astype(np.uint8), quality=95)
    assert read_image(file).shape == (320, 480, 1)
    small = read_image(file, (40, 40))
    assert small.shape == (40, 60, 1)
    assert abs(small.mean() - smooth.mean()) < 2
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = saved(tmp_path / "b.jpg", smooth.astype(np.uint8), exif=exif)
    assert read_image(turned, (60, 40)).shape == (60, 40, 1)


def png_of(height: int, width: int) -> bytes:
    """A PNG whose head claims that size, with next to nothing in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("size", "said"), [
    ((20_000, 20_000), "got more than that"), ((10_000, 10_000), "got more than that"),
    ((8_000, 8_000), "got 64,000,000"),
])  # fmt: skip
def test_a_picture_too_large_is_refused_by_its_head(tmp_path: Path, size: tuple[int, int], said: str) -> None:
    (tmp_path / "huge.png").write_bytes(png_of(*size))
    for look in (measure_image, read_image):
        with pytest.raises(DataError, match=f"huge.png: expected a picture of at most {MOST_PIXELS:,} pixels, {said}"):
            look(ImageFile(tmp_path / "huge.png"))


def test_what_is_no_whole_picture_is_told_with_its_place(tmp_path: Path) -> None:
    whole = saved(tmp_path / "whole.png", picture(60, 60)).path.read_bytes()
    jpeg = saved(tmp_path / "whole.jpg", picture(60, 60)).path.read_bytes()
    cases = {
        "text.png": (b"once upon a time", "text.png (line 3 of a.csv) is no picture that is known here"),
        "none.png": (b"", "none.png (line 3 of a.csv) is empty"),
        "cut.png": (whole[:-400], "cut.png (line 3 of a.csv) is cut short or broken"),
        "cut.jpg": (jpeg[: len(jpeg) // 2], "cut.jpg (line 3 of a.csv) is cut short or broken"),
        "head.png": (whole[:20], "head.png (line 3 of a.csv) is"),
    }
    for name, (content, said) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError) as caught:
            read_image(ImageFile(tmp_path / name, "line 3 of a.csv"))
        assert said in str(caught.value)
    with pytest.raises(DataError, match=r"Line 3 of a.csv: There is no file .*whole.pmg.*Did you mean 'whole.png'\?"):
        read_image(ImageFile(tmp_path / "whole.pmg", "line 3 of a.csv"))
    with pytest.raises(DataError, match="is a folder, but expected a picture"):
        read_image(ImageFile(tmp_path, "line 3 of a.csv"))


def test_one_pixel_is_a_picture(tmp_path: Path) -> None:
    assert read_image(saved(tmp_path / "a.png", np.array([[7]], np.uint8))).tolist() == [[[7]]]


def test_a_file_in_a_folder_is_named_once(tmp_path: Path) -> None:
    assert image_name(ImageFile(tmp_path / "a.png", "cats/a.png")) == "cats/a.png"
    assert image_name(ImageFile(tmp_path / "a.png", "line 1 of x.csv")) == "a.png (line 1 of x.csv)"


@pytest.mark.parametrize("seed", range(40))
def test_a_broken_picture_is_read_or_told(tmp_path: Path, seed: int) -> None:
    """Bytes changed, cut or doubled: pixels or a sentence, whatever Pillow makes of them."""
    random = np.random.default_rng(seed)
    ending = ("png", "jpg", "gif", "tif", "webp", "bmp", "ppm")[seed % 7]
    content = bytearray(saved(tmp_path / f"a.{ending}", picture(20, 20)).path.read_bytes())
    for _ in range(int(random.integers(1, 9))):
        content[int(random.integers(len(content)))] = int(random.integers(256))
    (tmp_path / f"a.{ending}").write_bytes(content[: int(random.integers(1, len(content) + 1))])
    with contextlib.suppress(DataError):
        found = read_image(ImageFile(tmp_path / f"a.{ending}"))
        assert found.dtype == np.uint8
        assert found.ndim == 3
