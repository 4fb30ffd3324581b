"""The composer from pieces to pieces: what it learns, what it makes up, what it is told and what it tells."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unrolled.data.read.music import read_pieces
from unrolled.errors import DataError, OptionError
from unrolled.fields.notes import MusicPiece, to_midi
from unrolled.model import BrokenLaw, load
from unrolled.tasks import Composer


def chords(piece: MusicPiece, step: float = 1.0) -> list[list[int]]:
    """The pitches that sound at each step."""
    times = [t * step for t in range(round(piece.length / step))]
    return [sorted(n.pitch for n in piece.notes if n.start <= t < n.start + n.duration) for t in times]


def test_a_canon_is_learned_and_goes_on(canon: Composer, made: Any) -> None:
    # All is told by what was before but where a piece begins and, of events, where it ends: of 10.6 steps on average
    # the first has one of four notes, which as four that are independent take 2.25 nats, and are not learned exactly.
    report = canon.evaluate(made(20, seed=1))
    assert report.nats_per_step < 0.9
    [piece] = canon.predict([made(1)[0]], given=4, length=8, temperature=0)
    heard, given = chords(piece), made(1)[0][:4]
    assert heard[:4] == given
    assert piece.given == 4
    # An event model knows where pieces end.
    assert len(heard) >= 6
    begin = [0, 2, 4, 5].index(given[0][1] - 60)
    assert heard == [[48, 60 + (0, 2, 4, 5)[(begin + t) % 4]] for t in range(len(heard))]


def test_the_score_is_the_loss_of_a_step_and_the_count_is_of_steps(voices: Composer, made: Any) -> None:
    pieces = made(12, seed=2)
    report = voices.evaluate(pieces)
    assert report.steps == sum(map(len, pieces))
    alone = [voices.evaluate([piece]) for piece in pieces]
    # Sums of float32 losses, of batches of other shapes.
    assert report.nats == pytest.approx(sum(one.nats for one in alone), rel=1e-4)
    assert report.notes == sum(one.notes for one in alone)
    assert json.loads(json.dumps(report.to_json()))["nats_per_step"] == report.nats_per_step
    assert str(report).endswith(f"(12 pieces, {report.steps} steps, {report.notes} notes)")


def test_the_first_step_is_foretold_from_nothing(voices: Composer) -> None:
    net, width = voices.fitted().following, voices.fields["notes"].width
    data = voices.make_data(voices.made_up(0, 1), np.array([0]))
    batch = data.batch(np.array([0]))
    assert bool(batch.x[0, 0, :width].isnan().all())
    torch.testing.assert_close(batch.x[0, 1:, :width], batch.target[0, :-1])
    assert net.reader.output_size == 2 * width + batch.x.shape[2] - width


def test_a_seed_gives_the_same_pieces_however_many(canon: Composer) -> None:
    several = canon.generate(samples=3, length=12, seed=5)
    assert several == canon.generate(samples=3, length=12, seed=5)
    # One row beside others is rounded as those are in float32; notes are drawn by the same numbers all the same.
    assert canon.generate(samples=1, length=12, seed=5) == several[:1]
    assert canon.generate(samples=3, length=12, seed=6, temperature=2.0) != several
    assert all(piece.given == 0 for piece in several)


def test_generating_leaves_the_random_state_of_torch(canon: Composer) -> None:
    before = torch.random.get_rng_state()
    canon.generate(length=4)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_longer_piece_begins_as_the_shorter_one(voices: Composer) -> None:
    [short], [long] = voices.generate(length=6, seed=3), voices.generate(length=12, seed=3)
    assert chords(long)[:6] == chords(short)


def test_a_key_and_a_range_bound_what_is_composed_not_what_is_given(canon: Composer) -> None:
    prompt = MusicPiece.of_steps([[41, 61], [41, 63]])
    for seed in range(3):
        [piece] = canon.generate(prompt, length=10, temperature=3.0, key="D minor", lowest=50, highest=70, seed=seed)
        assert chords(piece)[:2] == [[41, 61], [41, 63]]
        new = [note for note in piece.notes if note.start >= 2]
        assert new
        assert {note.pitch % 12 for note in new} <= {2, 4, 5, 7, 9, 10, 0, 1}
        assert all(50 <= note.pitch <= 70 for note in new)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"key": "H moll"}, "key must be a note and major or minor, such as 'D minor' or 'Bb', got 'H moll'"),
        ({"lowest": 90}, r"no note is left from lowest=90 to highest=80: give a range within 40\.\.80"),
        ({"lowest": 61, "highest": 61, "key": "C"}, "no note is left from lowest=61 to highest=61 in C"),
        ({"length": 0}, "length must be a number of beats, one step or more, got 0"),
        ({"length": float("nan")}, "got nan"),
        ({"samples": 0}, "samples"),
        ({"temperature": -1.0}, "temperature must be a number of at least 0"),
        ({"tempo": 0}, "tempo must be"),
    ],
)
def test_what_cannot_be_composed_is_told(canon: Composer, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        canon.generate(**{"length": 4, **asked})


def test_several_pieces_are_no_prompt(voices: Composer, made: Any) -> None:
    with pytest.raises(DataError, match="expected one piece as a prompt, got 2; use predict"):
        voices.generate(made(2))


def test_pieces_of_other_lengths_go_on_as_they_do_alone(voices: Composer, made: Any) -> None:
    pieces = [made(1)[0], [], made(3, seed=4)[2]]
    together = voices.predict(pieces, length=6, temperature=0)
    for piece, found in zip(pieces, together, strict=True):
        alone = voices.generate(MusicPiece.of_steps(piece), length=6, temperature=0)
        assert chords(alone[0]) == chords(found)
        assert found.given == len(piece)


def test_midi_goes_in_and_out(canon: Composer, made: Any, tmp_path: Path) -> None:
    folder = tmp_path / "music"
    folder.mkdir()
    for number, steps in enumerate(made(3)):
        (folder / f"{number}.mid").write_bytes(to_midi(MusicPiece.of_steps(steps, tempo=90)))
    assert canon.evaluate(folder).pieces == 3
    pieces = canon.predict(folder, length=4)
    assert [round(piece.tempo) for piece in pieces] == [90] * 3
    for number, path in enumerate(canon.write(pieces, tmp_path / "new")):
        assert path == tmp_path / "new" / f"{number + 1}.mid"
        [back] = read_pieces(path).values
        assert back.notes == pieces[number].notes
    [alone] = canon.write(pieces[0], tmp_path / "one.mid")
    assert read_pieces(alone).values[0].notes == pieces[0].notes
    with pytest.raises(OptionError, match=r"expected a name that ends in \.mid"):
        canon.write(pieces[0], tmp_path / "one.wav")


def test_the_parts_of_a_source_are_learned_from_and_judged_by(small: dict[str, Any], made: Any) -> None:
    parts = {"train": made(20), "valid": made(6, seed=1), "test": made(5, seed=2)}
    model = Composer(**{**small, "epochs": 2}).fit(parts)
    assert "valid: part 'valid'" in model.understood
    assert model.history is not None
    assert model.history.evaluations
    report = model.evaluate(parts)
    assert (report.pieces, report.part) == (5, "test")
    assert "part 'test'" in str(report)
    assert model.evaluate(parts, part="valid").pieces == 6
    assert len(model.predict(parts, length=1)) == 5
    with pytest.raises(DataError, match=r"Expected a part called test, but the source has first, second: say which"):
        model.evaluate({"first": made(2), "second": made(2)})
    with pytest.raises(DataError, match="Expected a part called train or training, but the source has a"):
        Composer(**small).fit({"a": made(2)})
    other = Composer(**{**small, "epochs": 1}).fit({"a": made(4), "b": made(4)}, part="a", valid=0)
    assert other.understood[0].startswith("music: 4 pieces of memory, part 'a'")


def test_what_cannot_be_learned_from_is_told(small: dict[str, Any], made: Any) -> None:
    with pytest.raises(DataError, match="expected several pieces, of which some are held out, got one; give valid=0"):
        Composer(**small).fit(made(1))
    with pytest.raises(DataError, match="got silence alone"):
        Composer(**small).fit([[[], []], [[], []]])
    alone = Composer(**{**small, "epochs": 1}).fit(made(1), valid=0)
    assert alone.generate(length=2)[0].length == 2
    far = Composer(**{**small, "epochs": 1}).fit([[[60], [20]], [[60], [61]]], valid=0)
    assert "1 notes beyond 40..80 are left out" in far.understood


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bidirectional": True}, "no option 'bidirectional', for what comes next is what is learned"),
        ({"notes_encoding": "events", "voicing": "independent"}, "voicing is of a grid"),
        ({"notes_encoding": "events", "notes_struck": True}, "notes_struck is of a grid"),
        ({"notes_velocities": 4}, "notes_velocities=4 is of events"),
        ({"notes_lowest": 80, "notes_highest": 40}, "notes_lowest=80 lies above notes_highest=40"),
        ({"voicings": "x"}, "Did you mean 'voicing'"),
    ],
)
def test_options_that_do_not_go_together_are_told(options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        Composer(**options)


def test_the_laws_hold(canon: Composer) -> None:
    names = [verdict.name for verdict in canon.check().verdicts]
    assert names[-5:] == ["padding", "batch", "round trip of the fields", "round trip of the model", "leak"]


def test_a_target_that_is_read_is_caught(canon: Composer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The law of chunks is of the encoder; that nothing is foretold by itself is tried here."""
    data = canon.make_data(canon.made_up(0, 4), np.arange(4))
    net = copy.deepcopy(canon.fitted().following).double().eval()
    batch = data.batch(np.arange(4))
    later = batch.target.clone()
    later[:, 3] = 1 - later[:, 3] if later.is_floating_point() else 3
    x = batch.x.clone()
    if x.ndim == 2:
        x[:, 4:] = later[:, 3:-1]
    else:
        x[:, 4:, : later.shape[2]] = later[:, 3:-1]
    double = [leaf.double() if leaf.is_floating_point() else leaf for leaf in (batch.x, x)]
    with torch.no_grad():
        y, moved = (net.vectors(one, batch.lengths)[0] for one in double)
    assert torch.equal(y[:, :4], moved[:, :4])
    assert not torch.equal(y[:, 4:], moved[:, 4:])


