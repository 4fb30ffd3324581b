"""Two processes under torchrun train as one does, resume exactly, and fail together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from two_processes_child import WAYS, losses_of

CHILD = Path(__file__).with_name("two_processes_child.py")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("two")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([*launcher, str(CHILD), str(folder)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads((folder / f"result-{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize("way", WAYS)
def test_two_processes_have_the_losses_of_one(results: list[dict[str, Any]], way: str) -> None:
    one, two = losses_of(way), results[0][way]
    assert len(one) >= 50
    assert two == pytest.approx(one, rel=1e-9)


def test_two_processes_stop_together_and_resume_exactly(results: list[dict[str, Any]]) -> None:
    assert [result["resumes"] for result in results] == [True, True]


def test_all_processes_learn_that_the_disk_is_full(results: list[dict[str, Any]]) -> None:
    assert [result["full_disk"] for result in results] == [True, True]
