"""Mutations that keep a file well-formed on the outside, so that its content reaches the reader."""

import bz2
import gzip
import io
import json
import struct
import zipfile
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

from damage.bytes_and_text import BYTES, SIZES, TEXT, TOKENS, Mutation

_EXTREMES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1,
    0.5,
    2**31,
    10**18,
    10**40,
    1e308,
    "",
    "x",
    [],
    {},
    [[]],
    [1, 2],
)
_DTYPES = ("<f4", ">f8", "<f2", "|u1", "<i8", "|b1", "<U4", "|S3", "|O", "<c8", "<M8[ns]", "|V0")


def inside(kind: str, inner: tuple[Mutation, ...]) -> Mutation:
    """Return a mutation of what is compressed; the checksum is right again."""
    modules: dict[str, Any] = {"gz": gzip, "bz2": bz2}
    module = modules[kind]

    def compressed(content: bytes, random: Random) -> bytes:
        changed = random.choice(inner)(module.decompress(content), random)
        return bytes(module.compress(changed))

    return compressed


def npy_header(content: bytes, random: Random) -> bytes:
    """Change the shape, the type or the order in the header of a `.npy` file."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)  # type: ignore[no-untyped-call]
    reading: Any = np.lib.format.read_array_header_1_0
    shape, fortran, dtype = reading(file)
    sizes = list(shape)
    what = random.randrange(5)
    if what == 0 and sizes:
        sizes[random.randrange(len(sizes))] = random.choice(SIZES)
    elif what == 1:
        sizes = sizes[::-1] if random.random() < 0.5 else [*sizes, random.choice(SIZES)]
    elif what == 2:
        dtype = random.choice(_DTYPES)
    elif what == 3:
        fortran = not fortran
    else:
        sizes = sizes[:-1]
    header = repr(
        {"descr": np.dtype(dtype).str, "fortran_order": fortran, "shape": tuple(sizes)}
    ).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    start = b"\x93NUMPY" + bytes(version) + struct.pack("<H", len(header))
    return start + header + content[file.tell() :]


def npz_member(content: bytes, random: Random) -> bytes:
    """Change, remove, repeat, rename or exchange members of a `.npz` file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    at, other = (random.randrange(len(members)) for _ in range(2))
    name, data = members[at]
    what = random.randrange(7)
    if what <= 2:
        members[at] = name, random.choice((npy_header, *BYTES))(data, random)
    elif what == 3:
        del members[at]
    elif what == 4:
        members.append((random.choice((name, "extra.npy", "../up.npy", "note.txt")), data))
    elif what == 5:
        members[at] = name, members[other][1]
    else:
        members[at] = name, npy_zeros(data, random)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", random.choice((0, 8))) as archive:
        for name, data in members:
            if name not in archive.namelist() or random.random() < 0.5:
                info = zipfile.ZipInfo(name)
                archive.writestr(info, data, zipfile.ZIP_DEFLATED)
    return target.getvalue()


def npy_zeros(content: bytes, random: Random) -> bytes:
    """Return an array of many zeros, which is small when it is compressed."""
    count = random.choice((0, 1000, 1 << 20, 1 << 24))
    file = io.BytesIO()
    np.save(file, np.zeros(count, random.choice(("u1", "i8", "U1"))))
    return file.getvalue()


def idx_header(content: bytes, random: Random) -> bytes:
    """Write a hostile size, type or number of axes in the header of an IDX file."""
    if random.random() < 0.3:
        changed = bytearray(content)
        changed[random.choice((2, 3))] = random.choice((0, 1, 8, 9, 13, 14, 64, 255))
        return bytes(changed)
    at = 4 * random.randrange(1, 1 + content[3])
    return content[:at] + struct.pack(">I", random.choice(SIZES) % (1 << 32)) + content[at + 4 :]


def json_value(content: bytes, random: Random) -> bytes:
    """Replace or remove a value in a JSON file."""
    values = json.loads(content)
    _change(values, random)
    return json.dumps(values).encode()


def json_line(content: bytes, random: Random) -> bytes:
    """Replace or remove a value in a line of a JSON lines file."""
    lines = content.splitlines()
    at = random.randrange(len(lines))
    lines[at] = json_value(lines[at], random)
    return b"\n".join(lines) + b"\n"


