"""Sequences to predict, told by the content of their file and read piece by piece."""

import gzip
import io
import struct

import numpy as np
import pytest
from PIL import Image

from bothways.errors import BothwaysError, DataError
from bothways.models.pieces import PIECE_SEQUENCES, read_pieces

INPUTS = np.arange(2 * 3 * 28, dtype=np.uint8).reshape(2, 3, 28)
IDX = struct.pack(">4B3i", 0, 0, 0x08, 3, *INPUTS.shape) + INPUTS.tobytes()


def saved(save, *args, **kwargs):
    file = io.BytesIO()
    save(file, *args, **kwargs)
    return file.getvalue()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sequences.dat"


@pytest.mark.parametrize(
    "content",
    [IDX, gzip.compress(IDX), saved(np.save, INPUTS), saved(np.savez, inputs=INPUTS)],
    ids=["idx", "idx.gz", "npy", "npz"],
)
def test_format_is_told_by_content(path, content):
    path.write_bytes(content)
    (piece,) = read_pieces(path, 28).pieces
    expected = INPUTS / np.float32(255)
    np.testing.assert_array_equal(piece.sequences.batch([0, 1]).inputs, expected)
    assert [r.name for r in piece.records] == ["0", "1"]


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_pictures_are_one_sequence_named_after_their_file(path, format):
    picture = Image.new("L", (90, 60))
    picture.paste(255, (20, 10, 30, 50))
    picture.save(path, format)
    found = read_pieces(path, 28)
    (piece,) = found.pieces
    assert [r.name for r in piece.records] == [str(path)]
    assert piece.sequences.batch([0]).inputs.shape == (1, 28, 28)
    assert found.notes[0].startswith(f"{path}: 90x60 gray, scaled to ")


def test_pieces_have_bounded_size_and_keep_the_order(path):
    count = 2 * PIECE_SEQUENCES + 1
    rows = np.arange(count, dtype=np.float32).reshape(count, 1, 1)
    lengths = np.arange(count) % 3 + 1
    path.write_bytes(saved(np.savez, inputs=rows.repeat(3, axis=1), lengths=lengths))
    pieces = list(read_pieces(path, 1).pieces)
    assert [len(piece.sequences) for piece in pieces] == [PIECE_SEQUENCES, PIECE_SEQUENCES, 1]
    assert [r.name for piece in pieces for r in piece.records] == [str(n) for n in range(count)]
    for start, piece in zip(range(0, count, PIECE_SEQUENCES), pieces, strict=True):
        expected = np.arange(start, start + len(piece.records))
        np.testing.assert_array_equal(piece.sequences.steps[piece.sequences.starts, 0], expected)
        np.testing.assert_array_equal(piece.sequences.lengths, expected % 3 + 1)


def test_two_axes_are_enough_for_one_feature(path):
    path.write_bytes(saved(np.save, np.array([[1.0, 2, 3], [4, 5, 6]])))
    (piece,) = read_pieces(path, 1).pieces
    assert piece.sequences.batch([1]).inputs.tolist() == [[[4], [5], [6]]]


