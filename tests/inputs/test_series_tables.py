"""Tables with a row for each step as series that a classifier reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from unrolled.data.panel.steps import StepColumns
from unrolled.errors import DataError, OptionError
from unrolled.inputs import SeriesInput, TextInput
from unrolled.inputs.columns import LabelColumns
from unrolled.model import load
from unrolled.tasks import Classifier
from unrolled.tasks.reading.labelled import read_examples

OPTIONS = Classifier().options
QUICK = {"hidden_size": 8, "layers": 1, "learning_rate": 0.02, "head_dropout": 0.0, "epochs": 8}


def slopes(count: int, seed: int = 0) -> pd.DataFrame:
    """Series that rise or fall, a row a step, in any order."""
    random, rows = np.random.default_rng(seed), []
    for i in range(count):
        for step in range(int(random.integers(4, 10))):
            x = (1 if i % 2 else -1) * step + 0.05 * random.normal()
            rows.append(
                {"who": f"n{i}", "at": step, "x": x, "z": float(random.normal()), "kind": ("down", "up")[i % 2]}
            )
    return pd.DataFrame(rows).sample(frac=1, random_state=seed, ignore_index=True)


def test_a_classifier_learns_from_a_table_and_reads_others_alike(tmp_path: Path) -> None:
    rows = slopes(60)
    rows.to_csv(tmp_path / "x.csv", index=False)
    model = Classifier(**QUICK).fit(tmp_path / "x.csv", id="who", time="at")
    assert model.understood[-3:] == (
        "time: column 'at'; the rows of 60 series came in another order and were sorted",
        "channels: x, z",
        "labels: column 'kind'",
    )
    test = slopes(20, seed=1)
    assert model.evaluate(test).accuracy >= 0.95
    again = load(model.save(tmp_path / "x.unrolled"))
    assert isinstance(again, Classifier)
    # Columns in another order, others beside them, and no labels: the channels are those of training.
    other = test[["z", "x", "at", "who"]].assign(more=1.0)
    assert again.predict(other).tolist() == model.predict(test).tolist()
    # The same series as arrays.
    arrays = [part.sort_values("at")[["x", "z"]].to_numpy() for _, part in test.groupby("who", sort=False)]
    assert model.predict(arrays).tolist() == model.predict(test).tolist()
    model.check()


def test_a_column_of_a_usual_name_is_seen_and_texts_stay_texts() -> None:
    rows = slopes(6).rename(columns={"who": "id"})
    found = read_examples(rows, None, LabelColumns(), OPTIONS, labelled=True)
    assert isinstance(found.inputs, SeriesInput)
    assert found.columns.steps == StepColumns("id", None, ("at", "x", "z"))
    assert found.columns.label == "kind"
    texts = pd.DataFrame({"id": [1, 1, 2, 2], "n": [1, 2, 3, 4], "text": list("abcd"), "label": list("xyxy")})
    assert isinstance(read_examples(texts, None, LabelColumns(), OPTIONS, labelled=True).inputs, TextInput)


def test_a_label_that_changes_within_a_series_is_refused() -> None:
    rows = slopes(6)
    rows.loc[5, "kind"] = "sideways"
    with pytest.raises(DataError, match=r"Column 'kind' changes within series 'n\d', from .* a Tagger"):
        Classifier(**QUICK).fit(rows, id="who", time="at")


def test_labels_may_stand_in_some_rows_alone_or_come_beside_the_table() -> None:
    rows = slopes(6).sort_values(["who", "at"])
    some = rows.assign(kind=rows.kind.where(~rows.duplicated("who")))
    columns = LabelColumns(label="kind", steps=StepColumns("who", "at"))
    found = read_examples(some, None, columns, OPTIONS, labelled=True)
    assert found.labels == ["down", "up"] * 3
    alone = LabelColumns(steps=StepColumns("who", "at"))
    assert read_examples(rows.drop(columns="kind"), list("ababab"), alone, OPTIONS, labelled=True).labels == list(
        "ababab"
    )
    with pytest.raises(DataError, match="series 'n0' of the table has no label"):
        read_examples(some.assign(kind=some.kind.where(some.who != "n0")), None, columns, OPTIONS, labelled=True)


def test_columns_named_for_what_is_no_table_of_series_are_refused() -> None:
    with pytest.raises(OptionError, match="id='who' and time=None"):
        Classifier(**QUICK).fit([np.zeros((3, 1)), np.ones((3, 1))] * 4, ["a", "b"] * 4, id="who")
