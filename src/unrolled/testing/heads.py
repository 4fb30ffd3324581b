"""The laws of heads: padding, batch, unknown targets, loss, gradient, best, draws, refusal and round trip."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from unrolled.errors import OptionError
from unrolled.heads.head import Head
from unrolled.padding import valid_mask, zero_padding
from unrolled.testing.book import gradients, padding_law
from unrolled.testing.draws import SURE, require_frequencies, require_spread
from unrolled.testing.proof import Proof

__all__ = ["HEAD_LAWS", "check_head"]

LENGTHS = (5, 3, 1, 0, 5)
TIME = 5

GARBAGE = ((0.0, 0), (1e3, 1), (math.inf, 10**6), (math.nan, -7))
"""What the padding is filled with: numbers, and codes."""

DRAWS = 20_000
"""Draws of one place, or row, by which a distribution is judged."""

SOME = 2
"""Steps of the row that is drawn."""

OTHERS = 200
"""Values that the best one is compared with."""

Best = Literal["mode", "mean"]


class _Case(NamedTuple):
    """The arguments of `check_head`."""

    make: Callable[[], Head]
    values: Callable[[tuple[int, ...], torch.Generator], Tensor]
    best: Best
    distribution: bool
    rows: bool


def check_head(
    make: Callable[[], Head],
    values: Callable[[tuple[int, ...], torch.Generator], Tensor],
    *,
    best: Best = "mode",
    distribution: bool = True,
    rows: bool = False,
    laws: Iterable[str] | None = None,
) -> None:
    """Prove all laws for the heads that `make` builds; raises LawBroken, which names the law, at the first broken.

    make: returns a fresh `Head` at every call. It is run in float64 and in evaluation mode, its parameters moved by
        random numbers. A few features and a few codes keep it fast.
    values: of the shape of places and a generator, values of those places, all known: int64 codes, or float64.
    best: what `best` says it is: "mode", the value with the least loss, or "mean", the mean of the draws.
    distribution: whether the head describes one; if not, `draw` and `log_prob` must raise `OptionError`.
    rows: True where the places of a row hang together: y is then always (batch, time, input_size), and log_prob one a
        row.
    laws: names out of HEAD_LAWS; None means all of them.

    >>> from unrolled.heads.softmax import SoftmaxHead
    >>> check_head(lambda: SoftmaxHead(4, 3), lambda shape, random: torch.randint(3, shape, generator=random))
    """
    case = _Case(make, values, best, distribution, rows)
    for name in HEAD_LAWS if laws is None else laws:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            HEAD_LAWS[name](_Bench(name, case))


class _Trial(NamedTuple):
    """Vectors of the places of rows, with values for them."""

    y: Tensor
    target: Tensor
    lengths: Tensor | None


class _Bench:
    """One law on one head."""

    def __init__(self, law: str, case: _Case) -> None:
        self.law, self.case = law, case
        self.head = self.fresh()
        proof = Proof(law, lambda: self.head)  # type: ignore[arg-type, return-value]
        proof.owner = type(self.head).__name__
        self.same, self.all_same, self.require = proof.same, proof.all_same, proof.require

    def fresh(self) -> Head:
        """Another head from `make`, with other values of its parameters."""
        head = self.case.make().double().eval()
        with torch.no_grad():
            for parameter in head.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.3)
        return head

    def trial(self, lengths: tuple[int, ...] | None = LENGTHS, seed: int = 0) -> _Trial:
        """Random vectors and values; None: every step of five rows is there."""
        random = torch.Generator().manual_seed(seed)
        counts = None if lengths is None else torch.tensor(lengths)
        batch = len(LENGTHS) if lengths is None else len(lengths)
        y = torch.randn(batch, TIME, self.head.input_size, generator=random, dtype=torch.float64)
        return _Trial(y.requires_grad_(), self.values((batch, TIME), random), counts)

    def values(self, shape: tuple[int, ...], random: torch.Generator) -> Tensor:
        found = self.case.values(shape, random)
        fits = found.shape[: len(shape)] == shape and found.ndim <= len(shape) + 1
        self.require(fits, f"values of places {shape} are {tuple(found.shape)}: expected that shape, or one more")
        return found

    def outcome(self, head: Head, trial: _Trial) -> dict[str, Tensor]:
        """Everything that a head says of a trial, by name, but for its draws."""
        y, target, lengths = trial
        total, count = head.loss(y, target, lengths)
        self.require(total.ndim == 0, f"the loss is {tuple(total.shape)}, expected one number, a sum")
        found = {"loss": total, "count": torch.as_tensor(count).double(), "best": self.said(head.best(y, lengths))}
        if self.case.distribution:
            found["log_prob"] = head.log_prob(y, target, lengths)
        return found | gradients(total, {"y": y, **dict(head.named_parameters())})

    def said(self, values: Tensor) -> Tensor:
        """Values without NaN, which nothing equals: what stands in the padding is looked at elsewhere."""
        return values.nan_to_num(-1.0) if values.is_floating_point() else values

    def row_log_prob(self, y: Tensor, value: Tensor, lengths: Tensor | None = None) -> Tensor:
        """log p of all values of each row (batch,)."""
        found = self.head.log_prob(y, value, lengths)
        wanted = y.shape[:1] if self.case.rows else y.shape[:-1]
        self.require(found.shape == wanted, f"log_prob is {tuple(found.shape)}, expected {tuple(wanted)}")
        return found.reshape(len(y), -1).sum(1)


def _check_padding(bench: _Bench) -> None:
    """What stands in the padding, NaN and codes of no vocabulary included, and how much of it, changes nothing."""
    clean = bench.trial()
    assert clean.lengths is not None
    valid = valid_mask(clean.lengths, TIME)

    def run(trial: _Trial) -> dict[str, Tensor]:
        found = bench.outcome(bench.head, trial)
        slope = found["gradient of y"]
        bench.require(
            torch.equal(slope, zero_padding(slope, trial.lengths)), "the gradient of y is not 0 in the padding"
        )
        for name in ("best", "gradient of y", *(() if bench.case.rows else ("log_prob",))):
            if name in found:
                found[name] = found[name][:, :TIME]
        return found

    bench.all_same(padding_law(run, clean, _spoiled(clean)))
    named = {"best": bench.head.best(clean.y, clean.lengths)}
    if bench.case.distribution:
        drawn = [
            bench.head.draw(trial.y, torch.Generator().manual_seed(1), trial.lengths)
            for trial in (clean, *(spoilt for where, spoilt in _spoiled(clean) if " 0 steps" in where))
        ]
        for other in drawn[1:]:
            bench.same("padding of other values", {"draw": bench.said(other)}, {"draw": bench.said(drawn[0])})
        named["draw"] = drawn[0]
        if not bench.case.rows:
            outside = bench.head.log_prob(clean.y, clean.target, clean.lengths)[~valid]
            bench.require(bool((outside == 0).all()), "log_prob is not 0 in the padding")
    for name, found in named.items():
        outside = found[~valid]
        marked = outside.isnan() if found.is_floating_point() else outside == -1
        mark = "NaN" if found.is_floating_point() else "-1"
        bench.require(bool(marked.all()), f"{name} is not {mark} everywhere in the padding")


def _spoiled(clean: _Trial) -> Iterator[tuple[str, _Trial]]:
    """The trial with other values in its padding, and with more of it."""
    y, target, lengths = clean
    assert lengths is not None
    for number, code in GARBAGE:
        for more in (0, 3):
            valid = valid_mask(lengths, TIME + more)

            def filled(values: Tensor, mark: float, more: int = more, valid: Tensor = valid) -> Tensor:
                longer = torch.cat([values, values[:, :1].expand(-1, more, *values.shape[2:])], 1)
                return torch.where(valid.view(*valid.shape, *[1] * (values.ndim - 2)), longer, mark)

            spoilt = filled(y.detach(), number).requires_grad_()
            wrong = filled(target, number if target.is_floating_point() else code)
            yield f"padding of {number} and {code}, {more} steps more", _Trial(spoilt, wrong, lengths)


def _check_batch(bench: _Bench) -> None:
    """Loss and count are the sums over the rows alone; what is said of a row is its own, and so is that of a place."""
    trial = bench.trial()
    assert trial.lengths is not None
    whole = bench.outcome(bench.head, trial)
    each = [bench.outcome(bench.head, _row(trial, row)) for row in range(len(trial.y))]
    names = ["loss", "count", *(name for name in whole if name.startswith("gradient of ") and name != "gradient of y")]
    for name in names:
        bench.same("all rows alone", {name: torch.stack([one[name] for one in each]).sum(0)}, {name: whole[name]})
    for name in ("best", "log_prob"):
        for row, one in enumerate(each):
            if name in whole:
                own = whole[name][row : row + 1]
                bench.same(
                    f"row {row} alone", {name: one[name]}, {name: own[:, : _steps(trial, row)] if own.ndim > 1 else own}
                )
    if bench.case.rows:
        return
    full = bench.trial(lengths=None)
    steps, places = bench.outcome(bench.head, full), bench.outcome(bench.head, _Trial(*_places(full), None))
    for name in ("best", "log_prob", "loss", "count"):
        if name in steps:
            flat = steps[name].flatten(0, 1) if steps[name].ndim > 1 else steps[name]
            bench.same("places (batch, input_size)", {name: places[name]}, {name: flat})


def _row(trial: _Trial, row: int) -> _Trial:
    """One row, cut to its own length, a row of length 0 to one step of padding."""
    assert trial.lengths is not None
    one, steps = slice(row, row + 1), _steps(trial, row)
    return _Trial(trial.y[one, :steps], trial.target[one, :steps], trial.lengths[one])


def _steps(trial: _Trial, row: int) -> int:
    assert trial.lengths is not None
    return max(1, int(trial.lengths[row]))


def _places(trial: _Trial) -> tuple[Tensor, Tensor]:
    return trial.y.flatten(0, 1), trial.target.flatten(0, 1)


def _check_unknown(bench: _Bench) -> None:
    """Targets that are not known, -1 or NaN, reach no loss, no count and no log_prob; without any all of it is 0."""
    y, target, _ = bench.trial(lengths=None)
    mark = torch.nan if target.is_floating_point() else -1
    none = bench.outcome(bench.head, _Trial(y, torch.full_like(target, mark), None))
    for name in ("loss", "count", "log_prob", *(name for name in none if name.startswith("gradient"))):
        if name in none:
            bench.same("no target is known", {name: none[name]}, {name: torch.zeros_like(none[name])})
    all_known = bench.outcome(bench.head, _Trial(y, target, None))["count"]
    some = target.clone()
    some[1], some[3, ::2] = mark, mark
    found = bench.outcome(bench.head, _Trial(y, some, None))
    known = (some.isfinite() if target.is_floating_point() else some >= 0).double().mean()
    bench.same("some unknown", {"count": found["count"]}, {"count": all_known * known})
    if not bench.case.rows:
        bench.require(bool((found["gradient of y"][1] == 0).all()), "a place without a target has a gradient")
    rest = torch.tensor([0, 2, 3, 4])
    alone = bench.outcome(bench.head, _Trial(y[rest], some[rest], None))
    bench.same("without the row that knows none", {"loss": alone["loss"]}, {"loss": found["loss"]})


def _check_loss(bench: _Bench) -> None:
    """The loss is minus the sum of log_prob, where there is one."""
    if not bench.case.distribution:
        return
    for lengths in (LENGTHS, None):
        y, target, counts = bench.trial(lengths)
        total, _ = bench.head.loss(y, target, counts)
        bench.same("the loss", {"loss": total}, {"loss": -bench.row_log_prob(y, target, counts).sum()})


def _check_gradient(bench: _Bench) -> None:
    """The loss has the slopes that its differences have, along a random direction of everything."""
    y, target, lengths = bench.trial()
    tensors = {"y": y, **dict(bench.head.named_parameters())}
    slopes = gradients(bench.head.loss(y, target, lengths)[0], tensors)
    ways = {name: torch.randn_like(tensor) for name, tensor in tensors.items()}
    expected = sum(float((slopes[f"gradient of {name}"] * way).sum()) for name, way in ways.items())
    # The error of a difference of both sides is a curvature times the square of the step, and rounding over the step.
    step = torch.finfo(torch.float64).eps ** (1 / 3)
    sides = []
    with torch.no_grad():
        for sign in (1, -1):
            for name, tensor in tensors.items():
                tensor.add_(ways[name], alpha=sign * step)
            sides.append(float(bench.head.loss(y, target, lengths)[0]))
            for name, tensor in tensors.items():
                tensor.sub_(ways[name], alpha=sign * step)
    found = (sides[0] - sides[1]) / (2 * step)
    limit = 2**10 * step**2 * max(1.0, abs(expected), abs(sides[0]))
    bench.require(
        abs(found - expected) <= limit, f"the loss rises by {found:.9g} a step, but its gradient says {expected:.9g}"
    )


def _check_best(bench: _Bench) -> None:
    """`best` has the least loss of all values, or is the mean of the draws: as the head says."""
    y, _, _ = bench.trial(lengths=None)
    with torch.no_grad():
        best = bench.head.best(y)
        bench.require(bool(torch.isfinite(best.double()).all()), "best is not finite")
        if bench.case.best == "mean":
            return _check_mean(bench, y, best)

        def losses(value: Tensor) -> Tensor:
            """Of each place, or row, where there is a distribution: a sum would hide what one of them lost."""
            return -bench.head.log_prob(y, value) if bench.case.distribution else bench.head.loss(y, value)[0][None]

        least = losses(best)
        slack = 2**10 * torch.finfo(torch.float64).eps * least.abs().sum().clamp(min=1)
        random = torch.Generator().manual_seed(2)
        for number in range(OTHERS):
            other = bench.values(tuple(y.shape[:-1]), random)
            # Every second one differs at a single step of each row.
            if number % 2:
                step = number // 2 % TIME
                other = torch.cat([best[:, :step], other[:, step : step + 1].to(best.dtype), best[:, step + 1 :]], 1)
            loss = losses(other)
            worst = (loss - least).argmin()
            was, might = float(least.flatten()[worst]), float(loss.flatten()[worst])
            bench.require(bool(might >= was - slack), f"best has the loss {was:.9g}, but another value {might:.9g}")
    return None


def _check_mean(bench: _Bench, y: Tensor, best: Tensor) -> None:
    """The mean of n draws is normal about the best, with the deviation of a draw over the root of n."""
    drawn, best = _draws(bench, y[:1, :SOME]).double(), best[:, :SOME]
    error = drawn.std(0) / math.sqrt(DRAWS)
    off = ((drawn.mean(0) - best[0]).abs() / error.clamp(min=1e-300)).max()
    limit = math.sqrt(2 * SURE)
    bench.require(
        bool(off <= limit), f"draws average {float(off):.1f} errors away from best, chance explains {limit:.1f}"
    )


def _draws(bench: _Bench, y: Tensor, count: int = DRAWS) -> Tensor:
    """Many draws of one row y (1, time, input_size): (draws, time, ...)."""
    return bench.head.draw(y.expand(count, -1, -1), torch.Generator().manual_seed(3))


def _check_draw(bench: _Bench) -> None:
    """Draws come as often as log_prob says, and are a function of the generator."""
    if not bench.case.distribution:
        return
    with torch.no_grad():
        y = bench.trial(lengths=None).y[:1, :SOME]
        before = torch.random.get_rng_state()
        one, other = (_draws(bench, y, OTHERS) for _ in range(2))
        bench.require(torch.equal(one, other), "the same state of the generator draws other values")
        bench.require(
            torch.equal(before, torch.random.get_rng_state()), "draws with a generator use the global one too"
        )
        drawn = _draws(bench, y)
        distinct, counts = torch.unique(drawn, dim=0, return_counts=True)
        # Numbers of which few combinations come, such as notes on or off, may hang together as codes do.
        if not drawn.is_floating_point() or len(distinct) < DRAWS // 2:
            log_p = bench.row_log_prob(y.expand(len(distinct), -1, -1), distinct)
            require_frequencies(bench.require, counts, log_p, DRAWS)
            return
        # Other numbers are judged one by one, with all others of the row unknown.
        for place in range(drawn[0].numel()):
            _judge_numbers(bench, y, drawn, place)


def _judge_numbers(bench: _Bench, y: Tensor, drawn: Tensor, place: int) -> None:
    found, counts = torch.unique(drawn.flatten(1)[:, place], return_counts=True)
    alone = torch.full((len(found), *drawn.shape[1:]), torch.nan, dtype=drawn.dtype)
    alone.view(len(found), -1)[:, place] = found
    log_p = bench.row_log_prob(y.expand(len(found), -1, -1), alone)
    if len(found) < DRAWS // 2:
        require_frequencies(bench.require, counts, log_p, DRAWS)
        return
    require_spread(bench.require, found, counts, log_p, DRAWS)


def _check_refusal(bench: _Bench) -> None:
    """A head without a distribution says so in words, and makes none up."""
    if bench.case.distribution:
        return
    y, target, _ = bench.trial(lengths=None)
    asked: dict[str, Callable[[], Tensor]] = {
        "draw": lambda: bench.head.draw(y),
        "log_prob": lambda: bench.head.log_prob(y, target),
    }
    for name, ask in asked.items():
        try:
            ask()
        except OptionError:
            continue
        bench.require(False, f"{name} answers, though there is no distribution; raise OptionError")


def _check_round_trip(bench: _Bench) -> None:
    """Another head that loads the weights says the same."""
    trial, other = bench.trial(), bench.fresh()
    other.load_state_dict({name: value.clone() for name, value in bench.head.state_dict().items()})
    bench.same("the copy", bench.outcome(other, trial), bench.outcome(bench.head, trial))


HEAD_LAWS: Mapping[str, Callable[[_Bench], None]] = {
    "padding": _check_padding,
    "batch": _check_batch,
    "unknown": _check_unknown,
    "loss": _check_loss,
    "gradient": _check_gradient,
    "best": _check_best,
    "draw": _check_draw,
    "refusal": _check_refusal,
    "round trip": _check_round_trip,
}
"""Every law of a head, by name, in the order that finds the plainest fault first."""
