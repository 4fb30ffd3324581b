"""A check nobody has seen fail is a hope: here every law is seen to fail on a seeded bug, under its own name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import broken_layers as broken
import pytest
import torch

from unrolled.nn import GRU, RGLRU, Recurrent, Stack, Zoneout
from unrolled.testing import LAWS, LawBroken, check_compile, check_export, check_recurrent, promises

Make = Callable[[], Recurrent[Any]]


def both(kind: type) -> Make:
    return lambda: kind(GRU(3, 5), GRU(3, 4))


CAUGHT: list[tuple[str, Make]] = [
    ("padding", broken.MultipliesPadding),
    ("padding", broken.LeaksPadding),
    ("batch", broken.NotFrozen),
    ("batch", both(broken.NaiveFlip)),
    ("batch", broken.FinalOfLastStep),
    ("batch", broken.WrapsAround),
    ("batch", broken.MixesRows),
    ("batch", broken.StabiliserPerBatch),
    ("chunk", broken.FinalDropped),
    ("chunk", broken.StepWithoutBias),
    ("chunk", both(broken.StreamsBothWays)),
    ("chunk", lambda: broken.LastGateOfTwo(3, 5)),
    ("reset", broken.ResetLate),
    ("reset", broken.ResetToZero),
    ("reset", broken.ResetsWholeBatch),
    ("reset", broken.ResetInPadding),
    ("reset", both(broken.BackwardIgnoresReset)),
    ("gradient", broken.DetachesState),
    ("gradient", broken.DetachesLearned),
    ("gradient", broken.ForgetsGradient),
    ("pure", broken.WritesState),
    ("pure", broken.WritesStateInStep),
    ("pure", broken.HiddenMemory),
    ("pure", broken.DropsInEvaluation),
    ("state", broken.HardCodedDtype),
    ("state", broken.LayersFirst),
    ("state", broken.OtherStructure),
    ("parallel", broken.WalksInSecret),
    ("stream", lambda: broken.StepsAnyway(3, 5)),
    ("save", broken.WeightBeside),
    ("copy", broken.CopyShares),
]


def name_of(value: Any) -> str | None:
    return value if isinstance(value, str) else type(value()).__name__


def test_without_a_bug_every_law_holds() -> None:
    check_recurrent(broken.Sound)
    check_recurrent(lambda: broken.Sound(learn=True), graphs=False)


def test_a_cell_that_walks_in_python_inside_a_wrapper_needs_no_word_about_it() -> None:
    check_compile(lambda: Stack([broken.Sound(), GRU(5, 4)]))
    check_export(lambda: Zoneout(RGLRU(3, 5), 0.1))


@pytest.mark.parametrize(("law", "make"), CAUGHT, ids=name_of)
def test_the_law_catches_the_bug_and_says_its_name(law: str, make: Make) -> None:
    with pytest.raises(LawBroken, match=f"law '{law}' broken by {type(make()).__name__}: ") as caught:
        LAWS[law](make)
    assert caught.value.law == law


@pytest.mark.parametrize("make", [make for _, make in CAUGHT], ids=name_of)
def test_the_whole_suite_stops_at_the_bug(make: Make) -> None:
    with pytest.raises((LawBroken, RuntimeError, ValueError, TypeError)) as caught:
        check_recurrent(make, graphs=False)
    assert isinstance(caught.value, LawBroken) or "while proving law" in "".join(caught.value.__notes__)


@pytest.mark.parametrize(
    ("check", "make", "dynamic_time"),
    [
        (check_compile, broken.Sound, True),
        (check_compile, broken.BranchesOnValues, False),
        (check_compile, broken.DivergesInGraph, False),
        (check_export, broken.Sound, True),
        (check_export, broken.BranchesOnValues, False),
        (check_export, broken.DivergesInGraph, False),
    ],
    ids=lambda value: value.__name__ if not isinstance(value, bool) else "",
)
def test_a_graph_that_is_not_the_layer_is_caught(check: Any, make: Make, dynamic_time: bool) -> None:
    law = check.__name__.removeprefix("check_")
    with pytest.raises(LawBroken, match=f"law '{law}' broken"):
        check(make, dynamic_time=dynamic_time)


def test_a_wrong_row_selection_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = promises.select_rows
    monkeypatch.setattr(promises, "select_rows", lambda state, index: right(state, index.sort().values))
    with pytest.raises(LawBroken, match="law 'rows' broken"):
        LAWS["rows"](broken.Sound)


def test_a_wrong_join_of_rows_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = promises.concat_rows
    monkeypatch.setattr(promises, "concat_rows", lambda states: right(list(reversed(states))))
    with pytest.raises(LawBroken, match="law 'rows' broken"):
        LAWS["rows"](broken.Sound)


def test_bytes_that_lose_precision_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = promises.from_bytes
    lossy = lambda data, like: promises.map_state(lambda t: t.float().double(), right(data, like))  # noqa: E731
    monkeypatch.setattr(promises, "from_bytes", lossy)
    with pytest.raises(LawBroken, match="law 'bytes' broken"):
        LAWS["bytes"](broken.Sound)


def test_the_laws_leave_the_global_random_state_alone() -> None:
    before = torch.random.get_rng_state()
    check_recurrent(lambda: GRU(3, 5), graphs=False)
    # Making the layer draws its weights inside the laws too.
    assert torch.equal(before, torch.random.get_rng_state())


def test_make_must_return_a_recurrent_layer() -> None:
    with pytest.raises(TypeError, match="make must return a Recurrent, got Linear"):
        check_recurrent(lambda: torch.nn.Linear(3, 5))  # type: ignore[arg-type, return-value]
