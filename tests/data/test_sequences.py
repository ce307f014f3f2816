from dataclasses import replace

import numpy as np
import pytest
import torch

from bothways.data.sequences import LabeledSequences, Sequences, as_labeled
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


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_tensors_of_other_float_types(dtype):
    rows = torch.rand(2, 7, 3).to(dtype)
    for sequences in (Sequences.from_padded(rows), Sequences.from_arrays(list(rows))):
        assert torch.equal(sequences.batch([1, 0]).inputs, rows[[1, 0]].float())


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
        (
            [np.ones((2, 3), np.uint8)],
            None,
            DataError,
            r"dtype uint8; expected floats.* Scale images",
        ),
        ([np.ones((2, 3), np.int64)], None, DataError, r"dtype int64; .* Convert the array"),
        ([np.array([["1", "2"]])], None, DataError, r"dtype <U1; .* Pass an array of numbers"),
        (
            [np.ones((2, 3))],
            [0, 1],
            ShapeError,
            r"labels has shape \(2,\) for 1 sequence",
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


STEP_LABELS = [[0, 1, 2], [1], [2, 2, 0, -1], [-1, -1]]


@pytest.mark.parametrize("chunk_values", [1, 8, 1000])
@pytest.mark.parametrize("indices", [[0, 1, 2, 3], [3, 0], [2, 1, 3]])
def test_chunks_hold_each_step_once_with_its_row_and_label(
    ragged, monkeypatch, chunk_values, indices
):
    monkeypatch.setattr("bothways.data.ragged.CHUNK_VALUES", chunk_values)
    for labeled in (ragged, ragged.with_step_labels(STEP_LABELS)):
        subset = labeled.subset(torch.tensor(indices))
        chunks = list(subset.chunks())
        rows = torch.cat([chunk.rows for chunk in chunks])
        steps, labels_of_steps = map(torch.cat, zip(*subset.labeled_chunks(), strict=True))
        assert torch.equal(steps, torch.cat([chunk.steps for chunk in chunks]))
        for row, own in enumerate(subset.rows()):
            assert torch.equal(torch.cat([c.steps[c.rows == row] for c in chunks]), own)
            labels = labels_of_steps[rows == row]
            batch = subset.batch([row])
            expected = batch.labels if subset.target == "sequence" else batch.labels[0]
            assert torch.equal(labels, expected.expand(len(own)))
        assert len(rows) == int(subset.lengths.sum())
        for chunk in chunks:
            first = int(subset.lengths[chunk.rows[0]]) * subset.input_size
            assert chunk.steps.numel() <= chunk_values + first


def test_labels_are_in_the_type(ragged):
    plain = Sequences(ragged.steps, ragged.starts, ragged.lengths)
    assert isinstance(ragged, LabeledSequences)
    assert not isinstance(plain, LabeledSequences)
    assert not hasattr(plain.batch([0]), "labels")
    assert as_labeled(ragged, "x") is ragged
    steps = plain.with_step_labels(STEP_LABELS)
    with pytest.raises(DataError, match="x have no labels; expected labels of sequences or steps"):
        as_labeled(plain, "x")
    with pytest.raises(DataError, match="x have labels of steps; expected labels of sequences"):
        as_labeled(steps, "x", "sequence")
    with pytest.raises(DataError, match="x have labels of sequences; expected labels of steps"):
        as_labeled(ragged, "x", "step")


def test_weights_and_groups_go_with_their_sequences(ragged):
    weighted = ragged.with_labels([2, 1, 0, 2], weights=torch.tensor([1.0, 2.0, 3.0, 4.0]))
    weighted = replace(weighted, groups=torch.tensor([5, 6, 7, 8]))
    subset = weighted.subset(torch.tensor([3, 1]))
    assert subset.groups.tolist() == [8, 6]
    batch = subset.batch([1, 0])
    assert (batch.labels.tolist(), batch.weights.tolist()) == ([1, 2], [2.0, 4.0])


def test_counts_of_classes(ragged):
    steps = ragged.with_step_labels(STEP_LABELS)
    assert ragged.class_counts(4).tolist() == [
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 1, 0],
        [1, 0, 0, 0],
    ]
    assert ragged.label_counts(4).tolist() == [2, 1, 1, 0]
    assert steps.class_counts(3).tolist() == [[1, 1, 1], [0, 1, 0], [1, 0, 2], [0, 0, 0]]
    assert steps.label_counts(3).tolist() == [2, 2, 3]
    assert steps.subset(torch.tensor([3, 0])).flat_labels().tolist() == [-1, -1, 0, 1, 2]
    assert (steps.largest_label, steps.fully_ignored.tolist()) == (2, [3])
    assert steps.subset(torch.tensor([3, 0])).fully_ignored.tolist() == [0]
    assert ragged.fully_ignored.tolist() == []


def test_fingerprints_are_those_of_earlier_versions(ragged):
    """Models remember them, to know their training data again."""
    plain = Sequences(ragged.steps, ragged.starts, ragged.lengths)
    grouped = replace(ragged, groups=torch.tensor([1, 1, 0, 0]))
    steps = grouped.with_step_labels(STEP_LABELS)
    found = [sequences.fingerprint()[:16] for sequences in (plain, ragged, grouped, steps)]
    assert found == ["6cd906327d47ab92", "ad04f136e7fe54c9", "dd99c7c34e429d97", "ff364040a9008b78"]


@pytest.mark.parametrize(
    ("lengths", "text"),
    [
        ([3, 5], "Sequences(2 of 3 to 5 steps, input_size=2)"),
        ([4, 4], "Sequences(2 of 4 steps, input_size=2)"),
    ],
)
def test_repr_shows_the_sizes(lengths, text):
    sequences = Sequences.from_arrays([np.ones((length, 2)) for length in lengths])
    assert repr(sequences) == text
    assert repr(sequences.with_labels([0, 1])) == f"Labeled{text}"
    empty = sequences.subset(torch.tensor([], dtype=torch.int64))
    assert repr(empty) == "Sequences(0 of 0 steps, input_size=2)"
