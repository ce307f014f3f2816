"""Files that cannot be read safely raise an error: nothing blocks or fills the memory."""

import os
import socket
from pathlib import Path

import pytest

from bothways.errors import CheckpointError
from bothways.storage.reading import parse_json, read_file


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))  # paths of sockets are limited to about 100 bytes


def link_to(target):
    return lambda path: path.symlink_to(target)


NOT_REGULAR = {
    "folder": (lambda path: path.mkdir(), "is not a regular file"),
    "pipe": (os.mkfifo, "is not a regular file"),
    "socket": (make_socket, "cannot be read"),
    "endless device": (link_to("/dev/zero"), "is not a regular file"),
    "empty device": (link_to("/dev/null"), "is not a regular file"),
    "loop": (lambda path: path.symlink_to(path), "symbolic links"),
    "nothing": (link_to("nothing"), "No such file"),
}


@pytest.mark.parametrize("kind", NOT_REGULAR)
@pytest.mark.parametrize("linked", [False, True])
def test_only_regular_files_are_read(tmp_path, monkeypatch, kind, linked):
    monkeypatch.chdir(tmp_path)
    make, message = NOT_REGULAR[kind]
    path = tmp_path / "file"
    make(path)
    if linked:
        (tmp_path / "link").symlink_to(path)
        path = tmp_path / "link"
    with pytest.raises(CheckpointError, match=rf"{path.name} .*{message}") as raised:
        read_file(path, 100)
    assert "\n" not in str(raised.value)


def test_a_link_to_a_regular_file_is_read(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_file(tmp_path / "link", 7) == b"content"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_a_pseudo_file_is_not_read_beyond_its_size(tmp_path):
    (tmp_path / "link").symlink_to("/proc/self/status")
    assert read_file(tmp_path / "link", 100) == b""


def test_a_large_file_is_not_read(tmp_path):
    path = tmp_path / "file"
    path.touch()
    os.truncate(path, 1 << 40)  # 1 TB, which takes no room on the disk
    with pytest.raises(CheckpointError, match="has 1,099,511,627,776 bytes; expected at most 9"):
        read_file(path, 9)


def test_a_path_with_a_null_character_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"cannot be read: .*null"):
        read_file(tmp_path / "a\0b", 9)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"{",
        b"[" * 200_000,
        b"[" * 200_000 + b"]" * 200_000,
        b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
        b"[" + b"9" * 5000 + b"]",
        rb'{"\ud800": 1}',
    ],
    ids=["empty", "binary", "cut", "open", "lists", "objects", "number", "surrogate"],
)
def test_damaged_json_is_refused(tmp_path, content):
    with pytest.raises(CheckpointError, match=r"x\.json is damaged: .* Restore it") as raised:
        parse_json(content, tmp_path / "x.json")
    assert "\n" not in str(raised.value)
