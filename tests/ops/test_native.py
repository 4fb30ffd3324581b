"""The compiled module: levels, threads, the door for fields, and the package without it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from unrolled.errors import KernelError
from unrolled.ops.native import loading as native

compiled = pytest.mark.skipif(not native.available(), reason=native.reason() or "")

SHOW = "from unrolled.ops import native; print(native.available(), native.level(), native.reason(), sep='|')"


def child(code: str, level: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != native.VARIABLE}
    if level is not None:
        environment[native.VARIABLE] = level
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)


@compiled
def test_levels_are_listed_best_first_and_end_with_the_baseline() -> None:
    listed = native.levels()
    assert listed[-1] == "baseline"
    assert list(listed) == [name for name in native.WORDS if name in listed]
    assert native.level() in listed
    assert native.reason() is None


@compiled
@pytest.mark.parametrize("name", native.levels())
def test_each_level_can_be_forced(name: str) -> None:
    before = native.level()
    with native.use_level(name):
        assert native.level() == name
    assert native.level() == before
    assert child(SHOW, name).stdout.strip() == f"True|{name}|None"


@compiled
def test_the_level_comes_back_after_an_error() -> None:
    before = native.level()
    with pytest.raises(ZeroDivisionError), native.use_level("baseline"):
        _ = 1 / 0
    assert native.level() == before


@compiled
def test_an_unknown_level_is_refused_with_the_candidates() -> None:
    with pytest.raises(KernelError, match=r"got 'baselin'\. Did you mean 'baseline'\?"), native.use_level("baselin"):
        pass
    with pytest.raises(ValueError, match="got 'neon'"):
        native.compiled().set_level("neon")


def test_an_unknown_word_in_the_environment_is_one_sentence() -> None:
    result = child("from unrolled.cli import main; import sys; sys.argv = ['unrolled', 'kernels']; main()", "avx513")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "UNROLLED_CPU must be one of avx512, avx2, baseline, none, got 'avx513'" in result.stderr


@compiled
def test_a_level_that_this_processor_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lesser:
        @staticmethod
        def levels() -> list[str]:
            return ["baseline"]

    monkeypatch.setattr(native, "import_module", lambda name: Lesser)
    with pytest.raises(KernelError, match="this processor runs, baseline, got 'avx512'"):
        native._load("avx512")


def test_none_leaves_the_reference_and_says_why() -> None:
    code = (
        f"{SHOW}; import torch; from unrolled import nn; print(nn.LSTM(3, 4)(torch.ones(2, 5, 3))[0].shape[2])\n"
        "from unrolled.ops import kernels; print(native.threads(), native.levels())"
    )
    lines = child(code, "none").stdout.splitlines()
    assert lines == ["False|None|switched off by UNROLLED_CPU=none", "4", "1 ()"]


def test_the_command_line_names_the_level_or_the_reason() -> None:
    show = "from unrolled.cli import main; import sys; sys.argv = ['unrolled', 'kernels']; main()"
    assert child(show, "none").stdout.splitlines()[-1] == "cpp: cannot run: switched off by UNROLLED_CPU=none"
    last = child(show).stdout.splitlines()[-1]
    assert last.startswith(f"cpp: level {native.levels()[0]} on " if native.available() else "cpp: cannot run: ")


def test_a_build_without_a_compiler_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class Without:
        REASON = "no C++ compiler was found"

    monkeypatch.setattr(native, "find_spec", lambda name: None if name.endswith("_native") else name)
    monkeypatch.setattr(native, "import_module", lambda name: Without)
    assert native._load("") == (None, "no C++ compiler was found, so nothing was compiled")
    with pytest.raises(KernelError, match=r"UNROLLED_CPU=avx2 cannot be had: no C\+\+ compiler was found"):
        native._load("avx2")
    monkeypatch.setattr(native, "find_spec", lambda name: None)
    assert native._load("")[1] == "unrolled was not installed, so nothing was compiled"


def test_asking_for_an_absent_module_names_the_reason() -> None:
    result = child("from unrolled.ops import native; native.compiled()", "none")
    assert result.stderr.splitlines()[-1].endswith(
        "The compiled kernels cannot run: switched off by UNROLLED_CPU=none. Use kernel='reference'."
    )


@compiled
@pytest.mark.parametrize("call", ["gated_forward", "gated_backward", "diagonal_forward", "diagonal_backward"])
def test_a_wrong_number_of_fields_is_refused(call: str) -> None:
    module = native.compiled()
    names, rates = (module.GATED_FIELDS, (0.0, 0.0)) if call.startswith("gated") else (module.DIAGONAL_FIELDS, ())
    assert len(set(names)) == len(names)
    for count in (0, len(names) - 1, len(names) + 1):
        with pytest.raises(ValueError, match=f"{call}: expected {len(names)} fields, got {count}"):
            getattr(module, call)([0] * count, *rates)
    with pytest.raises(TypeError):
        getattr(module, call)(["x"] * len(names), *rates)


@compiled
def test_threads_follow_torch() -> None:
    shared = native._shares_threads
    for count in (2, 1):
        torch.set_num_threads(count)
        assert native.threads() == (count if shared else 1)


@compiled
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere torch may come without an OpenMP runtime of its own")
def test_the_runtime_is_the_one_that_torch_has_loaded() -> None:
    assert native._shares_threads
    assert all(address > 0 for address in native._addresses(native._runtime_files()[0]) or [0])
    assert native._addresses("/nowhere/libgomp.so.1") is None


@pytest.mark.skipif(sys.platform == "win32", reason="processes do not fork there")
def test_a_forked_child_runs_alone() -> None:
    code = (
        "import os, torch; from unrolled.ops import native; torch.set_num_threads(2)\n"
        "child = os.fork()\n"
        "if child == 0: os._exit(native.threads())\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    assert child(code).stdout.strip() == "1"
