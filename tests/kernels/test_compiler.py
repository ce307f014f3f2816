"""Compilation for this and other processors, and the cache on disk."""

import os
import re
import subprocess
import sys
from importlib.metadata import version

import pytest
import torch

import bothways.nn
from bothways.kernels import backends
from bothways.kernels.cells import GRU, LSTM
from bothways.kernels.compiled import cache, compiler
from bothways.kernels.compiled.instruction_sets import AVX2, AVX512, GENERIC, NEON, Target

HASWELL = Target(
    "x86_64-unknown-linux-gnu",
    "haswell",
    "+sse4.2,+popcnt,+avx,+avx2,+fma,+bmi,+bmi2,+lzcnt,+f16c,-avx512f,-avx512vl",
)
CORTEX = Target("aarch64-unknown-linux-gnu", "cortex-a76", "+neon")
OLD = Target("x86_64-unknown-linux-gnu", "x86-64", "+sse2")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (HASWELL, AVX2),
        (CORTEX, NEON),
        (OLD, GENERIC),
        (Target("x86_64-pc-windows-msvc", "znver4", "+avx2,+fma,+avx512f"), AVX512),
    ],
)
def test_instruction_set_of_each_processor(target, expected):
    assert target.instruction_set is expected


@pytest.mark.parametrize(
    ("target", "present", "absent"),
    [(CORTEX, r"fmla\tv\d+\.4s", r"%[xy]mm"), (OLD, r"mulps", r"%[yz]mm|fmaf")],
    ids=["neon", "generic"],
)
def test_assembly_for_other_processors(target, present, absent):
    assembly = compiler.assembly_of(LSTM, target)
    assert re.search(present, assembly)
    assert not re.search(absent, assembly)


@pytest.mark.skipif("+avx2" not in cache.host_target().features, reason="needs AVX2 to run")
def test_avx2_gives_the_same_results(tmp_path, monkeypatch):
    """Run in a subprocess that is told that the processor has no AVX-512."""
    target = Target(cache.host_target().triple, HASWELL.cpu, HASWELL.features)
    ir = compiler._numba_ir(LSTM, target)  # slow, so both forms of the machine code share it
    monkeypatch.setattr(compiler, "_numba_ir", lambda cell, target: ir)
    assembly = compiler.assembly_of(LSTM, target)
    assert re.search(r"vfmadd\w+ps.*%ymm", assembly)
    assert not re.search(r"%zmm", assembly)
    monkeypatch.setenv("BOTHWAYS_CACHE", str(tmp_path))
    cache._write(cache.cached_file(LSTM, target), compiler.compile_program(LSTM, target))
    code = """
import torch, bothways.nn
from bothways.kernels.compiled.instruction_sets import AVX2, host_target
assert host_target().instruction_set is AVX2
torch.manual_seed(0)
torch.set_num_threads(2)
SIZES = (1, 1, 9), (130, 1, 9), (13, 7, 9), (40, 12, 9), (64, 64, 28)
for hidden_size, batch_size, time in SIZES:
    layers = bothways.nn.LSTM(5, hidden_size, 2, bidirectional=True, backend="compiled")
    inputs = torch.randn(time, batch_size, 5)
    lengths = None if time == 28 else torch.randint(1, 10, (batch_size,))
    results = []
    for backend in ("compiled", "torch"):
        layers.backend = backend
        outputs, states = layers.outputs(inputs, lengths=lengths)
        weights = list(layers.parameters())
        mean = outputs.sum() / batch_size
        results.append([outputs, *states, *torch.autograd.grad(mean, weights)])
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-4)
"""
    environment = os.environ | {
        "NUMBA_CPU_NAME": HASWELL.cpu,
        "NUMBA_CPU_FEATURES": HASWELL.features,
    }
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (0, "")  # compiled above, not once more


@pytest.fixture
def compilations(monkeypatch, tmp_path):
    """Use an empty cache and a fake compiler; return the list of compiled cells."""
    done = []

    def compile_program(cell, target):
        done.append(cell)
        return b"machine code"

    monkeypatch.setattr(compiler, "compile_program", compile_program)
    monkeypatch.setenv("BOTHWAYS_CACHE", str(tmp_path / "cache"))
    return done


