"""Run the C++ kernels under AddressSanitizer and UBSan, by hand: every op's samples, block edges, shared columns, the
law suite and a live program of every cell, and the tests that call the kernels as nobody should.

    python benchmarks/memory_check.py                     build in a temporary folder, run, print a verdict
    python benchmarks/memory_check.py --folder scratch    keep the build there, for the next run

The build never touches the installed package. A seeded overrun comes first: a sanitizer that misses it proves nothing.
Needs Linux, GCC with libasan, CMake and nanobind; takes some minutes.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unrolled.nn import Recurrent
    from unrolled.ops import Op

ROOT = Path(__file__).resolve().parents[1]
GATED = ("rnn", "gru", "lstm")
OPTIONS = "detect_leaks=0:detect_odr_violation=0:halt_on_error=1"
"""Leaks are Python's and torch's own here; tests/ops/test_cpp_memory.py looks for those of the kernels."""


def main() -> None:
    """Build, run the seeded overrun, run everything, say how it went."""
    parser = argparse.ArgumentParser(description="The C++ kernels under AddressSanitizer.")
    parser.add_argument("--folder", type=Path, help="where to build; default: a temporary folder")
    parser.add_argument("--inside", nargs=2, metavar=("MODULE", "WHAT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        inside(Path(given.inside[0]), given.inside[1])
        return
    with tempfile.TemporaryDirectory() as scratch:
        module = build(given.folder or Path(scratch))
        seeded = sanitized(module, "overrun")
        if seeded.returncode == 0 or "AddressSanitizer: heap-buffer-overflow" not in seeded.stderr:
            raise SystemExit(
                f"memory check: the seeded overrun went unseen, so nothing is proved.\n{seeded.stderr[-2000:]}"
            )
        print("the seeded overrun was seen", flush=True)
        # What it has done so far is printed as it goes.
        result = sanitized(module, "everything", stdout=None)
    if result.returncode:
        raise SystemExit(f"memory check: FAILED\n{result.stderr[-6000:]}")
    print("memory check: no error")


def build(folder: Path) -> Path:
    """The sanitized module, compiled in the folder."""
    nanobind = subprocess.run(
        [sys.executable, "-m", "nanobind", "--cmake_dir"], capture_output=True, text=True, check=True
    )
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    settings = {
        "CMAKE_BUILD_TYPE": "Release",
        "UNROLLED_SANITIZE": "ON",
        "nanobind_DIR": nanobind.stdout.strip(),
        "Python_EXECUTABLE": sys.executable,
    }
    words = [f"-D{name}={value}" for name, value in settings.items()]
    log = subprocess.DEVNULL
    subprocess.run(["cmake", "-S", str(ROOT), "-B", str(folder), *generator, *words], check=True, stdout=log)
    subprocess.run(["cmake", "--build", str(folder), "--parallel"], check=True, stdout=log)
    return next(folder.glob("_native*.so"))


def sanitized(module: Path, what: str, stdout: int | None = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """This script again, under the sanitizer."""
    # The C++ runtime comes along, or the sanitizer could not follow exceptions.
    libraries = [
        subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
        for name in ("libasan.so", "libubsan.so", "libstdc++.so.6")
    ]
    environment = os.environ | {
        "LD_PRELOAD": " ".join(libraries),
        "ASAN_OPTIONS": OPTIONS,
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
    }
    words = [sys.executable, __file__, "--inside", str(module), what]
    return subprocess.run(words, env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True)


def inside(path: Path, what: str) -> None:
    """Put the sanitized module in the place of the installed one, then run the overrun or everything."""
    specification = importlib.util.spec_from_file_location("unrolled.ops._native", path)
    if specification is None or specification.loader is None:
        raise SystemExit(f"memory check: {path} is no extension module, build it anew.")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    sys.modules["unrolled.ops._native"] = module
    if what == "overrun":
        overrun()
    else:
        everything()


def overrun() -> None:
    """A y that is one step too short for the kernel that writes it."""
    import torch

    from unrolled.ops import native

    module, width = native.compiled(), 8
    tensors = {
        "gates": torch.zeros(1, 4, width, dtype=torch.float64),
        "h0": torch.zeros(1, width, dtype=torch.float64),
        "weight_h": torch.zeros(width, width, dtype=torch.float64),
        "y": torch.zeros(1, 3, width, dtype=torch.float64),
        "h": torch.zeros(1, width, dtype=torch.float64),
    }
    fields = {name: tensor.data_ptr() for name, tensor in tensors.items()}
    fields |= {"type": 1, "threads": 1, "batch": 1, "time": 4, "hidden": width, "output": width}
    module.gated_forward([fields.get(name, 0) for name in module.GATED_FIELDS], 0.0, 0.0)


def everything() -> None:
    """On each level: the samples of all ops, block edges and shared columns on two threads, laws and live programs."""
    import torch

    from unrolled import ops
    from unrolled.nn import CELLS
    from unrolled.ops import native
    from unrolled.testing import check_kernel, check_recurrent
    from unrolled.testing.kernels import samples_of

    for level in native.levels():
        with native.use_level(level):
            for threads in (1, 2):
                torch.set_num_threads(threads)
                for name in ops.kernels():
                    samples = [*samples_of(name), *(edges(name) if name in GATED else ())]
                    ran = check_kernel(alone(ops.find(name)), samples=samples, opcheck=False)["cpp"]
                    print(f"{level}, {threads} threads: {name}: {ran} calls", flush=True)
            for name in CELLS:
                check_recurrent(layer_of(name), graphs=False)
                print(f"{level}: laws of {name}", flush=True)
            for batch in (1, 13, 30):
                live_steps(batch)
            print(f"{level}: live steps", flush=True)
    hostile_calls()


def layer_of(name: str) -> Callable[[], Recurrent[Any]]:
    """How a cell is made, with every option that reaches another part of its kernel."""
    from unrolled.nn import CELLS, GRU, LSTM

    rich: dict[str, Callable[[], Recurrent[Any]]] = {
        "lstm": lambda: LSTM(3, 8, peephole=True, coupled=True, projection_size=4, layer_norm=True),
        "gru": lambda: GRU(3, 8, reset="before", learn_initial_state=True),
    }
    return rich.get(name, lambda: CELLS[name](8, 8))


def hostile_calls() -> None:
    """The tests of weights, states, lengths and programs that do not fit."""
    import pytest

    tests = ("live/test_stepper_weights.py", "live/test_text.py", "live/test_stepper.py", "ops/test_cpp_door.py")
    # The clock of a sanitized child, and its forks, are not what is looked at.
    # What the sanitizer says must not end among the output that a test keeps.
    words = ["-q", "-s", "-p", "no:cacheprovider", "-k", "not compiled_graph and not traced"]
    if pytest.main([*words, *(str(ROOT / "tests" / name) for name in tests)]):
        raise SystemExit("memory check: a test failed")


def live_steps(batch: int) -> None:
    """Steppers by the short way and by the general one, every storage of weights, one step and many."""
    import torch

    from unrolled.nn import CELLS, GRU, LSTM, RNN, Stack, Stepper

    layers = [LSTM(3, 17), GRU(16, 33, reset="before"), LSTM(5, 9, projection_size=4, layer_norm=True)]
    layers += [Stack([RNN(3, 70), GRU(70, 5)]), *(layer_of(name)() for name in CELLS)]
    for layer in layers:
        for weights in ("float32", "bf16", "int8"):
            stepper = Stepper(layer, batch, weights)
            stepper.run(torch.randn(70, batch, layer.input_size))
            stepper.step(torch.randn(batch, layer.input_size))
            stepper.advance()
            stepper.reset([batch - 1])
            stepper.load_state(stepper.state())


def alone(op: Op) -> Op:
    """The op with its C++ kernel and a reference that is only what it is compared with."""
    fast, reference = (next(kernel for kernel in op.kernels if kernel.name == name) for name in ("cpp", "reference"))
    return replace(op, kernels=(fast, replace(reference, refuses=lambda *_: "it is what the other is compared with")))


def edges(name: str) -> Iterator[object]:
    """The op's samples at shapes around the blocks of rows and lanes, and where threads share columns."""
    from unrolled.ops.core.samples import Shape

    module = importlib.import_module(f"unrolled.ops.{name}.samples")
    shapes = [Shape(batch, 2, 9, (2,) * (batch - 1) + (0,)) for batch in (6, 7, 12, 13, 25)]
    shapes += [Shape(2, 2, width, (1, 2)) for width in (16, 31, 33)]
    # Several windows of steps; a row with an assistant.
    shapes += [Shape(40, 20, 9, tuple(range(20)) * 2), Shape(1, 170, 41, (168,))]
    everything = frozenset(module.OPTIONS)
    wide = Shape(3, 2, 530 if name == "rnn" else 330, (2, 0, 1))
    variants = [(shape, chosen) for shape in shapes for chosen in (frozenset(), everything)]
    variants += [(wide, frozenset()), (wide, everything - {"norm_h", "norm_c"})]
    before, module.variants = module.variants, lambda _: iter(variants)
    try:
        yield from list(module.samples())
    finally:
        module.variants = before


if __name__ == "__main__":
    main()
