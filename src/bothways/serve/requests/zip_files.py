"""Uploaded zip archives: the declared sizes are checked before anything is decompressed."""

import io
import struct
import zipfile

from bothways.serve.errors import RequestError

_END_RECORD = struct.Struct("<4s4H2LH")
_END_SIGNATURE = b"PK\x05\x06"
_LOCATOR_64 = b"PK\x06\x07"
_DIRECTORY_BYTES = 1 << 14
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class UploadedFile(io.BytesIO):
    """The body of a request; messages call it "the body"."""

    def __str__(self) -> str:
        return "the body"


def check_archive(content: bytes, limit_bytes: int) -> None:
    """Raise RequestError unless a zip archive is small when it is decompressed.

    A member is never read beyond its declared size, so the sum of these sizes is a bound. The size
    of the directory is checked first: its entries take memory too. Only the methods of `np.savez`
    and `np.savez_compressed` are accepted, because others allocate memory as the archive says.

    Parameters
    ----------
    content : bytes
    limit_bytes : int
        For all members together.

    Raises
    ------
    RequestError
        413 if it is too large, 422 if it is not a zip archive of this kind.
    """
    if _directory_bytes(content) > _DIRECTORY_BYTES:
        raise _unreadable("it has too many members")
    try:  # NotImplementedError: a later version of the zip format
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, struct.error) as error:
        raise _unreadable(str(error)) from None
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        raise _unreadable("it has two members of one name")
    for member in members:
        if member.compress_type not in _METHODS or member.flag_bits & 1:
            raise _unreadable("a member is encrypted, or compressed with another method")
    size_bytes = sum(member.file_size for member in members)
    if size_bytes > limit_bytes:
        raise RequestError(
            413,
            f"the arrays of the .npz file have {size_bytes:,} bytes; expected at most "
            f"{limit_bytes:,}. Divide them into several requests.",
        )


def _directory_bytes(content: bytes) -> int:
    """Return the size of the directory, which the last record of the archive states."""
    start = len(content) - _END_RECORD.size
    if start < 0 or content[start - 20 : start - 16] == _LOCATOR_64:
        raise _unreadable("its directory is missing, or has another form")
    signature, *_, size, _, comment_bytes = _END_RECORD.unpack_from(content, start)
    if signature != _END_SIGNATURE or comment_bytes:  # zipfile would search for another record
        raise _unreadable("its directory is missing, or has another form")
    return int(size)


def _unreadable(reason: str) -> RequestError:
    return RequestError(
        422,
        f"the body is not a .npz file ({reason}); expected what np.savez or np.savez_compressed "
        "writes. Save the arrays again.",
    )
