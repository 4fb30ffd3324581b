"""One training a run folder, and no lock outlives its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from unrolled.errors import OptionError
from unrolled.train.checkpoints.lock import locked

CHILD = """
import sys, time
from unrolled.train.checkpoints.lock import locked
with locked(sys.argv[1]):
    print("locked", flush=True)
    time.sleep(600)
"""


def test_a_second_training_into_a_folder_is_refused(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "run"),
        pytest.raises(OptionError, match="another training writes into"),
        locked(tmp_path / "run"),
    ):
        pass
    with locked(tmp_path / "run"), locked(tmp_path / "other"), locked(None):
        assert not list((tmp_path / "run").iterdir())


@pytest.mark.skipif(os.name != "posix", reason="the lock is that of POSIX systems")
def test_the_lock_of_a_killed_process_holds_nobody_up(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == b"locked\n"
        with pytest.raises(OptionError, match="another training"), locked(tmp_path):
            pass
        child.send_signal(signal.SIGKILL)
        child.wait()
    with locked(tmp_path):
        pass
