"""Runs killed with SIGKILL at random moments and resumed end with the weights of the uninterrupted one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kill_resume.py"


@pytest.mark.skipif(os.name != "posix", reason="the script forks")
def test_a_run_killed_at_a_random_moment_resumes_bit_for_bit() -> None:
    command = [sys.executable, str(SCRIPT), "--kills", "4", "--steps", "60", "--dry"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    assert "4 of 4 killed and resumed runs have the weights" in done.stdout