def test_compiled_once_then_read_from_disk(compilations, capsys):
    assert cache.object_code(LSTM, cache.host_target()) == b"machine code"
    assert re.fullmatch(
        r"bothways: compiling the LSTM engine for .+, once for this machine \.\.\. \d+\.\d s\n",
        capsys.readouterr().err,
    )
    assert cache.object_code(LSTM, cache.host_target()) == b"machine code"
    assert compilations == [LSTM]
    assert capsys.readouterr().err == ""
    cache.object_code(GRU, cache.host_target())
    assert compilations == [LSTM, GRU]


def test_changed_source_is_compiled_again(compilations, monkeypatch):
    cache.object_code(LSTM, cache.host_target())
    monkeypatch.setattr(cache, "source_digest", lambda: "another")
    cache.object_code(LSTM, cache.host_target())
    assert len(compilations) == 2


@pytest.mark.parametrize("package", ["numba", "llvmlite"])
def test_other_compilers_and_processors_have_other_cache_entries(monkeypatch, package):
    before = cache.cached_file(LSTM, HASWELL)
    assert cache.cached_file(LSTM, CORTEX) != before
    monkeypatch.setattr(cache, "version", lambda name: "9" if name == package else version(name))
    assert cache.cached_file(LSTM, HASWELL) != before


def test_every_file_of_the_engine_is_in_the_digest(tmp_path, monkeypatch):
    """A change of any source file invalidates the cached machine code."""
    digests = set()
    monkeypatch.setattr(cache, "__file__", str(tmp_path / "cache.py"))
    for content in ("a = 1", "a = 2"):
        (tmp_path / "tiles.py").write_text(content)
        digests.add(cache.source_digest.__wrapped__())
    assert len(digests) == 2


@pytest.mark.parametrize("damage", [b"", b"short", b"\0" * 100])
def test_damaged_cache_entry_is_compiled_again(compilations, damage):
    cache.object_code(LSTM, cache.host_target())
    path = cache.cached_file(LSTM, cache.host_target())
    path.write_bytes(damage)
    assert cache.object_code(LSTM, cache.host_target()) == b"machine code"
    assert len(compilations) == 2


def test_a_cache_that_cannot_be_written_is_reported_in_the_same_line(
    compilations, monkeypatch, tmp_path, capsys
):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("BOTHWAYS_CACHE", str(tmp_path / "file"))
    assert cache.object_code(LSTM, cache.host_target()) == b"machine code"
    assert re.fullmatch(
        r"bothways: compiling the LSTM engine for .+ \.\.\. \d+\.\d s, but it cannot be saved in "
        r".+/file \(File exists\); the next process will compile it again\. "
        r"Set BOTHWAYS_CACHE to a writable folder\.\n",
        capsys.readouterr().err,
    )


def test_a_user_without_a_home_has_a_cache_folder(monkeypatch):
    def fail():
        raise RuntimeError("Could not determine home directory.")

    for name in ("BOTHWAYS_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cache.Path, "home", fail)
    assert cache.cache_folder().is_absolute()
    assert cache.cache_folder().name == "bothways"


def test_failed_compilation_warns_once_and_falls_back_to_torch(monkeypatch):
    def fail(cell, precision):
        raise RuntimeError("no such instruction")

    monkeypatch.setattr(cache, "entry_address", fail)
    backends._compilation_failure.cache_clear()
    layers = bothways.nn.GRU(3, 4)
    with pytest.warns(RuntimeWarning, match="no such instruction.*uses torch"):
        assert layers(torch.randn(2, 1, 3))[0].shape == (2, 1, 4)
    layers(torch.randn(2, 1, 3))  # a second warning would be an error here
    assert "no such instruction" in layers.backend_choice.reason
    layers.backend = "compiled"
    with pytest.raises(bothways.errors.BackendError, match="no such instruction"):
        layers(torch.randn(2, 1, 3))
    backends._compilation_failure.cache_clear()


FORK = """
import os, threading
from bothways.kernels.cells import GRU
from bothways.kernels.compiled import cache

started = threading.Event()
def compile_slowly(cell, target):
    started.set()
    threading.Event().wait()
original, cache.object_code = cache.object_code, compile_slowly
threading.Thread(target=cache.entry_address, args=(GRU,), daemon=True).start()
started.wait()
cache.object_code = original
child = os.fork()
if child == 0:
    os._exit(0 if cache.entry_address(GRU) else 1)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork_during_the_first_call_of_another_thread():
    command = [sys.executable, "-W", "ignore", "-c", FORK]
    assert subprocess.run(command, timeout=100).returncode == 0
