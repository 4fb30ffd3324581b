"""A classifier of sounds, from folders, lists of recordings and samples in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from unrolled.errors import DataError, OptionError
from unrolled.fields.audio import Audio
from unrolled.fields.sound import Sound
from unrolled.inputs.audio import AudioInput
from unrolled.model import load
from unrolled.tasks import Classifier
from unrolled.tasks.classify import ClassifierOptions
from unrolled.train import Event

soundfile = pytest.importorskip("soundfile")

RATE = 8000
QUICK = {"hidden_size": 12, "layers": 1, "epochs": 30, "batch_size": 8, "mels": 12, "seed": 1}


def tone(number: int) -> np.ndarray:
    """A fifth of a second or less of a low or a high tone, in noise."""
    random = np.random.default_rng(number)
    count = int(random.integers(800, 1600))
    pitch = (400, 1500)[number % 2] * random.uniform(0.9, 1.1)
    samples = 0.3 * np.sin(2 * np.pi * pitch * np.arange(count) / RATE) + 0.02 * random.normal(size=count)
    return np.asarray(samples, np.float32)


def written(folder: Path, count: int = 40) -> Path:
    """A folder with a folder of sounds for each class."""
    for number in range(count):
        path = folder / ("low", "high")[number % 2] / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tone(number), RATE)
    return folder


def test_a_folder_of_sounds_is_learned_from_saved_and_asked(tmp_path: Path) -> None:
    folder = written(tmp_path / "tones")
    model = Classifier(**QUICK).fit(folder)
    assert model.evaluate(folder).accuracy == 1
    again = load(model.save(tmp_path / "tones.unrolled"))
    assert isinstance(again, Classifier)
    sounds = [Sound(tone(number), RATE) for number in range(40, 46)]
    assert again.predict(sounds).tolist() == ["low", "high"] * 3
    np.testing.assert_array_equal(model.predict_proba(sounds), again.predict_proba(sounds))
    assert model.fields["audio"].options.rate == RATE
    assert model.understood[0] == "sounds: 40 recordings; labels: the names of their folders"
    model.check()


def test_a_file_or_a_flat_folder_is_asked_and_has_no_labels_to_learn_from(tmp_path: Path) -> None:
    model = Classifier(**QUICK).fit(written(tmp_path / "tones"))
    for number in (1, 3, 2):
        (tmp_path / "new").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "new" / f"{number}.wav", tone(number), RATE)
    assert model.predict(tmp_path / "new").tolist() == ["high", "low", "high"]
    assert model.predict(tmp_path / "new" / "2.wav").tolist() == ["low"]
    with pytest.raises(DataError, match=r"2\.wav has no labels: give them as y"):
        Classifier(**QUICK).fit(tmp_path / "new" / "2.wav")
    with pytest.raises(DataError, match="There is no file"):
        model.predict(tmp_path / "new" / "9.wav")


def test_a_list_of_recordings_gives_what_its_folder_gives(tmp_path: Path) -> None:
    folder = written(tmp_path / "tones")
    files = sorted(folder.rglob("*.wav"))
    rows = "".join(f"{file.relative_to(tmp_path)},{file.parent.name}\n" for file in files)
    (tmp_path / "list.csv").write_text("path,label\n" + rows)
    first, second = (Classifier(**QUICK).fit(source) for source in (folder, tmp_path / "list.csv"))
    np.testing.assert_array_equal(first.predict_proba(folder), second.predict_proba(tmp_path / "list.csv"))
    told = "path,text,label\n" + "".join(f"{row.replace(',', ',some words,')}\n" for row in rows.splitlines())
    (tmp_path / "told.csv").write_text(told)
    assert Classifier(**QUICK).fit(tmp_path / "told.csv", text="text", label="label").kind.kind == "texts"
    (tmp_path / "list.csv").write_text("path,what\n" + rows)
    with pytest.raises(DataError, match=r"list\.csv: expected a column of labels beside the sounds"):
        Classifier(**QUICK).fit(tmp_path / "list.csv")
    assert Classifier(**QUICK).fit(tmp_path / "list.csv", label="what").classes_.tolist() == ["high", "low"]


def test_sounds_of_another_rate_are_heard_at_that_of_training(tmp_path: Path) -> None:
    pytest.importorskip("soxr")
    model = Classifier(**QUICK).fit(written(tmp_path / "tones"))
    fast = [Sound(np.repeat(tone(number), 2), 2 * RATE) for number in range(4)]
    assert model.predict(fast).tolist() == ["low", "high"] * 2


def test_texts_are_refused_by_a_classifier_of_sounds(tmp_path: Path) -> None:
    model = Classifier(**QUICK).fit(written(tmp_path / "tones"))
    with pytest.raises(DataError, match="expected sounds, as in training, got texts"):
        model.predict(["a text"])


def test_a_damaged_sound_is_named(tmp_path: Path) -> None:
    folder = written(tmp_path / "tones")
    path = folder / "low" / "0.wav"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"low/0\.wav|0\.wav"):
        Classifier(**QUICK).fit(folder)


HEARD = {"frequency_warp": 0.2, "channel_decibels": 3.0, "gain_decibels": 3.0, "noise_decibels": 10.0}


def test_who_trains_as_other_speakers_would_sound_learns_and_keeps_the_laws(tmp_path: Path) -> None:
    pytest.importorskip("soxr")
    folder = written(tmp_path / "tones")
    model = Classifier(**QUICK, **HEARD, speeds=[0.95, 1.05], loudness="peak").fit(folder)
    assert model.evaluate(folder).accuracy == 1
    again = load(model.save(tmp_path / "tones.unrolled"))
    assert isinstance(again, Classifier)
    np.testing.assert_array_equal(again.predict_proba(folder), model.predict_proba(folder))
    model.check()
    # As loud or as soft as may be: a power of two costs no rounding.
    sounds = [Sound(tone(number) * gain, RATE) for number, gain in ((41, 1.0), (41, 2**-6), (42, 1.0), (42, 2**-6))]
    found = model.predict_proba(sounds)
    np.testing.assert_allclose(found[1::2], found[::2], atol=1e-5)


@pytest.mark.parametrize("name", [*HEARD, "speeds"])
def test_each_change_of_training_changes_what_is_learned_and_the_same_seed_learns_the_same(
    name: str, tmp_path: Path
) -> None:
    pytest.importorskip("soxr")
    folder = written(tmp_path / "tones", 16)
    short = {**QUICK, "epochs": 2}
    changed = {name: [0.9] if name == "speeds" else HEARD[name]}
    plain, first, second = (Classifier(**short, **more).fit(folder, valid=0) for more in ({}, changed, changed))
    found = [model.predict_proba(folder) for model in (plain, first, second)]
    np.testing.assert_array_equal(found[1], found[2])
    assert np.abs(found[0] - found[1]).max() > 1e-6


def hummed(folder: Path) -> Path:
    """A folder of two recordings of noise, at another rate and below another."""
    (folder / "more").mkdir(parents=True)
    random = np.random.default_rng(0)
    soundfile.write(folder / "hum.wav", 0.3 * np.sin(np.arange(9000) / 30), 2 * RATE)
    soundfile.write(folder / "more" / "rain.flac", 0.1 * random.normal(size=5000), RATE)
    return folder


def test_noise_comes_from_recordings_of_any_source(tmp_path: Path) -> None:
    pytest.importorskip("soxr")
    folder, noise = written(tmp_path / "tones", 16), hummed(tmp_path / "noise")
    (tmp_path / "list.csv").write_text("path\nnoise/hum.wav\nnoise/more/rain.flac\n")
    short = {**QUICK, "epochs": 2, "noise_decibels": 0.0}
    files = [noise / "hum.wav", str(noise / "more" / "rain.flac")]
    sources = (noise, str(noise), files, tmp_path / "list.csv", noise / "hum.wav", ())
    models = [Classifier(**short, noise=source).fit(folder, valid=0) for source in sources]
    found = [model.predict_proba(folder) for model in models]
    for other in found[1:4]:
        np.testing.assert_array_equal(other, found[0])
    for other in found[4:]:
        assert np.abs(other - found[0]).max() > 1e-6
    model = models[2]
    model.check()
    saved = model.save(tmp_path / "tones.unrolled")
    for file in (noise / "hum.wav", noise / "more" / "rain.flac"):
        file.unlink()
    again = load(saved)
    assert isinstance(again, Classifier)
    np.testing.assert_array_equal(again.predict_proba(folder), found[0])
    with pytest.raises(DataError, match=r"noise: expected sound files, got none in .*; give some"):
        Classifier(**short, noise=noise).fit(folder, valid=0)


def test_who_is_stopped_goes_on_with_the_noise_that_was_to_come(tmp_path: Path) -> None:
    pytest.importorskip("soxr")
    folder, noise = written(tmp_path / "tones", 16), hummed(tmp_path / "noise")
    short = {**QUICK, "epochs": 3, "checkpoint_every_steps": 1, "noise": noise, "noise_decibels": 0.0}

    def press(event: Event) -> None:
        if event.kind == "step" and event.step == 3:
            raise KeyboardInterrupt

    whole = Classifier(**short).fit(folder, valid=0, run=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        Classifier(**short).fit(folder, valid=0, run=tmp_path / "run", callbacks=[press])
    later = Classifier(**short).fit(folder, valid=0, run=tmp_path / "run", resume=True)
    for expected, found in zip(*(model.fitted().state_dict().values() for model in (whole, later)), strict=True):
        assert torch.equal(found, expected)


def test_noise_that_is_no_sound_is_named(tmp_path: Path) -> None:
    folder, noise = written(tmp_path / "tones", 8), hummed(tmp_path / "noise")
    with pytest.raises(OptionError, match=r"Classifier: noise=\['rain'\] needs to know how loud it is: give noise_dec"):
        Classifier(noise="rain")
    with pytest.raises(DataError, match=r"There is no file '.*hom\.wav'\. Did you mean 'hum\.wav'"):
        Classifier(**QUICK, noise=noise / "hom.wav", noise_decibels=5).fit(folder)
    (noise / "hum.wav").write_bytes(b"no sound")
    with pytest.raises(DataError, match=r"^hum\.wav cannot be read as sound"):
        Classifier(**QUICK, noise=noise, noise_decibels=5).fit(folder)


def test_energies_of_sound_and_noise_add_up() -> None:
    """What the reader does with noise is on average what adding the samples does."""
    random = np.random.default_rng(0)
    options = ClassifierOptions.collect({"mels": 12, "normalise": "none", "rate": RATE})
    field: Audio = AudioInput([]).fit(np.arange(0), options)["audio"]
    sound, noise = tone(0), 0.1 * random.normal(size=(400, len(tone(0)))).astype(np.float32)
    energies = np.exp([field.encode(sound + one).astype(np.float64) for one in noise])
    alone = np.exp(field.encode(sound).astype(np.float64))
    expected = alone + np.mean(np.exp([field.encode(one).astype(np.float64) for one in noise]), axis=0)
    # Five standard errors of the mean of 400, of each of some hundred energies.
    assert (np.abs(energies.mean(0) - expected) < 5 * 2**0.5 * energies.std(0, ddof=1) / 20).all()


def test_what_changes_log_energies_needs_them(tmp_path: Path) -> None:
    folder = written(tmp_path / "tones", 8)
    for more in ({"features": "mfcc", "coefficients": 8}, {"deltas": 1}, {"normalise": "recording"}):
        with pytest.raises(OptionError, match="change log energies: expected features='logmel', deltas=0"):
            Classifier(**QUICK, **more, gain_decibels=1.0).fit(folder)
        Classifier(**{**QUICK, "epochs": 1}, **more, speeds=[]).fit(folder)


def test_a_version_of_a_recording_is_it_at_another_speed() -> None:
    pytest.importorskip("soxr")
    sounds = [Sound(tone(number), RATE) for number in range(3)]
    options = ClassifierOptions.collect({"speeds": [0.5, 2.0]})
    heard = AudioInput(sounds).versions(options)
    assert len(heard) == 9
    fields = heard.fit(np.arange(3), options)
    lengths = heard.column(fields)[1]
    counts = np.array([len(sound.samples) for sound in sounds])
    # Frames of 200 samples each 80, and one for what is left.
    for part, speed in enumerate((1, 0.5, 2)):
        np.testing.assert_array_equal(lengths[3 * part : 3 * part + 3], 1 + np.ceil((counts / speed - 200) / 80))
    assert AudioInput(sounds).versions(ClassifierOptions.collect({})).recordings == sounds
