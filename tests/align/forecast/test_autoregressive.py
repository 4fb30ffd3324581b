"""The autoregressive forecast: its shapes, its laws, what it feeds back, and that it learns."""

from __future__ import annotations

import pytest
import torch
from forecast_windows import BARE, FULL, autoregressive, random_windows, wave_windows

from unrolled.align.forecast import AutoregressiveForecast, AutoregressiveOptions
from unrolled.data.panel.arrays import Sizes
from unrolled.data.panel.windows import WindowBatch
from unrolled.errors import OptionError, ShapeError
from unrolled.nn import CELLS
from unrolled.state import map_state

SMALL = {"lookback": 8, "horizon": 5, "hidden_size": 6}
VARIANTS = [
    {"likelihood": "point", "level": "mean"},
    {"likelihood": "gaussian", "level": "none", "layers": 2, "dropout": 0.2},
    {"likelihood": "student-t", "loss_on": "all"},
    {"likelihood": "negative-binomial", "loss_on": "all"},
]


def counted(options: dict[str, object]) -> bool:
    return options["likelihood"] == "negative-binomial"


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("options", VARIANTS, ids=str)
@pytest.mark.parametrize("sizes", [BARE, FULL], ids=["bare", "full"])
def test_shapes_for_every_cell_and_likelihood(cell: str, options: dict[str, object], sizes: Sizes) -> None:
    net = autoregressive(sizes, **SMALL | options | {"hidden_size": 8}, cell=cell)
    with torch.no_grad():
        # Some weights begin at zero, and nothing reaches those behind them.
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    batch = random_windows(sizes, 8, 5, counts=counted(options))
    levels = (0.5,) if options["likelihood"] == "point" else (0.1, 0.5, 0.9)
    forecast = net.predict(batch, levels, samples=7)
    assert forecast.mean.shape == (5, 5, sizes.target)
    assert forecast.quantiles.shape == (5, 5, sizes.target, len(levels))
    total, count, state = net.loss(batch)
    terms = batch.target_mask.sum() + (batch.past_mask.sum() if options.get("loss_on") == "all" else 0)
    assert count == terms
    assert state is None
    total.backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not bool((p.grad != 0).any())] == []


