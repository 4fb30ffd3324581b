"""A captioner says in words what any kind of input shows: from a vector, from steps, or from the cells of a picture."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from unrolled.data.batch.examples import PickedColumn
from unrolled.errors import DataError, OptionError
from unrolled.inputs import SeriesInput
from unrolled.model import BrokenLaw, load
from unrolled.nn.reading.attention import Attention
from unrolled.score.captions import caption_scores
from unrolled.tasks import Captioner


def test_a_series_is_told_in_words(teller: Captioner, told: SimpleNamespace) -> None:
    series, texts = told.climbs(40, 1)
    assert teller.kind is SeriesInput
    assert np.mean([said == text for said, text in zip(teller.predict(series), texts, strict=True)]) > 0.9
    assert teller.fitted().encoder is not None


def test_a_picture_is_told_from_the_cells_of_its_grid(viewer: Captioner, told: SimpleNamespace) -> None:
    pictures, texts = told.cards(30, 1)
    assert viewer.fitted().encoder is None
    known = [{text.lower() for text in several} for several in texts]
    assert np.mean([said in several for said, several in zip(viewer.predict(pictures), known, strict=True)]) > 0.9


def test_a_drawing_is_told_in_words_and_an_empty_one_in_none(told: SimpleNamespace) -> None:
    random = np.random.default_rng(0)
    lines = {
        "a flat stroke": [[0, 0], [9, 0]],
        "an upright stroke": [[0, 0], [0, 9]],
        "a corner": [[0, 9], [0, 0], [9, 0]],
    }
    texts = [str(random.choice(list(lines))) for _ in range(60)]
    drawings = [[np.array(lines[text], float) + random.normal(size=2)] for text in texts]
    model = Captioner(**told.quick, ink_distance=0.2, pen_degrees=0, layers=1).fit(drawings[:50], texts[:50])
    assert model.predict([*drawings[50:], []]) == [*texts[50:], ""]
    with pytest.raises(DataError, match="row 10 of the drawings is empty, so there is nothing to look at"):
        model.attention([*drawings[50:], []], row=10)


def test_a_caption_may_start_from_a_vector_alone(told: SimpleNamespace) -> None:
    series, texts = told.climbs(120)
    model = Captioner(**told.quick, attention="none").fit(series[20:], texts[20:])
    assert np.mean([said == text for said, text in zip(model.predict(series[:20]), texts, strict=False)]) > 0.8
    with pytest.raises(OptionError, match="expected a model with attention, but it has attention='none'"):
        model.attention(series[:1])


def test_whether_an_encoder_reads_first_may_be_chosen(told: SimpleNamespace) -> None:
    few = {"max_steps": 2}
    encoded = Captioner(**told.pictured | few, encode=True).fit(*told.cards(12))
    plain = Captioner(**told.quick | few, encode=False).fit(*told.climbs(12))
    assert encoded.fitted().encoder is not None
    assert plain.fitted().encoder is None
    assert plain.predict(told.climbs(3)[0])


def test_each_caption_is_an_example_and_each_picture_is_kept_once(viewer: Captioner, told: SimpleNamespace) -> None:
    pictures, texts = told.cards(6)
    texts[1], texts[4] = [], texts[4][:1]
    corpus = viewer._captioned(pictures, texts, viewer._columns())
    data = viewer.make_data(corpus, np.array([4, 0, 1, 3]))
    assert len(data) == 1 + 2 + 0 + 2
    source = data.parts[0]
    assert isinstance(source, PickedColumn)
    assert len(source.column) == 6
    batch = data.batch(np.arange(5))
    said = [viewer.fields["caption"].decode(row[:length]) for row, length in zip(*batch.target[:2], strict=True)]
    assert said == [text.lower() for row in (4, 0, 3) for text in texts[row]]
    values = batch.source.values.numpy()
    assert (values[1] == values[2]).all()
    assert (values[0] != values[1]).any()


def test_pictures_are_held_out_with_all_their_captions(viewer: Captioner, told: SimpleNamespace) -> None:
    corpus = viewer._captioned(*told.cards(40), viewer._columns())
    rows, held = viewer.split(corpus, 0.25)
    assert len(held) == 10
    assert not set(corpus.pairs(rows)[1]) & set(corpus.pairs(held)[1])
    assert len(corpus.pairs(rows)[1]) + len(corpus.pairs(held)[1]) == 80


def test_evaluate_scores_against_all_captions_of_each(viewer: Captioner, told: SimpleNamespace) -> None:
    pictures, texts = told.cards(20, 2)
    report = viewer.evaluate(pictures, texts)
    assert report.scores == caption_scores(viewer.predict(pictures), texts)
    assert (report.captions, report.references) == (20, 40)
    assert report.to_json()["bleu"] > 0.9
    assert "CIDEr-D" in str(report)
    assert "20 captions, 40 references" in str(report)
    texts[0] = []
    assert viewer.evaluate(pictures, texts).captions == 19


def test_candidates_come_best_first(teller: Captioner) -> None:
    rise = np.ones((2, 1))
    [first] = teller.candidates([rise], nbest=3)
    assert [score for _, score in first] == sorted((score for _, score in first), reverse=True)
    assert len({text for text, _ in first}) == 3
    assert teller.predict([rise]) == [first[0][0]]
    with pytest.raises(OptionError, match="nbest must be from 1 to the width of 2, got 3"):
        teller.candidates([rise], width=2, nbest=3)


def test_where_it_looks_is_a_share_of_each_step_or_cell(
    teller: Captioner, viewer: Captioner, told: SimpleNamespace
) -> None:
    (series, _), (pictures, _) = told.climbs(3), told.cards(3)
    for model, source, steps, grid in ((teller, series, len(series[1]), None), (viewer, pictures, 4, (2, 2))):
        looked = model.attention(source, row=1)
        assert looked.weights.shape == (len(looked.words), steps)
        assert looked.weights.sum(1) == pytest.approx(np.ones(len(looked.words)), abs=1e-5)
        assert looked.words[-1] == "</s>"
        assert looked.grid == grid
    assert teller.attention(series, "up then up").words == ["up", "then", "up", "</s>"]
    with pytest.raises(DataError, match="expected a row from 0 to 2, got 3"):
        teller.attention(series, row=3)


def test_pictures_of_the_same_thing_have_vectors_next_to_each_other(viewer: Captioner, told: SimpleNamespace) -> None:
    pictures, texts = told.cards(40, 5)
    vectors = viewer.embed(pictures)
    assert vectors.shape == (40, viewer.fitted().reader.output_size)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(40), abs=1e-6)
    near = (vectors @ vectors.T - 2 * np.eye(40)).argmax(1)
    assert np.mean([texts[one] == texts[two] for one, two in enumerate(near)]) > 0.9
    # A row alone is as it is in a batch, up to the rounding of float32 sums of a few hundred terms.
    assert viewer.embed(pictures[3:4])[0] == pytest.approx(vectors[3], abs=1e-5)


def test_a_vocabulary_of_all_captions_is_caught(viewer: Captioner, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Captioner.make_fields

    def leaky(self: Captioner, corpus: Any, rows: np.ndarray) -> dict[str, Any]:
        return plain(self, corpus, np.arange(len(corpus)))

    monkeypatch.setattr(Captioner, "make_fields", leaky)
    with pytest.raises(BrokenLaw, match="leak"):
        viewer.check()


def test_words_that_look_at_the_padding_are_caught(teller: Captioner, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Attention.remember
    monkeypatch.setattr(
        Attention, "remember", lambda self, values, lengths: plain(self, values, lengths * 0 + values.shape[1])
    )
    with pytest.raises(BrokenLaw, match=r"padding|batch"):
        teller.check()


def test_a_saved_model_says_the_same(viewer: Captioner, told: SimpleNamespace, tmp_path: Path) -> None:
    pictures, _ = told.cards(5, 3)
    again = load(viewer.save(tmp_path / "cards.unrolled"))
    assert isinstance(again, Captioner)
    assert again.predict(pictures) == viewer.predict(pictures)
    assert again.notes == viewer.notes


def test_a_fitted_captioner_keeps_the_laws(teller: Captioner, viewer: Captioner) -> None:
    for model in (teller, viewer):
        names = [verdict.name for verdict in model.check().verdicts]
        assert names[-5:] == ["padding", "batch", "round trip of the fields", "round trip of the model", "leak"]


def test_words_may_start_from_vectors(told: SimpleNamespace, tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("up 1 2 3\ndown -1 -2 -3\n")
    few = {name: value for name, value in told.quick.items() if name != "embedding_size"} | {"max_steps": 0}
    model = Captioner(**few | {"max_steps": 1, "learning_rate": 1e-9}, vectors=str(file)).fit(*told.climbs(12))
    weight, text = model.fitted().embedding.weight.detach().numpy(), model.fields["caption"]
    assert weight.shape[1] == 3
    assert weight[text.encode("up")[0]] == pytest.approx([1, 2, 3], abs=1e-6)
    load(model.save(tmp_path / "model.unrolled"))


def listed(folder: Path, told: SimpleNamespace) -> Path:
    """A table of cards, two rows each, the last four of another part."""
    image = pytest.importorskip("PIL.Image")
    (folder / "cards").mkdir()
    with (folder / "list.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "caption", "split"])
        for number, (card, texts) in enumerate(zip(*told.cards(16), strict=True)):
            image.fromarray(card).save(folder / "cards" / f"{number}.png")
            rows.writerows([f"{number}.png", text, "test" if number >= 12 else "train"] for text in texts)
    return folder / "list.csv"


def test_a_list_of_files_is_learned_from_by_its_parts(told: SimpleNamespace, tmp_path: Path) -> None:
    file, images = listed(tmp_path, told), tmp_path / "cards"
    model = Captioner(**told.pictured | {"max_steps": 3})
    model.fit(file, images=images, part="train", valid_part="test")
    assert "captions: 24 of 12 files, column 'caption'" in model.understood
    assert model.evaluate(file, images=images, part="test").references == 8
    assert len(model.predict(file, images=images)) == 16
    assert len(model.predict(images)) == 16
    assert len(model.predict(images / "3.png")) == 1
    everything = Captioner(**told.pictured | {"max_steps": 1}).fit(file, images=str(images), valid=0)
    assert "column 'split' says test, train: all are read; part= chooses one" in everything.understood


def test_what_is_learned_from_a_part_stops_by_a_file_of_its_own(told: SimpleNamespace, tmp_path: Path) -> None:
    file, images = listed(tmp_path, told), tmp_path / "cards"
    held = images / "held.json"
    content = {"images": [{"id": 1, "file_name": "2.png"}], "annotations": [{"image_id": 1, "caption": "a red square"}]}
    held.write_text(json.dumps(content))
    Captioner(**told.pictured | {"max_steps": 3}).fit(file, images=images, part="train", valid=held)


@pytest.mark.parametrize(("options", "sentence"), [
    ({"attention": "none", "feeding": True}, "feeding=True needs an attention, got 'none'"),
    ({"copying": "pointer"}, "there is no option 'copying', for there are no words in what is read"),
    ({"spelling": "cnn"}, "there is no option 'spelling', for captions are written, not read"),
    ({"levl": "char"}, "'levl'"),
])  # fmt: skip
def test_options_that_cannot_be_are_told(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence):
        Captioner(**options)


@pytest.mark.parametrize(("source", "captions", "how", "sentence"), [
    (["a text", "another"], ["x", "y"], {}, "Expected pictures, videos or other inputs with their captions, got texts"),
    ([np.ones((2, 1))] * 3, ["x", "y"], {}, "Expected a caption for each of the 3 inputs of the arrays, got 2"),
    ([np.ones((2, 1))] * 2, ["x", 3], {}, "as the caption of row 1 of the arrays, got 3: write"),
    ([np.ones((2, 1))] * 2, [[], ""], {}, "All captions of the arrays are empty"),
    ([np.ones((2, 1))] * 2, None, {}, "Expected a caption for each input of the arrays, but got none"),
    ([np.ones((2, 1))] * 2, ["x", "y"], {"part": "train"}, "part= is for a list of files with captions, but a list is"),
    ([np.ones((2, 1))] * 2, ["x", "y"], {"image": "file"}, "image='file' is a column of a list of files, but the arr"),
    ([np.ones((2, 1))] * 2, "xy", {}, "Expected a list of captions, one for each input, but got 'xy'"),
])  # fmt: skip
def test_data_that_cannot_be_learned_from_are_told(
    source: Any, captions: Any, how: dict[str, Any], sentence: str, told: SimpleNamespace
) -> None:
    with pytest.raises((DataError, OptionError), match=sentence):
        Captioner(**told.quick).fit(source, captions, **how)


def test_inputs_of_another_kind_are_told(teller: Captioner, viewer: Captioner, told: SimpleNamespace) -> None:
    with pytest.raises(DataError, match="predict: expected pictures, as in training, got series; give pictures"):
        viewer.predict(told.climbs(2)[0])
    with pytest.raises(DataError, match="valid: expected series, as in training, got pictures"):
        Captioner(**told.quick).fit(*told.climbs(20), valid=told.cards(3))


def test_where_each_word_looked_is_drawn(
    teller: Captioner, viewer: Captioner, told: SimpleNamespace, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    for model, source in ((teller, told.climbs(2)[0]), (viewer, told.cards(2)[0])):
        path = model.plot(source, tmp_path / f"{model.kind.field}.svg", row=1)
        text = path.read_text()
        assert text.count("<text") + text.count("<!-- ") > 3
