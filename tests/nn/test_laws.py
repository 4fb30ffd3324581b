"""The law suite over every cell x option x wrapper."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from unrolled.errors import OptionError
from unrolled.nn import (
    CELLS,
    GRU,
    LRU,
    LSTM,
    MLSTM,
    RGLRU,
    RNN,
    SLSTM,
    Bidirectional,
    Cell,
    DropConnect,
    MinGRU,
    MinLSTM,
    Recurrent,
    Residual,
    Stack,
    Told,
    VariationalDropout,
    Zoneout,
)
from unrolled.testing import check_compile, check_export, check_recurrent

CellOf = Callable[[int], Cell[Any]]
"""input_size -> a cell of hidden width 5 (4 features out where it projects)."""


def lstm_options() -> list[dict[str, Any]]:
    names = ("peephole", "coupled", "projection_size", "layer_norm")
    switched = [
        {name: 4 if name == "projection_size" else True for name, on in zip(names, choice, strict=True) if on}
        for choice in itertools.product((False, True), repeat=4)
    ]
    everything = switched[-1] | {"learn_initial_state": True}
    return [*switched, {"bias": False}, {"learn_initial_state": True}, everything]


def gru_options() -> list[dict[str, Any]]:
    extras: list[dict[str, Any]] = [{}, {"layer_norm": True}, {"bias": False}, {"learn_initial_state": True}]
    return [{"reset": reset} | extra for reset in ("after", "before") for extra in extras]


def minimal_options() -> list[dict[str, Any]]:
    extras: list[dict[str, Any]] = [{}, {"bias": False}, {"learn_initial_state": True}]
    return [{"form": form} | extra for form in ("linear", "log") for extra in extras]


OPTIONS: dict[str, list[dict[str, Any]]] = {
    "rnn": [{}, {"nonlinearity": "relu"}, {"bias": False}, {"nonlinearity": "relu", "learn_initial_state": True}],
    "lstm": lstm_options(),
    "gru": gru_options(),
    "mingru": minimal_options(),
    "minlstm": minimal_options(),
    "rglru": [{}, {"heads": 5}],
    "mlstm": [{"heads": 5, "chunk": 3}, {"heads": 1}, {"heads": 1, "bias": False}],
    "slstm": [{"heads": 1}, {"heads": 5, "forget": "exponential"}, {"heads": 1, "bias": False}],
    "lru": [{}, {"state_size": 3}, {"radii": (0.9, 0.99), "learn_initial_state": True}],
}

KINDS = {
    "rnn": RNN,
    "lstm": LSTM,
    "gru": GRU,
    "mingru": MinGRU,
    "minlstm": MinLSTM,
    "rglru": RGLRU,
    "lru": LRU,
    "slstm": SLSTM,
    "mlstm": MLSTM,
}


def named(name: str, options: dict[str, Any]) -> str:
    return "-".join([name, *(f"{key}={value}" for key, value in options.items())])


def build(name: str, options: dict[str, Any], input_size: int) -> Cell[Any]:
    return KINDS[name](input_size, 5, **options)


VARIANTS: dict[str, CellOf] = {
    named(name, options): partial(build, name, options) for name in OPTIONS for options in OPTIONS[name]
}


def stack(cell: CellOf) -> Recurrent[Any]:
    low = cell(3)
    return Stack([low, cell(low.output_size)], dropout=0.2)


def deep(cell: CellOf) -> Recurrent[Any]:
    both = Bidirectional(cell(3), cell(3))
    return Stack([both, cell(both.output_size)])


def residual(cell: CellOf) -> Recurrent[Any]:
    return Residual(cell(cell(3).output_size))


WRAPPERS: dict[str, Callable[[CellOf], Recurrent[Any]]] = {
    "cell": lambda cell: cell(3),
    "stack": stack,
    "bidirectional": lambda cell: Bidirectional(cell(3), cell(3)),
    "deep": deep,
    "residual": residual,
    "zoneout": lambda cell: Zoneout(cell(3), 0.2),
    "masked": lambda cell: VariationalDropout(cell(3), input=0.2, output=0.3),
    "variational": lambda cell: VariationalDropout(cell(3), input=0.2, output=0.3, recurrent=0.4),
    "dropconnect": lambda cell: DropConnect(cell(3), 0.3),
    "told": lambda cell: Told(cell(3), 2),
}

NEEDS: dict[str, Callable[[Cell[Any]], bool]] = {
    "zoneout": lambda cell: cell.emits_state,
    "variational": lambda cell: type(cell).mask_recurrent is not Cell.mask_recurrent,
    "dropconnect": lambda cell: "weight_h" in dict(cell.named_parameters()),
}
"""What a wrapper changes inside a cell; a cell that has no such thing must be refused."""


def stands(variant: str, wrapper: str) -> bool:
    """Has the cell what the wrapper changes?"""
    return wrapper not in NEEDS or NEEDS[wrapper](VARIANTS[variant](3))


PAIRS = list(itertools.product(VARIANTS, WRAPPERS))


def test_the_table_of_options_holds_every_cell() -> None:
    # The blocks among them are proved in blocks/.
    assert {name: kind for name, kind in CELLS.items() if issubclass(kind, Cell)} == KINDS
    assert set(OPTIONS) == set(KINDS)


@pytest.mark.parametrize(("variant", "wrapper"), [pair for pair in PAIRS if stands(*pair)])
def test_every_cell_option_and_wrapper_keeps_the_laws(variant: str, wrapper: str) -> None:
    check_recurrent(lambda: WRAPPERS[wrapper](VARIANTS[variant]), graphs=False)


@pytest.mark.parametrize(("variant", "wrapper"), [pair for pair in PAIRS if not stands(*pair)])
def test_a_cell_without_what_a_wrapper_changes_is_refused(variant: str, wrapper: str) -> None:
    with pytest.raises(OptionError, match=type(VARIANTS[variant](3)).__name__):
        WRAPPERS[wrapper](VARIANTS[variant])


EVERYTHING = "peephole=True-coupled=True-projection_size=4-layer_norm=True"

TRACED = (
    "rnn",
    "rnn-nonlinearity=relu-learn_initial_state=True",
    "lstm",
    "lstm-peephole=True",
    "lstm-coupled=True",
    "lstm-projection_size=4",
    "lstm-layer_norm=True",
    "lstm-bias=False",
    f"lstm-{EVERYTHING}-learn_initial_state=True",
    "gru-reset=after",
    "gru-reset=before",
    "gru-reset=after-layer_norm=True",
    "gru-reset=before-learn_initial_state=True",
    "mlstm-heads=5-chunk=3",
    "slstm-heads=1",
    "slstm-heads=5-forget=exponential",
    "mingru-form=linear",
    "mingru-form=log-learn_initial_state=True",
    "minlstm-form=linear-bias=False",
    "minlstm-form=log",
    "rglru",
    "rglru-heads=5",
    "lru",
    "lru-state_size=3",
)
"""Tracing is the slow law: every option once, and all of them together."""


@pytest.mark.parametrize("variant", TRACED)
def test_every_cell_option_compiles_and_exports(variant: str) -> None:
    check_compile(lambda: VARIANTS[variant](3), dynamic_time=True)
    check_export(lambda: VARIANTS[variant](3), dynamic_time=True)


@pytest.mark.parametrize("wrapper", [name for name in WRAPPERS if name != "cell"])
def test_every_wrapper_compiles_and_exports(wrapper: str) -> None:
    check_compile(lambda: WRAPPERS[wrapper](VARIANTS["gru-reset=after"]), dynamic_time=True)
    check_export(lambda: WRAPPERS[wrapper](VARIANTS["gru-reset=after"]), dynamic_time=True)


def nested(streamable: bool) -> Recurrent[Any]:
    """Wrappers in wrappers around cells of different kinds."""
    low = Residual(Zoneout(LSTM(3, 5, projection_size=3, peephole=True), 0.1))
    middle = VariationalDropout(DropConnect(GRU(3, 4, reset="before"), 0.3), input=0.2)
    high: Recurrent[Any] = RNN(4, 4, learn_initial_state=True)
    if not streamable:
        high = Bidirectional(Stack([high, GRU(4, 2)]), LSTM(4, 3, coupled=True))
    return Stack([low, middle, high], dropout=0.1)


@pytest.mark.parametrize("streamable", [True, False])
def test_wrappers_in_wrappers_keep_the_laws(streamable: bool) -> None:
    check_recurrent(lambda: nested(streamable), graphs=False)
