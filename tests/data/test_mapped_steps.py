"""Data that do not fit in memory: the same results, with a bounded peak."""

import json
import os
import subprocess
import sys
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from bothways import DataOptions, open_dataset, train
from bothways.data import mapped_steps as step_store
from bothways.data.mapped_steps import StepFile, StepWriter
from bothways.data.summary import inspect_dataset
from bothways.errors import DataError, TrainingInterrupted
from bothways.storage.tensors import load_tensors
from bothways.training.progress import Progress
from bothways.training.run import resume

SILENT = Mock(spec=Progress)
SMALL = {"hidden_size": 4, "num_layers": 1, "epochs": 2, "validation_fraction": 0.2}


def write_parquet(path, count, steps, features, seed=0):
    """Write ragged sequences of two classes, one of which is higher on the whole."""
    generator = np.random.default_rng(seed)
    writer = None
    for n in range(count):
        length = int(generator.integers(steps // 2, steps))
        values = generator.integers(0, 9, (length, features)).astype(np.float32) + 3 * (n % 2)
        columns = {f"f{k}": values[:, k] for k in range(features)}
        table = pa.table(
            {"session": [f"s{n}"] * length, "label": ["ab"[n % 2]] * length, **columns}
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()
    return str(path)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_parquet(tmp_path_factory.mktemp("data") / "x.parquet", 60, 800, 24)  # 3 MB


def options(memory_mb, **more):
    return DataOptions(memory_mb=memory_mb, test_fraction=0.2, **more)


def test_a_data_set_in_a_file_is_the_same(table):
    inside, outside = (open_dataset(table, options(mb)) for mb in (100, 1))
    assert inside.train.file is None
    assert isinstance(outside.train.file, StepFile)
    for part in ("train", "test"):
        one, other = inside.parts[part], outside.parts[part]
        assert one.fingerprint() == other.fingerprint()
        assert torch.equal(one.batch([3, 1]).inputs, other.batch([3, 1]).inputs)
    assert inspect_dataset(inside) == inspect_dataset(outside)


def test_what_was_looked_at_is_let_go_of(table, monkeypatch):
    monkeypatch.setattr(step_store, "RELEASE_BYTES", 1 << 18)
    dataset = open_dataset(table, options(1))
    steps = dataset.train.steps

    def resident():
        with open("/proc/self/smaps") as file:  # noqa: PTH123
            maps = file.read().split("VmFlags")
        own = next(text for text in maps if f"{steps.data_ptr():x}-" in text)
        return int(own.split("Rss:")[1].split()[0]) << 10

    for start in range(0, len(dataset.train), 4):
        dataset.train.batch(range(start, min(start + 4, len(dataset.train))))
    assert resident() < steps.nbytes / 3
    for _ in dataset.train.chunks():
        pass
    assert resident() < steps.nbytes / 3
    assert float(steps.sum()) > 0
    assert resident() > steps.nbytes / 2  # the measure itself works


def test_a_run_ends_with_the_same_bytes_killed_or_not(table, tmp_path):
    def run(out, memory_mb, **more):
        return train(table, options=options(memory_mb), out=out, progress=SILENT, **SMALL, **more)

    run(tmp_path / "inside", 100)
    run(tmp_path / "outside", 1)
    steps = iter(range(4))
    with pytest.raises(TrainingInterrupted):
        run(tmp_path / "cut", 1, should_stop=lambda: next(steps, None) is None)
    resume(tmp_path / "cut", progress=SILENT)
    weights = [
        (tmp_path / name / "model.safetensors").read_bytes()
        for name in ("inside", "outside", "cut")
    ]
    assert weights[1] == weights[2]
    inside, outside = (
        load_tensors(tmp_path / n / "model.safetensors")[0] for n in ("inside", "outside")
    )
    assert all(torch.equal(inside[name], outside[name]) for name in inside)
    figures = [
        json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("inside", "outside")
    ]
    assert figures[0] == figures[1]


def test_a_full_disk_is_one_line(tmp_path):
    """The limit on a file's size stands for the disk's end: writes are short, and then fail."""
    code = (
        "import resource, signal; import numpy as np\n"
        "from bothways.data.mapped_steps import StepWriter\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "writer = StepWriter()\n"
        "writer.append(np.ones((30_000, 2), np.float32))\n"
        "try:\n    writer.spill()\nexcept Exception as error:\n    print(error)\n"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stderr == ""
    assert done.stdout.startswith(
        f"steps that exceed the memory cannot be kept in {tmp_path}: File"
    )


@pytest.mark.parametrize("folder", ["nowhere", "file"])
def test_a_folder_that_was_named_is_not_replaced(monkeypatch, tmp_path, folder):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TMPDIR", str(tmp_path / folder))
    writer = StepWriter()
    writer.append(np.ones((3, 2), np.float32))
    with pytest.raises(DataError, match=rf"cannot be kept in {tmp_path / folder}: "):
        writer.spill()


def test_the_folder_can_be_chosen(monkeypatch, tmp_path):
    folders = []
    real = step_store.tempfile.TemporaryFile
    monkeypatch.setattr(
        step_store.tempfile,
        "TemporaryFile",
        lambda **where: folders.append(where["dir"]) or real(**where),
    )
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    writer = StepWriter()
    writer.append(np.ones((3, 2), np.float32))
    writer.spill()
    assert folders == [str(tmp_path)]


LIMITED = """
import re, resource, sys
from unittest.mock import Mock
import torch
from bothways import DataOptions, train
from bothways.training.progress import Progress

def data_bytes():
    return int(re.search(r"VmData:\\s+(\\d+)", open("/proc/self/status").read())[1]) << 10

def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

def run(table, memory_mb, out):
    train(
        table, options=DataOptions(memory_mb=memory_mb, test_fraction=0.2), out=out,
        progress=Mock(spec=Progress), epochs=1, hidden_size=4, num_layers=1, batch_size=8,
        stem_channels=None,
    )

small, large, memory_mb, limit, folder = sys.argv[1:]
torch.set_num_threads(1)
run(small, 16, f"{folder}/small")  # all that is imported and compiled is there now
before = peak_bytes()
most = data_bytes() + int(limit)
resource.setrlimit(resource.RLIMIT_DATA, (most, most))
run(large, int(memory_mb), f"{folder}/large")
print(peak_bytes() - before)
"""


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    small = write_parquet(folder / "small.parquet", 20, 1000, 128)
    large = write_parquet(folder / "large.parquet", 1000, 1000, 128)
    yield small, large
    for path in (small, large):
        step_store.Path(path).unlink()


LIMIT = 96 << 20
"""More memory than small data take, that large ones may."""

HARD_LIMIT = 256 << 20
"""More address space that may be written to, which malloc takes in large steps."""


def limited(tables, memory_mb, folder):
    command = [sys.executable, "-c", LIMITED, *tables, str(memory_mb), str(HARD_LIMIT), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_training_on_data_four_times_as_large_as_the_memory(tables, tmp_path):
    """750 sequences on average 750 steps long: 384 MB, of which 96 may be in memory."""
    rows = pq.ParquetFile(tables[1]).metadata.num_rows
    assert rows * 128 * 4 > 3.5 * LIMIT
    finished = limited(tables, 16, tmp_path)
    assert finished.returncode == 0, finished.stderr[-2000:]
    assert int(finished.stdout.split()[-1]) < LIMIT


def test_the_limit_bites(tables, tmp_path):
    failed = limited(tables, 4096, tmp_path)
    assert failed.returncode != 0
    assert "MemoryError" in failed.stderr or "not enough memory" in failed.stderr
