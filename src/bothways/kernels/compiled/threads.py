"""Run the compiled program on the threads of torch.

If torch uses GNU OpenMP, as its Linux wheels do, the program runs as a parallel region on torch's
existing threads. A separate pool would compete with them for the cores, because they spin for
milliseconds after each operator of torch. Python threads run the program otherwise, and in a forked
child process, where the threads of the OpenMP pool do not exist.
"""

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from pathlib import Path

import torch

_Program = ctypes.CFUNCTYPE(None, ctypes.c_int64)

_forked = False
_pools: dict[int, ThreadPoolExecutor] = {}


def _after_fork() -> None:
    global _forked
    _forked = True
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def run_on_threads(entry: int, job: int, threads: int) -> None:
    """Call the function at `entry` with argument `job` on up to `threads` threads, and wait."""
    if threads == 1:
        _Program(entry)(job)
        return
    parallel = None if _forked else _openmp_parallel()
    if parallel is not None:
        parallel(entry, job, threads, 0)
        return
    program = _Program(entry)
    others = [_pool(threads - 1).submit(program, job) for _ in range(threads - 1)]
    try:
        program(job)
    finally:
        wait(others)  # also if interrupted, because they write to memory of this call


def _pool(workers: int) -> ThreadPoolExecutor:
    if workers not in _pools:
        _pools[workers] = ThreadPoolExecutor(workers, thread_name_prefix="bothways")
    return _pools[workers]


@cache
def _openmp_parallel() -> Callable[[int, int, int, int], None] | None:
    """Return `GOMP_parallel` of the GNU OpenMP in torch's wheel, or None if it has none."""
    for path in (Path(torch.__file__).parent / "lib").glob("libgomp*.so*"):
        try:
            parallel = ctypes.CDLL(str(path)).GOMP_parallel
        except (OSError, AttributeError):
            continue
        parallel.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint, ctypes.c_uint]
        parallel.restype = None
        return parallel
    return None
