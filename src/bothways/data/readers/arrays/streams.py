"""Arrays in files, read a few rows at a time: IDX (plain or gzipped), `.npy`, `.npz`."""

import gzip
import io
import math
import os
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from bothways.errors import DataError, counted

_TYPE_CODES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_ROW_BYTES = 1 << 30
_BLOCK_BYTES = 1 << 26
_LONGEST_ARCHIVE_END = (1 << 16) + 22  # of a zip archive, with a comment
_COUNT_IN_ZIP64 = 0xFFFF  # stands elsewhere if there are so many members
_HEADER_BYTES = 1 << 16  # numpy refuses headers of more than 10,000 bytes, after it has read them
_MORE_ELEMENTS = 1 << 20  # than expected are read, so that an error can say more than the shape
# What zipfile, zlib and numpy raise for damaged files: a damaged header may ask for an unsupported
# compression (NotImplementedError), or contain broken Python literals (SyntaxError, TokenError).
_DAMAGE = (
    OSError,
    EOFError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
Array = np.ndarray[Any, np.dtype[Any]]
NpzSource = Path | IO[bytes]


class ArrayStream:
    """One array in an open file.

    Parameters
    ----------
    name : str
        For messages: the file, and the member in it.
    file : binary file, at the first element
    shape : tuple of int
    dtype : numpy.dtype
    """

    def __init__(self, name: str, file: IO[bytes], shape: tuple[int, ...], dtype: Any) -> None:
        self.name = name
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self._file = file
        if any(size < 0 for size in shape) or not self.dtype.itemsize:
            raise DataError(
                f"{name} says that it has shape {shape} and dtype {self.dtype}; expected no "
                "negative size, and elements of at least one byte. It is damaged: copy it again."
            )

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return int(math.prod(self.shape[1:]) * self.dtype.itemsize)

    def chunks(self, rows: int) -> Iterator[Array]:
        """Yield arrays (up to `rows`, *shape[1:]). Raises the errors of `pieces`."""
        total = self.shape[0]
        yield from self.pieces(min(rows, total - done) for done in range(0, total, rows))

    def pieces(self, counts: Iterable[int]) -> Iterator[Array]:
        """Yield arrays (count, *shape[1:]) for each of `counts`, which add up to all rows.

        Raises
        ------
        DataError
            If the file is too short, too long, or damaged.
        """
        row_bytes = self.row_bytes
        if row_bytes > MAX_ROW_BYTES:
            raise DataError(
                f"{self.name} says that one row has {row_bytes:,} bytes, shape {self.shape}; "
                f"expected at most {MAX_ROW_BYTES:,}. The file may be damaged."
            )
        done = 0
        for count in counts:
            data = _read(self._file, count * row_bytes, self.name)
            if len(data) < count * row_bytes:
                raise DataError(
                    f"{self.name} ends in row {done + len(data) // max(1, row_bytes)}; expected "
                    f"{self.shape[0]} rows of {row_bytes:,} bytes. It is truncated: copy it again."
                )
            yield np.frombuffer(data, self.dtype).reshape(count, *self.shape[1:])
            done += count
        if _read(self._file, 1, self.name):
            raise DataError(
                f"{self.name} has data after its {self.shape[0]} rows; expected the end of the "
                "file. It is damaged: copy it again."
            )

    def whole(self, expected: int | None = None) -> Array:
        """Return the whole array.

        Parameters
        ----------
        expected : int, optional
            The number of elements that is of use. An array that is much larger is not read, because
            a small compressed file can contain more than fits in memory.

        Raises
        ------
        DataError
            As `pieces`; if the array is too large, or a text contains characters that do not exist.
        """
        if expected is not None and math.prod(self.shape) > expected + _MORE_ELEMENTS:
            raise DataError(
                f"{self.name} has shape {self.shape}; expected {expected:,} elements, for the "
                "other arrays. Check that they belong together."
            )
        array = self._whole()
        if self.dtype.kind == "U":
            codes = array.ravel().view(np.dtype("u4").newbyteorder(self.dtype.byteorder))
            if ((codes > sys.maxunicode) | ((codes >= 0xD800) & (codes <= 0xDFFF))).any():
                raise DataError(
                    f"{self.name} contains a character that does not exist; expected text. It is "
                    "damaged: copy it again."
                )
        return array

    def _whole(self) -> Array:
        if not self.shape:
            return ArrayStream(self.name, self._file, (1,), self.dtype)._whole().reshape(())
        chunks = list(self.chunks(max(1, self.shape[0])))
        return chunks[0] if chunks else np.empty(self.shape, self.dtype)


@contextmanager
def open_idx(path: Path) -> Iterator[ArrayStream]:
    """Open an IDX file, gzipped or not.

    Raises
    ------
    DataError
        If it is not an IDX file.

    References
    ----------
    http://yann.lecun.com/exdb/mnist, "The IDX file format".
    """
    with path.open("rb") as raw:
        gzipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        file: IO[bytes] = gzip.GzipFile(fileobj=raw) if gzipped else raw  # type: ignore[assignment]
        magic = _read(file, 4, str(path))
        if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPE_CODES or not magic[3]:
            raise DataError(
                f"{path} starts with bytes {magic.hex(' ')}; expected an IDX header, for example "
                "00 00 08 03. Check that this is the right file."
            )
        sizes = _read(file, 4 * magic[3], str(path))
        if len(sizes) < 4 * magic[3]:
            raise DataError(f"{path} ends in its header at byte {4 + len(sizes)}. Copy it again.")
        shape = tuple(int(size) for size in np.frombuffer(sizes, ">i4"))
        yield ArrayStream(str(path), file, shape, _TYPE_CODES[magic[2]])


@contextmanager
def open_npy(path: Path) -> Iterator[ArrayStream]:
    """Open a `.npy` file.

    Raises
    ------
    DataError
        If it is not a `.npy` file, or contains Python objects.
    """
    with path.open("rb") as file:
        yield _npy_stream(str(path), file)


@contextmanager
def open_npz(path: NpzSource) -> Iterator[dict[str, ArrayStream]]:
    """Open every array of a `.npz` file, which may be open already.

    Raises
    ------
    DataError
        If it is not a `.npz` file, or one of its arrays cannot be read.
    """
    try:
        archive = zipfile.ZipFile(path)
    except _DAMAGE as error:
        raise DataError(
            f"{path} is not a .npz file, or is damaged ({error}); expected what np.savez writes."
        ) from None
    with archive, ExitStack() as members:
        _check_members(archive, path)
        streams = {}
        for member in archive.namelist():
            name = member.removesuffix(".npy")
            if name != member:
                try:
                    file = members.enter_context(archive.open(member))
                except _DAMAGE as error:
                    raise DataError(
                        f"{path}[{name}] is damaged ({error}). Copy it again."
                    ) from None
                streams[name] = _npy_stream(f"{path}[{name}]", file)
        yield streams


def _check_members(archive: zipfile.ZipFile, path: NpzSource) -> None:
    """Raise DataError if the directory of an archive is damaged so that members are missed.

    The directory has no checksum. A changed length in an entry makes `zipfile` skip the following
    entries, for example the lengths of padded rows, which would then be read with their padding.
    """
    file: Any = archive.fp
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _LONGEST_ARCHIVE_END))
    end = file.read()
    at = end.rfind(b"PK\5\6")
    stated, found = int.from_bytes(end[at + 10 : at + 12], "little"), len(archive.namelist())
    if stated not in (found, _COUNT_IN_ZIP64):
        raise DataError(
            f"{path} says that it has {counted(stated, 'member')} but its directory names {found}; "
            "expected all of them. It is damaged: copy it again."
        )


