"""Texts of series, sounds and files; what is refused, what is understood, what is saved."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from unrolled.errors import DataError, OptionError
from unrolled.fields.sound import Sound
from unrolled.model import load
from unrolled.tasks import Recognizer

LAWS = ["padding", "batch", "round trip of the fields", "round trip of the model", "leak"]


def test_letters_are_learned_from_series_and_their_texts(clerk: Recognizer, letters: SimpleNamespace) -> None:
    series, texts = letters.spelled(30, seed=1)
    report = clerk.evaluate(series, texts)
    assert report.characters.rate < 0.05
    assert report.words.normaliser == "none"
    assert report.unknown == ()
    found = clerk.predict(series)
    assert (found.shape, found.dtype.kind) == ((30,), "U")
    assert str(report).startswith(f"{100 * report.words.rate:.2f} % word error rate")
    assert report.to_json()["cer"] == report.characters.rate


def test_the_laws_hold_and_a_saved_model_hears_the_same(
    clerk: Recognizer, letters: SimpleNamespace, tmp_path: Path
) -> None:
    assert [verdict.name for verdict in clerk.check().verdicts][-5:] == LAWS
    again = load(clerk.save(tmp_path / "model.unrolled"))
    assert isinstance(again, Recognizer)
    series, _ = letters.spelled(6, seed=2)
    assert again.transcribe(series, beam=4, nbest=2) == clerk.transcribe(series, beam=4, nbest=2)
    assert (again.notes, again.understood) == (clerk.notes, clerk.understood)
    again.check()


@pytest.mark.parametrize("options", [
    {"level": "word"}, {"level": "subword", "max_size": 270}, {"level": "word", "min_count": 2, "max_size": 5},
    {"lower": True}, {"stride": 1}, {"streaming": True, "layers": 2, "cell": "gru"}, {"bidirectional": False},
    {"time_masks": 2, "time_mask": 4, "band_masks": 1, "band_mask": 1, "feature_noise": 0.1},
    {"scaling": "none", "reading_dropout": 0.1, "head_dropout": 0.1}, {"scaling": "recording"},
    {"scaling": "running", "streaming": True},
])  # fmt: skip
def test_every_way_to_write_and_read_fits_saves_and_keeps_the_laws(
    options: dict[str, Any], letters: SimpleNamespace, tmp_path: Path
) -> None:
    if options.get("level") == "subword":
        pytest.importorskip("tokenizers")
    series, texts = letters.spelled(16)
    model = Recognizer(**{**letters.quick, "epochs": 1, **options}).fit(series, texts, valid=0)
    again = load(model.save(tmp_path / "model.unrolled"))
    assert isinstance(again, Recognizer)
    assert again.transcribe(series) == model.transcribe(series)
    model.check()


def test_words_have_their_times_in_steps_where_nobody_knows_seconds(
    clerk: Recognizer, letters: SimpleNamespace
) -> None:
    random = np.random.default_rng(5)
    first, second = letters.written("ab", random), letters.written("cb", random)
    gap = np.concatenate([np.tile(letters.written(" ", random)[2:3], (5, 1)), np.zeros((2, 4))])
    [found] = clerk.transcribe([np.concatenate([first, gap, second])])
    assert (found.text, found.seconds) == ("ab cb", False)
    assert [word.text for word in found.words] == ["ab", "cb"]
    # A code may be written at any frame of its letter; a frame is two steps.
    for word, low, high in zip(
        found.words, (0, len(first) + len(gap)), (len(first), len(first) + len(gap) + len(second)), strict=True
    ):
        assert low <= word.begin < word.end <= high + 1
        assert 0.5 < word.confidence <= 1


def test_a_text_too_long_for_its_input_is_named_with_both_numbers(letters: SimpleNamespace) -> None:
    series, texts = letters.spelled(6)
    with pytest.raises(DataError) as caught:
        Recognizer(**letters.quick).fit([*series[:5], np.zeros((5, 4))], [*texts[:5], "aab"], valid=0)
    assert str(caught.value) == (
        "fit: row 5 of the arrays has 3 frames (5 steps, 2 read at once), but its transcript 'aab' needs 4; choose a "
        "smaller stride, mend the transcript, or leave it out."
    )
    with pytest.raises(DataError, match=r"has 1 frame \(1 step, 2 read at once\), but its transcript 'ab' needs 2"):
        Recognizer(**letters.quick).fit([*series[:5], np.zeros((1, 4))], [*texts[:5], "ab"], valid=0)


def test_characters_that_only_held_out_texts_have_are_said_and_count_as_errors(letters: SimpleNamespace) -> None:
    series, texts = letters.spelled(20)
    options = {**letters.quick, "epochs": 1}
    model = Recognizer(**options).fit(series[:16], texts[:16], valid=(series[16:], ["é", *texts[17:]]))
    assert model.understood[-1] == "valid: 'é' never stand in the training transcripts, so they count as errors"
    assert "é" not in model.fields["transcript"].tokens
    report = model.evaluate(series[:2], ["é", "x"])
    assert report.unknown == ("é", "x")
    assert "never seen in training, so they count as errors: 'é', 'x'" in str(report)


def test_case_that_is_not_written_is_no_strange_character(letters: SimpleNamespace) -> None:
    series, texts = letters.spelled(8)
    model = Recognizer(**{**letters.quick, "epochs": 1}, lower=True)
    model.fit(series[:6], texts[:6], valid=(series[6:], [text.upper() for text in texts[6:]]))
    assert model.understood == ()
    assert model.evaluate(series[6:], [text.upper() for text in texts[6:]]).unknown == ()


def test_no_character_is_held_out_whole(letters: SimpleNamespace) -> None:
    series, texts = letters.spelled(20)
    for seed in range(4):
        model = Recognizer(**{**letters.quick, "epochs": 1}, seed=seed)
        model.fit(series, ["Z", *texts[1:]], valid=0.5)
        assert "Z" in model.fields["transcript"].tokens


def test_case_and_spaces_stay_as_they_stand(letters: SimpleNamespace) -> None:
    series, texts = letters.spelled(8)
    model = Recognizer(**{**letters.quick, "epochs": 1}).fit(series, [f"A  {text}"[: 2 + len(text)] for text in texts])
    assert {"A", "a", " "} <= set(model.fields["transcript"].tokens)


def test_nothing_said_is_learned_as_nothing(letters: SimpleNamespace) -> None:
    series, texts = letters.spelled(60)
    quiet = [0.1 * np.random.default_rng(i).normal(size=(20, 4)) for i in range(20)]
    model = Recognizer(**letters.quick).fit([*series, *quiet[:15]], [*texts, *[""] * 15])
    assert model.predict(quiet[15:]).tolist() == [""] * 5
    assert model.transcribe(quiet[15:16])[0].words == []


def test_a_score_tells_which_step_was_the_best_where_enough_are_held_out(letters: SimpleNamespace) -> None:
    options = {**letters.quick, "epochs": 3}
    few = Recognizer(**options).fit(*letters.spelled(30))
    many = Recognizer(**options).fit(*letters.spelled(30), valid=letters.spelled(24, seed=3))
    again = Recognizer(**options).fit(*letters.spelled(200), refit=True)
    histories = [model.history for model in (few, many, again)]
    assert [history is not None and history.best_step is not None for history in histories] == [False, True, False]


@pytest.mark.parametrize(("x", "y", "sentence"), [
    ("series", ["a"], "Expected one transcript for each of the 4 inputs of the arrays, got 1 in y: pair them up."),
    ("series", None, "Expected a transcript for each input, but got none: give them after the inputs, as y."),
    ("series", ["a", None, "b", "c"], "row 1 of the arrays, got None: write what is said, or '' where nothing is."),
    ("series", ["", "", "", ""], "fit: all 4 transcripts to learn from are empty; give some in which words are."),
    ("texts", None, "Expected recordings, series of numbers, drawings or pictures of lines with their"),
    ("one", ["a"], "fit: expected at least 2 examples to learn from, got 1"),
])  # fmt: skip
def test_what_cannot_be_learned_from_is_one_sentence(x: str, y: Any, sentence: str, letters: SimpleNamespace) -> None:
    series, _ = letters.spelled(4)
    sources = {"series": series, "texts": {"text": ["a", "b"], "label": ["c", "d"]}, "one": series[:1]}
    with pytest.raises(DataError) as caught:
        Recognizer(**letters.quick).fit(sources[x], y, valid=0)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(("text", "sentence"), [
    ("path,text\nnone.wav,a\n", "Line 2 of a.csv: There is no file"),
    ("path,text\na,a\n", "Line 2 of a.csv: There is no file"),
    ("path,text\n,a\n", "Expected the path of a sound file as 'path' in line 2 of a.csv, got None"),
    ("path,text\n\xff,a\n", "a.csv is not UTF-8 text"),
    ("sound,text\none.wav,a\n", "a.csv: expected a column audio_filepath, path, file, audio or filename"),
    ("path,text\na.csv,a\n", "Expected recordings, series of numbers, drawings or pictures of lines with their"),
])  # fmt: skip
def test_what_is_wrong_with_a_list_of_recordings_is_told_where_its_first_is_none(
    tmp_path: Path, text: str, sentence: str
) -> None:
    (tmp_path / "a.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError) as caught:
        Recognizer().fit(tmp_path / "a.csv")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(("options", "sentence"), [
    ({"streaming": True, "bidirectional": True}, "streaming=True reads forwards alone, got bidirectional=True"),
    ({"streaming": True, "scaling": "recording"}, "got scaling='recording', which needs the end"),
    ({"streaming": True, "normalise": "recording"}, "got normalise='recording' and loudness='recorded'"),
    ({"levle": "word"}, "there is no option 'levle'. Did you mean 'level'"),
    ({"vectors": "x"}, "there is no option 'vectors'"),
])  # fmt: skip
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OptionError) as caught:
        Recognizer(**options)
    assert sentence in str(caught.value)


def test_another_kind_of_input_is_refused(clerk: Recognizer) -> None:
    with pytest.raises(DataError, match="predict: expected series, as in training, got sounds; give series"):
        clerk.predict([Sound(np.zeros(800, np.float32), 8000)])


def test_no_input_has_no_text(clerk: Recognizer) -> None:
    assert clerk.predict([]).tolist() == []


def test_streaming_says_what_it_costs(live_clerk: Recognizer, clerk: Recognizer) -> None:
    assert any(said.startswith("streaming: the encoder reads forwards alone") for said in live_clerk.understood)
    assert live_clerk.streamable
    assert not clerk.streamable


def test_silence_is_learned_and_heard() -> None:
    tone = np.sin(np.arange(2400) / 3).astype(np.float32)
    sounds = [Sound(tone, 8000), Sound(np.zeros(4000, np.float32), 8000), Sound(np.zeros(0, np.float32), 8000)] * 6
    options = {"hidden_size": 8, "layers": 1, "mels": 8, "learning_rate": 0.03, "warmup": 0, "max_steps": 120}
    model = Recognizer(**options, head_dropout=0.0, feature_noise=0.0).fit(sounds, ["a", "", ""] * 6, valid=0)
    assert model.predict(sounds[:3]).tolist() == ["a", "", ""]
    model.check()


def test_a_sound_without_samples_has_no_room_for_a_text() -> None:
    sounds = [Sound(np.ones(n, np.float32), 8000) for n in (4000, 0)]
    with pytest.raises(DataError, match=r"row 1 of the sounds has 0 frames .* 'b' needs 1"):
        Recognizer(mels=8).fit(sounds, ["a", "b"], valid=0)


def test_a_sound_file_that_is_cut_short_is_named_with_its_line(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, np.sin(np.arange(4000) / 5), 8000)
    (tmp_path / "b.wav").write_bytes((tmp_path / "b.wav").read_bytes()[:3000])
    (tmp_path / "list.csv").write_text("path,text\na.wav,a\nb.wav,b\n")
    with pytest.raises(DataError, match=r"b\.wav \(line 3 of list\.csv\) is cut short"):
        Recognizer(mels=8).fit(tmp_path / "list.csv", valid=0)


def test_a_recording_is_drawn_with_its_words(clerk: Recognizer, letters: SimpleNamespace, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    series, _ = letters.spelled(3, seed=8)
    assert clerk.plot(series, tmp_path / "a.svg", row=2).read_text().count("steps") >= 1
    with pytest.raises(DataError, match="plot: expected a row from 0 to 2, got 3"):
        clerk.plot(series, tmp_path / "a.svg", row=3)


def test_columns_that_were_named_are_found_again(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    for number in range(4):
        soundfile.write(tmp_path / f"{number}.wav", np.sin(np.arange(2000 + number) / 5), 8000)
    (tmp_path / "list.csv").write_text("clip,said\n" + "".join(f"{n}.wav,{'ab'[n % 2]}\n" for n in range(4)))
    (tmp_path / "new.csv").write_text("clip\n" + "".join(f"{n}.wav\n" for n in range(3)))
    model = Recognizer(mels=8, hidden_size=4, layers=1, max_steps=1)
    model.fit(tmp_path / "list.csv", audio="clip", text="said", valid=0)
    assert len(model.predict(tmp_path / "new.csv")) == 3
    assert model.evaluate(tmp_path / "list.csv").words.texts == 4
    assert len(model.predict(tmp_path / "1.wav")) == 1
    assert model.understood == ("sounds: 4 recordings of list.csv; transcripts: column 'said'",)
