"""The field of sound: its features against librosa, its normalisation, JSON, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

from unrolled.errors import DataError, ModelFileError, NotStreamable, OptionError
from unrolled.fields import Audio, AudioOptions, field_from_json, field_to_json
from unrolled.fields.sound import Sound

RATE = 8000


def noise(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, length).astype(np.float32)


def plain(**options: object) -> Audio:
    """A field that does not normalise."""
    return Audio(AudioOptions(**{"rate": RATE, "normalise": "none", **options}), None)


def aligned(samples: np.ndarray, options: AudioOptions) -> tuple[np.ndarray, int]:
    """The sound for librosa, which lays the window in the middle of its points, and the number of its frames."""
    frames = (len(samples) - options.window_size) // options.hop_size + 1
    before = (options.points - options.window_size) // 2
    return np.pad(samples, (before, options.points)).astype(np.float64), frames


@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize(("rate", "window", "hop", "mels"), [(8000, 0.025, 0.01, 40), (16000, 0.032, 0.016, 64)])
def test_log_mel_features_are_those_of_librosa(scale: str, rate: int, window: float, hop: float, mels: int) -> None:
    librosa = pytest.importorskip("librosa")
    field = plain(rate=rate, window=window, hop=hop, mels=mels, scale=scale, fmin=50.0, fmax=3700.0)
    options, samples = field.options, noise(5000)
    padded, frames = aligned(samples, options)
    energies = librosa.feature.melspectrogram(
        y=padded, sr=rate, n_fft=options.points, hop_length=options.hop_size, win_length=options.window_size,
        center=False, n_mels=mels, fmin=50.0, fmax=3700.0, htk=scale == "htk",
    )  # fmt: skip
    expected = np.log(energies.T[:frames])
    # librosa holds its filters in float32, which moves an energy by half a unit in the last place, its logarithm too.
    tolerance = np.finfo(np.float32).eps * (1 + np.abs(expected).max())
    np.testing.assert_allclose(field.encode(samples)[:frames], expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("options", [
    {}, {"deltas": 1}, {"deltas": 2, "look_ahead": 2}, {"window": 0.0101, "hop": 0.0101, "mels": 8},
    {"window": 0.02, "hop": 0.000125, "mels": 8}, {"features": "mfcc", "window": 0.03, "hop": 0.0137},
])  # fmt: skip
def test_the_number_of_frames_is_known_without_encoding(options: dict[str, object]) -> None:
    field = plain(**options)
    window, hop = field.options.window_size, field.options.hop_size
    edges = {0, 1, window - 1, window, window + 1, window + hop - 1, window + hop, window + hop + 1, 3 * window}
    for count in sorted(edges | set(np.random.default_rng(0).integers(0, 6 * window, 20).tolist())):
        assert field.options.frames(count) == len(field.encode(noise(count)))


def test_coefficients_and_slopes_are_those_of_librosa() -> None:
    librosa = pytest.importorskip("librosa")
    field = plain(features="mfcc", deltas=2, look_ahead=2, hop=0.0125)
    samples = noise(200 + 100 * 30)
    logarithms = plain(hop=0.0125).encode(samples).T.astype(np.float64)
    static = librosa.feature.mfcc(S=logarithms, n_mfcc=13, dct_type=2, norm="ortho")
    slopes = librosa.feature.delta(static, width=5, mode="nearest")
    twice = librosa.feature.delta(slopes, width=5, mode="nearest")
    encoded = field.encode(samples)
    assert encoded.shape == (31, 39)
    # A coefficient adds 40 logarithms, each rounded to float32 before librosa has it; slopes make it no larger.
    tolerance = np.finfo(np.float32).eps * np.sqrt(40) * np.abs(logarithms).max()
    np.testing.assert_allclose(encoded, np.concatenate([static, slopes, twice]).T, rtol=0, atol=tolerance)


def test_a_causal_slope_is_the_one_that_looks_ahead_two_frames_later() -> None:
    samples = noise(4000)
    causal, ahead = plain(deltas=1).encode(samples)[:, 40:], plain(deltas=1, look_ahead=2).encode(samples)[:, 40:]
    assert np.array_equal(causal[4:], ahead[2:-2])
    assert (causal[0] == 0).all()


@pytest.mark.parametrize(("length", "frames"), [(0, 0), (1, 1), (199, 1), (200, 1), (201, 2), (280, 2), (281, 3)])
def test_the_last_frame_is_filled_up_with_zeros(length: int, frames: int) -> None:
    field, samples = plain(), noise(length)
    encoded = field.encode(samples)
    assert (encoded.shape, encoded.dtype) == ((frames, 40), np.float32)
    full = np.pad(samples, (0, 200 + 80 * (frames - 1) - length)) if frames else samples
    assert np.array_equal(encoded, field.encode(full))


@pytest.mark.parametrize("normalise", ["training", "recording", "none"])
@pytest.mark.parametrize("features", ["logmel", "mfcc"])
def test_silence_and_the_shortest_sounds_are_finite(normalise: str, features: str) -> None:
    options = AudioOptions(rate=RATE, features=features, deltas=2, normalise=normalise)
    for trained in ([noise(900)], [np.zeros(900)]):
        field = Audio.fit(trained, options)
        for samples in (np.zeros(1000), np.zeros(1), noise(3), np.full(500, 1e38)):
            assert np.isfinite(field.encode(samples)).all()
    assert np.abs(Audio.fit([np.zeros(900)], options).encode(np.zeros(500))).max() < (150 if normalise == "none" else 1)


def test_training_statistics_make_each_feature_of_mean_0_and_deviation_1() -> None:
    sounds = [noise(length, length) * length for length in (3000, 0, 50, 7000)]
    field = Audio.fit(iter(sounds), AudioOptions(rate=RATE, features="mfcc", deltas=1))
    encoded = np.concatenate([field.encode(sound) for sound in sounds]).astype(np.float64)
    # Values are of a few units, each rounded to float32.
    np.testing.assert_allclose(encoded.mean(axis=0), 0, atol=8 * np.finfo(np.float32).eps)
    np.testing.assert_allclose(encoded.std(axis=0), 1, atol=8 * np.finfo(np.float32).eps)
    raw = plain(features="mfcc", deltas=1)
    expected = raw.encode(sounds[3])
    # Coming back, a deviation multiplies the rounding.
    tolerance = np.finfo(np.float32).eps * (np.abs(expected).max() + 8 * field.number.scale.max())
    np.testing.assert_allclose(field.decode(field.encode(sounds[3])), expected, rtol=0, atol=tolerance)


def test_a_recording_normalised_by_itself_does_not_depend_on_its_loudness() -> None:
    field = Audio.fit([], AudioOptions(rate=RATE, normalise="recording"))
    assert not field.streamable
    loud, soft = field.encode(noise(3000)), field.encode(noise(3000) / 8)
    # A factor of 8 is exact in every energy, and adds one number to every logarithm.
    np.testing.assert_allclose(loud, soft, rtol=0, atol=16 * np.finfo(np.float32).eps)
    with pytest.raises(NotStreamable, match="normalise='recording' needs the whole recording"):
        field.front()


def test_a_sound_at_full_scale_does_not_depend_on_its_loudness() -> None:
    field = Audio.fit([noise(4000)], AudioOptions(rate=RATE, loudness="peak"))
    assert not field.streamable
    sound = noise(3000, seed=1)
    # Gains that are powers of two are exact.
    np.testing.assert_array_equal(field.encode(sound * 2.0**-9), field.encode(sound))
    np.testing.assert_array_equal(field.encode(sound / np.abs(sound).max()), field.encode(sound))
    assert np.isfinite(field.encode(np.zeros(500, np.float32))).all()
    with pytest.raises(NotStreamable, match="loudness='peak' needs the whole recording"):
        field.front()
    again = field_from_json(json.loads(json.dumps(field_to_json(field))))
    np.testing.assert_array_equal(again.encode(sound), field.encode(sound))


def test_features_computed_elsewhere_are_normalised_alone() -> None:
    field = Audio.fit([noise(3000)], AudioOptions(rate=RATE))
    raw = plain().encode(noise(900, 1))
    assert np.array_equal(field.encode(raw), field.number.encode(raw).astype(np.float32))


@pytest.mark.parametrize("normalise", ["training", "recording", "none"])
def test_the_field_survives_json_bit_for_bit(normalise: str) -> None:
    field = Audio.fit([noise(3000)], AudioOptions(rate=RATE, deltas=1, fmax=3333.3, normalise=normalise))
    again = field_from_json(json.loads(json.dumps(field_to_json(field))))
    assert isinstance(again, Audio)
    assert again.options == field.options
    assert np.array_equal(again.encode(noise(777, 5)), field.encode(noise(777, 5)))


def test_a_sound_is_named_by_its_length() -> None:
    field = plain()
    assert field.say(np.zeros(9600)) == "1.2 s at 8,000 Hz"
    assert field.say(Sound(np.zeros(120, np.float32), RATE)) == "0.015 s at 8,000 Hz"
    assert field.say(np.zeros((7, 40))) == "7 frames of 40 features"


def test_mistakes_are_named() -> None:
    field = plain()
    for value, said in (
        (np.zeros((5, 2)), r"float64 \(5, 2\): give one channel"),
        (np.zeros((5, 2, 2)), r"samples of one channel, \(samples,\), got \(5, 2, 2\)"),
        (np.zeros(5, np.int16), "floats from -1 to 1, got int16: divide 16-bit samples by 32768"),
        (np.array([0, np.nan]), "sample 1 is nan"),
        (np.array([0, 1e300]), "sample 1 is inf"),
        (np.full((2, 40), np.inf), "the features holds no finite number at frame 0, feature 0"),
        (Sound(np.zeros(5, np.float32), 16000), "expected a sound of 8,000 Hz, got one of 16,000"),
    ):
        with pytest.raises(DataError, match=said):
            field.encode(value)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"the encoded sound as numbers \(frames, 40\)"):
        field.decode(np.zeros((3, 39)))
    with pytest.raises(DataError, match="at least one sound to fit"):
        Audio.fit([np.zeros(0)])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hop": 0.03}, r"are 480 and 400 samples at rate=16000; expected a window of at least 2 and a hop from 1"),
        ({"hop": 1e-6}, "are 0 and 400 samples"),
        ({"fmin": 9000.0}, "fmin=9000.0 and fmax=None do not lie in this order up to half of rate=16000"),
        ({"fmax": 8001.0}, "do not lie in this order"),
        ({"features": "mfcc", "coefficients": 41}, "coefficients=41 are more than mels=40"),
        ({"fmin": float("nan")}, "fmin=nan"),
        ({"mel": 3}, "there is no option 'mel'. Did you mean 'mels'"),
        ({"mels": 200}, "Audio: band 5 of mels=200 holds no point of the spectrum, which has one each 31.2 Hz"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        Audio.fit([noise(100)], AudioOptions(**options))


@pytest.mark.parametrize(
    "change",
    [
        {"number": None},
        {"options": {"rate": 8000, "mels": 41}},
        {"options": {"rate": 8000, "normalise": "none"}},
        {"options": {"rate": 1 << 40}},
        {"options": {"rate": [8000]}},
        {"options": {"rate": 8000, "wide": 1}},
        {"options": {"rate": 8000, "mels": 256}},
    ],
)
def test_a_damaged_field_is_refused(change: dict[str, object]) -> None:
    data = Audio.fit([noise(3000)], AudioOptions(rate=RATE)).to_json()
    with pytest.raises(ModelFileError, match="load: "):
        Audio.from_json({**data, **change})
