"""The direct forecast: its shapes, its laws, and that it learns."""

from __future__ import annotations

import math

import pytest
import torch
from forecast_windows import BARE, FULL, direct, random_windows, wave_windows

from unrolled.align.forecast import DirectForecast, DirectOptions
from unrolled.data.panel.arrays import Sizes
from unrolled.data.panel.windows import WindowBatch
from unrolled.errors import OptionError, ShapeError
from unrolled.heads.number.likelihood import LIKELIHOODS
from unrolled.nn import CELLS, Bidirectional
from unrolled.state import map_state

SMALL = {"lookback": 10, "horizon": 7, "hidden_size": 6}
VARIANTS = [
    {"likelihood": name, "segment": segment, "level": level}
    for name, level in (("point", "last"), ("quantile", "mean"), ("gaussian", "none"), ("student-t", "last"))
    for segment in (1, 4)
] + [{"likelihood": "negative-binomial", "segment": 3, "layers": 2, "dropout": 0.2}]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("sizes", [BARE, FULL], ids=["bare", "full"])
def test_shapes_for_every_cell_and_likelihood(cell: str, likelihood: str, sizes: Sizes) -> None:
    net = direct(sizes, **SMALL | {"hidden_size": 8}, cell=cell, likelihood=likelihood, segment=3, layers=2)
    with torch.no_grad():
        # Some weights begin at zero, and nothing reaches those behind them.
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    batch = random_windows(sizes, 10, 7, counts=likelihood == "negative-binomial")
    levels = (0.5,) if likelihood == "point" else (0.1, 0.5, 0.9)
    forecast = net.predict(batch, levels)
    assert forecast.mean.shape == (5, 7, sizes.target)
    assert forecast.quantiles.shape == (5, 7, sizes.target, len(levels))
    assert bool((forecast.quantiles.diff(dim=-1) >= 0).all())
    total, count, state = net.loss(batch)
    per_value = 3 if likelihood == "quantile" else 1
    assert count == batch.target_mask.sum() * per_value
    assert state is None
    total.backward()
    assert all(bool((p.grad != 0).any()) for p in net.parameters() if p.grad is not None)
    assert [name for name, p in net.named_parameters() if p.grad is None] == []


def test_an_encoder_that_reads_both_ways_goes_on_from_the_ends_of_both() -> None:
    one, both = (direct(BARE, **SMALL, segment=2, bidirectional=ways) for ways in (False, True))
    encoder = both.encoder
    assert isinstance(encoder, Bidirectional)
    assert both.head.input_size == 2 * one.head.input_size
    u, q = torch.randn(3, 5, 6, dtype=torch.float64), torch.randn(3, 6, dtype=torch.float64)
    state = encoder(u)[1]
    longer = encoder.forward_layer(torch.cat([u, q[:, None]], 1))[0][:, -1]
    mirrored = encoder.backward_layer(torch.cat([u.flip(1), q[:, None]], 1))[0][:, -1]
    torch.testing.assert_close(both._step(q, state), torch.cat([longer, mirrored], -1))


@pytest.mark.parametrize("options", [
    {"bidirectional": True, "layers": 2}, {"bidirectional": True, "layers": 2, "residual": "norm", "zoneout": 0.2},
    {"recurrent_dropout": 0.3, "input_dropout": 0.2}, {"weight_dropout": 0.3, "output_dropout": 0.2},
], ids=str)  # fmt: skip
def test_every_option_of_an_encoder_reaches_all_weights_but_no_prediction(
    options: dict[str, object],
) -> None:
    net = direct(FULL, **SMALL | options, segment=3, likelihood="gaussian")
    batch = random_windows(FULL, 10, 7)
    net.loss(batch)[0].backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not bool((p.grad != 0).any())] == []
    torch.testing.assert_close(net.predict(batch, (0.5,)), net.predict(batch, (0.5,)), rtol=0, atol=0)
    one = map_state(lambda leaf: leaf[2:3], batch)
    torch.testing.assert_close(net.predict(one).mean, net.predict(batch).mean[2:3])


