"""Array files: what comes back is what was written, or an error that names the file."""

import gzip
import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from bothways.data.readers.arrays.streams import open_idx, open_npy, open_npz, to_floats
from bothways.errors import DataError

IDX_CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array):
    header = struct.pack(">4B", 0, 0, IDX_CODES[array.dtype.str[1:]], array.ndim)
    sizes = struct.pack(f">{array.ndim}i", *array.shape)
    return header + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


def npy_bytes(array, version=(1, 0)):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version)
    return file.getvalue()


def npy_header(shape, descr="<f4"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


def npz_bytes(*arrays, save=np.savez):
    file = io.BytesIO()
    save(file, *arrays)
    return file.getvalue()


def read_idx(path):
    with open_idx(path) as stream:
        return [stream.whole()]


def read_npy(path):
    with open_npy(path) as stream:
        return [stream.whole()]


def read_npz(path):
    with open_npz(path) as streams:
        return [stream.whole() for stream in streams.values()]


FORMATS = {
    "idx": (idx_bytes, read_idx),
    "idx.gz": (lambda array: gzip.compress(idx_bytes(array)), read_idx),
    "npy": (npy_bytes, read_npy),
    "npz": (npz_bytes, read_npz),
    "npz-deflated": (lambda array: npz_bytes(array, save=np.savez_compressed), read_npz),
}
every_format = pytest.mark.parametrize(("encode", "read"), FORMATS.values(), ids=FORMATS)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "array"


@pytest.fixture
def array():
    return np.arange(24, dtype=np.uint8).reshape(4, 2, 3)


@every_format
@pytest.mark.parametrize("dtype", IDX_CODES)
def test_round_trip_of_each_type(path, encode, read, dtype):
    array = np.arange(-3, 3).astype(dtype).reshape(2, 3)
    path.write_bytes(encode(array))
    (result,) = read(path)
    np.testing.assert_array_equal(result, array)
    assert result.dtype.str[1:] == dtype


@every_format
@pytest.mark.parametrize("shape", [(5,), (1, 1), (2, 3, 4, 5), (0, 3), (3, 0)])
def test_round_trip_of_each_shape(path, encode, read, shape):
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    path.write_bytes(encode(array))
    np.testing.assert_array_equal(read(path), [array])


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_npy_versions(path, array, version):
    path.write_bytes(npy_bytes(array, version))
    np.testing.assert_array_equal(read_npy(path), [array])


def test_npz_names_its_arrays_and_skips_other_files(path):
    path.write_bytes(npz_bytes(np.ones(2), np.zeros((3, 4))))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("notes.txt", "not an array")
    with open_npz(path) as streams:
        shapes = {name: stream.shape for name, stream in streams.items()}
    assert shapes == {"arr_0": (2,), "arr_1": (3, 4)}


@pytest.mark.parametrize(
    ("rows", "sizes"), [(1, [1, 1, 1, 1]), (3, [3, 1]), (4, [4]), (5, [4]), (2, [2, 2])]
)
@pytest.mark.parametrize("encode", [idx_bytes, FORMATS["idx.gz"][0]], ids=["idx", "idx.gz"])
def test_chunks(path, array, encode, rows, sizes):
    path.write_bytes(encode(array))
    with open_idx(path) as stream:
        chunks = list(stream.chunks(rows))
    assert [len(chunk) for chunk in chunks] == sizes
    np.testing.assert_array_equal(np.concatenate(chunks), array)


@every_format
def test_every_truncation_is_noticed(path, array, encode, read):
    content = encode(array)
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(DataError, match=str(path)):
            read(path)


@every_format
def test_a_flipped_bit_is_an_error_and_never_a_crash(path, array, encode, read):
    content = encode(array)
    has_checksum = encode not in (idx_bytes, npy_bytes)
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        try:
            arrays = read(path)
        except DataError:
            continue
        assert not has_checksum or all(np.array_equal(array, found) for found in arrays)


@pytest.mark.parametrize(
    ("encode", "message"),
    [
        (lambda array: idx_bytes(array)[:-7], "ends in row 2; expected 4 rows of 6 bytes"),
        (lambda array: idx_bytes(array)[:6], "ends in its header at byte 6"),
        (lambda array: idx_bytes(array) + b"\0", "has data after its 4 rows; expected the end"),
        (lambda array: gzip.compress(idx_bytes(array) + b"\0"), "has data after its 4 rows"),
        (lambda array: gzip.compress(idx_bytes(array)) + b"more", "is damaged .*Not a gzipped"),
        (lambda array: gzip.compress(idx_bytes(array))[:-1], "is damaged .*Copy it again"),
    ],
    ids=["in a row", "in the header", "trailing", "trailing inside", "trailing gzip", "cut gzip"],
)
def test_size_of_an_idx_file(path, array, encode, message):
    path.write_bytes(encode(array))
    with pytest.raises(DataError, match=message):
        read_idx(path)


@pytest.mark.parametrize("start", ["", "00 00 07 03", "01 00 08 03", "00 00 08 00", "50 4b 03 04"])
def test_what_is_no_idx_file(path, start):
    path.write_bytes(bytes.fromhex(start))
    with pytest.raises(DataError, match=f"starts with bytes {start}; expected an IDX header"):
        read_idx(path)


@pytest.mark.parametrize("shape", [(-2, 2, 3), (2, -2, 3), (2, -2, -3)])
def test_negative_sizes_are_refused(path, shape):
    path.write_bytes(struct.pack(">4B3i", 0, 0, 0x08, 3, *shape) + bytes(12))
    with pytest.raises(DataError, match=str(min(shape))):
        read_idx(path)
    path.write_bytes(npy_header(shape, "|u1") + bytes(12))
    with pytest.raises(DataError, match=str(min(shape))):
        read_npy(path)


@pytest.mark.parametrize("shape", [(1, 2**40), (1, 2**33, 2**33)])
def test_a_row_too_large_to_be_true_is_refused(path, shape):
    path.write_bytes(npy_header(shape))
    with pytest.raises(DataError, match=r"one row has .* bytes.*expected at most 1,073,741,824"):
        read_npy(path)


def test_a_chunk_too_large_to_be_true_is_read_only_as_far_as_it_goes(path):
    path.write_bytes(npy_header((2**20, 2**28)))
    with pytest.raises(DataError, match="ends in row 0; expected 1048576 rows"):
        read_npy(path)


@pytest.mark.parametrize("content", [b"", b"plain text", b"\x93NUMPY\x09\x00"])
def test_what_is_no_npy_file(path, content):
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"is not a \.npy array .*Save it with numpy"):
        read_npy(path)


