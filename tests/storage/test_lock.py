"""A lock excludes others until it is closed, and only where the file system has locks."""

import errno
import multiprocessing
import os
import signal
import threading

import pytest

from bothways.storage import lock
from bothways.storage.lock import open_locked


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


def test_a_locked_file_can_be_read_but_not_locked_again(path):
    with open_locked(path):
        assert path.read_bytes() == b"content"
        with pytest.raises(BlockingIOError, match="file is locked"):
            open_locked(path, patience_seconds=0)
    open_locked(path).close()


def test_a_lock_that_ends_soon_is_awaited(path):
    other = open_locked(path)
    threading.Timer(0.1, other.close).start()
    open_locked(path, patience_seconds=100).close()


def test_the_lock_moves_with_the_file(path):
    with open_locked(path):
        moved = path.rename(path.with_name("moved"))
        path.write_bytes(b"another")
        open_locked(path).close()
        with pytest.raises(BlockingIOError):
            open_locked(moved, patience_seconds=0)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_moves_before_it_is_locked_is_refused(path, monkeypatch, replaced):
    def move_and_lock(descriptor):
        path.rename(path.with_name("moved"))
        if replaced:
            path.write_bytes(b"another")

    monkeypatch.setattr(lock, "_lock", move_and_lock)
    with pytest.raises(BlockingIOError, match="file has just been moved or replaced"):
        open_locked(path, patience_seconds=0)


def test_a_folder_that_cannot_be_read_is_not_called_locked(path, monkeypatch):
    def denied(self):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(type(path), "stat", denied)
    with pytest.raises(PermissionError, match=r"Permission denied: .*file"):
        open_locked(path, patience_seconds=0)


def test_a_killed_process_leaves_no_lock(path):
    context = multiprocessing.get_context("fork")
    is_locked = context.Event()

    def hold():
        with open_locked(path):
            is_locked.set()
            signal.pause()

    process = context.Process(target=hold)
    process.start()
    assert is_locked.wait(60)
    with pytest.raises(BlockingIOError):
        open_locked(path, patience_seconds=0)
    process.kill()
    process.join()
    open_locked(path, patience_seconds=100).close()


def test_a_file_system_without_locks_gives_a_warning(path, monkeypatch):
    def no_lock(descriptor):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lock, "_lock", no_lock)
    with pytest.warns(
        UserWarning, match=r"file cannot be locked \(No locks available\), because .* Make sure"
    ):
        open_locked(path).close()


def test_a_missing_file_is_not_created(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_locked(tmp_path / "missing")
    assert not list(tmp_path.iterdir())