def test_lengths_beside_a_npy_file_count(tmp_path):
    path = tmp_path / "waves.npy"
    np.save(path, np.ones((2, 3, 1)))
    np.save(tmp_path / "waves_lengths.npy", [2, 3])
    (piece,) = read_pieces(path, 1).pieces
    assert piece.sequences.lengths.tolist() == [2, 3]
    for lengths, message in (([2], r"waves_lengths\.npy has shape \(1,\)"), ([2, 4], "is 4 but")):
        np.save(tmp_path / "waves_lengths.npy", lengths)
        with pytest.raises(DataError, match=message):
            list(read_pieces(path, 1).pieces)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"starts with bytes \(none\); expected a \.csv"),
        (b"a,b,c", r"starts with bytes 61 2c 62 2c 63; expected a \.csv"),
        (b"PK\3\4 torn", r"is not a \.npz file"),
        (IDX[:-1], "ends in row 1; expected 2 rows of 84 bytes"),
        (gzip.compress(IDX)[:-1], "is damaged"),
        (saved(np.save, INPUTS[0]), r"has 1 feature per time step; expected 28"),
        (saved(np.save, INPUTS[..., :27]), r"has 27 features per time step; expected 28"),
        (
            saved(np.save, INPUTS[None]),
            r"has shape \(1, 2, 3, 28\); expected \(count, time, features\)",
        ),
        (saved(np.save, np.float32(1)), r"has shape \(\); expected \(count, time, features\)"),
        (saved(np.save, INPUTS[:0]), r"has shape \(0, 3, 28\): it holds no sequence"),
        (saved(np.save, INPUTS[:, :0]), r"has shape \(2, 0, 28\): it holds no sequence"),
        (saved(np.save, INPUTS.astype(int)), "has dtype int64; expected uint8"),
        (saved(np.savez, x=INPUTS), "holds x; expected an array 'inputs'"),
        (
            saved(np.savez, inputs=INPUTS, lengths=np.array([1, 2, 3])),
            r"\[lengths\] has shape \(3,\); expected \(2,\): one for each row",
        ),
        (
            saved(np.savez, inputs=INPUTS, lengths=np.array([3, 4])),
            r"lengths\[1\] is 4 but inputs has 3 steps; expected 1\.\.3",
        ),
        (
            saved(np.savez, inputs=INPUTS, lengths=np.array([3.0, 1.0])),
            "lengths has dtype .*float64; expected integers",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(path, content, message):
    path.write_bytes(content)
    with pytest.raises(BothwaysError, match=message) as caught:
        list(read_pieces(path, 28).pieces)
    assert str(path) in str(caught.value)


def test_a_wrong_length_is_named_by_its_row_in_the_file(path):
    lengths = np.full(PIECE_SEQUENCES + 9, 2)
    lengths[PIECE_SEQUENCES + 5] = 3
    path.write_bytes(saved(np.savez, inputs=np.zeros((len(lengths), 2, 1)), lengths=lengths))
    with pytest.raises(BothwaysError, match=rf"lengths\[{PIECE_SEQUENCES + 5}\] is 3"):
        list(read_pieces(path, 1).pieces)


def test_files_that_cannot_be_opened(tmp_path):
    with pytest.raises(DataError, match=r"none\.npy cannot be read: No such file"):
        read_pieces(tmp_path / "none.npy", 28)
    with pytest.raises(DataError, match="expected a folder for each class with a file"):
        read_pieces(tmp_path, 28)


def test_a_picture_needs_a_model_of_digits(path):
    Image.fromarray(np.eye(28, dtype=np.uint8) * 255).save(path, "PNG")
    with pytest.raises(
        DataError, match=r"because it is a picture; expected 3, as in training. Pass sequences"
    ):
        list(read_pieces(path, 3).pieces)


def test_flat_values_are_cut_at_their_offsets(path):
    count = PIECE_SEQUENCES + 3
    lengths = np.arange(count) % 3 + 1
    offsets = np.cumsum([0, *lengths])
    values = np.arange(offsets[-1], dtype=np.float32)[:, None]
    path.write_bytes(saved(np.savez, values=values, offsets=offsets))
    pieces = list(read_pieces(path, 1).pieces)
    assert [len(piece.sequences) for piece in pieces] == [PIECE_SEQUENCES, 3]
    assert [r.name for piece in pieces for r in piece.records] == [str(n) for n in range(count)]
    rows = [row for piece in pieces for row in piece.sequences.rows()]
    for row, start, length in zip(rows, offsets, lengths, strict=False):
        assert row[:, 0].tolist() == list(range(start, start + length))
    for broken, message in (
        ({"values": values, "offsets": offsets[:-1]}, r"offsets has shape .* rise from 0 to"),
        (
            {"values": values[:, 0], "offsets": offsets},
            r"shape \(\d+,\); expected \(total_steps, features",
        ),
    ):
        path.write_bytes(saved(np.savez, **broken))
        with pytest.raises(DataError, match=message):
            list(read_pieces(path, 1).pieces)