def hide(batch: WindowBatch, value: float) -> WindowBatch:
    return batch._replace(
        past=torch.where(batch.past_mask > 0, batch.past, value),
        target=torch.where(batch.target_mask > 0, batch.target, value),
    )


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_what_stands_under_mask_zero_reaches_nothing(options: dict[str, object]) -> None:
    net = autoregressive(FULL, **SMALL | options).eval()
    batch = random_windows(FULL, 8, 5, counts=counted(options))
    results = []
    for value in (0.0, float("nan"), 1e9):
        changed = hide(batch, value)
        net.zero_grad()
        total, _, _ = net.loss(changed)
        total.backward()
        forecast = net.predict(changed, (0.5,), samples=5)
        results.append((total.detach(), forecast, [p.grad.clone() for p in net.parameters()]))
    assert results[0][0].isfinite()
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=0, atol=0)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_the_target_reaches_no_forecast(options: dict[str, object]) -> None:
    net = autoregressive(FULL, **SMALL | options)
    batch = random_windows(FULL, 8, 5, counts=counted(options))
    changed = batch._replace(target=batch.target + 5, target_mask=1 - batch.target_mask)
    expected = net.predict(batch, (0.5,), samples=5)
    torch.testing.assert_close(net.predict(changed, (0.5,), samples=5), expected, rtol=0, atol=0)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_each_row_alone_equals_the_row_in_the_batch_samples_included(options: dict[str, object]) -> None:
    net = autoregressive(FULL, **SMALL | options)
    batch = random_windows(FULL, 8, 5, counts=counted(options))
    together = net.predict(batch, (0.5,), samples=9, seed=4)
    for row in range(5):
        alone = net.predict(map_state(lambda leaf, row=row: leaf[row : row + 1], batch), (0.5,), samples=9, seed=4)
        torch.testing.assert_close(alone.mean[0], together.mean[row], rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(alone.quantiles[0], together.quantiles[row], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("loss_on", ["all", "horizon"])
@pytest.mark.parametrize("level", ["last", "mean", "none"])
def test_teacher_forcing_on_the_forecast_itself_costs_nothing(loss_on: str, level: str) -> None:
    # If training saw the value it predicts, or its inputs were shifted against prediction's, this would not be 0.
    net = autoregressive(FULL, **SMALL, likelihood="point", loss_on=loss_on, level=level, layers=2)
    batch = random_windows(FULL, 8, 5)
    own = batch._replace(target=net.predict(batch).mean, target_mask=torch.ones_like(batch.target_mask))
    if loss_on == "horizon":
        assert net.loss(own)[0] < 1e-12
    assert net.loss(own._replace(target=own.target + 1))[0] > 1


def test_the_first_step_sees_what_a_step_after_a_missing_value_sees() -> None:
    net = autoregressive(BARE, **SMALL)
    batch = random_windows(BARE, 8, 5)
    values, missing = torch.zeros(5, 8, 1, dtype=torch.float64), torch.zeros(5, 8, 1, dtype=torch.float64)
    missing[:, 3] = 1
    vectors = net._vectors(batch, values, missing)
    torch.testing.assert_close(vectors[:, 0], vectors[:, 4], rtol=0, atol=0)
    assert not torch.equal(vectors[:, 0], vectors[:, 1])


def test_past_only_covariates_are_used_up_to_the_present() -> None:
    net = autoregressive(FULL, **SMALL, likelihood="point")
    batch = random_windows(FULL, 8, 5)
    for step, part in ((7, slice(0, 3)), (7, slice(3, 5)), (0, slice(0, 3))):
        known = batch.past_known.clone()
        known[:, step, part] += 1
        assert not torch.equal(net.predict(batch._replace(past_known=known)).mean, net.predict(batch).mean)


def test_a_covariate_known_at_a_step_changes_that_step_and_later_ones_only() -> None:
    net = autoregressive(FULL, **SMALL, likelihood="student-t")
    batch = random_windows(FULL, 8, 5)
    known = batch.future_known.clone()
    known[:, 2] += 1
    changed = net.sample_paths(batch._replace(future_known=known), 4)
    before = net.sample_paths(batch, 4)
    torch.testing.assert_close(changed[:, :, :2], before[:, :, :2], rtol=0, atol=0)
    assert bool((changed[:, :, 2:] != before[:, :, 2:]).all())


def test_paths_come_from_the_seed_and_from_what_the_row_is() -> None:
    net = autoregressive(FULL, **SMALL)
    batch = random_windows(FULL, 8, 5)
    paths = net.sample_paths(batch, 6, seed=1)
    assert paths.shape == (5, 6, 5, 2)
    torch.testing.assert_close(net.sample_paths(batch, 6, seed=1), paths, rtol=0, atol=0)
    assert not torch.equal(net.sample_paths(batch, 6, seed=2), paths)
    assert not torch.equal(net.sample_paths(batch._replace(cut=batch.cut + 1), 6, seed=1), paths)
    assert not torch.equal(net.sample_paths(batch._replace(series=batch.series + 1), 6, seed=1), paths)
    state = torch.get_rng_state()
    net.sample_paths(batch, 6, seed=-3)
    assert torch.equal(torch.get_rng_state(), state)


def test_many_paths_are_rolled_out_in_parts_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    net = autoregressive(FULL, **SMALL)
    batch = random_windows(FULL, 8, 5)
    whole = net.sample_paths(batch, 6)
    monkeypatch.setattr("unrolled.align.forecast.autoregressive.PATHS_AT_ONCE", 13)
    torch.testing.assert_close(net.sample_paths(batch, 6), whole, rtol=1e-10, atol=1e-10)


def test_quantiles_and_mean_are_those_of_the_paths() -> None:
    net = autoregressive(FULL, **SMALL)
    batch = random_windows(FULL, 8, 5)
    paths = net.sample_paths(batch, 31, seed=5)
    forecast = net.predict(batch, (0.05, 0.5, 0.77), samples=31, seed=5)
    torch.testing.assert_close(forecast.mean, paths.mean(1))
    levels = torch.tensor([0.05, 0.5, 0.77], dtype=torch.float64)
    torch.testing.assert_close(forecast.quantiles, paths.quantile(levels, 1).movedim(0, -1))


def test_one_step_ahead_the_paths_follow_the_distribution_of_the_head() -> None:
    net = autoregressive(BARE, lookback=8, horizon=1, hidden_size=6, likelihood="gaussian", level="none")
    torch.nn.init.zeros_(net.head.weight)
    with torch.no_grad():
        net.head.bias.copy_(torch.tensor([3.0, 0.0]))
    paths = net.sample_paths(random_windows(BARE, 8, 1, rows=1), 40_000)
    # softplus(0) is log 2; five standard errors.
    assert abs(paths.mean() - 3) < 5 * 0.69 / 200
    assert abs(paths.std() - 0.694) < 5 * 0.69 / 280


def test_count_paths_are_counts() -> None:
    net = autoregressive(FULL, **SMALL, likelihood="negative-binomial")
    paths = net.sample_paths(random_windows(FULL, 8, 5, counts=True), 10)
    assert torch.equal(paths, paths.round())
    assert bool((paths >= 0).all())


def test_what_cannot_be_done_is_said() -> None:
    net = autoregressive(FULL, **SMALL, likelihood="point")
    batch = random_windows(FULL, 8, 5)
    with pytest.raises(OptionError, match="no samples"):
        net.sample_paths(batch)
    with pytest.raises(OptionError, match=r"no quantile but 0\.5"):
        net.predict(batch, (0.1,))
    with pytest.raises(OptionError, match="between 0 and 1"):
        autoregressive(FULL, **SMALL).predict(batch, (1.5,))
    with pytest.raises(OptionError, match="samples"):
        autoregressive(FULL, **SMALL).sample_paths(batch, 0)
    with pytest.raises(ShapeError, match=r"got \(8, 6, 2\)"):
        net.loss(random_windows(FULL, 8, 6))


def test_one_seed_gives_one_net() -> None:
    first, second = (autoregressive(FULL, **SMALL, layers=2) for _ in range(2))
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("loss_on", ["all", "horizon"])
def test_it_learns_a_wave(loss_on: str) -> None:
    torch.manual_seed(0)
    options = AutoregressiveOptions(
        lookback=16, horizon=8, hidden_size=16, likelihood="student-t", level="none", loss_on=loss_on
    )
    net = AutoregressiveForecast(BARE, options)
    batch = wave_windows(32, 16, 8)
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    start = (net.predict(batch, samples=50).mean - batch.target).abs().mean()
    for _ in range(200):
        total, count, _ = net.loss(batch)
        optimizer.zero_grad()
        (total / count).backward()
        optimizer.step()
    end = (net.predict(batch, samples=50).mean - batch.target).abs().mean()
    assert end < 0.3 * start
