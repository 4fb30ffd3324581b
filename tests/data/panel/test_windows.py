import json

import numpy as np
import pandas as pd
import pytest
import torch

from unrolled.data import (
    Columns,
    Panel,
    PanelFields,
    SeriesArrays,
    Windows,
    build_panel,
    extend_panel,
    separate_targets,
)
from unrolled.errors import DataError, OptionError

COLUMNS = Columns("ds", ("y", "z"), "unique_id", ("holiday", "tariff"), ("wind", "sky"), ("size", "region"))
ROWS = {"b": 40, "a": 25}


def frame() -> pd.DataFrame:
    random = np.random.default_rng(0)
    parts = []
    for name, rows in ROWS.items():
        values = random.normal(50.0, 9.0, (rows, 4))
        values[random.random((rows, 4)) < 0.1] = np.nan
        part = pd.DataFrame(values, columns=["y", "z", "holiday", "wind"])
        part["tariff"] = random.choice(["low", "high"], rows)
        part["sky"] = random.choice(["clear", "rain", None], rows)
        part["size"], part["region"] = len(name), f"region {name}"
        parts.append(part.assign(unique_id=name, ds=pd.date_range("2020-01-01", periods=rows, freq="h")))
    return pd.concat(parts, ignore_index=True)


def sliding(arrays: SeriesArrays, last: np.ndarray | None = None) -> Windows:
    """Every window of 6 rows and 3, with targets before row `last` (S,) of their series."""
    cuts = [np.arange(6, end - 2) for end in (arrays.lengths if last is None else last)]
    series = np.repeat(np.arange(len(cuts)), [len(each) for each in cuts])
    return Windows(arrays, 6, 3, series, np.concatenate(cuts))


def last(arrays: SeriesArrays) -> Windows:
    """One window for each series, whose targets are its last 3 rows."""
    return Windows(arrays, 6, 3, np.arange(len(arrays.lengths)), arrays.lengths - 3)


@pytest.fixture
def panel() -> Panel:
    return build_panel(frame(), COLUMNS)


@pytest.fixture
def arrays(panel: Panel) -> SeriesArrays:
    return PanelFields.fit(panel, series_code=True).encode(panel, dtype=np.float64)


def test_a_batch_holds_the_rows_that_slicing_gives(arrays: SeriesArrays) -> None:
    windows = sliding(arrays)
    assert len(windows) == (40 - 8) + (25 - 8)
    assert np.array_equal(windows.lengths, np.full(len(windows), 9))
    rows = np.array([0, 31, 32, 48, 5])
    batch = windows.batch(rows)
    past, codes = arrays.sizes.past, len(arrays.sizes.past_codes)
    for i, row in enumerate(rows):
        series, cut = windows.series[row], windows.cuts[row]
        at = arrays.target_starts[series] + cut
        assert np.array_equal(batch.past[i], arrays.target[at - 6 : at])
        assert np.array_equal(batch.past_mask[i], arrays.mask[at - 6 : at])
        assert np.array_equal(batch.past_known[i], arrays.covariates[at - 6 : at])
        assert np.array_equal(batch.past_codes[i], arrays.codes[at - 6 : at])
        assert np.array_equal(batch.future_known[i], arrays.covariates[at : at + 3, past:])
        assert np.array_equal(batch.future_codes[i], arrays.codes[at : at + 3, codes:])
        assert np.array_equal(batch.target[i], arrays.target[at : at + 3])
        assert np.array_equal(batch.target_mask[i], arrays.mask[at : at + 3])
        assert np.array_equal(batch.static[i], arrays.static[series])
        assert np.array_equal(batch.static_codes[i], arrays.static_codes[series])
        assert (batch.series[i], batch.cut[i]) == (series, cut)


def test_widths_and_types_are_those_announced(arrays: SeriesArrays) -> None:
    sizes, batch = arrays.sizes, sliding(arrays).batch(np.arange(4))
    assert batch.past_known.shape == (4, 6, sizes.past + sizes.future)
    assert batch.future_known.shape == (4, 3, sizes.future)
    assert batch.static.shape == (4, sizes.static)
    assert sizes.static_codes == (3, 3)
    assert (sizes.past_codes, sizes.future_codes) == ((3,), (3,))
    assert batch.past.dtype == torch.float64
    assert batch.past_codes.dtype == batch.static_codes.dtype == batch.series.dtype == torch.int64
    assert all(torch.isfinite(leaf.double()).all() for leaf in batch)
    assert sliding(arrays).chunks(batch, 2) == [batch]