def _npy_stream(name: str, file: IO[bytes]) -> ArrayStream:
    try:
        version = np.lib.format.read_magic(file)  # type: ignore[no-untyped-call]
        size = _read(file, 2 if version == (1, 0) else 4, name)
        stated = min(int.from_bytes(size, "little"), _HEADER_BYTES)
        header = io.BytesIO(size + _read(file, stated, name))
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(header)  # type: ignore[no-untyped-call]
        else:
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(header)  # type: ignore[no-untyped-call]
    except _DAMAGE as error:
        reason = str(error).split("\n")[0]
        raise DataError(f"{name} is not a .npy array ({reason}). Save it with numpy.") from None
    if dtype.hasobject:
        raise DataError(
            f"{name} holds Python objects, which are not unpickled; expected numbers or text. "
            "Save text with .astype(str), and a list of arrays of different lengths with "
            "np.savez(path, values=np.concatenate(arrays), "
            "offsets=np.cumsum([0] + [len(a) for a in arrays]), labels=labels)."
        )
    if fortran and len(shape) > 1:
        columns = ArrayStream(name, file, shape[::-1], dtype).whole()  # stored column by column
        file = io.BytesIO(np.ascontiguousarray(columns.T).tobytes())
    return ArrayStream(name, file, shape, dtype)


def _read(file: IO[bytes], count: int, name: str) -> bytearray:
    """Read up to `count` bytes; memory is allocated only for bytes that exist."""
    data = bytearray()
    try:
        while len(data) < count and (block := file.read(min(count - len(data), _BLOCK_BYTES))):
            data += block
        return data
    except _DAMAGE as error:
        raise DataError(f"{name} is damaged ({error}). Copy it again.") from None


def to_floats(array: Array, name: str) -> Array:
    """Return `array` as floats: uint8 scaled from 0..255 to [0, 1], floats unchanged.

    float64 stays float64, so that large constants can be subtracted before rounding; see
    `bothways.data.offsets`. All others are float32.

    Raises
    ------
    DataError
        If the array has another type: its scale would have to be guessed.
    """
    if array.dtype == np.uint8:
        return np.divide(array, np.float32(255), dtype=np.float32)
    if np.issubdtype(array.dtype, np.floating):
        return array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32, copy=False)
    raise DataError(
        f"{name} has dtype {array.dtype}; expected uint8, which is scaled to [0, 1], or floats, "
        "which are not scaled. Scale it and save it as float32."
    )
