"""Features of recordings are made when a batch asks for them: known lengths, the same values, whatever is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from unrolled.data import Examples
from unrolled.data.read import audio
from unrolled.data.read.audio import Clip
from unrolled.errors import DataError
from unrolled.fields.audio import Audio
from unrolled.fields.sound import AudioOptions, Sound
from unrolled.inputs.audio import AudioInput
from unrolled.inputs.recordings import Hastened, Recording, features, heard, sizes
from unrolled.tasks import Classifier, Recognizer
from unrolled.tasks.batches import batches
from unrolled.tasks.classify import Labelled

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")

RATE = 8000
QUICK: dict[str, Any] = {"hidden_size": 8, "layers": 1, "epochs": 2, "batch_size": 4, "mels": 8}
# Megabytes: what a few of the recordings take, of some twenty frames of 8 bands each.
FEW = 3 * 20 * 8 * 4 / (1 << 20)


def noise(number: int, low: int = 800, high: int = 2400) -> np.ndarray:
    random = np.random.default_rng(number)
    return random.normal(0, 0.1, int(random.integers(low, high))).astype(np.float32)


def written(folder: Path, count: int = 12) -> Path:
    """A folder of recordings for each of two classes."""
    for number in range(count):
        path = folder / ("one", "two")[number % 2] / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, noise(number), RATE, subtype="FLOAT")
    return folder


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many samples each sound had that a field encoded, from now on."""
    asked, plain = list[int](), Audio.encode

    def encode(self: Audio, value: np.ndarray) -> np.ndarray:
        asked.append(len(value))
        return plain(self, value)

    monkeypatch.setattr(Audio, "encode", encode)
    return asked