def test_missing_values_are_zero_and_masked(panel: Panel, arrays: SeriesArrays) -> None:
    missing = np.isnan(panel.target)
    assert missing.any()
    assert np.array_equal(arrays.mask, (~missing).astype(float))
    assert (arrays.target[missing] == 0).all()
    wind = np.isnan(panel.past[:, 0])
    assert np.array_equal(arrays.covariates[:, 1], (~wind).astype(float))


def test_the_scaler_gives_the_user_s_values_back(panel: Panel, arrays: SeriesArrays) -> None:
    batch = sliding(arrays).batch(np.arange(10))
    values = arrays.scaler.decode(batch.target.numpy(), batch.series.numpy())
    rows = panel.offsets[batch.series.numpy()] + batch.cut.numpy()
    expected = panel.target[rows[:, None] + np.arange(3)]
    np.testing.assert_allclose(np.where(np.isnan(expected), np.nan, values), expected, rtol=1e-12)


def test_what_lies_after_the_cut_changes_nothing_before_it() -> None:
    ends = np.array([30, 15])
    table, changed = frame(), frame()
    late = changed.groupby("unique_id", sort=False).cumcount().to_numpy() >= changed["unique_id"].map(
        {"b": 30, "a": 15}
    )
    changed.loc[late, ["y", "z", "holiday", "wind"]] = 1e6
    changed.loc[late, ["tariff", "sky"]] = "never seen in training"
    fields = [PanelFields.fit(build_panel(t, COLUMNS), ends) for t in (table, changed)]
    assert json.dumps(fields[0].to_json()) == json.dumps(fields[1].to_json())
    batches = []
    for t in (table, changed):
        arrays = fields[0].encode(build_panel(t, COLUMNS))
        training = sliding(arrays, ends)
        forecast = Windows(arrays, 6, 3, np.array([0, 1]), ends)
        batches.append((training.batch(np.arange(len(training))), forecast.batch(np.arange(2))))
    for before, after in zip(batches[0][0], batches[1][0], strict=True):
        assert torch.equal(before, after)
    for name in ("past", "past_mask", "past_known", "past_codes", "static", "static_codes"):
        assert torch.equal(getattr(batches[0][1], name), getattr(batches[1][1], name)), name
    assert not torch.equal(batches[0][1].target, batches[1][1].target)


def test_past_covariates_of_the_horizon_are_not_in_the_batch() -> None:
    table, changed = frame(), frame()
    changed.loc[changed.index[-3:], ["wind"]] = 1e6
    changed.loc[changed.index[-3:], ["sky"]] = "clear"
    fields = PanelFields.fit(build_panel(table, COLUMNS))
    before, after = (last(fields.encode(build_panel(t, COLUMNS))).batch(np.arange(2)) for t in (table, changed))
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_fields_survive_json(panel: Panel) -> None:
    fields = PanelFields.fit(panel, np.array([30, 20]), scaling="robust", series_code=True)
    again = PanelFields.from_json(json.loads(json.dumps(fields.to_json())))
    left, right = fields.encode(panel), again.encode(panel)
    assert left.sizes == right.sizes
    for name in ("target", "mask", "covariates", "codes", "static", "static_codes"):
        assert np.array_equal(getattr(left, name), getattr(right, name)), name


def test_separate_targets_are_the_columns_one_by_one(arrays: SeriesArrays) -> None:
    separate = separate_targets(arrays)
    assert np.shares_memory(separate.covariates, arrays.covariates)
    assert separate.sizes.static_codes == (3, 3, 3)
    windows = sliding(arrays)
    whole, rows = windows.batch(np.arange(len(windows))), np.arange(len(windows))
    for column in range(2):
        alone = Windows(separate, 6, 3, windows.series * 2 + column, windows.cuts).batch(rows)
        assert torch.equal(alone.past, whole.past[:, :, column : column + 1])
        assert torch.equal(alone.target_mask, whole.target_mask[:, :, column : column + 1])
        assert torch.equal(alone.past_known, whole.past_known)
        assert torch.equal(alone.future_codes, whole.future_codes)
        assert (alone.static_codes[:, -1] == column + 1).all()
        values = separate.scaler.decode(alone.target.numpy(), alone.series.numpy())
        expected = arrays.scaler.decode(whole.target.numpy(), whole.series.numpy())
        np.testing.assert_array_equal(values[..., 0], expected[..., column])
    assert np.array_equal(separate.parent[separate.column == 1], [0, 1])


