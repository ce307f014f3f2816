import numpy as np
import pytest
import torch

from bothways.data.sequences import Sequences
from bothways.errors import DataError, ShapeError


@pytest.fixture
def ragged():
    arrays = [np.full((length, 2), length, np.float32) for length in (3, 1, 4, 2)]
    return Sequences.from_arrays(arrays, labels=[0, 1, 2, 0])


def test_batch_pads_with_zeros_to_its_longest(ragged):
    batch = ragged.batch([1, 0])
    assert batch.inputs.tolist() == [[[1, 1], [0, 0], [0, 0]], [[3, 3]] * 3]
    assert batch.lengths.tolist() == [1, 3]
    assert batch.labels.tolist() == [1, 0]


def test_padded_input_is_the_same_as_arrays(ragged):
    padded = np.full((4, 6, 2), np.nan, np.float32)
    for row, length in enumerate([3, 1, 4, 2]):
        padded[row, :length] = length
    same = Sequences.from_padded(padded, lengths=[3, 1, 4, 2], labels=[0, 1, 2, 0])
    assert same.fingerprint() == ragged.fingerprint()
    assert torch.equal(same.batch([2, 3]).inputs, ragged.batch([2, 3]).inputs)


def test_uniform_rows_come_back_exactly():
    rows = torch.rand(5, 7, 3)
    sequences = Sequences.from_padded(rows)
    assert torch.equal(sequences.batch([4, 0]).inputs, rows[[4, 0]])
    assert not sequences.is_ragged
    assert (len(sequences), sequences.longest, sequences.input_size) == (5, 7, 3)


def test_subset_shares_the_steps(ragged):
    subset = ragged.subset(torch.tensor([2, 1]))
    assert subset.steps is ragged.steps
    assert subset.batch([0]).inputs.shape == (1, 4, 2)
    assert subset.labels.tolist() == [2, 1]


@pytest.mark.parametrize("change", ["value", "label", "length", "order"])
def test_fingerprint_notices_every_change(ragged, change):
    arrays = [np.full((length, 2), length, np.float32) for length in (3, 1, 4, 2)]
    labels = [0, 1, 2, 0]
    if change == "value":
        arrays[0][0, 0] += 1e-6
    elif change == "label":
        labels[3] = 1
    elif change == "length":
        arrays[0] = arrays[0][:2]
    else:
        arrays[0], arrays[1] = arrays[1], arrays[0]
    assert Sequences.from_arrays(arrays, labels).fingerprint() != ragged.fingerprint()


@pytest.mark.parametrize(
    ("arrays", "labels", "error", "message"),
    [
        ([], None, DataError, "sequences is empty"),
        ([np.ones((2, 3)), np.ones((0, 3))], None, DataError, r"sequences\[1\] has shape \(0, 3\)"),
        ([np.ones((2, 3)), np.ones((2, 4))], None, DataError, r"shape \(2, 4\).*\(time, 3\)"),
        ([np.ones(3)], None, DataError, r"sequences\[0\] has shape \(3,\)"),
        ([np.ones((2, 3), np.uint8)], None, DataError, "dtype uint8; expected floats"),
        (
            [np.ones((2, 3))],
            [0, 1],
            ShapeError,
            r"labels has shape \(2,\) but there are 1 sequences",
        ),
        ([np.ones((2, 3))], [0.5], DataError, "expected class numbers"),
        ([np.ones((2, 3))], [-1], DataError, "expected class numbers"),
    ],
)
def test_bad_arrays_are_named(arrays, labels, error, message):
    with pytest.raises(error, match=message):
        Sequences.from_arrays(arrays, labels)


@pytest.mark.parametrize(
    ("inputs", "lengths", "error", "message"),
    [
        (np.ones((2, 3)), None, DataError, r"inputs has shape \(2, 3\); expected \(count, time"),
        (np.ones((2, 0, 3)), None, DataError, "none of them 0"),
        (np.ones((2, 4, 3)), [1, 5], ShapeError, r"lengths\[1\] is 5"),
    ],
)
def test_bad_padded_input_is_named(inputs, lengths, error, message):
    with pytest.raises(error, match=message):
        Sequences.from_padded(inputs, lengths)


@pytest.mark.parametrize("chunk_values", [1, 8, 1000])
@pytest.mark.parametrize("indices", [[0, 1, 2, 3], [3, 0], [2, 1, 3]])
def test_chunks_hold_each_step_once_with_its_row_and_label(
    ragged, monkeypatch, chunk_values, indices
):
    monkeypatch.setattr("bothways.data.sequences.CHUNK_VALUES", chunk_values)
    for labelled in (ragged, ragged.with_step_labels([[0, 1, 2], [1], [2, 2, 0, -1], [0, -1]])):
        subset = labelled.subset(torch.tensor(indices))
        chunks = list(subset.chunks())
        rows = torch.cat([chunk.rows for chunk in chunks])
        for row, own in enumerate(subset.rows()):
            assert torch.equal(torch.cat([c.steps[c.rows == row] for c in chunks]), own)
            labels = torch.cat([c.labels[c.rows == row] for c in chunks])
            batch = subset.batch([row])
            expected = batch.labels if subset.target == "sequence" else batch.labels[0]
            assert torch.equal(labels, expected.expand(len(own)))
        assert len(rows) == int(subset.lengths.sum())
        for chunk in chunks:
            first = int(subset.lengths[chunk.rows[0]]) * subset.input_size
            assert chunk.steps.numel() <= chunk_values + first
