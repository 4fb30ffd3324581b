"""The training loop: exact gradients, truncated BPTT, early stopping, errors, and what it leaves untouched."""

from __future__ import annotations

import random
import time
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from small_model import Data, Regressor, Stream, same_bits, weights
from torch import Tensor, nn

from unrolled.errors import NonFiniteError, OptionError, TrainingError
from unrolled.state import detach
from unrolled.train import Event, TrainOptions, fit
from unrolled.train.gradient import accumulate, finish
from unrolled.train.processes import Processes

ULP = torch.finfo(torch.float64).eps


def losses(module: Any, data: Any, **values: Any) -> list[float | None]:
    seen: list[Event] = []
    fit(module, data, TrainOptions(**values), callbacks=[seen.append])
    return [event.loss for event in seen if event.kind == "step"]


def test_one_step_follows_the_gradient_of_total_by_count() -> None:
    data, module, expected = Data(6), Regressor(), Regressor()
    total, count, _ = expected.loss(data.batch(np.arange(6)), None)
    (total / count).backward()
    fit(module, data, TrainOptions(max_steps=1, batch_size=6, optimizer="sgd", momentum=0, learning_rate=0.5,
                                   weight_decay=0, clip_norm=None))  # fmt: skip
    for (name, now), before in zip(module.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(now, before - 0.5 * before.grad, rtol=0, atol=16 * ULP, msg=name)


def test_the_unit_that_keeps_half_precision_in_range_leaves_the_gradient_as_it_is() -> None:
    gradients, options = [], TrainOptions(device="cpu")
    for unit in (1.0, 64.0):
        module, processes = Regressor(dtype=torch.float32), Processes(options)
        parameters = list(module.parameters())
        pieces = [Data(dtype=torch.float32).batch(np.arange(6))]
        mine = accumulate(module.loss, pieces, [None], processes, unit)
        finish(mine, (0.0,), parameters, processes, None, unit)
        gradients.append({name: p.grad for name, p in module.named_parameters()})
    assert same_bits(*gradients)


@pytest.mark.parametrize("parts", [2, 3, 8])
@pytest.mark.parametrize("bptt", [None, 4])
def test_micro_batches_change_nothing_but_rounding(parts: int, bptt: int | None) -> None:
    values = {"epochs": 3, "batch_size": 7, "bptt": bptt, "learning_rate": 1e-2}
    whole = losses(Regressor(), Data(), **values)
    cut = losses(Regressor(), Data(), **values, micro_batches=parts)
    assert len(whole) == len(cut)
    assert cut == pytest.approx(whole, rel=1e4 * ULP)


def test_truncated_bptt_steps_after_each_chunk_with_the_state_carried_and_detached() -> None:
    data, module, expected = Data(5), Regressor(), Regressor()
    optimizer = torch.optim.SGD(expected.parameters(), lr=0.1)
    state = None
    for chunk in data.chunks(data.batch(np.arange(5)), 4):
        total, count, state = expected.loss(chunk, state)
        state = detach(state)
        optimizer.zero_grad()
        (total / count).backward()
        optimizer.step()
    fit(module, data, TrainOptions(epochs=1, batch_size=5, bptt=4, optimizer="sgd", momentum=0, learning_rate=0.1,
                                   weight_decay=0, clip_norm=None))  # fmt: skip
    for now, wanted in zip(module.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(now, wanted, rtol=0, atol=64 * ULP)


class StateSpy(nn.Module):
    """Notes the state each loss begins with; its state counts the steps seen so far."""

    class Seen(NamedTuple):
        """steps (B, 1)."""

        steps: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        self.began: list[float | None] = []

    def loss(self, batch: Any, state: Any) -> tuple[Tensor, Tensor, Any]:
        rows, time = batch.x.shape[:2]
        before = self.weight.new_zeros(rows, 1) if state is None else state.steps
        if self.training:
            self.began.append(None if state is None else float(before[0]))
        assert not before.requires_grad
        steps = before + time + 0 * self.weight
        return (self.weight - batch.target).square().sum(), torch.tensor(rows * time), self.Seen(steps)


def test_a_stream_carries_its_state_over_batches_and_starts_anew_each_epoch() -> None:
    module = StateSpy()
    fit(module, Stream(windows=3, steps=5), TrainOptions(epochs=2, batch_size=4, bptt=3))
    assert module.began == 2 * [None, 3, 5, 8, 10, 13]


def test_other_data_starts_each_batch_without_a_state() -> None:
    module, data = StateSpy(), Data(8)
    data.lengths[:] = 10
    fit(module, data, TrainOptions(epochs=1, batch_size=4, bptt=5))
    assert module.began == [None, 5, None, 5]


def test_a_run_repeats_bit_for_bit_by_its_seed() -> None:
    runs = []
    for seed in (1, 1, 2):
        module = Regressor(dropout=0.3)
        fit(module, Data(), TrainOptions(epochs=3, batch_size=5, seed=seed))
        runs.append(weights(module))
    assert same_bits(runs[0], runs[1])
    assert not same_bits(runs[0], runs[2])


def test_random_states_and_modes_of_the_caller_are_left_alone() -> None:
    module = Regressor(dropout=0.3)
    module.eval()
    module.gru.train()
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    fit(module, Data(), TrainOptions(epochs=1), score=lambda m: float(torch.rand(())), valid=Data(seed=1))
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (np.random.get_state()[1].tolist(), random.getstate())  # noqa: NPY002
    assert (module.training, module.gru.training, module.dropout.training) == (False, True, False)


def test_a_score_sees_evaluation_mode_without_gradients_and_does_not_change_training() -> None:
    def score(module: nn.Module) -> float:
        assert not module.training
        assert not torch.is_grad_enabled()
        return float(torch.rand(()))

    plain, scored = Regressor(dropout=0.3), Regressor(dropout=0.3)
    fit(plain, Data(), TrainOptions(epochs=2))
    last: list[dict[str, Tensor]] = []
    fit(scored, Data(), TrainOptions(epochs=2), score=score, callbacks=[lambda e: last.append(weights(scored))])
    assert same_bits(last[-1], weights(plain))


def test_patience_stops_and_the_best_weights_come_back() -> None:
    scores, kept = iter([3.0, 1.0, 2.0, 1.0, 0.5]), []
    module = Regressor()

    def score(scored: nn.Module) -> float:
        kept.append(weights(scored))
        return next(scores)

    history = fit(module, Data(), TrainOptions(epochs=9, patience=2), score=score)
    assert (history.stopped, len(history.evaluations)) == ("patience", 4)
    assert (history.best_score, history.best_step) == (1.0, history.evaluations[1].step)
    assert same_bits(weights(module), kept[1])


def test_evaluation_every_few_steps_and_at_the_end() -> None:
    history = fit(Regressor(), Data(), TrainOptions(max_steps=7, batch_size=4, evaluate_every_steps=3), valid=Data(4))
    assert [row.step for row in history.evaluations] == [3, 6, 7]
    assert history.stopped == "max_steps"


def test_the_validation_score_is_the_mean_loss_over_the_whole_dataset() -> None:
    module, valid = Regressor(), Data(9, seed=5)
    options = TrainOptions(epochs=1, batch_size=4, bptt=3, micro_batches=2)
    history = fit(module, Data(), options, valid=valid)
    with torch.no_grad():
        total, count, _ = module.loss(valid.batch(np.arange(9)), None)
    assert history.evaluations[0].score == pytest.approx(float(total / count), rel=1e3 * ULP)


def test_wall_clock_budget_stops_the_run() -> None:
    history = fit(Regressor(), Data(), TrainOptions(epochs=None, max_minutes=0.002))
    assert history.stopped == "max_minutes"
    assert history.steps > 0


def test_a_time_limit_holds_with_the_last_score_in_it() -> None:
    def slow(module: object) -> float:
        time.sleep(0.5)
        return 0.0

    options = TrainOptions(epochs=None, max_minutes=2 / 60, evaluate_every_steps=1)
    history = fit(Regressor(), Data(), options, score=slow)
    assert history.stopped == "max_minutes"
    # A score that would end too late is not begun; the steps themselves take milliseconds.
    assert history.steps <= 4


def test_a_time_limit_ends_a_schedule() -> None:
    rates: list[float] = []

    def keep(event: Event) -> None:
        if event.kind == "step":
            rates.append(float(event.learning_rate or 0.0))

    options = TrainOptions(epochs=10**6, max_minutes=0.01, schedule="linear", learning_rate=1e-3)
    fit(Regressor(), Data(), options, callbacks=[keep])
    assert rates[0] > 0.9e-3
    assert rates[-1] < 0.1e-3
    assert rates == sorted(rates, reverse=True)


def test_clipping_bounds_entries_then_norm() -> None:
    for values, bound in (({"clip_norm": 1e-3}, 1e-3), ({"clip_norm": None, "clip_value": 1e-5}, 1e-3)):
        module, before = Regressor(), weights(Regressor())
        fit(module, Data(), TrainOptions(max_steps=1, optimizer="sgd", momentum=0, learning_rate=1.0, weight_decay=0,
                                         **values))  # fmt: skip
        moved = torch.cat([(weights(module)[name] - before[name]).flatten() for name in before])
        assert 0 < moved.norm() <= bound * (1 + 1e-9)
        if "clip_value" in values:
            assert moved.abs().max() <= 1e-5 * (1 + 1e-9)


def test_a_value_that_is_not_finite_is_found_in_its_batch_and_the_weights_stay() -> None:
    data, module = Data(12), Regressor()
    data.x[7, 1, 0] = float("nan")
    steps: list[dict[str, Tensor]] = [weights(module)]

    def remember(event: Event) -> None:
        if event.kind == "step":
            steps.append(weights(module))

    with pytest.raises(TrainingError) as caught:
        fit(module, data, TrainOptions(batch_size=3), callbacks=[remember])
    message = str(caught.value)
    assert f"at step {len(steps)} (epoch 1, batch {len(steps)}, rows " in message
    assert "7" in message
    assert "batch.x of this batch holds 1 values that are not finite" in message
    assert same_bits(weights(module), steps[-1])


def test_exploding_gradients_are_told_with_their_norms() -> None:
    with pytest.raises(TrainingError, match=r"exploding gradients.*set clip_norm or lower learning_rate"):
        fit(Exploding(), Data(), TrainOptions(batch_size=2, optimizer="sgd", learning_rate=1.0, clip_norm=None))


class Exploding(nn.Module):
    """The gradient is ten times as large at each step, until the sixth is infinite."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.calls = 0

    def loss(self, batch: Any, state: Any) -> tuple[Tensor, Tensor, None]:
        self.calls += 1
        factor = float("inf") if self.calls > 5 else 10.0**self.calls
        return (factor * (self.weight + 1)).sum(), torch.tensor(1), None


def test_a_layer_that_refuses_its_input_is_a_training_error_with_the_place() -> None:
    class Refusing(Exploding):
        def loss(self, batch: Any, state: Any) -> tuple[Tensor, Tensor, None]:
            raise NonFiniteError("gru: x must be finite, got nan at row 0.")

    with pytest.raises(TrainingError, match=r"gru: x must be finite, got nan at row 0 at step 1 \(epoch 1, batch 1"):
        fit(Refusing(), Data(), TrainOptions())


def test_a_score_that_is_nan_is_refused() -> None:
    with pytest.raises(TrainingError, match="validation score is nan at step 1"):
        fit(Regressor(), Data(), TrainOptions(epochs=1), score=lambda module: float("nan"))


def test_a_batch_without_terms_changes_nothing() -> None:
    class Empty(Exploding):
        def loss(self, batch: Any, state: Any) -> tuple[Tensor, Tensor, None]:
            return self.weight.sum() * 0, torch.tensor(0), None

    module = Empty()
    module.weight.data.fill_(3.0)
    assert losses(module, Data(4), epochs=1, learning_rate=0.1, weight_decay=0.5) == [None]
    assert module.weight.item() == 3.0


def test_patience_without_a_score_is_refused() -> None:
    with pytest.raises(OptionError, match="patience=2 needs a score"):
        fit(Regressor(), Data(), TrainOptions(patience=2))


def test_bf16_trains_and_two_precisions_may_follow_each_other() -> None:
    for precision in ("full", "bf16", "full"):
        module = Regressor(dtype=torch.float32)
        values = losses(module, Data(dtype=torch.float32), epochs=4, precision=precision, learning_rate=1e-2)
        assert values[-1] < values[0]
        assert all(p.dtype == torch.float32 for p in module.parameters())


@pytest.mark.skipif(torch.cuda.is_available(), reason="fp16 runs on a GPU")
def test_fp16_on_the_cpu_is_refused() -> None:
    with pytest.raises(OptionError, match="fp16"):
        fit(Regressor(), Data(), TrainOptions(precision="fp16"))


def test_a_run_without_a_folder_writes_nothing_and_is_silent(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fit(Regressor(), Data(), TrainOptions(epochs=1))
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


def test_a_module_without_a_loss_is_told_what_to_write() -> None:
    with pytest.raises(OptionError, match=r"expected a module with loss\(batch, state\).*, but Linear has none"):
        fit(torch.nn.Linear(2, 2), Data(), TrainOptions(epochs=1))