def test_the_last_window_of_an_extended_panel_is_the_forecast(panel: Panel) -> None:
    known = Columns("ds", ("y",), "unique_id")
    plain = build_panel(frame(), known)
    arrays = PanelFields.fit(plain).encode(extend_panel(plain, 3), dtype=np.float64)
    batch = last(arrays).batch(np.arange(2))
    assert np.array_equal(batch.cut, [40, 25])
    assert not batch.target_mask.any()
    history = PanelFields.fit(plain).encode(plain, dtype=np.float64)
    assert np.array_equal(batch.past[1], history.target[-6:])


def test_rows_before_a_series_are_missing_not_its_neighbour_s(arrays: SeriesArrays) -> None:
    for prepared, start in ((arrays, 40), (separate_targets(arrays), 40)):
        number = 1 if prepared is arrays else 2
        batch = Windows(prepared, 60, 3, np.array([number]), np.array([4]), pad=True).batch(np.array([0]))
        assert not batch.past_mask[0, :56].any()
        assert not batch.past[0, :56].any()
        assert not batch.past_known[0, :56].any()
        assert not batch.past_codes[0, :56].any()
        assert np.array_equal(batch.past_known[0, 56:], arrays.covariates[start : start + 4])
        assert np.array_equal(batch.past[0, 56:], arrays.target[start : start + 4, : prepared.sizes.target])


def test_padded_and_plain_windows_agree_where_nothing_is_missing(arrays: SeriesArrays) -> None:
    plain = Windows(arrays, 6, 3, np.array([0, 1]), np.array([10, 12]))
    mixed = Windows(arrays, 6, 3, np.array([0, 1, 1]), np.array([10, 12, 2]), pad=True)
    for a, b in zip(plain.batch(np.arange(2)), mixed.batch(np.arange(3)), strict=True):
        assert torch.equal(a, b[:2])


def test_a_series_never_seen_is_scaled_by_its_own_rows(panel: Panel) -> None:
    fields = PanelFields.fit(panel.select([0]))
    arrays = fields.encode(panel, dtype=np.float64, ends=np.array([40, 10]))
    own = panel.target[40:50]
    np.testing.assert_allclose(arrays.scaler.center[1], np.nanmean(own, axis=0))
    np.testing.assert_array_equal(arrays.scaler.center[0], fields.target.center[0])


def test_a_panel_that_does_not_fit_the_fields_is_refused(panel: Panel) -> None:
    fields = PanelFields.fit(panel)
    with pytest.raises(DataError, match="'wind' held numbers when the model was fitted, but holds text now"):
        fields.encode(build_panel(frame().assign(wind="strong"), COLUMNS))
    with pytest.raises(DataError, match="steps of h as in the fit, but the series has steps of 2h"):
        fields.encode(build_panel(frame(), COLUMNS, step="2h", resample="mean"))
    with pytest.raises(DataError, match="Expected the columns the model was fitted on"):
        fields.encode(build_panel(frame(), Columns("ds", ("y",), "unique_id")))


@pytest.mark.parametrize("name", ["lookback", "horizon"])
def test_windows_without_a_row_are_refused(arrays: SeriesArrays, name: str) -> None:
    with pytest.raises(OptionError, match=name):
        Windows(arrays, **{"lookback": 6, "horizon": 3, name: 0}, series=np.array([0]), cuts=np.array([10]))


def test_a_cut_outside_its_series_is_refused(arrays: SeriesArrays) -> None:
    with pytest.raises(OptionError, match="a cut at row 23 of series 'a' with 25 rows"):
        Windows(arrays, 6, 3, np.array([1]), np.array([23]))