def test_a_header_of_a_hostile_size_is_not_read(path):
    path.write_bytes(b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + bytes(100_000))
    limit = pytest.raises(DataError, match="expected 4294967295 bytes got 65536")
    tracemalloc.start()
    with limit:
        read_npy(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 << 20


def test_text_of_no_width_is_refused(path):
    path.write_bytes(npy_header((2,), "<U0"))
    with pytest.raises(DataError, match=str(path)):
        read_npy(path)


def test_a_truncated_number_is_refused(path):
    path.write_bytes(npy_header(()) + bytes(3))
    with pytest.raises(DataError, match="ends in row 0; expected 1 rows of 4 bytes"):
        read_npy(path)


@pytest.mark.parametrize("code", [0x110000, 0xD800, 0xFFFFFFFF])
@pytest.mark.parametrize("order", "<>")
def test_characters_that_do_not_exist_are_refused(path, code, order):
    path.write_bytes(npy_header((1,), f"{order}U2") + struct.pack(f"{order}2I", ord("a"), code))
    with pytest.raises(DataError, match="contains a character that does not exist; expected text"):
        read_npy(path)


def test_an_array_much_larger_than_expected_is_not_read(path):
    path.write_bytes(npy_header((2**40,)))
    expected = pytest.raises(DataError, match=r"shape \(1099511627776,\); expected 12 elements")
    with open_npy(path) as stream, expected:
        stream.whole(12)


@pytest.mark.parametrize(("encode", "read"), [FORMATS["npy"], FORMATS["npz"]])
def test_objects_are_never_unpickled(path, encode, read):
    path.write_bytes(encode(np.array([1, None])))
    with pytest.raises(DataError, match="holds Python objects, which are not unpickled"):
        read(path)


@pytest.mark.parametrize("shape", [(2, 3), (4, 3, 2)])
def test_arrays_stored_column_by_column(path, shape):
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    path.write_bytes(npy_bytes(np.asfortranarray(array)))
    (found,) = read_npy(path)
    np.testing.assert_array_equal(found, array)


def test_what_is_no_npz_file(path):
    path.write_bytes(b"plain text")
    with pytest.raises(DataError, match=r"is not a \.npz file, or is damaged"):
        read_npz(path)


def test_npz_with_a_member_that_is_no_array(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inputs.npy", "plain text")
    with pytest.raises(DataError, match=r"\[inputs\] is not a \.npy array"):
        read_npz(path)


def test_bytes_are_scaled_exactly():
    levels = np.arange(256, dtype=np.uint8)
    expected = levels.astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(to_floats(levels, "levels"), expected, strict=True)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
def test_floats_are_taken_as_they_are(dtype):
    array = np.array([-1000, 0, 0.5, 255], dtype)
    expected = np.array([-1000, 0, 0.5, 255], np.float64 if dtype == "float64" else np.float32)
    np.testing.assert_array_equal(to_floats(array, "array"), expected, strict=True)


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "bool", "complex64", "<U3"])
def test_other_types_are_refused(dtype):
    with pytest.raises(DataError, match=r"pixels has dtype .*; expected uint8, .* or floats"):
        to_floats(np.zeros(3, dtype), "pixels")
