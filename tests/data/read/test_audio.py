"""Sound files: whole, in part, resampled; and every way in which a file is none, told in one sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from unrolled.data.read import audio
from unrolled.data.read.audio import Clip, Sound, clip_name, measure_clip, read_clip, read_sound
from unrolled.data.read.mpeg import count_frames
from unrolled.errors import DataError, OptionError

soundfile = pytest.importorskip("soundfile")
RATE = 8000


def tone(seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def written(path: Path, samples: np.ndarray, rate: int = RATE, **how: object) -> Path:
    soundfile.write(path, samples, rate, **how)
    return path


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    return written(tmp_path / "a.wav", tone())


def test_a_wav_comes_as_it_was_written(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", tone(), subtype="FLOAT")
    sound = read_sound(path)
    assert isinstance(sound, Sound)
    assert sound.rate == RATE
    assert sound.samples.dtype == np.float32
    assert np.array_equal(sound.samples, tone())


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
def test_a_part_is_a_slice_of_the_whole(tmp_path: Path, ending: str) -> None:
    path = written(tmp_path / f"a.{ending}", tone(3.0))
    whole = read_sound(str(path)).samples
    assert len(whole) == 3 * RATE
    part = read_sound(path, offset=1.25, duration=0.5).samples
    assert np.array_equal(part, whole[10_000:14_000])
    assert np.array_equal(read_clip(Clip(path, 1.25, 0.5)).samples, part)
    assert len(read_sound(path, offset=2.75).samples) == 2000
    # Rounded durations reach a little past the end.
    assert len(read_sound(path, offset=2.75, duration=0.3).samples) == 2000


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("seed", range(4))
def test_a_recording_is_as_long_as_its_head_says(tmp_path: Path, ending: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    rate = int(random.choice([8000, 16_000, 22_050, 44_100]))
    samples = random.normal(0, 0.1, (int(random.integers(1, 9000)), int(random.integers(1, 3))))
    path = written(tmp_path / f"a.{ending}", samples, rate)
    for _ in range(6):
        offset = float(random.uniform(0, (len(samples) - 1) / rate))
        left = len(samples) / rate - offset
        duration = None if random.random() < 0.3 else float(random.uniform(0.0001, left + 0.09))
        clip = Clip(path, offset, duration)
        assert measure_clip(clip) == (len(read_clip(clip).samples), rate)


def test_a_broken_recording_is_refused_in_the_same_words_when_its_head_is_read(wav: Path, tmp_path: Path) -> None:
    whole = wav.read_bytes()
    broken = [
        Clip(tmp_path / "none.wav"),
        Clip(wav, 9.0, None, "line 3 of a.jsonl"),
        Clip(wav, 0.0, 9.0),
        Clip(tmp_path),
    ]
    for name, data in (("cut.wav", whole[:300]), ("empty.wav", b""), ("text.wav", b"no sound")):
        (tmp_path / name).write_bytes(data)
        broken.append(Clip(tmp_path / name, place=f"x/{name}"))
    for clip in broken:
        said = []
        for look in (measure_clip, read_clip):
            with pytest.raises(DataError) as caught:
                look(clip)
            said.append(str(caught.value))
        assert said[0] == said[1]
    assert clip_name(broken[1]) == "a.wav (line 3 of a.jsonl)"
    assert clip_name(broken[-1]) == "x/text.wav"


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
def test_a_long_file_is_the_same_in_pieces(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / f"a.{ending}", np.random.default_rng(0).normal(0, 0.1, 5000))
    whole = read_sound(path).samples
    monkeypatch.setattr(audio, "_BLOCK", 700)
    assert np.array_equal(read_sound(path).samples, whole)
    # The package jumps to the begin before it reads, which moves the last bit of some MP3 samples.
    np.testing.assert_allclose(soundfile.read(path, dtype="float32")[0], whole, rtol=0, atol=np.finfo(np.float32).eps)


def test_channels_are_mixed_and_rates_made_one(tmp_path: Path) -> None:
    both = np.stack([tone(), -tone() / 2], axis=1)
    path = written(tmp_path / "a.wav", both, subtype="FLOAT")
    assert np.array_equal(read_sound(path).samples, tone() / 4)
    sound = read_sound(path, 16_000, offset=0.5)
    assert (sound.rate, len(sound.samples)) == (16_000, 8000)
    many = written(tmp_path / "many.wav", np.ones((3000, 900), np.float32), subtype="FLOAT")
    assert np.array_equal(read_sound(many).samples, np.ones(3000))


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
def test_a_file_cut_short_is_refused(tmp_path: Path, ending: str) -> None:
    path = written(tmp_path / f"a.{ending}", np.random.default_rng(0).normal(0, 0.1, 3 * RATE))
    data = path.read_bytes()
    for cut in (0, 3, 20, 44, 200, len(data) // 3, len(data) // 2, len(data) - 7, len(data) - 1):
        path.write_bytes(data[:cut])
        with pytest.raises(DataError, match=rf"a\.{ending} (is cut short|is empty|cannot be read as sound)") as caught:
            read_sound(path)
        assert len(str(caught.value)) < 250


def refusal(path: Path) -> str | None:
    """What is said of a file that is refused; None of one that is read."""
    try:
        read_sound(path)
    except DataError as error:
        return str(error)
    return None


def changed(path: Path, at: int, by: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[at : at + len(by)] = by
    path.write_bytes(data)


def test_headers_that_say_what_cannot_be_are_refused(wav: Path) -> None:
    changed(wav, 40, b"\xff\xff\xff\xff")
    # So do recorders that do not know the end.
    assert len(read_sound(wav).samples) == RATE
    changed(wav, 40, b"\0\0\0\0")
    with pytest.raises(DataError, match=r"a\.wav says that it holds no samples, but 16,000 bytes of them follow"):
        read_sound(wav)
    changed(wav, 22, b"\0\0")
    with pytest.raises(DataError, match=r"a\.wav "):
        read_sound(wav)


def test_a_head_of_one_sample_a_second_takes_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.wav", tone()[:2000], rate=1)
    assert len(read_sound(path, 1000).samples) == 2_000_000
    monkeypatch.setattr(audio, "_MOST", 1 << 20)
    with pytest.raises(DataError, match=r"a\.wav claims 1 samples a second, .* 2,000 .* become 16,000,000 at"):
        read_sound(path, 8000)


def test_no_channels_are_a_sentence(wav: Path) -> None:
    changed(wav, 22, b"\0\0")
    with pytest.raises(DataError, match=r"a\.wav cannot be read as sound \(Channel count is zero\)"):
        read_sound(wav)


def test_every_flip_of_a_byte_in_a_header_is_a_sentence_or_a_sound(tmp_path: Path) -> None:
    for ending in ("wav", "flac", "ogg", "mp3"):
        path = written(tmp_path / f"a.{ending}", tone(0.2))
        data = path.read_bytes()
        for at in range(100):
            path.write_bytes(data[:at] + bytes([data[at] ^ 0x81]) + data[at + 1 :])
            said = refusal(path)
            assert said is None or path.name in said


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.txt", "a.flac"])
def test_what_is_no_sound_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("no sound at all, but words\n" * 50)
    with pytest.raises(DataError, match=rf"{name} cannot be read as sound"):
        read_sound(tmp_path / name)


def test_other_mistakes_are_named(tmp_path: Path, wav: Path) -> None:
    def refused(path: Path, said: str, **how: object) -> None:
        with pytest.raises(DataError, match=said):
            read_sound(path, **how)

    refused(tmp_path / "b.wav", r"^Line 3 of x\.csv: There is no file .*Did you mean 'a\.wav'", place="line 3 of x.csv")
    refused(tmp_path, "is a folder, but expected a sound file")
    refused(
        wav, r"a\.wav \(line 3 of x\.csv\) is 1\.00 s long, but a part from 1 s on", offset=1.0, place="line 3 of x.csv"
    )
    refused(wav, "is 1.00 s long, but a part from 1e\\+308 s on", offset=1e308)
    refused(wav, "is 1.00 s long, but a part from 0.5 to 1.2 s", offset=0.5, duration=0.7)
    refused(written(tmp_path / "empty.wav", np.zeros(0)), r"empty\.wav holds no samples")
    (tmp_path / "a.raw").write_bytes(bytes(100))
    refused(tmp_path / "a.raw", r"a\.raw is raw samples")
    for bad, said in ((np.nan, "nan"), (-np.inf, "-inf")):
        samples = tone()
        samples[4000] = bad
        path = written(tmp_path / "bad.wav", samples, subtype="FLOAT")
        refused(path, rf"bad\.wav: the sample at 0\.5000 s is {said}", offset=0.25)
        assert len(read_sound(path, duration=0.25).samples) == 2000


@pytest.mark.parametrize(
    "how",
    [{"rate": 0}, {"rate": 8000.0}, {"offset": -1.0}, {"offset": np.nan}, {"duration": 0.0}, {"duration": np.inf}],
)
def test_parts_that_cannot_be_are_refused(wav: Path, how: dict[str, float]) -> None:
    with pytest.raises(OptionError, match=f"{next(iter(how))} must be"):
        read_sound(wav, **how)


def test_without_the_package_one_hears_what_to_install(wav: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(OptionError, match=r"soundfile, which is not installed .*; install unrolled\[audio\]"):
        read_sound(wav)


def indexless(path: Path, samples: np.ndarray, rate: int, mode: str) -> tuple[Path, int]:
    """An MP3 file without the frame that holds its index; and the samples of the others."""
    with soundfile.SoundFile(path, "w", rate, 1, format="MP3", bitrate_mode=mode, compression_level=0.6) as file:
        file.write(samples)
    data = path.read_bytes()
    counted = count_frames(data)
    assert counted is not None
    assert counted.indexed
    path.write_bytes(data[data.index(data[:2], 4) :])
    return path, counted.samples


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100, 48_000])
def test_an_mp3_without_an_index_is_read_whole_or_refused(tmp_path: Path, rate: int) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 2 * rate).astype(np.float32)
    samples[: rate // 2] = 0
    try:
        path, count = indexless(tmp_path / "constant.mp3", samples, rate, "CONSTANT")
    except TypeError:
        pytest.skip("this soundfile cannot choose how bits are spent")
    assert len(read_sound(path).samples) == count
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"constant\.mp3 is cut short: its last frame is not whole"):
        read_sound(path)
    path, count = indexless(tmp_path / "variable.mp3", samples[::-1], rate, "VARIABLE")
    said = refusal(path)
    if said is None:
        assert len(read_sound(path).samples) >= count - 576
    else:
        assert "it has no index of its frames: convert it" in said


def test_mpeg_frames_are_counted_behind_tags() -> None:
    # MPEG-1 layer III, 128 kbit/s, 44,100 Hz: 417 bytes, 1152 samples.
    frame = b"\xff\xfb\x90\x00" + bytes(413)
    tag = b"ID3\x04\x00\x00" + bytes([0, 0, 1, 2]) + bytes(130)
    found = count_frames(tag + frame * 3)
    assert found is not None
    assert (found.samples, found.indexed, found.whole) == (3456, False, True)
    assert count_frames(frame[:4] + b"Xing" + frame[8:] + frame) == (1152, True, True)
    assert count_frames(frame * 2 + frame[:50]) == (2304, False, False)
    assert count_frames(frame + b"\xff\xfb") == (1152, False, False)
    assert count_frames(frame + b"TAG" + bytes(125)) == (1152, False, True)
    assert count_frames(b"RIFF") is None
    assert count_frames(b"") is None
