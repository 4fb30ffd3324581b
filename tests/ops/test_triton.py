"""The Triton kernels, exact under Triton's interpreter on a CPU, and their refusals."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from unrolled import ops
from unrolled.errors import KernelError
from unrolled.testing.kernels import samples_of

OPS = ("diagonal", "slstm", "mlstm", "delta")


@pytest.mark.parametrize("name", OPS)
def test_the_kernel_equals_the_reference_under_the_interpreter(name: str) -> None:
    pytest.importorskip("triton", reason="triton is not installed")
    child = Path(__file__).with_name("triton_child.py")
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, str(child), name], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) >= 4


@pytest.mark.parametrize("name", OPS)
def test_on_the_cpu_it_refuses_in_words(name: str) -> None:
    with pytest.raises(KernelError, match=f"{name}: kernel 'triton' refuses: .* is on cpu, it runs on a GPU"):
        ops.find(name)(*samples_of(name)[0].arguments, kernel="triton")