def hide(batch: WindowBatch, value: float) -> WindowBatch:
    return batch._replace(
        past=torch.where(batch.past_mask > 0, batch.past, value),
        target=torch.where(batch.target_mask > 0, batch.target, value),
    )


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_what_stands_under_mask_zero_reaches_nothing(options: dict[str, object]) -> None:
    net = direct(FULL, **SMALL | options).eval()
    batch = random_windows(FULL, 10, 7, counts=options["likelihood"] == "negative-binomial")
    results = []
    for value in (0.0, float("nan"), 1e9):
        changed = hide(batch, value)
        net.zero_grad()
        total, _, _ = net.loss(changed)
        total.backward()
        results.append((total.detach(), net.predict(changed, (0.5,)), [p.grad.clone() for p in net.parameters()]))
    assert results[0][0].isfinite()
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=0, atol=0)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_the_target_reaches_no_forecast(options: dict[str, object]) -> None:
    net = direct(FULL, **SMALL | options)
    batch = random_windows(FULL, 10, 7)
    changed = batch._replace(target=batch.target + 5, target_mask=1 - batch.target_mask)
    torch.testing.assert_close(net.predict(changed, (0.5,)), net.predict(batch, (0.5,)), rtol=0, atol=0)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_each_row_alone_equals_the_row_in_the_batch(options: dict[str, object]) -> None:
    net = direct(FULL, **SMALL | options)
    batch = random_windows(FULL, 10, 7, counts=options["likelihood"] == "negative-binomial")
    together = net.predict(batch, (0.5,))
    for row in range(5):
        alone = net.predict(map_state(lambda leaf, row=row: leaf[row : row + 1], batch), (0.5,))
        torch.testing.assert_close(alone.mean[0], together.mean[row], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(alone.quantiles[0], together.quantiles[row], rtol=1e-12, atol=1e-12)


def test_a_lookback_that_the_segment_does_not_divide_starts_with_missing_steps() -> None:
    short, long = (direct(BARE, lookback=time, horizon=5, hidden_size=6, segment=4) for time in (10, 12))
    batch = random_windows(BARE, 12, 5)
    masked = batch._replace(past_mask=batch.past_mask * (torch.arange(12) >= 2)[:, None])
    cut = batch._replace(
        past=batch.past[:, 2:], past_mask=batch.past_mask[:, 2:], past_known=batch.past_known[:, 2:],
        past_codes=batch.past_codes[:, 2:],
    )  # fmt: skip
    torch.testing.assert_close(short.predict(cut), long.predict(masked), rtol=0, atol=0)


@pytest.mark.parametrize("level", ["last", "mean"])
def test_a_shifted_history_shifts_the_forecast(level: str) -> None:
    net = direct(FULL, **SMALL, level=level, segment=2)
    batch = random_windows(FULL, 10, 7)
    seen = batch.past_mask.any(1)[:, None]
    moved = net.predict(batch._replace(past=batch.past + 40), (0.1, 0.5))
    still = net.predict(batch, (0.1, 0.5))
    assert bool(seen.all())
    torch.testing.assert_close(moved.quantiles, still.quantiles + 40, rtol=1e-10, atol=1e-10)


def test_the_mean_of_the_last_steps_is_the_level() -> None:
    net = direct(BARE, **SMALL, level="mean", level_steps=3, likelihood="point")
    batch = random_windows(BARE, 10, 7)
    batch = batch._replace(past_mask=torch.ones_like(batch.past_mask))
    torch.nn.init.zeros_(net.head.weight)
    torch.nn.init.zeros_(net.head.bias)
    expected = batch.past[:, -3:].mean(1, keepdim=True).expand(-1, 7, -1)
    torch.testing.assert_close(net.predict(batch).mean, expected)


def test_the_last_observed_value_is_the_level_and_an_unseen_row_stands_at_zero() -> None:
    net = direct(BARE, **SMALL, likelihood="point")
    torch.nn.init.zeros_(net.head.weight)
    torch.nn.init.zeros_(net.head.bias)
    batch = random_windows(BARE, 10, 7, rows=3)
    mask = torch.zeros(3, 10, 1, dtype=torch.float64)
    mask[0, 9] = mask[1, :4] = 1
    mean = net.predict(batch._replace(past_mask=mask)).mean
    assert bool((mean[0] == batch.past[0, 9]).all())
    assert bool((mean[1] == batch.past[1, 3]).all())
    assert bool((mean[2] == 0).all())


def test_counts_are_forecast_in_proportion_to_the_history() -> None:
    net = direct(BARE, **SMALL, likelihood="negative-binomial")
    batch = random_windows(BARE, 10, 7, counts=True)
    scale = 1 + (batch.past * batch.past_mask).sum(1, keepdim=True) / batch.past_mask.sum(1, keepdim=True)
    torch.nn.init.zeros_(net.head.weight)
    torch.nn.init.zeros_(net.head.bias)
    # softplus(0) is log 2, and a mean never falls below 1e-6 of the scale.
    expected = scale.expand(-1, 7, -1) * (math.log(2) + 1e-6)
    torch.testing.assert_close(net.predict(batch).mean, expected, rtol=1e-12, atol=0)


def test_future_and_static_inputs_reach_the_forecast() -> None:
    net = direct(FULL, **SMALL, segment=3)
    batch = random_windows(FULL, 10, 7)
    before = net.predict(batch).mean
    for part in ("past_known", "future_known", "static"):
        changed = batch._replace(**{part: getattr(batch, part) + 1})
        assert not torch.equal(net.predict(changed).mean, before), part
    for part in ("past_codes", "future_codes", "static_codes"):
        changed = batch._replace(**{part: torch.zeros_like(getattr(batch, part))})
        assert not torch.equal(net.predict(changed).mean, before), part


def test_static_inputs_can_be_kept_from_the_encoder() -> None:
    assert direct(FULL, **SMALL).embed_static is not None
    assert direct(FULL, **SMALL, static_inputs="decoder").embed_static is None


def test_one_seed_gives_one_net_and_prediction_leaves_the_mode_alone() -> None:
    first, second = (direct(FULL, **SMALL, dropout=0.5, layers=2) for _ in range(2))
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
    batch = random_windows(FULL, 10, 7)
    first.train()
    first.encoder.eval()
    torch.testing.assert_close(first.predict(batch, (0.5,)), first.predict(batch, (0.5,)), rtol=0, atol=0)
    assert first.training
    assert first.head.training
    assert not first.encoder.training
    assert not first.predict(batch).mean.requires_grad


def test_weights_survive_a_state_dict() -> None:
    net = direct(FULL, **SMALL)
    torch.manual_seed(99)
    other = DirectForecast(FULL, DirectOptions(**net.options.to_json())).double()
    other.load_state_dict(net.state_dict())
    batch = random_windows(FULL, 10, 7)
    torch.testing.assert_close(other.predict(batch), net.predict(batch), rtol=0, atol=0)


def test_wrong_windows_and_levels_are_refused() -> None:
    net = direct(FULL, **SMALL, likelihood="point")
    with pytest.raises(ShapeError, match=r"\(10, 7, 2\), got \(11, 7, 2\)"):
        net.loss(random_windows(FULL, 11, 7))
    with pytest.raises(OptionError, match=r"no quantile but 0\.5"):
        net.predict(random_windows(FULL, 10, 7), (0.1,))


@pytest.mark.parametrize("likelihood", ["point", "quantile", "student-t"])
def test_it_learns_a_wave(likelihood: str) -> None:
    torch.manual_seed(0)
    net = DirectForecast(BARE, DirectOptions(lookback=24, horizon=12, segment=6, hidden_size=16, likelihood=likelihood))
    batch = wave_windows(48, 24, 12)
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    start = (net.predict(batch).mean - batch.target).abs().mean()
    for _ in range(120):
        total, count, _ = net.loss(batch)
        optimizer.zero_grad()
        (total / count).backward()
        optimizer.step()
    end = (net.predict(batch).mean - batch.target).abs().mean()
    assert end < 0.15 * start
