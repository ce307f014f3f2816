"""Data that do not fit in memory: the same results, with a bounded peak."""

import gc
import json
import os
import subprocess
import sys
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from bothways import DataOptions, Sequences, open_dataset, train
from bothways.data.summary import inspect_dataset
from bothways.errors import DataError, TrainingInterrupted
from bothways.storage import mapped_steps
from bothways.storage.mapped_steps import StepWriter
from bothways.storage.tensors import load_tensors
from bothways.training.progress import Progress
from bothways.training.run import resume

SILENT = Mock(spec=Progress)
SMALL = {"hidden_size": 4, "num_layers": 1, "epochs": 2, "validation_fraction": 0.2}


def write_parquet(path, count, steps, features, seed=0):
    """Write ragged sequences of two classes, the values of one of which are higher on average.

    A row group has 20 sequences: the metadata of many small groups would take much memory.
    """
    generator = np.random.default_rng(seed)
    writer = None
    for first in range(0, count, 20):
        tables = []
        for n in range(first, first + 20):
            length = int(generator.integers(steps // 2, steps))
            values = generator.integers(0, 9, (length, features)).astype(np.float32) + 3 * (n % 2)
            columns = {f"f{k}": values[:, k] for k in range(features)}
            tables.append(
                pa.table(
                    {"session": [f"s{n}"] * length, "label": ["ab"[n % 2]] * length, **columns}
                )
            )
        table = pa.concat_tables(tables)
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
    assert (inside.train.in_file, outside.train.in_file) == (False, True)
    for part in ("train", "test"):
        one, other = inside.parts[part], outside.parts[part]
        assert one.fingerprint() == other.fingerprint()
        assert torch.equal(one.batch([3, 1]).inputs, other.batch([3, 1]).inputs)
    assert inspect_dataset(inside) == inspect_dataset(outside)


def memory_of(steps):
    """Return the lines of /proc/self/smaps about the mapping of a tensor, in bytes."""
    with open("/proc/self/smaps") as file:  # noqa: PTH123
        maps = file.read().split("VmFlags")
    own = next(text for text in maps if f"{steps.data_ptr():x}-" in text)
    lines = (line.split() for line in own.splitlines() if line.endswith(" kB"))
    return {words[0]: int(words[1]) << 10 for words in lines}


def written_to_file(arrays, monkeypatch, chunk_values=8):
    """Return sequences in a file, read and renumbered in chunks of few values."""
    monkeypatch.setattr("bothways.data.ragged.CHUNK_VALUES", chunk_values)
    writer = StepWriter()
    for array in arrays:
        writer.append(array)
        writer.spill()
    steps, in_file = writer.finish()
    return replace(Sequences.from_arrays(arrays), steps=steps, in_file=in_file)


def test_mapped_steps_take_no_memory_of_the_process(table):
    """The pages stay those of the file: the kernel can drop them at any time."""
    dataset = open_dataset(table, options(1))
    steps = dataset.train.steps
    for _ in dataset.train.chunks():
        pass
    dataset.train.batch(range(len(dataset.train)))
    assert float(steps.sum()) > 0
    memory = memory_of(steps)
    assert memory["Rss:"] > steps.nbytes / 2  # the measurement works
    assert memory["Anonymous:"] == 0


def test_the_file_lives_as_long_as_the_tensor(monkeypatch):
    steps = written_to_file([np.ones((5, 2), np.float32)] * 3, monkeypatch).steps
    gc.collect()
    assert float(steps.sum()) == 30


@pytest.mark.parametrize("in_file", [False, True])
def test_renumbering_leaves_the_old_sequences_unchanged(in_file, monkeypatch):
    arrays = [np.array([[0, 5, 1], [2, 6, 1], [1, 7, 0]], np.float32)] * 4
    old = written_to_file(arrays, monkeypatch) if in_file else Sequences.from_arrays(arrays)
    part = old.subset(torch.tensor([2, 1]))
    before = old.fingerprint()
    new = part.renumber({0: torch.tensor([0, 2, 1]), 2: torch.tensor([1, 0])})
    assert old.fingerprint() == before
    assert new.in_file == in_file
    assert new.batch([0, 1]).inputs.tolist() == [[[0, 5, 0], [1, 6, 0], [2, 7, 1]]] * 2
    assert torch.equal(new.steps[:3], new.batch([0]).inputs[0])  # all steps, also of no sequence


def test_renumbering_in_a_file_holds_one_chunk_in_memory(monkeypatch):
    arrays = [np.ones((30, 2), np.float32)] * 4
    sequences = written_to_file(arrays, monkeypatch, chunk_values=40)
    held = []
    real = StepWriter.spill
    monkeypatch.setattr(
        StepWriter, "spill", lambda self: held.append(self.held_bytes) or real(self)
    )
    sequences.renumber({0: torch.tensor([0, 3])})
    assert max(held) == 40 * 4
    assert sum(held) == sequences.steps.nbytes


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
        "from bothways.storage.mapped_steps import StepWriter\n"
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
        f"steps that exceed the memory limit cannot be written to {tmp_path}: File"
    )


@pytest.mark.parametrize("folder", ["nowhere", "file"])
def test_a_folder_that_was_named_is_not_replaced(monkeypatch, tmp_path, folder):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TMPDIR", str(tmp_path / folder))
    writer = StepWriter()
    writer.append(np.ones((3, 2), np.float32))
    with pytest.raises(DataError, match=rf"cannot be written to {tmp_path / folder}: "):
        writer.spill()


def test_the_folder_can_be_chosen(monkeypatch, tmp_path):
    folders = []
    real = mapped_steps.tempfile.TemporaryFile
    monkeypatch.setattr(
        mapped_steps.tempfile,
        "TemporaryFile",
        lambda **where: folders.append(where["dir"]) or real(**where),
    )
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    writer = StepWriter()
    writer.append(np.ones((3, 2), np.float32))
    writer.spill()
    assert folders == [str(tmp_path)]


LIMITED = """
import re, resource, sys, threading
from unittest.mock import Mock
import torch
from bothways import DataOptions, train
from bothways.training.progress import Progress

def status_bytes(name):
    return int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) << 10

def watch():
    while not done.wait(0.002):
        seen.append(status_bytes("RssAnon"))

def run(table, memory_mb, out):
    train(
        table, options=DataOptions(memory_mb=memory_mb, test_fraction=0.2), out=out,
        progress=Mock(spec=Progress), epochs=1, hidden_size=4, num_layers=1, batch_size=8,
        stem_channels=None,
    )

small, large, memory_mb, limit, folder = sys.argv[1:]
torch.set_num_threads(1)
done, seen = threading.Event(), []
watcher = threading.Thread(target=watch)
watcher.start()
run(small, 16, f"{folder}/small")  # after this, everything is imported and compiled
before = max(seen)
seen.clear()
most = status_bytes("VmData") + int(limit)
resource.setrlimit(resource.RLIMIT_DATA, (most, most))
try:
    run(large, int(memory_mb), f"{folder}/large")
finally:
    done.set()
    watcher.join()
print(max(seen) - before)
"""


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    small = write_parquet(folder / "small.parquet", 100, 1000, 128)
    large = write_parquet(folder / "large.parquet", 500, 1000, 128)
    yield small, large
    for path in (small, large):
        mapped_steps.Path(path).unlink()


LIMIT = 48 << 20
"""Memory that large data may take beyond what small data take."""

HARD_LIMIT = 128 << 20
"""Private address space beyond that, which malloc reserves in large steps."""


def limited(tables, memory_mb, folder):
    command = [sys.executable, "-c", LIMITED, *tables, str(memory_mb), str(HARD_LIMIT), str(folder)]
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(1 << 20)}  # freed memory is returned
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_training_on_data_four_times_as_large_as_the_memory(tables, tmp_path):
    """500 sequences of 750 steps on average: 192 MB, and a quarter of that as memory.

    Pages of the file are not counted: see docs/decisions/0029-mapped-pages.md.
    """
    rows = pq.ParquetFile(tables[1]).metadata.num_rows
    assert rows * 128 * 4 > 3.5 * LIMIT
    finished = limited(tables, 16, tmp_path)
    assert finished.returncode == 0, finished.stderr[-2000:]
    assert int(finished.stdout.split()[-1]) < LIMIT


def test_the_limit_bites(tables, tmp_path):
    failed = limited(tables, 4096, tmp_path)
    assert failed.returncode != 0
    assert "MemoryError" in failed.stderr or "not enough memory" in failed.stderr
