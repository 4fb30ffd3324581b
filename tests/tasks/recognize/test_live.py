"""Recognition while it is said: any split into pieces says what the whole says."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from unrolled.errors import DataError, NotStreamable, OptionError
from unrolled.fields.sound import Sound
from unrolled.tasks import Recognizer
from unrolled.tasks.recognize.live import LiveRecognition, LiveText
from unrolled.tasks.recognize.transcription import Transcription

SEARCHES: list[dict[str, Any]] = [
    {}, {"beam": 4, "nbest": 2}, {"beam": 4, "lexicon": "training"}, {"hot_words": ["ab"], "word_bonus": 0.5},
]  # fmt: skip


def in_pieces(live: LiveRecognition, whole: np.ndarray, random: np.random.Generator) -> list[LiveText]:
    """What is said after each piece; some are empty."""
    cuts = np.sort(random.integers(0, len(whole) + 1, int(random.integers(0, 9))))
    return [live.push(piece) for piece in np.split(whole, cuts)]


def same(found: Transcription, expected: Transcription) -> None:
    """Texts, words and times exactly. Sums of a few dozen float32 terms in another order may differ in their last bits:
    a part in a million of numbers that are no larger than some tens."""
    assert (found.text, len(found.hypotheses)) == (expected.text, len(expected.hypotheses))
    assert [word[:3] for word in found.words] == [word[:3] for word in expected.words]
    for one, other in zip(found.hypotheses, expected.hypotheses, strict=True):
        assert one.text == other.text
        assert one[1:] == pytest.approx(other[1:], rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("search", SEARCHES)
def test_any_split_says_what_the_whole_says(
    search: dict[str, Any], live_clerk: Recognizer, letters: SimpleNamespace
) -> None:
    series, _ = letters.spelled(6, seed=7)
    live = live_clerk.stream(**search)
    for seed, (values, expected) in enumerate(zip(series, live_clerk.transcribe(series, **search), strict=True)):
        random = np.random.default_rng(seed)
        for _ in range(4):
            said = in_pieces(live, values, random)
            same(live.finish(), expected)
            # What was sure stays, whatever follows.
            for before, after in zip(said, [*said[1:], LiveText(expected.text, "", False)], strict=True):
                assert after.stable.startswith(before.stable)


def test_sound_in_any_pieces_says_what_the_whole_says() -> None:
    random = np.random.default_rng(0)
    sounds, texts = [], []
    for number in range(24):
        text = "".join(random.choice(["l", "h"], 3))
        tones = [np.sin(2 * np.pi * {"l": 400, "h": 1500}[one] * np.arange(900) / 8000) for one in text]
        sounds.append(np.concatenate([np.pad(tone, (0, 300)) for tone in tones]).astype(np.float32))
        sounds[-1] += 0.01 * np.random.default_rng(number).normal(size=len(sounds[-1])).astype(np.float32)
        texts.append(text)
    recordings = [Sound(samples, 8000) for samples in sounds]
    options = {"hidden_size": 12, "layers": 1, "epochs": 40, "learning_rate": 0.03, "warmup": 0, "batch_size": 8,
               "feature_noise": 0.0, "linger": 5}  # fmt: skip
    model = Recognizer(**options, mels=8, streaming=True, head_dropout=0.0).fit(recordings, texts, valid=0)
    whole = model.transcribe(recordings)
    assert sum(found.text == text for found, text in zip(whole, texts, strict=True)) >= 20
    assert whole[0].seconds
    # Up to the end of the last frame, which holds three steps of 10 ms, and the time that is left after the sound.
    assert all(0 <= word.begin < word.end <= len(sounds[0]) / 8000 + 0.03 + 0.05 for word in whole[0].words)
    live = model.stream()
    for samples, expected in zip(sounds[:8], whole, strict=False):
        in_pieces(live, samples, random)
        same(live.finish(), expected)


@pytest.mark.parametrize("motion", [False, True])
def test_videos_in_any_pieces_say_what_the_whole_says(motion: bool) -> None:
    """A spot that goes up or down, then up or down again: what it does, as letters."""
    pytest.importorskip("PIL")
    random, videos, texts = np.random.default_rng(0), [], []
    for _ in range(24):
        text = "".join(random.choice(["u", "d"], 2))
        places = np.concatenate([np.arange(6)[:: 1 if way == "d" else -1] for way in text])
        video = random.integers(0, 60, (12, 8, 8), dtype=np.uint8)
        for frame, place in zip(video, places, strict=True):
            frame[place : place + 2, 3:5] = 250
        videos.append(video[..., None])
        texts.append(text)
    options = {"hidden_size": 12, "layers": 1, "epochs": 3, "video_widths": [4], "video_features": 8, "linger": 5}
    model = Recognizer(**options, video_motion=motion, stride=2, streaming=True).fit(videos, texts, valid=0)
    live = model.stream(beam=4)
    for video, expected in zip(videos[:8], model.transcribe(videos[:8], beam=4), strict=True):
        in_pieces(live, video, random)
        same(live.finish(), expected)


def test_series_that_are_measured_as_they_come_say_the_same(letters: SimpleNamespace) -> None:
    series, texts = letters.spelled(12)
    options = {**letters.quick, "epochs": 2, "scaling": "running"}
    model = Recognizer(**options, streaming=True).fit([3 * values + 5 for values in series], texts, valid=0)
    live = model.stream(beam=4)
    for seed, (values, expected) in enumerate(zip(series, model.transcribe(series, beam=4), strict=True)):
        in_pieces(live, values, np.random.default_rng(seed))
        same(live.finish(), expected)


def test_nothing_pushed_is_nothing_said(live_clerk: Recognizer) -> None:
    live = live_clerk.stream(beam=4)
    assert live.push(np.zeros((0, 4))) == ("", "", False)
    assert live.finish().text == ""
    assert live_clerk.stream().finish() == Transcription("", [], [], False, [])


def test_a_pause_ends_an_utterance(live_clerk: Recognizer, letters: SimpleNamespace) -> None:
    series, _ = letters.spelled(5, seed=9)
    live, never = live_clerk.stream(pause=16), live_clerk.stream()
    for values in series:
        quiet = 0.1 * np.random.default_rng(0).normal(size=(40, 4))
        assert not live.push(quiet).over
        assert not live.push(values).over
        assert live.push(quiet).over
        never.push(values)
        assert not never.push(quiet).over
        live.finish()
    with pytest.raises(OptionError, match="pause must be above 0"):
        live_clerk.stream(pause=0)


@pytest.mark.parametrize("search", SEARCHES)
def test_what_is_kept_grows_with_the_text_alone(search: dict[str, Any], live_clerk: Recognizer) -> None:
    live, random, sizes = live_clerk.stream(**search), np.random.default_rng(0), []
    for _ in range(8):
        said = live.push(0.1 * random.normal(size=(1000, 4)))
        assert len(said.stable) < 5
        sizes.append(len(pickle.dumps(live)))
    # 500 frames a push, which would be 10,000 bytes.
    assert max(sizes[1:]) < sizes[0] + 2000


@pytest.mark.parametrize("search", SEARCHES)
def test_after_each_utterance_as_little_is_kept_as_before(
    search: dict[str, Any], live_clerk: Recognizer, letters: SimpleNamespace
) -> None:
    live, sizes = live_clerk.stream(pause=16, **search), []
    quiet = np.zeros((40, 4))
    for values in letters.spelled(12, seed=11)[0]:
        live.push(values)
        assert live.push(quiet).over
        live.finish()
        sizes.append(len(pickle.dumps(live)))
    # What a lexicon or a search has looked at for the first time it may keep.
    assert max(sizes) < sizes[0] + 1000


def test_a_stream_of_many_utterances_without_an_end_says_what_the_whole_says(
    live_clerk: Recognizer, letters: SimpleNamespace
) -> None:
    whole = np.concatenate(letters.spelled(40, seed=3)[0])
    [expected] = live_clerk.transcribe([whole], beam=4, nbest=3)
    live = live_clerk.stream(beam=4, nbest=3)
    for piece in np.array_split(whole, 100):
        live.push(piece)
    found = live.finish()
    same(found, expected)
    assert len(found.tokens) > 200
    assert [one[:3] for one in found.tokens] == [one[:3] for one in expected.tokens]
    assert [one.confidence for one in found.tokens] == pytest.approx(
        [one.confidence for one in expected.tokens], abs=1e-5
    )


def test_a_model_that_reads_both_ways_cannot_hear_live(clerk: Recognizer) -> None:
    with pytest.raises(NotStreamable, match="this model reads both ways, so it needs the whole recording"):
        clerk.stream()


def test_features_that_need_the_end_cannot_be_heard_live() -> None:
    sounds = [Sound(np.sin(np.arange(4000) / n).astype(np.float32), 8000) for n in (3, 5, 7)]
    options = {"hidden_size": 4, "layers": 1, "max_steps": 1, "mels": 8, "bidirectional": False}
    model = Recognizer(**options, normalise="recording").fit(sounds, ["a", "b", "c"], valid=0)
    with pytest.raises(NotStreamable, match="normalise='recording' needs the whole recording"):
        model.stream()


def test_pieces_of_another_shape_are_refused(live_clerk: Recognizer) -> None:
    with pytest.raises(DataError, match="expected the series as"):
        live_clerk.stream().push(np.zeros((5, 3)))