@pytest.mark.parametrize("seed", range(12))
def test_lengths_are_known_before_anything_is_encoded(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(seed)
    recordings: list[Recording] = []
    for number in range(12):
        samples, rate = noise(12 * seed + number, 1, 4000), int(random.choice([4000, 8000, 11_025, 16_000, 44_100]))
        path = tmp_path / f"{number}.{random.choice(['wav', 'flac', 'ogg'])}"
        soundfile.write(path, samples, rate)
        one: Recording = Sound(samples, rate) if number % 3 == 0 else Clip(path)
        speed = float(random.choice([0.25, 0.9, 1.1, 4.0, random.uniform(0.25, 4)]))
        recordings.append(Hastened(one, speed) if random.random() < 0.5 else one)
    field = Audio(AudioOptions(rate=int(random.choice([8000, 16_000])), mels=8, normalise="none"), None)
    asked = counted(monkeypatch)
    made = features(recordings, sizes(recordings), field, 1 << 20)
    assert not asked
    expected = [field.encode(heard(one, field.options.rate).samples) for one in recordings]
    np.testing.assert_array_equal(made.lengths, [len(one) for one in expected])
    for row in random.permutation(len(recordings)).tolist():
        np.testing.assert_array_equal(made[row], expected[row])


def learned(folder: Path, **options: Any) -> Classifier:
    return Classifier(**{**QUICK, **options}).fit(folder, valid=0.25, refit=True)


def weights(model: Classifier | Recognizer) -> list[np.ndarray]:
    return [tensor.numpy() for tensor in model.fitted().state_dict().values()]


@pytest.mark.parametrize("more", [{}, {"speeds": [0.9, 1.2], "normalise": "recording"}], ids=["plain", "speeds"])
def test_what_is_learned_does_not_depend_on_what_is_kept(more: dict[str, Any], tmp_path: Path) -> None:
    folder = written(tmp_path / "sounds")
    models = [learned(folder, **more, feature_cache=cache) for cache in (512, FEW, 0)]
    for other in models[1:]:
        for expected, found in zip(weights(models[0]), weights(other), strict=True):
            np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(other.predict_proba(folder), models[0].predict_proba(folder))


def test_time_after_the_end_is_the_same_whatever_is_kept() -> None:
    sounds, texts = [Sound(noise(n), RATE) for n in range(8)], ["a", "b"] * 4
    models = [
        Recognizer(**QUICK, streaming=True, feature_cache=cache).fit(sounds, texts, valid=0) for cache in (512, FEW)
    ]
    for expected, found in zip(*map(weights, models), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_where_all_have_room_each_is_encoded_once_in_all_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, asked = written(tmp_path / "sounds"), counted(monkeypatch)
    Classifier(**QUICK).fit(folder, valid=0.25, refit=False)
    assert sorted(asked) == sorted(len(noise(n)) for n in range(12))
    asked.clear()
    Classifier(**QUICK, feature_cache=0).fit(folder, valid=0.25, refit=False)
    # Nine in each of two epochs, and the three that were held out once.
    assert len(asked) == 21


def test_a_prediction_keeps_no_more_than_it_may(tmp_path: Path) -> None:
    folder = written(tmp_path / "sounds")
    model = Classifier(**QUICK, feature_cache=FEW).fit(folder, valid=0)
    corpus = model._read(folder)
    ragged = model.make_data(corpus, np.arange(12)).parts[0].ragged
    for _ in batches(model.make_data(corpus, np.arange(12)), model.device, 40):
        assert 0 < ragged._taken <= FEW * (1 << 20)
    assert len(ragged._kept) < 12


def test_a_recording_broken_after_its_head_is_named_when_a_batch_asks(tmp_path: Path) -> None:
    folder = written(tmp_path / "sounds")
    samples = noise(3)
    samples[80] = np.nan
    soundfile.write(folder / "two" / "3.wav", samples, RATE, subtype="FLOAT")
    model = Classifier(**QUICK).fit(written(tmp_path / "whole"), valid=0)
    with pytest.raises(DataError) as caught:
        model.predict(folder)
    assert str(caught.value) == (
        "two/3.wav: the sample at 0.0100 s is nan, expected a finite number: mend or remove that file."
    )


LISTED = r"a\.wav \(line 1 of list\.csv\)"


@pytest.mark.parametrize(("change", "sentence"), [
    (lambda path: path.unlink(), r"Line 1 of list\.csv: There is no file '.*a\.wav'.* Check the path\."),
    (lambda path: soundfile.write(path, noise(9)[:-300], RATE), rf"{LISTED} has changed .*\(it had 17 .*14 now\).*"),
    (lambda path: soundfile.write(path, noise(9)[::-1], RATE), rf"{LISTED} has changed .*\(it holds something else.*"),
    (lambda path: path.write_bytes(path.read_bytes()[:-9]), rf"{LISTED} is cut short: .*"),
])  # fmt: skip
def test_a_recording_that_changes_while_it_is_learned_from_is_named(change: Any, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(9), RATE)
    inputs = AudioInput([Clip(path, place="line 1 of list.csv")], cache=0)
    options = Classifier(**QUICK).options
    column, lengths = inputs.column(inputs.fit(np.arange(1), options))
    assert column.take(np.array([0])).lengths.tolist() == lengths.tolist()
    change(path)
    with pytest.raises(DataError, match=f"^{sentence}$"):
        column.take(np.array([0]))


def test_samples_that_are_no_sound_are_named_by_their_row() -> None:
    sounds = [Sound(noise(n), RATE) for n in range(4)]
    model = Classifier(**QUICK).fit(sounds, ["a", "b"] * 2, valid=0)
    sounds[2] = Sound(np.array([0.5, np.nan]), RATE)
    with pytest.raises(DataError, match="Sound 2: sample 1 is nan, expected a finite number"):
        model.predict(sounds)
    with pytest.raises(DataError, match="Sound 2: sample 1 is nan, expected a finite number"):
        Classifier(**QUICK).fit(sounds, ["a", "b"] * 2, valid=0)


class Batches(torch.utils.data.Dataset[Labelled]):
    """Batches of examples by number, for a loader of torch."""

    def __init__(self, data: Examples[Labelled], rows: list[list[int]]) -> None:
        self.data, self.rows = data, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Labelled:
        return self.data.batch(self.rows[i])


def test_loaders_with_processes_of_their_own_give_the_same_batches(tmp_path: Path) -> None:
    accelerate = pytest.importorskip("accelerate")
    folder = written(tmp_path / "sounds")
    model = Classifier(**QUICK, feature_cache=FEW).fit(folder, valid=0)
    data = model.make_data(model._read(folder), np.arange(12))
    rows = np.random.default_rng(0).integers(0, 12, (9, 3)).tolist()
    loader = DataLoader(Batches(data, rows), batch_size=None, num_workers=2)
    loaders = loader, accelerate.Accelerator(cpu=True).prepare_data_loader(loader)
    for each in loaders:
        for found, chosen in zip(each, rows, strict=True):
            expected = data.batch(chosen)
            assert torch.equal(found.x.values, expected.x.values)
            assert torch.equal(found.x.lengths, expected.x.lengths)


def test_a_head_that_claims_a_rate_of_nothing_is_told_before_a_batch_takes_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sounds = [Sound(noise(n), RATE) for n in range(4)]
    model = Classifier(**QUICK).fit(sounds, ["a", "b"] * 2, valid=0)
    soundfile.write(tmp_path / "slow.wav", noise(0, 1600, 2400), 1)
    monkeypatch.setattr(audio, "_MOST", 1 << 20)
    with pytest.raises(DataError, match=r"slow\.wav claims 1 samples a second"):
        model.predict(tmp_path / "slow.wav")
