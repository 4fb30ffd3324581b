"""Drawings as inputs: what is seen as one, what its labels are, what a task makes of them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unrolled.errors import DataError, OptionError
from unrolled.fields.ink import Drawing
from unrolled.inputs.columns import LabelColumns
from unrolled.inputs.ink import InkInput
from unrolled.inputs.input import known_inputs
from unrolled.model import load
from unrolled.tasks import Classifier, Recognizer, Regressor

QUICK: dict[str, Any] = {"hidden_size": 12, "layers": 1, "epochs": 12, "learning_rate": 0.02, "batch_size": 8,
                         "bidirectional": False, "dropout": 0.0, "head_dropout": 0.0}  # fmt: skip
LETTERS = {"ell": [[(0, 0), (0, 4), (2, 4)]], "cross": [[(0, 2), (4, 2)], [(2, 0), (2, 4)]]}


def drawn(count: int, seed: int = 0) -> tuple[list[Drawing], list[str]]:
    random, labels = np.random.default_rng(seed), [list(LETTERS)[i % 2] for i in range(count)]
    drawings = [
        [np.array(stroke, float) * random.uniform(0.5, 2) + 0.1 * random.normal(size=(len(stroke), 2))
         for stroke in LETTERS[label]]
        for label in labels
    ]  # fmt: skip
    return drawings, labels


def omniglot(drawing: Drawing) -> str:
    lines = ["START"]
    for number, stroke in enumerate(drawing):
        lines += [f"{x:.6f},{-y:.6f},{100 * number + at:.1f}" for at, (x, y) in enumerate(stroke.tolist())] + ["BREAK"]
    return "\n".join(lines)


def inkml(drawing: Drawing, truth: str | None = None) -> str:
    said = "" if truth is None else f'<annotation type="truth">{truth}</annotation>'
    traces = "".join(f"<trace>{', '.join(f'{x} {y}' for x, y in stroke.tolist())}</trace>" for stroke in drawing)
    return f'<ink xmlns="http://www.w3.org/2003/InkML">{said}{traces}</ink>'


def kind_of(source: object) -> str:
    columns = LabelColumns()
    return next(kind for kind in known_inputs() if kind.recognises(source, columns)).kind


@pytest.fixture(scope="module")
def reader_of_letters() -> Classifier:
    return Classifier(**QUICK).fit(*drawn(40), valid=0)


def test_letters_are_told_apart_in_any_size(reader_of_letters: Classifier, tmp_path: Path) -> None:
    drawings, labels = drawn(20, seed=1)
    assert reader_of_letters.evaluate(drawings, labels).accuracy == 1
    reader_of_letters.check()
    again = load(reader_of_letters.save(tmp_path / "letters.unrolled"))
    assert isinstance(again, Classifier)
    np.testing.assert_array_equal(again.predict_proba(drawings), reader_of_letters.predict_proba(drawings))
    far = [[100 * stroke + 7 for stroke in drawing] for drawing in drawings]
    assert (reader_of_letters.predict(far) == labels).all()


def test_folders_of_texts_and_of_strokes_are_told_apart(tmp_path: Path) -> None:
    for name, (drawing, label) in enumerate(zip(*drawn(8), strict=True)):
        for folder, text in (("strokes", omniglot(drawing)), ("marks", inkml(drawing)), ("words", "START here")):
            (tmp_path / folder / label).mkdir(parents=True, exist_ok=True)
            ending = "inkml" if folder == "marks" else "txt"
            (tmp_path / folder / label / f"{name}.{ending}").write_text(text)
    assert [kind_of(tmp_path / folder) for folder in ("strokes", "marks", "words")] == ["drawings", "drawings", "texts"]
    for folder in ("strokes", "marks"):
        model = Classifier(**{**QUICK, "epochs": 1}).fit(tmp_path / folder, valid=0)
        assert set(model.classes_) == {"cross", "ell"}
        assert model.understood == (f"drawings: 8 of {folder}; labels: the names of their folders",)
        assert len(model.predict(tmp_path / folder)) == 8
    assert model.predict(tmp_path / "marks" / "ell" / "0.inkml").shape == (1,)


def test_a_table_or_a_folder_that_only_begins_like_drawings_is_one_of_texts(tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text(
        '{"text": "nice lines", "label": "drawing"}\n{"text": "words", "label": "b"}\n'
    )
    assert kind_of(tmp_path / "texts.jsonl") == "texts"
    (tmp_path / "blank.jsonl").write_text('\n{"word": "a", "drawing": [[[1, 2], [3, 4]]]}\n')
    assert kind_of(tmp_path / "blank.jsonl") == "drawings"
    for name, text in (("mails/a/0.txt", "START\nhere is a mail"), ("mails/b/0.txt", "another")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert kind_of(tmp_path / "mails") == "texts"


def test_strokes_in_any_folder_of_a_class_make_drawings_of_all(tmp_path: Path) -> None:
    for name, text in (("a/0.txt", "some words"), ("b/0.txt", omniglot(drawn(1)[0][0]))):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=r"START once, as the first line of a/0\.txt, but line 1 is 'some words'"):
        Classifier(**QUICK).fit(tmp_path)


def test_a_line_with_a_drawing_has_its_label_under_a_usual_or_a_given_name(tmp_path: Path) -> None:
    options, drawing = Classifier().options, [[[1, 2], [3, 4]]]
    for name, said in (("label", False), ("class", False), ("text", True), ("word", True)):
        path = tmp_path / f"{name}.ndjson"
        path.write_text("".join(json.dumps({name: word, "drawing": drawing}) + "\n" for word in ("a", "b")))
        found = InkInput.read(path, LabelColumns(said=said), options, labelled=True)
        assert found.labels == ["a", "b"]
    both = [{"word": "a", "hand": hand, "drawing": drawing} for hand in ("7", "8")]
    (tmp_path / "both.ndjson").write_text("".join(json.dumps(row) + "\n" for row in both))
    for label, labels in ((None, ["a", "a"]), ("hand", ["7", "8"])):
        found = InkInput.read(tmp_path / "both.ndjson", LabelColumns(label=label), options, labelled=True)
        assert found.labels == labels
    with pytest.raises(DataError, match=r"No line of both\.ndjson has a 'hend'"):
        InkInput.read(tmp_path / "both.ndjson", LabelColumns(label="hend"), options, labelled=True)


def test_an_annotation_of_inkml_has_its_label_under_the_type_that_is_named(tmp_path: Path) -> None:
    options = Classifier().options
    for name in "ab":
        (tmp_path / f"{name}.inkml").write_text(
            f'<ink><annotation type="truth">{name}</annotation><annotation type="writer">{name}7</annotation>'
            "<trace>1 2, 3 4</trace></ink>"
        )
    for label, labels in ((None, ["a", "b"]), ("writer", ["a7", "b7"])):
        found = InkInput.read(tmp_path, LabelColumns(label=label, said=True), options, labelled=True)
        assert found.labels == labels
    with pytest.raises(DataError, match=f"No drawing of {tmp_path.name} has a 'writter'"):
        InkInput.read(tmp_path, LabelColumns(label="writter", said=True), options, labelled=True)


def test_deeper_folders_and_a_zip_give_the_same(tmp_path: Path) -> None:
    for name, (drawing, label) in enumerate(zip(*drawn(4), strict=True)):
        place = tmp_path / "alphabets" / "Latin" / label / f"{name}_01.txt"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(omniglot(drawing))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for file in sorted((tmp_path / "alphabets").rglob("*.txt")):
            archive.write(file, file.relative_to(tmp_path / "alphabets").as_posix())
    # As archives are often packed: a folder of their own name holds all.
    with zipfile.ZipFile(tmp_path / "alphabets.zip", "w") as archive:
        for file in sorted((tmp_path / "alphabets").rglob("*.txt")):
            archive.write(file, file.relative_to(tmp_path).as_posix())
    options = Classifier().options
    for source in (tmp_path / "alphabets", tmp_path / "all.zip", tmp_path / "alphabets.zip"):
        assert kind_of(source) == "drawings"
        found = InkInput.read(source, LabelColumns(), options, labelled=True)
        assert found.labels == ["Latin/cross", "Latin/cross", "Latin/ell", "Latin/ell"]


def test_files_say_their_own_labels_and_a_list_of_drawings_none(tmp_path: Path) -> None:
    drawings, labels = drawn(6)
    lines = [
        json.dumps({"word": label, "drawing": [stroke.round().astype(int).T.tolist() for stroke in drawing]})
        for drawing, label in zip(drawings, labels, strict=True)
    ]
    (tmp_path / "some.ndjson").write_text("\n".join(lines))
    (tmp_path / "texts.jsonl").write_text('{"text": "a drawing", "label": "b"}')
    (tmp_path / "notes").mkdir()
    for name, (drawing, label) in enumerate(zip(drawings, labels, strict=True)):
        (tmp_path / "notes" / f"{name}.inkml").write_text(inkml(drawing, label))
    options = Recognizer().options
    for source in (tmp_path / "some.ndjson", tmp_path / "notes"):
        assert InkInput.read(source, LabelColumns(said=True), options, labelled=True).labels == labels
    assert kind_of(tmp_path / "texts.jsonl") == "texts"
    assert InkInput.read(drawings, LabelColumns(), options, labelled=True).labels is None
    with pytest.raises(DataError, match="Expected a label for each input, but got none"):
        Classifier(**QUICK).fit(drawings)


def test_moves_in_arrays_are_drawings_and_series_are_none(tmp_path: Path) -> None:
    rows = np.array([[0, 0, 0], [1, 2, 1], [0, 0, 0], [3, 1, 1]], np.int16)
    np.savez(tmp_path / "moves.npz", train=rows, train_lengths=np.array([2, 2]))
    np.savez(tmp_path / "series.npz", x=np.zeros((2, 3, 1)))
    assert [kind_of(tmp_path / f"{name}.npz") for name in ("moves", "series")] == ["drawings", "series"]
    np.savez(tmp_path / "parts.npz", **{f"{part}{end}": value for part in ("train", "test")
                                        for end, value in (("", rows), ("_lengths", np.array([2, 2])))})  # fmt: skip
    with pytest.raises(DataError, match=r"parts\.npz has the parts train, test, but one is expected: save each"):
        Classifier(**QUICK).fit(tmp_path / "parts.npz", ["a", "b"])
    plain = [[[0.0, 1], [2, 3]], [[4, 5], [6, 7]]]
    assert kind_of([plain, plain]) == "drawings"
    assert kind_of(plain) == "series"
    assert kind_of([np.zeros((3, 2))]) == "series"


def moves(drawings: list[Drawing], name: str) -> dict[str, np.ndarray]:
    """The arrays of a part of stroke-3: whole moves, the first of each from the origin."""
    rows = [
        np.column_stack([np.diff(np.concatenate(drawing), axis=0, prepend=0), lifted])
        for drawing in drawings
        for lifted in [np.concatenate([np.arange(len(stroke)) == len(stroke) - 1 for stroke in drawing])]
    ]
    return {name: np.concatenate(rows), f"{name}_lengths": np.array([len(one) for one in rows])}


def quickdraw(drawings: list[Drawing], word: str | None, *, raw: bool) -> str:
    """Lines with whole numbers, or with the times of the points."""
    said = {} if word is None else {"word": word, "recognized": True}
    lines = []
    for drawing in drawings:
        strokes = [[*(100 * stroke).round().T.tolist(), *([list(range(len(stroke)))] if raw else [])]
                   for stroke in drawing]  # fmt: skip
        lines.append(json.dumps({**said, "drawing": strokes}) + "\n")
    return "".join(lines)


def by_class(count: int, seed: int = 0) -> dict[str, list[Drawing]]:
    drawings, labels = drawn(count, seed)
    return {name: [one for one, label in zip(drawings, labels, strict=True) if label == name] for name in LETTERS}


def classed(path: Path, form: str, seed: int) -> Path:
    """Forty drawings of two classes as a file or folder of one of the forms in which labels come."""
    drawings, labels = drawn(40, seed)
    classes = by_class(40, seed)
    if form in ("labels", "y", "class", "train_labels"):
        known = np.array([list(LETTERS).index(label) for label in labels]) if form == "y" else np.array(labels)
        np.savez(path.with_suffix(".npz"), **moves(drawings, "train"), **{form: known})
        return path.with_suffix(".npz")
    if form == "parts":
        parts = [moves(classes[name], name) for name in LETTERS]
        np.savez(path.with_suffix(".npz"), **parts[0], **parts[1])
        return path.with_suffix(".npz")
    path.mkdir()
    for name, some in classes.items():
        if form == "files of moves":
            np.savez(path / f"{name}.npz", **moves(some, "x"))
        else:
            raw = form.startswith("raw")
            begin = "full_raw" if raw else "full_simplified"
            word = name if form.endswith("words") else None
            (path / f"{begin}_{name}.ndjson").write_text(quickdraw(some, word, raw=raw))
    return path


FORMS = ["labels", "y", "class", "train_labels", "parts", "files of moves", "raw words", "raw", "words", "simplified"]


@pytest.mark.parametrize("form", FORMS)
def test_a_classifier_learns_from_each_form_in_which_labels_come(form: str, tmp_path: Path) -> None:
    source, later = classed(tmp_path / "some", form, 0), classed(tmp_path / "more", form, 1)
    assert kind_of(source) == "drawings"
    model = Classifier(**QUICK).fit(source, valid=0)
    assert set(model.classes_) == ({"0", "1"} if form == "y" else set(LETTERS))
    assert model.evaluate(later).accuracy == 1
    found, drawings = model.predict(later), InkInput.read(later, LabelColumns(), model.options, labelled=True)
    assert found.tolist() == drawings.labels
    where = ", or the names of their files" if source.is_dir() else ""
    assert model.understood[0] == f"drawings: 40 of {source.name}; labels: as they stand there{where}"


def test_labels_that_do_not_fit_drawings_are_told(tmp_path: Path) -> None:
    drawings, labels = drawn(6)
    rows = moves(drawings, "train")
    for name, wrong, message in (
        ("few", {"labels": np.array(labels[:5])}, "'labels' of few.npz as a label for each of its 6 drawings.*got 5:"),
        ("deep", {"y": np.zeros((6, 2))}, r"'y' of deep\.npz as a label.*got an array of shape \(6, 2\)"),
        ("gap", {"y": np.array([0, 1, np.nan, 1, 0, 1])}, "a label for each drawing of gap.npz, but one is missing"),
        ("two", moves(drawings, "test"), r"two\.npz has the parts train, test, but one is expected"),
        ("none", {}, "none.npz has no labels: give them as y"),
    ):
        np.savez(tmp_path / f"{name}.npz", **rows, **wrong)
        with pytest.raises(DataError, match=message):
            Classifier(**QUICK).fit(tmp_path / f"{name}.npz")
    with pytest.raises(DataError, match=r"No drawing of none\.npz has a 'hand'"):
        Classifier(**QUICK).fit(tmp_path / "none.npz", label="hand")
    (tmp_path / "sets").mkdir()
    for name in ("cat", "dog"):
        np.savez(tmp_path / "sets" / f"{name}.npz", **rows, **moves(drawings, "test"))
    with pytest.raises(DataError, match=r"cat\.npz has the parts train, test, but one is expected"):
        Classifier(**QUICK).fit(tmp_path / "sets")
    np.savez(tmp_path / "own.npz", **rows, hand=np.array(labels))
    found = InkInput.read(tmp_path / "own.npz", LabelColumns(label="hand"), Classifier().options, labelled=True)
    assert found.labels == labels


def test_sets_in_folders_have_the_names_of_these_where_there_are_several(tmp_path: Path) -> None:
    options = Classifier().options
    for name, some in by_class(8).items():
        (tmp_path / "deep" / name).mkdir(parents=True)
        (tmp_path / "one" / "raw").mkdir(parents=True, exist_ok=True)
        (tmp_path / "deep" / name / "0.ndjson").write_text(quickdraw(some, None, raw=True))
        np.savez(tmp_path / "one" / "raw" / f"{name}.npz", **moves(some, "x"))
    for folder in ("deep", "one"):
        found = InkInput.read(tmp_path / folder, LabelColumns(), options, labelled=True)
        assert found.labels == ["cross"] * 4 + ["ell"] * 4
    assert found.places.of(5) == "drawing 1 of ell.npz"
    assert InkInput.read(tmp_path / "one", LabelColumns(), options, labelled=False).labels is None


def test_what_is_no_drawing_is_refused_by_its_place() -> None:
    drawings, labels = drawn(4)
    for wrong, message in (
        (
            [*drawings[:3], [np.array([[0.0, np.nan]])]],
            "row 3 of the drawings: expected finite numbers, got nan in stroke 0, point 0",
        ),
        ([*drawings[:3], [np.zeros((2, 5))]], r"points of x and y.*got an array of shape \(2, 5\)"),
        (
            [*drawings[:3], [np.zeros((0, 2))]],
            "row 3 of the drawings: expected at least one point, got none in stroke 0",
        ),
        (
            [[np.column_stack([one, np.arange(len(one))[::-1]]) for one in drawing] for drawing in drawings],
            "row 0 of the drawings: expected a clock that never runs back, got 1 s after 2 s in stroke 0, point 1",
        ),
    ):
        with pytest.raises(DataError, match=message):
            Classifier(**QUICK).fit(wrong, labels)


def test_a_dot_and_an_empty_drawing_are_answered(reader_of_letters: Classifier) -> None:
    found = reader_of_letters.predict_proba([[np.zeros((1, 2))], []])
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)


def test_what_is_of_sounds_is_refused() -> None:
    for options in ({"speeds": [0.9]}, {"frequency_warp": 0.1}):
        with pytest.raises(OptionError, match="are of sounds, got drawings"):
            Classifier(**QUICK, **options).fit(*drawn(8), valid=0)


def test_words_are_read_while_they_are_written(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    words, drawings = list[str](), list[Drawing]()
    for i in range(60):
        glyphs, labels = drawn(int(random.integers(1, 4)) * 2, seed=i)
        chosen = random.permutation(len(glyphs))[: max(1, len(glyphs) // 2)]
        words.append("".join("l" if labels[j] == "ell" else "x" for j in chosen))
        drawings.append([stroke + np.array([6.0 * at, 0]) for at, j in enumerate(chosen) for stroke in glyphs[j]])
    options = {**QUICK, "epochs": 30, "hidden_size": 24, "stride": 1, "linger": 4, "warmup": 0, "ink_distance": None}
    options.pop("bidirectional")
    model = Recognizer(**options, streaming=True).fit(drawings, words, valid=0)
    assert model.fields["ink"].streamable
    assert model.evaluate(drawings, words).characters.rate < 0.2
    live = model.stream()
    for drawing, expected in zip(drawings[:5], model.predict(drawings[:5]), strict=True):
        for stroke in drawing:
            live.push(np.column_stack([stroke, np.arange(len(stroke)) == len(stroke) - 1]))
        assert live.finish().text == expected
    with pytest.raises(OptionError, match="ink_size='drawing', which needs the end"):
        Recognizer(streaming=True, ink_size="drawing")
    pytest.importorskip("matplotlib")
    assert model.plot(drawings, tmp_path / "word.svg", row=3).read_text().count("stroke-linecap: round")


def test_a_number_is_learned_of_drawings() -> None:
    random = np.random.default_rng(0)
    angles = random.uniform(-1, 1, 80)
    drawings = [[np.outer(np.arange(5), [np.cos(a), np.sin(a)])] for a in angles]
    model = Regressor(**{**QUICK, "epochs": 30}, pen_degrees=0, pen_slant=0, pen_stretch=0).fit(drawings, angles)
    assert model.score(drawings, angles) > 0.8
