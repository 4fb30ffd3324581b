"""The compiled kernels: at which instruction-set level they run, on how many threads, and why they are absent if so.

The environment variable UNROLLED_CPU, read once at import, forces a level ("avx512", "avx2" or "baseline") or switches
the compiled kernels off ("none").
"""

from __future__ import annotations

import atexit
import ctypes
import math
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import torch

from unrolled.errors import KernelError, listed, suggest

__all__ = ["available", "compiled", "level", "levels", "memory", "reason", "threads", "use_level"]

VARIABLE = "UNROLLED_CPU"
WORDS = ("avx512", "avx2", "baseline", "none")
_RUNTIME_CALLS = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")


def available() -> bool:
    """Can the compiled kernels run in this process?"""
    return _module is not None


def reason() -> str | None:
    """Why the compiled kernels cannot run, in words, or None where they can."""
    return _reason


def compiled() -> ModuleType:
    """The compiled module. Raises `KernelError` with the reason where there is none."""
    if _module is None:
        raise KernelError(f"The compiled kernels cannot run: {_reason}. Use kernel='reference'.")
    return _module


def levels() -> tuple[str, ...]:
    """The instruction-set levels that were compiled and that this processor runs, best first; empty where none can."""
    return () if _module is None else tuple(_module.levels())


def level() -> str | None:
    """The instruction-set level in use, or None where the compiled kernels cannot run."""
    return None if _module is None else str(_module.level())


@contextmanager
def use_level(name: str) -> Iterator[None]:
    """Run another level, in the whole process, until the block ends. Raises `KernelError` for one that cannot run."""
    module = compiled()
    before = module.level()
    _set_level(module, "use_level", name)
    try:
        yield
    finally:
        module.set_level(before)


def threads() -> int:
    """How many threads a kernel may use: torch's number where its OpenMP runtime is shared, else 1.

    A forked child has one: the runtime's other threads stay behind in the parent, and waiting for them never ends.
    """
    return torch.get_num_threads() if _shares_threads else 1


def memory() -> float:
    """Bytes of memory that this machine has; infinity where it does not tell."""
    names = getattr(os, "sysconf_names", {})
    if not {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= names.keys():
        return math.inf
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _load(wanted: str) -> tuple[ModuleType | None, str | None]:
    """The module, or the reason why there is none; `wanted` is what UNROLLED_CPU says, or nothing."""
    if wanted and wanted not in WORDS:
        raise KernelError(f"{VARIABLE} must be one of {', '.join(WORDS)}, got {wanted!r}.{suggest(wanted, WORDS)}")
    if wanted == "none":
        return None, f"switched off by {VARIABLE}=none"
    if find_spec("unrolled.ops._native") is None:
        absence = _absence()
        if wanted:
            raise KernelError(f"{VARIABLE}={wanted} cannot be had: {absence}. Unset it to run the reference kernels.")
        return None, absence
    module = import_module("unrolled.ops._native")
    if wanted:
        _set_level(module, VARIABLE, wanted)
    return module, None


def _absence() -> str:
    """What the build wrote down when it left the module out."""
    if find_spec("unrolled.ops._without") is None:
        return "unrolled was not installed, so nothing was compiled"
    return f"{import_module('unrolled.ops._without').REASON}, so nothing was compiled"


def _set_level(module: ModuleType, asker: str, name: str) -> None:
    here = module.levels()
    if name not in here:
        raise KernelError(
            f"{asker}: level must be one that was compiled and that this processor runs, {listed(here)}, "
            f"got {name!r}.{suggest(name, here)}"
        )
    module.set_level(name)


def _share_threads(module: ModuleType) -> bool:
    """Hand the OpenMP runtime that torch has loaded to the module; False where there is none."""
    for path in _runtime_files():
        addresses = _addresses(path)
        if addresses is not None:
            module.set_runtime(*addresses)
            return True
    return False


def _runtime_files() -> list[str]:
    """Files of the OpenMP runtimes in this process, torch's own first."""
    home = str(Path(torch.__file__).parent)
    if sys.platform == "darwin":
        return [f"{home}/lib/libomp.dylib"]
    if sys.platform != "linux":
        return []
    lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    paths = {line.split(maxsplit=5)[-1] for line in lines}
    found = (path for path in paths if re.search(r"/lib(gomp|omp|iomp5)\b[^/]*\.so[.\d]*$", path))
    return sorted(found, key=lambda path: (not path.startswith(home), path))


def _addresses(path: str) -> list[int] | None:
    """Where the runtime's calls stand in memory, or None where it is not loaded or lacks one of them."""
    try:
        # NOLOAD: a second copy of the runtime would bring a second pool of threads.
        library = ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
        found = [ctypes.cast(library[name], ctypes.c_void_p).value for name in _RUNTIME_CALLS]
    except (OSError, AttributeError):
        return None
    return [address for address in found if address is not None]


def _leave_threads() -> None:
    """In a forked child: one thread for the kernels, and one for torch, whose operators would wait for the others."""
    global _shares_threads
    _shares_threads = False
    torch.set_num_threads(1)
    if _module is not None:
        _module.forked()


_module, _reason = _load(os.environ.get(VARIABLE, ""))
_shares_threads = _module is not None and _share_threads(_module)
if _module is not None:
    atexit.register(_module.end)
if sys.platform != "win32":
    os.register_at_fork(after_in_child=_leave_threads)
