"""The disk cache of compiled programs.

The cache key covers all source files that affect the machine code, the versions of Numba and
llvmlite, and the processor. If an entry is missing or damaged, or cannot be written, the program is
compiled again.
"""

import hashlib
import os
import sys
import threading
import time
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bothways.kernels import cells
from bothways.kernels.cells import Cell
from bothways.kernels.compiled.instruction_sets import Target, host_target
from bothways.storage.atomic import write_atomically

_lock = threading.Lock()
_loaded: dict[tuple[Cell, str], int] = {}
_engines: list[Any] = []  # keep the memory alive that the addresses point to


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def entry_address(cell: Cell, precision: str = "float32") -> int:
    """Return the address of a program; load or compile it if necessary.

    Parameters
    ----------
    cell : Cell
    precision : float32 or bfloat16
        See `InstructionSet`.

    Raises
    ------
    Exception
        Any error that Numba or LLVM raises if compilation fails.
    """
    key = cell, precision
    address = _loaded.get(key)
    if address is None:
        with _lock:
            if key not in _loaded:
                _loaded[key] = _load(object_code(cell, host_target(precision)))
            address = _loaded[key]
    return address


def object_code(cell: Cell, target: Target) -> bytes:
    """Return the object file of the program for `cell` on `target`."""
    path = cached_file(cell, target)
    data = _read(path)
    if data is None:
        data = _compile(cell, target, path)
    return data


def cached_file(cell: Cell, target: Target) -> Path:
    """Return the path of the cached object file, whether it exists or not."""
    parts = [source_digest(), target, version("numba"), version("llvmlite")]
    key = hashlib.sha256(repr(parts).encode()).hexdigest()
    return cache_folder() / f"{cell.mode.lower()}-{key[:32]}.bin"


def cache_folder() -> Path:
    """Return the path in BOTHWAYS_CACHE; default: `bothways` in the user's cache folder."""
    chosen = os.environ.get("BOTHWAYS_CACHE")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        root = os.environ.get("LOCALAPPDATA") or _home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        root = _home() / "Library" / "Caches"
    else:
        root = os.environ.get("XDG_CACHE_HOME") or _home() / ".cache"
    return Path(root) / "bothways"


def _home() -> Path:
    """Return the home folder; that of a user without a name and without HOME is the root."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/")


@cache
def source_digest() -> str:
    """Return a digest of all source files that affect the machine code."""
    digest = hashlib.sha256()
    for path in [Path(cells.__file__), *sorted(Path(__file__).parent.rglob("*.py"))]:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _read(path: Path) -> bytes | None:
    """Return the object file of a cache entry, or None if it is missing or damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    digest, code = data[:32], data[32:]
    return code if digest == hashlib.sha256(code).digest() else None


def _write(path: Path, code: bytes) -> None:
    """Write a cache entry; raise OSError if that is not possible."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, hashlib.sha256(code).digest() + code, unique=True)


def _compile(cell: Cell, target: Target, path: Path) -> bytes:
    """Compile the program for `cell` and save it at `path`; print one line about it."""
    from bothways.kernels.compiled.compiler import compile_program

    name = target.instruction_set.name
    print(
        f"bothways: compiling the {cell.mode} engine for {name}, once for this machine ...",
        end=" ",
        file=sys.stderr,
        flush=True,
    )
    started = time.perf_counter()
    try:
        code = compile_program(cell, target)
    except BaseException:
        print("failed", file=sys.stderr)
        raise
    seconds = time.perf_counter() - started
    try:
        _write(path, code)
        print(f"{seconds:.1f} s", file=sys.stderr)
    except OSError as error:
        print(
            f"{seconds:.1f} s, but it cannot be saved in {path.parent} ({error.strerror}); the "
            "next process will compile it again. Set BOTHWAYS_CACHE to a writable folder.",
            file=sys.stderr,
        )
    return code


def _load(code: bytes) -> int:
    """Link an object file into this process and return the address of its entry point."""
    import llvmlite.binding as llvm

    from bothways.kernels.compiled.compiler import ENTRY

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    return int(engine.get_function_address(ENTRY))
