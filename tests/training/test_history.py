import pytest

from bothways.training.history import History, read_history


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.jsonl"


def test_lines_are_read_in_order(path):
    with History(path) as history:
        history.write("step", {"step": 1, "loss": 0.5})
        history.write("epoch", {"epoch": 1, "validation_loss": None})
    assert read_history(path) == [
        {"kind": "step", "step": 1, "loss": 0.5},
        {"kind": "epoch", "epoch": 1, "validation_loss": None},
    ]


def test_lines_can_be_read_while_the_file_is_open(path):
    with History(path) as history:
        for count in (1, 2):
            history.write("step", {"step": count})
            assert len(read_history(path)) == count


def test_reopening_truncates_to_a_size_and_appends(path):
    with History(path) as history:
        history.write("step", {"step": 1})
        size = history.synced_size()
        history.write("step", {"step": 2})
    with History(path, size) as history:
        assert history.synced_size() == size == path.stat().st_size
        history.write("step", {"step": "again"})
    assert [line["step"] for line in read_history(path)] == [1, "again"]


def test_reopening_never_makes_the_file_longer(path):
    path.write_bytes(b'{"kind": "step"}\n')
    with History(path, 1000):
        pass
    assert path.read_bytes() == b'{"kind": "step"}\n'


def test_reopening_without_a_size_empties_the_file(path):
    path.write_bytes(b'{"kind": "step"}\n')
    with History(path):
        pass
    assert path.read_bytes() == b""


def test_an_incomplete_last_line_is_ignored(path):
    path.write_bytes(b'{"kind": "step", "step": 1}\n{"kind": "st')
    assert read_history(path) == [{"kind": "step", "step": 1}]


def test_a_missing_history_has_no_lines(path):
    assert read_history(path) == []