def safetensors_header(content: bytes, random: Random) -> bytes:
    """Replace or remove a value in the header of a safetensors file."""
    (size,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + size])
    _change(header, random)
    changed = json.dumps(header).encode()
    return struct.pack("<Q", len(changed)) + changed + content[8 + size :]


def _change(values: Any, random: Random) -> None:
    """Replace or remove a value somewhere in nested dicts and lists."""
    places = list(_places(values))
    if not places:
        return
    container, key = random.choice(places)
    if random.random() < 0.2:
        del container[key]
    else:
        container[key] = random.choice((*_EXTREMES, *SIZES, *TOKENS[:40]))


def _places(values: Any) -> Any:
    pairs: Any = ()
    if isinstance(values, dict):
        pairs = values.items()
    elif isinstance(values, list):
        pairs = enumerate(values)
    for key, inner in pairs:
        yield values, key
        yield from _places(inner)


def parquet_table(content: bytes, random: Random) -> bytes:
    """Write a Parquet file again with another column: type, name, values or number of rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(content))
    at = random.randrange(table.num_columns)
    name, column = table.column_names[at], table.column(at).combine_chunks()
    what = random.randrange(6)
    if what == 0:
        types = (pa.string(), pa.binary(), pa.int8(), pa.float16(), pa.bool_(), pa.date32())
        kinds: list[Callable[[], Any]] = [
            lambda: column.cast(random.choice(types)),
            lambda: pa.nulls(len(column)),
            lambda: column.dictionary_encode(),
            lambda: pa.StructArray.from_arrays([column], ["inner"]),
            lambda: pa.ListArray.from_arrays(list(range(len(column) + 1)), column),
            lambda: pa.array([str(value).encode() + b"\xff" for value in column.to_pylist()]),
            lambda: pa.array(range(len(column)), pa.timestamp("us", "UTC")),
            lambda: pa.array(range(len(column)), pa.duration("s")),
            lambda: pa.array(range(len(column)), pa.decimal128(38, 5)),
        ]
        try:
            table = table.set_column(at, name, random.choice(kinds)())
        except (pa.ArrowException, ValueError):
            return content
    elif what == 1:
        table = table.remove_column(at)
    elif what == 2:
        names = list(table.column_names)
        names[at] = random.choice((*TOKENS[:20], "label", "time", names[0]))
        table = table.rename_columns(names)
    elif what == 3:
        table = table.slice(0, random.choice((0, 1, 2)))
    elif what == 4:
        hidden = [random.random() < 0.3 for _ in range(len(column))]
        values = [None if gone else v for gone, v in zip(hidden, column.to_pylist(), strict=True)]
        table = table.set_column(at, name, pa.array(values, column.type))
    else:
        rows = list(range(table.num_rows))
        random.shuffle(rows)
        table = table.take(rows)
    target = io.BytesIO()
    pq.write_table(table, target, row_group_size=random.choice((1, 7, 1000)))
    return target.getvalue()


def onnx_field(content: bytes, random: Random) -> bytes:
    """Change a field of an ONNX file: a number, a text, bytes, or the items of a list."""
    import onnx

    model = onnx.load_model_from_string(content)
    message: Any = model
    for _ in range(12):
        fields = [field for field, _ in message.ListFields()]
        if not fields:
            break
        field = random.choice(fields)
        value = getattr(message, field.name)
        if isinstance(value, int | float | str | bytes):
            setattr(message, field.name, _other(value, random))
            break
        if hasattr(value, "ListFields"):
            message = value
            continue
        at = random.randrange(len(value))
        if random.random() < 0.15:
            del value[at]
            break
        if not hasattr(value[at], "ListFields"):
            value[at] = _other(value[at], random)
            break
        message = value[at]
    return bytes(model.SerializeToString())


def _other(value: Any, random: Random) -> Any:
    """Return another value of the same type."""
    if isinstance(value, int):
        return random.choice((0, 1, 2, 7, 10, -1, 2**31 - 1))
    if isinstance(value, float):
        return random.choice((0.0, -1.0, 1e30, float("nan"), float("inf")))
    if isinstance(value, bytes):
        return random.choice(BYTES)(value, random)
    changed = random.choice((*TEXT, *BYTES))(value.encode(), random)
    return changed.decode("utf-8", "replace")
