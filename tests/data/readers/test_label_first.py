import gzip

import numpy as np
import pytest

from bothways import DataOptions, open_dataset
from bothways.data.readers.label_first import read_label_first
from bothways.data.readers.registry import open_source
from bothways.errors import DataError
from bothways.models.pieces import read_pieces

VALUES = np.random.default_rng(0).standard_normal((4, 6)).round(6)
LABELS = ["1", "2", "-1", "1"]


def write(path, separator="\t", labels=LABELS, values=VALUES, end="\n"):
    lines = [
        separator.join([label, *map(str, row)]) for label, row in zip(labels, values, strict=True)
    ]
    text = end.join(lines) + end
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["x.tsv", "x.txt", "x.txt.gz"])
@pytest.mark.parametrize("separator", ["\t", ",", "   ", ", "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_is_a_label_and_a_sequence(tmp_path, name, separator, end):
    path = write(tmp_path / name, separator, end=end)
    source = open_source(path, DataOptions())
    records = list(source.records)
    assert [record.label for record in records] == LABELS
    for record, expected in zip(records, VALUES, strict=True):
        np.testing.assert_array_equal(record.values, expected[:, None])


def test_nan_at_the_end_is_padding(tmp_path):
    values = VALUES.copy()
    values[0, 4:] = values[1, 2] = np.nan
    records = list(
        read_label_first(write(tmp_path / "x.tsv", values=values), DataOptions()).records
    )
    assert [len(record.values) for record in records] == [4, 6, 6, 6]
    assert np.isnan(records[1].values[2, 0])


def test_labels_in_exponential_notation_are_whole_numbers(tmp_path):
    path = write(tmp_path / "x.txt", "  ", labels=["1.0000000e+00", "2.0000000e+00", "1.5", "walk"])
    assert [record.label for record in open_source(path, DataOptions()).records] == [
        "1",
        "2",
        "1.5",
        "walk",
    ]


def test_the_archive_names_its_test_file(tmp_path):
    write(tmp_path / "X_TEST.tsv", values=-VALUES)
    dataset = open_dataset(str(write(tmp_path / "X_TRAIN.tsv")))
    assert dataset.classes == ("-1", "1", "2")
    np.testing.assert_array_equal(dataset.train.steps, VALUES.reshape(-1, 1).astype(np.float32))
    np.testing.assert_array_equal(dataset.test.steps, -dataset.train.steps)
    (piece,) = read_pieces(tmp_path / "X_TEST.tsv", 1).pieces
    np.testing.assert_array_equal(piece.sequences.steps, dataset.test.steps)


def test_a_tsv_with_a_header_is_a_table(tmp_path):
    path = tmp_path / "x.tsv"
    path.write_text("id\tx\tlabel\na\t1\tu\nb\t2\tv\n")
    assert open_source(path, DataOptions()).features == ("x",)
    columns = "\t".join(["label", *map(str, range(12))])
    rows = "\n".join("\t".join([label, *["0.5"] * 12]) for label in "uv")
    path.write_text(f"{columns}\n{rows}\n")
    assert [record.values.shape for record in open_source(path, DataOptions()).records] == [
        (12, 1),
        (12, 1),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\t2\t4\n1\tx\t4\n", "line 2: could not convert string to float: 'x'; expected a label"),
        ("1\t2\t4\n2\tNaN\tNaN\n", "line 2 has no values after the label '2'"),
        ("", "is empty"),
    ],
)
def test_faults_are_named(tmp_path, text, message):
    path = tmp_path / "x.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        list(open_source(path, DataOptions()).records)
