"""Parts of the benchmark of predictions for many files."""

import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from page_tables import fill
from process_memory import measure_command, memory_of_tree
from scale_data import LONGEST, write_files


def test_the_files_have_all_steps_and_other_sequences_each(tmp_path):
    count = write_files(tmp_path / "in", steps=20_000, files=2)
    tables = [pq.read_table(path) for path in sorted((tmp_path / "in").iterdir())]
    assert [len(table) for table in tables] == [10_000, 10_000]
    names = np.concatenate([np.unique(table["sequence"]) for table in tables])
    assert names.tolist() == list(range(count))
    lengths = np.bincount(np.concatenate([table["sequence"] for table in tables]))
    assert 60 < lengths.mean() < 140
    assert lengths.max() <= LONGEST


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_memory_of_a_tree_has_that_of_its_children():
    child = "x = bytes(range(256)) * 400_000; print(flush=True); input()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        found = memory_of_tree(process.pid)
        process.stdin.close()
    assert 100e6 < found < 200e6
    assert memory_of_tree(process.pid) == 0


def test_a_command_that_fails_ends_the_measurement():
    with pytest.raises(SystemExit, match="has failed: no such run"):
        measure_command([sys.executable, "-c", "raise SystemExit('no such run')"], {})


def test_text_of_a_page_is_replaced_between_its_markers(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- one -->\nold\n<!-- end -->\nb\n<!-- two -->\nold\n<!-- end -->\n")
    fill(page, "two", "new")
    assert page.read_text() == (
        "a\n<!-- one -->\nold\n<!-- end -->\nb\n<!-- two -->\nnew\n<!-- end -->\n"
    )
    with pytest.raises(SystemExit, match="has no text between <!-- three -->"):
        fill(page, "three", "new")