def test_a_field_of_all_rows_is_caught(voices: Composer, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Composer.make_fields
    monkeypatch.setattr(Composer, "make_fields", lambda self, corpus, rows: plain(self, corpus, np.arange(len(corpus))))
    with pytest.raises(BrokenLaw, match="leak"):
        voices.check()


def test_a_saved_model_composes_the_same(canon: Composer, tmp_path: Path) -> None:
    again = load(canon.save(tmp_path / "canon.unrolled"))
    assert isinstance(again, Composer)
    assert again.generate(length=8, seed=2) == canon.generate(length=8, seed=2)
    assert again.understood == canon.understood


def test_vectors_of_pieces_are_of_unit_length_and_alike_where_pieces_are(canon: Composer, made: Any) -> None:
    pieces = [*made(3), made(3)[0], []]
    vectors = canon.embed(pieces)
    # The mean of an empty event sequence is that of its end.
    lengths = np.linalg.norm(vectors, axis=1)
    np.testing.assert_allclose(lengths[:4], 1)
    np.testing.assert_array_equal(vectors[0], vectors[3])


def test_struck_notes_come_apart_in_what_is_composed(small: dict[str, Any]) -> None:
    pieces = [MusicPiece.of([(t, 1, 60) for t in range(size)]) for size in (6, 8, 10, 12)]
    model = Composer(**{**small, "epochs": 60, "batch_size": 2, "notes_struck": True}).fit(pieces, valid=0)
    [piece] = model.generate(pieces[0], length=4, temperature=0, key="C")
    assert [note[:3] for note in piece.notes] == [(t, 1, 60) for t in range(10)]


def test_long_pieces_are_learned_from_in_stretches(small: dict[str, Any], made: Any) -> None:
    model = Composer(**{**small, "epochs": 6, "bptt": 4}).fit(made(60), valid=0)
    assert model.evaluate(made(10, seed=1)).nats_per_step < 2


def test_options_come_and_go_as_parameters_of_scikit_learn(small: dict[str, Any]) -> None:
    base = pytest.importorskip("sklearn.base")
    model = Composer(**small)
    twin = base.clone(model)
    assert twin is not model
    assert twin.get_params() == model.get_params() == small
    assert twin.set_params(voicing="independent").options.head.voicing == "independent"
    assert model.options.head.voicing == "conditioned"
