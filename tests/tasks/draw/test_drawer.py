"""Drawers: what is drawn from keywords, seeds, begun drawings; scores by hand; laws; what cannot be drawn."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import unrolled as ur
from unrolled.errors import DataError, ModelFileError, OptionError, UnrolledError
from unrolled.fields.ink import Drawing
from unrolled.model.artefact import read_artefact, write_artefact
from unrolled.tasks import Drawer
from unrolled.tasks.draw.retrieval import candidates_of, retrieval_rate

# Sums of some ten terms, each off by a few units in float32; steps and whole sequences round in another order.
CLOSE = 1e-4


def same(one: Any, other: Any) -> bool:
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_keyword_is_drawn(sketcher: Drawer) -> None:
    drawn = {name: sketcher.generate(name, samples=5, temperature=0.3) for name in ("circle", "cross")}
    strokes = {name: {len(one) for one in some} for name, some in drawn.items()}
    assert strokes == {"circle": {1}, "cross": {2}}
    points = [len(one[0]) for one in sketcher.generate("zigzag", samples=5, temperature=0.3)]
    assert points == [4] * 5


def test_words_of_a_caption_are_painted_also_in_an_order_of_their_own(painter: Drawer) -> None:
    for picture in painter.generate("grey over", samples=5, temperature=0.3):
        assert set(np.unique(picture)) <= {0, 130, 255}
        assert (picture == 130).any()
    assert painter.generate("black over white", temperature=0)[0].shape == (4, 4, 3)


def test_without_a_keyword_anything_is_drawn(sketcher: Drawer, doodler: Drawer, painter: Drawer) -> None:
    for model in (sketcher, doodler):
        assert {len(one) for one in model.generate(samples=12, temperature=0.5, seed=1)} >= {1, 2}
    assert len({picture.tobytes() for picture in painter.generate(samples=8)}) > 1


def test_the_same_seed_gives_the_same_drawing_however_many_are_asked_for(
    sketcher: Drawer, doodler: Drawer, painter: Drawer
) -> None:
    for model in (sketcher, doodler, painter):
        four, two = model.generate(samples=4, seed=7), model.generate(samples=2, seed=7)
        assert all(same(one, other) for one, other in zip(four, two, strict=False))
        assert not same(four[0], four[1])
        assert not same(four[0], model.generate(seed=8)[0])


def test_the_likeliest_drawing_needs_no_seed(sketcher: Drawer, painter: Drawer) -> None:
    for model, word in ((sketcher, "circle"), (painter, "grey")):
        one, other = (model.generate(word, temperature=0, seed=seed)[0] for seed in (0, 1))
        assert same(one, other)


def test_a_drawing_goes_on_from_where_it_was_begun(sketcher: Drawer) -> None:
    begun = [np.array([[100.0, 50], [130, 80]])]
    [whole] = sketcher.generate("cross", begun=begun, temperature=0.3)
    # What was given comes back as it is, up to what float32 holds of moves of such a size.
    np.testing.assert_allclose(whole[0], begun[0], atol=1e-4)
    assert len(whole) == 2
    [again] = sketcher.predict([begun], keyword="cross", temperature=0.3)
    assert same(whole, again)
    # The second stroke of a cross ends where the first one is far.
    assert np.abs(whole[1][:, 0] - 115).max() < 40


def test_a_picture_goes_on_from_its_upper_rows(painter: Drawer) -> None:
    upper = np.zeros((4, 8, 3), np.uint8)
    [whole] = painter.generate("black over white", begun=upper, temperature=0)
    assert not whole[:2].any()
    assert set(np.unique(whole[2:])) == {0, 255} or set(np.unique(whole[2:])) == {255}
    with pytest.raises(DataError, match="expected the upper rows of a picture"):
        painter.generate(begun=np.zeros((9, 8, 3), np.uint8))


def test_a_drawing_is_no_longer_than_asked_for(sketcher: Drawer, painter: Drawer) -> None:
    assert sum(map(len, sketcher.generate("circle", length=3)[0])) == 3
    assert (painter.generate("black over grey", length=4, temperature=0)[0][1:] == 255).all()


def log_probs(model: Drawer, drawing: Any, words: Any) -> float:
    """log p of a drawing, step by step, each read as it is while one draws."""
    net: Any = model.fitted()
    medium = model._medium
    course = medium.course(None, None)
    total, state = 0.0, net.begin(words)
    with torch.no_grad():
        for step in torch.from_numpy(medium.steps(drawing)[1]):
            y, state = net.advance(course.read(), state)
            value = step[None] if step.is_floating_point() else step[None].long()
            total += float(net.next.head.log_prob(y, value)[0])
            course.add(value)
    assert course.over
    return total


@pytest.mark.parametrize("name", ["sketcher", "doodler", "painter"])
def test_the_score_is_that_of_steps_taken_one_by_one(
    name: str, drawn: SimpleNamespace, request: pytest.FixtureRequest
) -> None:
    model: Drawer = request.getfixturevalue(name)
    values, names = (drawn.flags if name == "painter" else drawn.shapes)(9, seed=3)
    said = [None if name == "doodler" else model._words(each) for each in names]
    total = sum(log_probs(model, one, words) for one, words in zip(values, said, strict=True))
    found = model.evaluate(values, names)
    steps = sum(16 if name == "painter" else sum(map(len, one)) - 1 for one in values)
    assert found.steps == steps
    assert len(values) == 9
    if name == "painter":
        wanted = -total / steps / math.log(2)
    else:
        moves = np.concatenate([np.diff(np.concatenate(one), axis=0) for one in values])
        assert moves.std() / 2 < found.deviation < 2 * moves.std()
        # The network tells densities of moves in sizes over spreads.
        ink = model.fields["ink"]
        wanted = -total / steps - 2 * math.log(found.deviation / (ink.size * ink.spread))
    assert found.score == pytest.approx(wanted, abs=CLOSE)


def test_the_score_of_strokes_does_not_depend_on_the_unit(drawn: SimpleNamespace) -> None:
    values, names = drawn.shapes(60)
    large = [[stroke * 64 for stroke in one] for one in values]
    one, other = (Drawer(**drawn.plain, epochs=2).fit(each, names).evaluate(each, names) for each in (values, large))
    assert one.score == other.score
    assert other.deviation == 64 * one.deviation


def test_what_drawings_are_called_helps_to_predict_them(
    sketcher: Drawer, painter: Drawer, drawn: SimpleNamespace
) -> None:
    for model, data in ((sketcher, drawn.shapes), (painter, drawn.flags)):
        found = model.evaluate(*data(60, seed=5))
        assert found.alone is not None
        assert found.score < found.alone


def test_drawings_are_found_by_what_they_are_called_among_ten(drawn: SimpleNamespace) -> None:
    random = np.random.default_rng(0)
    bands = [np.repeat(random.permutation(4)[:3], (2, 1, 1)) for _ in range(300)]
    pictures = [np.repeat(band[:, None] * 80, 4, 1).astype(np.uint8) for band in bands]
    names = [" ".join("abcd"[k] + str(i) for i, k in enumerate(band[[0, 2, 3]])) for band in bands]
    model = Drawer(**drawn.plain, size=4, colours=4, epochs=12).fit(pictures[:250], names[:250], valid=0)
    found = model.evaluate(pictures[250:], names[250:])
    assert found.retrieval is not None
    assert found.retrieval > 0.9
    assert "its own drawing among 10 by likelihood" in str(found)
    assert json.loads(json.dumps(found.to_json()))["metric"] == "bits a pixel"


def test_candidates_are_called_otherwise_and_equal_gains_find_nothing() -> None:
    names = [f"{i % 12}" for i in range(40)]
    candidates = candidates_of(names, 0)
    assert candidates is not None
    assert candidates[:, 0].tolist() == list(range(40))
    for row in candidates.tolist():
        assert len({names[i] for i in row}) == 10
    assert candidates_of(names[:9], 0) is None
    alone = -5.0 * np.arange(40)
    assert retrieval_rate(names, 0, alone, lambda rows, called: alone[rows]) == 0
    assert retrieval_rate(names, 0, alone, lambda rows, called: alone[rows] + (rows == called)) == 1


def test_every_drawer_keeps_the_laws(sketcher: Drawer, doodler: Drawer, painter: Drawer) -> None:
    for model in (sketcher, doodler, painter):
        laws = [verdict.name for verdict in model.check().verdicts]
        assert laws[-5:] == ["padding", "batch", "round trip of the fields", "round trip of the model", "leak"]


def test_a_saved_drawer_draws_the_same(sketcher: Drawer, painter: Drawer, tmp_path: Path) -> None:
    for model, word in ((sketcher, "cross"), (painter, "white")):
        again = ur.load(model.save(tmp_path / f"{word}.unrolled"))
        assert isinstance(again, Drawer)
        assert same(model.generate(word, seed=4)[0], again.generate(word, seed=4)[0])


def test_a_file_of_no_drawings_is_refused(sketcher: Drawer, tmp_path: Path) -> None:
    whole = read_artefact(sketcher.save(tmp_path / "whole.unrolled"))
    content = copy.deepcopy(whole.content)
    content["fields"]["strokes"] = content["fields"].pop("ink")
    path = write_artefact(whole._replace(content=content), tmp_path / "changed.unrolled")
    with pytest.raises(ModelFileError, match="a drawer with a field ink or palette, got caption, strokes"):
        ur.load(path)


def test_a_model_that_is_not_fitted_says_so() -> None:
    with pytest.raises(UnrolledError, match="fit"):
        Drawer().generate()


def test_an_interrupted_fit_goes_on_to_the_same_drawer(drawn: SimpleNamespace, tmp_path: Path) -> None:
    def stop(event: Any) -> None:
        if getattr(event, "step", 0) == 7:
            raise KeyboardInterrupt

    values, names = drawn.shapes(60)
    options = {**drawn.plain, "epochs": 3, "head_dropout": 0.2, "pen_stretch": 0.2, "checkpoint_every_steps": 5}
    whole = Drawer(**options).fit(values, names, valid=0.1)
    with pytest.raises(KeyboardInterrupt):
        Drawer(**options).fit(values, names, valid=0.1, run=tmp_path, callbacks=[stop])
    again = Drawer(**options).fit(values, names, valid=0.1, run=tmp_path, resume=True)
    for name, weight in whole.fitted().state_dict().items():
        assert torch.equal(weight, again.fitted().state_dict()[name]), name


def test_other_hands_change_the_training_and_nothing_else(drawn: SimpleNamespace) -> None:
    values, names = drawn.shapes(60)
    one, other = (Drawer(**drawn.plain, epochs=1, pen_degrees=degrees).fit(values, names) for degrees in (0.0, 20.0))
    assert not torch.equal(
        one.fitted().next.head.log_prob(torch.zeros(1, 32), torch.zeros(1, 3)),
        other.fitted().next.head.log_prob(torch.zeros(1, 32), torch.zeros(1, 3)),
    )  # type: ignore[union-attr, operator]
    other.fitted().eval()
    assert other.evaluate(values, names) == other.evaluate(values, names)


def test_words_that_no_drawing_is_called_are_understood_by_vectors(drawn: SimpleNamespace, tmp_path: Path) -> None:
    vectors = tmp_path / "vectors.txt"
    near = {"circle": (1, 0), "ring": (0.9, 0.1), "cross": (0, 1), "plus": (0.1, 0.9), "zigzag": (-1, -1)}
    vectors.write_text("".join(f"{word} {x} {y}\n" for word, (x, y) in near.items()))
    options = {**drawn.plain, "embedding_size": None}
    model = Drawer(**options, epochs=15, vectors=str(vectors), vectors_frozen=True).fit(*drawn.shapes(180))
    assert {len(one) for one in model.generate("plus", samples=4, temperature=0.2)} == {2}
    assert {len(one) for one in model.generate("ring", samples=4, temperature=0.2)} == {1}
    with pytest.raises(DataError, match="got 'square'"):
        model.generate("square")


def test_keywords_that_mean_nothing_are_told(sketcher: Drawer, doodler: Drawer, painter: Drawer) -> None:
    with pytest.raises(DataError, match=r"one of the 3 classes that the model knows.* Did you mean 'circle'\?"):
        sketcher.generate("circel")
    with pytest.raises(DataError, match=r"some of the 4 words that the model knows.*got 'green', 'gray'"):
        painter.generate("green over gray")
    with pytest.raises(DataError, match="got none"):
        painter.generate(" -, ")
    # A mark that no caption has says nothing.
    assert same(painter.generate("grey, over", seed=1)[0], painter.generate("grey over", seed=1)[0])
    with pytest.raises(OptionError, match="what drawings are called was not learned"):
        doodler.generate("circle")


def test_captions_that_come_again_and_again_are_classes_and_nothing_else_if_asked(drawn: SimpleNamespace) -> None:
    values, _ = drawn.shapes(60)
    names = ["a big dog", "a cat"] * 30
    quick = {**drawn.plain, "epochs": 1, "max_steps": 1}
    classes = Drawer(**quick).fit(values, names)
    assert classes.understood[-1] == "keywords: 2 classes"
    assert classes.generate("a big dog")
    words = Drawer(**quick, keywords="words").fit(values, names)
    assert words.generate("dog a")
    assert "caption" not in Drawer(**quick, keywords="none").fit(values, names).fields


@pytest.mark.parametrize(
    ("source", "y", "message"),
    [
        ([], None, "expected"),
        ([[]], None, "expected"),
        (["a text"], None, "expected drawings"),
        ([[np.zeros((3, 2))]] * 4, ["a", "b"], "what each of 4 drawings is called, got 2"),
        ([[np.zeros((3, 2))]] * 2, ["a", ""], "row 1 .* has nothing that it is called|has nothing that it is called"),
        ([[np.zeros((3, 2))], []] * 3, None, "a drawing of one point at least, got none"),
    ],
)
def test_what_is_no_set_of_drawings_is_told(source: Any, y: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Drawer(epochs=1).fit(source, y)


def test_a_drawing_of_one_point_is_drawn_as_a_dot(drawn: SimpleNamespace) -> None:
    dots: list[Drawing] = [[np.array([[3.0, 4.0]])]] * 30
    lines, names = drawn.shapes(30)
    model = Drawer(**drawn.plain, epochs=2).fit([*dots, *lines], [*["dot"] * 30, *names])
    assert [len(one[0]) for one in model.generate(samples=12, seed=2)].count(1) > 2
    assert model.evaluate(lines, names).steps == sum(sum(map(len, one)) - 1 for one in lines)
    with pytest.raises(DataError, match="two points at least"):
        model.evaluate(dots, ["dot"] * 30)


def test_one_medium_is_not_the_other(sketcher: Drawer, painter: Drawer, drawn: SimpleNamespace) -> None:
    with pytest.raises(DataError, match="expected drawings, as in training, got pictures"):
        sketcher.evaluate(*drawn.flags(3))
    with pytest.raises(DataError, match="expected pictures, as in training, got drawings"):
        painter.predict(drawn.shapes(3)[0])


@pytest.mark.parametrize("option", [{"samples": 0}, {"temperature": -1.0}, {"temperature": math.nan}, {"length": 0}])
def test_options_out_of_range_are_told(sketcher: Drawer, option: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(option))):
        sketcher.generate("circle", **option)


def test_what_was_given_and_what_was_drawn_are_told_apart(
    sketcher: Drawer, painter: Drawer, drawn: SimpleNamespace, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    begun = [one[:1] for one in drawn.shapes(6)[0] if len(one) == 2]
    drawn_on = sketcher.plot(begun, tmp_path / "on.svg", keyword="cross").read_text()
    fresh = sketcher.plot(None, tmp_path / "new.svg", keyword="cross", samples=2).read_text()
    assert "#1f6fb2" in drawn_on
    assert "#1f6fb2" not in fresh
    upper = np.zeros((4, 8, 3), np.uint8)
    assert painter.plot([upper], tmp_path / "painted.png").stat().st_size > 500
