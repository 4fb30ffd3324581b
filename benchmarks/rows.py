"""The rows that are measured, with the ratios that must be reached, and the work that each row cannot avoid."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["LIVE", "RECURRENT", "Row", "chosen", "flops", "scan_bytes", "smoke"]

FLOAT = 4
GATES = {"lstm": 4, "gru": 3, "rnn": 1}
SHAPES = ((32, 100, 32, 64), (32, 100, 128, 128), (64, 200, 256, 256), (16, 512, 512, 512), (128, 50, 650, 650))
SINGLE = (1, 1000, 32, 64)
NN = ("torch.nn",)
LOOPS = ("Python loop", "our reference")
FORMS = ("loop", "associative_scan", "associative_scan compiled", "log-space", "log-space compiled")


@dataclass(frozen=True)
class Row:
    """One measurement.

    name: as asked for on the command line. group: the heading of its table. kind: "gated" (a layer against peers),
    "cost" (an option against the plain layer of ours), "scan", "growth" (time a step over T), "memory", "live". op:
    whose kernels must be proved first. mode: "training" or "inference". shape: batch, time, input, hidden; of a scan
    batch, time, width. times: the values of T of a growth or memory row. against: the peers, of which the fastest
    counts. least, aim: bars for the ratio with 2 threads; at_most: they are limits from above.
    """

    name: str
    group: str
    kind: str
    op: str
    mode: str
    shape: tuple[int, ...]
    against: tuple[str, ...]
    least: float | None = None
    aim: float | None = None
    at_most: bool = False
    ours: str = "unrolled"
    options: Mapping[str, Any] = field(default_factory=dict)
    ragged: bool = False
    times: tuple[int, ...] = ()

    def bars(self, threads: int) -> tuple[float | None, float | None]:
        """Least and aim with so many threads: on one, a plain LSTM must not lose, and nothing else is asked."""
        if threads == 2 or self.kind in ("growth", "memory"):
            return self.least, self.aim
        plain = self.op == "lstm" and self.kind == "gated" and self.against == NN
        return (0.95, None) if threads == 1 and plain else (None, None)


def _name(*parts: Any) -> str:
    return "-".join("x".join(map(str, part)) if isinstance(part, tuple) else str(part) for part in parts)


def _plain(op: str, mode: str, bars: Mapping[tuple[int, ...], tuple[float | None, float | None]]) -> Iterator[Row]:
    for shape, (least, aim) in bars.items():
        group = f"{op.upper()} {mode}"
        yield Row(_name(op, mode, shape), group, "gated", op, mode, shape, NN, least, aim)


def _unbarred(*shapes: tuple[int, ...]) -> dict[tuple[int, ...], tuple[None, None]]:
    return dict.fromkeys(shapes, (None, None))


def _ragged() -> Iterator[Row]:
    for shape, least, aim in ((SHAPES[0], 8, 15), (SHAPES[2], 4, 7)):
        name = _name("lstm-ragged-training", shape)
        group = "Ragged LSTM training, lengths uniform in T/4..T"
        yield Row(name, group, "gated", "lstm", "training", shape, ("torch.nn packed",), least, aim, ragged=True)


def _variants() -> Iterator[Row]:
    group = "LSTM variants, training, against the same cell as a Python loop"
    for option in ("peephole", "coupled", "layer_norm"):
        for shape, least, aim in ((SHAPES[0], 6, 9), (SHAPES[1], 3, 4), (SINGLE, 40, 75)):
            name = _name("lstm", option, "training", shape)
            yield Row(name, group, "gated", "lstm", "training", shape, LOOPS, least, aim, options={option: True})


def _costs() -> Iterator[Row]:
    group = "What an option costs over our plain LSTM, training"
    for option, least, aim in (("peephole", 1.15, 1.05), ("coupled", 1.15, 1.05), ("zoneout", 1.15, 1.05),
                               ("layer_norm", 1.4, 1.2)):  # fmt: skip
        for shape in SHAPES[:2]:
            yield Row(
                _name("lstm", option, "cost", shape), group, "cost", "lstm", "training", shape, ("unrolled plain",),
                least, aim, at_most=True, options={option: True},
            )  # fmt: skip


def _scans() -> Iterator[Row]:
    group = "Diagonal scan training, against the best form in torch"
    for shape, least, aim in (((8, 1024, 256), 7, 12), ((4, 8192, 256), 10, 15), ((1, 65536, 128), 7, 12)):
        name = _name("diagonal-training", shape)
        yield Row(name, group, "scan", "diagonal", "training", shape, FORMS, least, aim)


def _growths() -> Iterator[Row]:
    group = "Time a step over T, largest over smallest"
    times = (100, 1000, 10_000, 100_000)
    for op, mode in (("lstm", "inference"), ("lstm", "training"), ("gru", "training"), ("rnn", "training")):
        yield Row(
            _name(op, "growth", mode), group, "growth", op, mode, (1, max(times), 32, 64), (), 1.2, None,
            at_most=True, times=times,
        )  # fmt: skip
    yield Row(
        "diagonal-growth-training", group, "growth", "diagonal", "training", (1, max(times), 128), (), 1.2, None,
        at_most=True, times=times,
    )  # fmt: skip


def _memories() -> Iterator[Row]:
    group = "Inference memory beyond input and output, growth with T as a share of the growth of input and output"
    for op in GATES:
        times = (2_000, 32_000)
        yield Row(
            f"{op}-memory", group, "memory", op, "inference", (8, max(times), 32, 64), (), 0.05, None,
            at_most=True, times=times,
        )  # fmt: skip


def _recurrent() -> Iterator[Row]:
    training = ((1.6, 2.2), (1.2, 1.4), (1.2, 1.4), (1.15, 1.3), (1.1, 1.25))
    inference = ((2.2, 3), (1.1, 1.3), (1.0, 1.15), (1.0, 1.1), (1.0, 1.1))
    gru = ((5, 8), (2, 3), (1.2, 1.4), (2, 2.5), (1.1, 1.3))
    yield from _plain("lstm", "training", {**dict(zip(SHAPES, training)), SINGLE: (2.7, 4)})
    yield from _plain("lstm", "inference", {**dict(zip(SHAPES, inference)), SINGLE: (3, 5)})
    yield from _plain("gru", "training", {**dict(zip(SHAPES, gru)), SINGLE: (20, 50)})
    yield from _plain("gru", "inference", _unbarred(*SHAPES, SINGLE))
    yield from _plain("rnn", "training", {SHAPES[0]: (3, 5), SINGLE: (12, 25)})
    yield from _plain("rnn", "inference", _unbarred(SHAPES[0], SINGLE))
    for part in (_ragged, _variants, _costs, _scans, _growths, _memories):
        yield from part()


def _live() -> Iterator[Row]:
    cells = {32: (20, 40), 64: (15, 25), 128: (8, 10), 256: (2, 4), 512: (1.2, 2.5)}
    others = {32: (5, 12), 64: (5, 10), 128: (5, 8)}
    for op, peer in (("lstm", "LSTMCell"), ("gru", "GRUCell")):
        barred = op == "lstm"
        for width, bars in cells.items():
            shape, group = (1, 1, width, width), f"One live {op.upper()} step, H = I, against torch.nn.{peer}"
            for weights in ("float32", *(("bf16", "int8") if width >= 256 else ())):
                name = _name(op, "live", width, *(() if weights == "float32" else (weights,)))
                ours = "unrolled torch" if weights == "float32" else f"unrolled {weights}"
                yield Row(
                    name, group, "live", op, "inference", shape, (peer,), *(bars if barred else (None, None)),
                    ours=ours, options={"weights": weights},
                )  # fmt: skip
        for width in cells:
            shape, group = (1, 1, width, width), f"One live {op.upper()} step, H = I, against onnxruntime and JAX"
            bars = others.get(width, (None, None)) if barred else (None, None)
            against = ("onnxruntime 1 thread", "onnxruntime", "JAX")
            yield Row(_name(op, "live", width, "others"), group, "live", op, "inference", shape, against, *bars,
                      options={"weights": "float32"})  # fmt: skip


MODERN = {
    "mingru": ("minimal", 15), "minlstm": ("minimal", 15), "rglru": ("diagonal", 15), "lru": ("rotation", 15),
    "slstm": ("slstm", None), "mlstm": ("mlstm", 40), "slstm_block": ("slstm", None), "mlstm_block": ("mlstm", None),
    "rwkv7": ("delta", 40), "gated_deltanet": ("delta", 40),
}  # fmt: skip
"""By name: the op whose kernels are proved, and the microseconds that a step of 128 units may take."""


def _live_modern() -> Iterator[Row]:
    group = "One live step of a modern cell, H = I = 128, against the same step by torch"
    for cell, (op, limit) in MODERN.items():
        options = {"weights": "float32", "cell": cell, "limit": limit}
        yield Row(_name(cell, "live", 128), group, "live", op, "inference", (1, 1, 128, 128), ("by torch",),
                  ours="unrolled torch", options=options)  # fmt: skip


RECURRENT = tuple(_recurrent())
LIVE = (*_live(), *_live_modern())


def chosen(rows: Sequence[Row], patterns: Sequence[str]) -> list[Row]:
    """The rows whose names match one of the patterns, in the order of the table; ValueError for a fruitless one."""
    for pattern in patterns:
        if not any(fnmatch.fnmatch(row.name, pattern) for row in rows):
            names = ", ".join(row.name for row in rows)
            raise ValueError(f"no row matches {pattern!r}; there are {names}.")
    return [row for row in rows if not patterns or any(fnmatch.fnmatch(row.name, p) for p in patterns)]


def smoke(row: Row) -> Row:
    """The same row with tiny sizes, which shows that it runs and nothing else."""
    sizes = {"scan": (2, 9, 5), "live": (1, 1, 8, 8)}
    shape = (1, 9, 5) if row.op == "diagonal" and row.kind == "growth" else sizes.get(row.kind, (3, 9, 5, 8))
    return dataclasses.replace(row, shape=shape, times=tuple(range(4, 4 + 4 * len(row.times), 4)))


def flops(row: Row, steps: int) -> int:
    """Multiplications and additions of a gated cell's matrices over `steps` valid steps of all rows.

    Forward every step multiplies x and h by their weights; backward twice as much: towards x and h, and the weights.
    """
    _, _, features, hidden = row.shape
    gates = GATES[row.op] - bool(row.options.get("coupled"))
    return 2 * steps * (features + hidden) * gates * hidden * (3 if row.mode == "training" else 1)


def scan_bytes(row: Row) -> int:
    """Bytes that a scan must move: a, b in and h out; in training also a, h and dh in, da and db out."""
    batch, steps, width = row.shape
    return FLOAT * batch * steps * width * (8 if row.mode == "training" else 3)
