import io
import struct
import zipfile

import numpy as np
import pytest
from serving import npz

from bothways.serve.errors import RequestError
from bothways.serve.requests.zip_files import check_archive

LIMIT = 1 << 20


def archive(*members, method=zipfile.ZIP_DEFLATED, comment=b""):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as made:
        made.comment = comment
        for name, data in members:
            made.writestr(name, data)
    return content.getvalue()


def refused(content, match, status=422):
    with pytest.raises(RequestError, match=match) as error:
        check_archive(content, LIMIT)
    assert error.value.status == status


def test_what_numpy_writes_is_accepted():
    check_archive(npz(inputs=np.zeros((2, 3, 4)), lengths=np.array([1, 2])), LIMIT)


def test_a_bomb_is_refused_before_it_is_decompressed():
    content = npz(inputs=np.zeros((1, 10 * LIMIT // 8, 1)))
    assert len(content) < LIMIT // 10
    refused(content, "have 10,485,8.. bytes; expected at most 1,048,576", 413)


def test_many_members_are_refused_before_they_are_listed():
    refused(archive(*((f"{n}.npy", b"") for n in range(1000))), "too many members")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_are_refused(method):
    refused(archive(("inputs.npy", b"x" * 100), method=method), "compressed with another method")


def test_an_archive_with_a_comment_is_refused():
    refused(archive(("a", b""), comment=b"hello"), "directory is missing, or has another form")


def test_names_are_used_once():
    with pytest.warns(UserWarning, match="Duplicate name"):
        content = archive(("a.npy", b""), ("a.npy", b""))
    refused(content, "two members of one name")


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"x" * 100, b"PK\x05\x06" + b"\xff" * 16 + b"\0\0"]
)
def test_other_content_is_refused(content):
    refused(content, "not a .npz file")


def test_directories_of_large_archives_are_refused():
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 10, 0, 0)
    refused(b"PK\x06\x07" + b"\0" * 16 + end, "directory is missing, or has another form")
