import errno
import multiprocessing
import os
import socket

import pytest

from bothways.storage.atomic import json_bytes, remove_leftovers, replacing, write_atomically


def test_writing_replaces_the_file_and_leaves_no_other(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"new")]


def test_a_full_disk_keeps_the_old_file_and_leaves_no_other(tmp_path, monkeypatch):
    def fsync(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "file"
    write_atomically(path, b"old")
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space left on device"):
        write_atomically(path, b"new")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"old")]


def test_an_error_in_writing_names_the_file(tmp_path, monkeypatch):
    def fsync(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space left") as raised:
        write_atomically(tmp_path / "file", b"new")
    assert str(tmp_path / "file") in str(raised.value.filename)


def test_a_leftover_of_a_killed_writer_is_replaced(tmp_path):
    (tmp_path / ".file.tmp").write_bytes(b"a longer half of something")
    write_atomically(tmp_path / "file", b"new")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"new")]


def test_json_is_indented_and_in_utf8():
    assert json_bytes({"b": "größer", "a": None}).decode() == (
        '{\n  "b": "größer",\n  "a": null\n}\n'
    )


@pytest.mark.parametrize("unique", [False, True])
def test_an_exception_keeps_the_old_file_and_leaves_no_other(tmp_path, unique):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def write_half():
        with replacing(path, unique=unique) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"old")]


def test_processes_that_share_a_file_have_different_temporary_files(tmp_path, monkeypatch):
    """Of two writers at once, each writes a whole file, and the last one stays."""
    path = tmp_path / "file"
    with replacing(path, unique=True) as one:
        one.write(b"one, ")
        with monkeypatch.context() as other_process:
            other_process.setattr(os, "getpid", lambda: -1)
            write_atomically(path, b"two", unique=True)
        assert path.read_bytes() == b"two"
        one.write(b"and more")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"one, and more")]


def leave_half(path):
    """Die while a file is written."""
    with replacing(path, unique=True) as file:
        file.write(b"half")
        os._exit(9)


def test_leftovers_of_dead_processes_are_hidden_and_removed(tmp_path, monkeypatch):
    child = multiprocessing.get_context("fork").Process(target=leave_half, args=[tmp_path / "a"])
    child.start()
    child.join()
    (leftover,) = tmp_path.iterdir()
    assert leftover.name.startswith(".a.")
    with monkeypatch.context() as other_machine:
        other_machine.setattr(socket, "gethostname", lambda: "another")
        remove_leftovers(tmp_path)
        assert leftover.exists()
    (tmp_path / ".config.tmp").touch()
    with replacing(tmp_path / "b", unique=True) as file:
        remove_leftovers(tmp_path)
        file.write(b"whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".config.tmp", "b"]
