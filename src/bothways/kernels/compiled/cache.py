"""Machine code on disk: compiled once for a processor and a version of the source, then loaded.

The cache's key covers every file that shapes the code, the versions of Numba and llvmlite, and the
processor. An entry that is missing, damaged or cannot be written costs a compilation, never more.
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
_loaded: dict[Cell, int] = {}
_engines: list[Any] = []  # own the memory that the addresses point into


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def entry_address(cell: Cell) -> int:
    """Return the address of the engine for `cell`, from memory, the cache or the compiler.

    Raises
    ------
    Exception
        Whatever Numba or LLVM raise when they cannot compile.
    """
    address = _loaded.get(cell)
    if address is None:
        with _lock:
            if cell not in _loaded:
                _loaded[cell] = _load(object_code(cell))
            address = _loaded[cell]
    return address


def object_code(cell: Cell) -> bytes:
    """Return the object file of the engine for `cell` on this machine."""
    target = host_target()
    path = cached_file(cell, target)
    data = _read(path)
    if data is None:
        data = _compile(cell, target)
        _write(path, data)
    return data


def cached_file(cell: Cell, target: Target) -> Path:
    """Return where the object file lies, or would."""
    parts = [source_digest(), target, version("numba"), version("llvmlite")]
    key = hashlib.sha256(repr(parts).encode()).hexdigest()
    return cache_folder() / f"{cell.mode.lower()}-{key[:32]}.bin"


def cache_folder() -> Path:
    """Return BOTHWAYS_CACHE, or `bothways` in the user's cache folder."""
    chosen = os.environ.get("BOTHWAYS_CACHE")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        root = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    else:
        root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "bothways"


@cache
def source_digest() -> str:
    """Return a digest of every file that shapes the machine code."""
    digest = hashlib.sha256()
    for path in [Path(cells.__file__), *sorted(Path(__file__).parent.rglob("*.py"))]:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _read(path: Path) -> bytes | None:
    """Return an entry's object file, or None if it is not there whole."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    digest, code = data[:32], data[32:]
    return code if digest == hashlib.sha256(code).digest() else None


def _write(path: Path, code: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, hashlib.sha256(code).digest() + code, unique=True)
    except OSError as error:
        print(
            f"bothways: the compiled engine cannot be kept in {path.parent} ({error.strerror}); "
            "the next process compiles it again. Set BOTHWAYS_CACHE to a folder that can be "
            "written.",
            file=sys.stderr,
        )


def _compile(cell: Cell, target: Target) -> bytes:
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
    print(f"{time.perf_counter() - started:.1f} s", file=sys.stderr)
    return code


def _load(code: bytes) -> int:
    """Link an object file into this process and return the entry point's address."""
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
