"""Damaged files of all kinds are refused in one line or read, and faults are noticed."""

from dataclasses import replace
from random import Random

import pytest
from damage.bytes_and_text import truncate
from damage.judging import Examiner
from damage.page import write_marked
from damage.samples import Sample, write_samples

from bothways.errors import DataError

DAMAGES = 3  # of each kind; the benchmark tries hundreds


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    return folder, write_samples(folder)


def test_damaged_files_are_refused_in_one_line_or_read(samples):
    folder, kinds = samples
    for sample in kinds:
        examiner = Examiner(sample, folder)
        for number in range(DAMAGES):
            verdict = examiner.examine(Random(number))
            assert verdict.outcome != "fault", (sample.name, verdict)


def fail(error):
    """Return a reading that raises an error if the file is damaged."""

    def read(path):
        if path.read_bytes() != b"valid":
            raise error
        return "read"

    return read


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        (fail(KeyError("a")), "KeyError in test_damaged_files.py"),
        (fail(DataError("something is wrong")), "does not name the file"),
        (lambda path: path.read_text(errors="replace"), "a truncated file was read"),
    ],
)
def test_faults_are_noticed(tmp_path, reading, reason):
    (tmp_path / "kind").mkdir()
    (tmp_path / "kind" / "file").write_text("valid")
    sample = Sample("kind", "file", (reading,), "file", (truncate,), has_size=True)
    examiner = Examiner(sample, tmp_path)
    found = [examiner.examine(Random(n)) for n in range(20)]
    assert any(verdict.outcome == "fault" and reason in verdict.reason for verdict in found)
    assert (tmp_path / "kind" / "file").read_text() == "valid"


def test_a_changed_file_with_a_checksum_must_not_be_read(tmp_path):
    (tmp_path / "kind").mkdir()
    (tmp_path / "kind" / "file").write_text("valid")
    sample = Sample("kind", "file", (lambda path: path.read_bytes().hex(),), "file")
    for checksum, outcomes in ((False, {"other values", "same"}), (True, {"fault", "same"})):
        examiner = Examiner(replace(sample, has_checksum=checksum), tmp_path)
        found = {examiner.examine(Random(n)).outcome for n in range(20)}
        assert found <= outcomes
        assert found & {"fault", "other values"}


def test_figures_are_written_between_markers(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- script.py -->\nold\n<!-- end -->\nafter\n")
    write_marked(page, "script.py", "new \\1")
    assert page.read_text() == "before\n<!-- script.py -->\nnew \\1\n<!-- end -->\nafter\n"
    with pytest.raises(ValueError, match=r"has 0 places for other\.py; expected one"):
        write_marked(page, "other.py", "new")
