"""What can each cell remember? Every cell on five tasks at growing lengths, on equal terms.

    python benchmarks/memory.py --jobs 2              # all rows, two side by side; rows that are there are kept
    python benchmarks/memory.py 'lstm/*' '*/parity/*' # some rows
    python benchmarks/memory.py --list                # which rows there are, and which are done
    python benchmarks/memory_tables.py                # docs/choosing-a-cell.md and its picture

A row is CELL/TASK/LENGTH. Each has about 10,000 parameters (the width is searched), two layers of the same shape around
every cell (`equal.Layer`; whole blocks stand as published), Adam, 32 sequences a step, one seed, and the same seconds
of a processor, so that a loaded machine changes nothing but the time on the wall. Three learning rates begin from the
same weights with a tenth of the seconds each; the one with the least validation loss goes on with the rest, its rate
falling to zero along a cosine. The weights of the best validation loss are tested. A run ends early once it is solved.
No curriculum, no truncated gradients. The rows CELL/cost measure one layer by itself: a training step and a live step.
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from equal import Contestant, Deep, contestants, parameters, state_size, width_for
from jobs import Continued, add_arguments, chosen, run
from memory_tasks import TASKS, Batch, Task
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from unrolled.nn import make_cell

PARAMETERS, SECONDS, HEADS = 10_000, 18.0, 1
RATES, SHARE = (1e-3, 3e-3, 1e-2), 0.1
ROWS, VALID, TEST, CHUNK = 32, 256, 1024, 256
# The part of the seconds between two looks at the validation set, and the skill that ends a run.
LOOK, ENOUGH = 0.04, 0.998
COST_SHAPE, COST_HEADS = (16, 256, 128), 4

Clock = Callable[[], float]


class Net(nn.Module):
    """Codes or numbers in, two layers, answers out where they are asked."""

    def __init__(self, task: Task, contestant: Contestant, width: int) -> None:
        super().__init__()
        self.inside = nn.Embedding(task.codes, width) if task.codes else nn.Linear(task.features, width)
        self.layers, self.head = Deep(contestant, width), nn.Linear(width, task.outputs)

    def forward(self, batch: Batch) -> Tensor:
        """Answers (asked steps, outputs)."""
        y, _ = self.layers(self.inside(batch.x))
        answers: Tensor = self.head(y[batch.asked])
        return answers


class Found(NamedTuple):
    """Mean loss and score (accuracy or mean squared error) of all that was asked."""

    loss: float
    score: float


def loss_of(answers: Tensor, wanted: Tensor) -> Tensor:
    """Nats, or the squared error where the answer is a number; the mean."""
    return mse_loss(answers[:, 0], wanted) if wanted.is_floating_point() else cross_entropy(answers, wanted)


@torch.inference_mode()
def examine(net: Net, batch: Batch) -> Found:
    """Loss and score over all rows, some at a time."""
    loss = right = count = 0.0
    for first in range(0, len(batch.x), CHUNK):
        part = Batch(*(each[first : first + CHUNK] for each in batch))
        answers, wanted = net(part), part.target[part.asked]
        loss += float(loss_of(answers, wanted)) * len(wanted)
        right += 0.0 if wanted.is_floating_point() else float((answers.argmax(1) == wanted).sum())
        count += len(wanted)
    return Found(loss / count, right / count if not batch.target.is_floating_point() else loss / count)


class Learner:
    """A net in training at one rate."""

    def __init__(self, net: Net, rate: float) -> None:
        self.net, self.rate, self.steps = net, rate, 0
        self.draw = np.random.default_rng([1, 0])
        self.optimizer = torch.optim.Adam(net.parameters(), lr=rate, fused=True)
        self.alive = True
        self.best, self.best_weights = math.inf, copy.deepcopy(net.state_dict())

    def step(self, task: Task, length: int, factor: float = 1.0) -> None:
        """One step on new sequences, at `factor` times the rate; a step that is not finite ends the training."""
        batch = task.draw(self.draw, length, ROWS, "train")
        loss = loss_of(self.net(batch), batch.target[batch.asked])
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.alive = math.isfinite(float(loss.detach()) + float(norm))
        if self.alive:
            self.optimizer.param_groups[0]["lr"] = self.rate * factor
            self.optimizer.step()
            self.steps += 1

    def look(self, task: Task, valid: Batch) -> float:
        """The skill on the validation set; the best weights are kept."""
        found = examine(self.net, valid)
        if found.loss < self.best:
            self.best, self.best_weights = found.loss, copy.deepcopy(self.net.state_dict())
        return task.skill(found.score)


def teach(
    make: Callable[[], Net], task: Task, length: int, valid: Batch, seconds: float, clock: Clock
) -> tuple[Learner, float | None]:
    """The learner of the best rate after its training, and after how many seconds it was solved, if it was."""
    first = make()
    racers = [Learner(copy.deepcopy(first), rate) for rate in RATES]
    for racer in racers:
        begin = clock()
        while racer.alive and clock() - begin < SHARE * seconds:
            racer.step(task, length)
        if racer.alive:
            racer.look(task, valid)
    learner = min(racers, key=lambda racer: racer.best)
    begin, rest = clock(), (1 - len(RATES) * SHARE) * seconds
    looks, before = 1, 0.0
    while learner.alive and (used := clock() - begin) < rest:
        learner.step(task, length, (1 + math.cos(math.pi * used / rest)) / 2)
        if learner.alive and used >= looks * LOOK * seconds:
            looks += 1
            skill = learner.look(task, valid)
            if min(skill, before) >= ENOUGH and not task.fixed:
                return learner, SHARE * seconds + clock() - begin
            before = skill
    if learner.alive:
        learner.look(task, valid)
    return learner, None


def measure(name: str, seconds: float, clock: Clock = time.process_time) -> dict[str, Any]:
    """One row."""
    cell, kind, *rest = name.split("/")
    if kind == "cost":
        return cost(next(c for c in contestants(COST_HEADS) if c.name == cell))
    contestant = next(c for c in contestants(HEADS) if c.name == cell)
    task, length = TASKS[kind], int(rest[0])
    width = width_for(lambda width: Net(task, contestant, width), PARAMETERS)
    torch.manual_seed(0)
    valid, test = (draw(task, length, part, rows) for part, rows in (("valid", VALID), ("test", TEST)))
    begin = clock()
    learner, solved = teach(lambda: Net(task, contestant, width), task, length, valid, seconds, clock)
    used = clock() - begin
    net = learner.net
    net.load_state_dict(learner.best_weights)
    found = {"score": round(examine(net, test).score, 4)}
    if task.longer > 1:
        # Only steps that no training sequence had.
        long = draw(task, task.longer * length, "test", TEST // 4)
        long.asked[:] = torch.arange(long.asked.shape[1]) >= length
        found["longer"] = round(examine(net, long).score, 4)
    if task.baseline is not None:
        found["baseline"] = round(task.baseline(), 4)
    return {
        "cell": cell, "task": kind, "length": length, "metric": task.metric, **found, "chance": round(task.chance, 4),
        "width": width, "parameters": parameters(net), "state": state_size(net.layers), "rate": learner.rate,
        "steps": learner.steps, "core_seconds": round(used, 2),
        "solved_after": None if solved is None else round(solved, 2), "diverged": not learner.alive,
    }  # fmt: skip


def draw(task: Task, length: int, part: str, rows: int) -> Batch:
    """The same sequences for every cell."""
    return task.draw(np.random.default_rng([{"valid": 2, "test": 3}[part], length]), length, rows, part)


def cost(contestant: Contestant, clock: Clock = time.process_time) -> dict[str, Any]:
    """Processor time of one layer: forward and backward over a batch, and one live step."""
    batch, steps, width = COST_SHAPE
    torch.manual_seed(0)
    layer = make_cell(contestant.cell, width, width, **contestant.options)
    x = torch.randn(batch, steps, width, requires_grad=True)

    def train() -> None:
        y, _ = layer(x)
        y.sum().backward()

    @torch.inference_mode()
    def live(count: int = 300) -> None:
        state, step = layer.initial_state(1), x[0, :1].detach()
        for _ in range(count):
            _, state = layer.step(step, state)

    layer.train()
    training = timed(train, clock)
    layer.eval()
    return {
        "cell": contestant.name, "task": "cost", "shape": list(COST_SHAPE), "parameters": parameters(layer),
        "state": state_size(layer), "train_us_a_step": round(1e6 * training / (batch * steps), 3),
        "live_us_a_step": round(1e6 * timed(live, clock) / 300, 2), "parallel_in_time": layer.parallel_in_time,
    }  # fmt: skip


def timed(call: Callable[[], None], clock: Clock, rounds: int = 5) -> float:
    """The median processor seconds of a call, after two to warm up."""
    call()
    call()
    found = []
    for _ in range(rounds):
        begin = clock()
        call()
        found.append(clock() - begin)
    return median(found)


def rows() -> list[str]:
    """The names of all rows, cell by cell."""
    kinds = [f"{task.name}/{length}" for task in TASKS.values() for length in task.lengths]
    return [f"{contestant.name}/{kind}" for contestant in contestants(HEADS) for kind in (*kinds, "cost")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of a processor, for each row")
    asked = parser.parse_args()
    names, results = chosen(rows(), asked.rows), Continued("memory", anew=asked.anew)
    if asked.list:
        for name in names:
            print(f"{name}{'  (done)' if results.has(row=name, seconds=asked.seconds) else ''}")
        return 0
    return run(partial(measure, seconds=asked.seconds), names, results, asked.jobs, {"seconds": asked.seconds})


if __name__ == "__main__":
    sys.exit(main())
