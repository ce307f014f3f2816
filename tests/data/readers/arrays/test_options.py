"""Arrays with the options of tables: windows, other files, axes, large constants."""

import json

import numpy as np
import pytest

from bothways.data.open import open_dataset
from bothways.data.options import DataOptions
from bothways.errors import DataError
from bothways.models.pieces import read_pieces

rng = np.random.default_rng(0)
INPUTS = rng.normal(size=(12, 10, 3)).astype(np.float32)
LABELS = np.arange(12) % 2


@pytest.fixture
def npz(tmp_path):
    return save(tmp_path / "x.npz", inputs=INPUTS, labels=LABELS)


def save(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


def test_windows_of_arrays(npz):
    dataset = open_dataset(npz, DataOptions(window=4, stride=3))
    assert len(dataset.train) == 12 * 3
    assert dataset.train.longest == 4
    np.testing.assert_array_equal(dataset.train.steps[4:8], INPUTS[0, 3:7])
    assert len(dataset.train.groups.unique()) == 12


def test_windows_of_one_row_stay_on_one_side(npz):
    dataset = open_dataset(npz, DataOptions(window=5, test_fraction=0.25))
    assert not set(dataset.train.groups.tolist()) & set(dataset.test.groups.tolist())


def test_windows_at_prediction(npz):
    (piece,) = read_pieces(path_of(npz), 3, DataOptions(window=4, stride=3, offsets=())).pieces
    assert len(piece.sequences) == 36
    assert [r.start for r in piece.records[:4]] == [0, 3, 6, 0]
    assert [r.name for r in piece.records[:4]] == ["0", "0", "0", "1"]


def path_of(text):
    from pathlib import Path

    return Path(text)


@pytest.mark.parametrize("part", ["test", "validation"])
@pytest.mark.parametrize("ending", ["npz", "npy", "jsonl", "folder"])
def test_another_file_is_the_part(tmp_path, npz, part, ending):
    other = tmp_path / f"other.{ending}"
    few = INPUTS[:4] + 1
    if ending == "npz":
        save(other, inputs=few, labels=LABELS[:4])
    elif ending == "npy":
        np.save(other, few)
        np.save(tmp_path / "other_labels.npy", LABELS[:4])
    elif ending == "jsonl":
        lines = [{"values": v.tolist(), "label": int(n)} for v, n in zip(few, LABELS, strict=False)]
        other.write_text("\n".join(map(json.dumps, lines)))
    else:
        for n, values in enumerate(few):
            (other / str(n % 2)).mkdir(parents=True, exist_ok=True)
            np.save(other / str(n % 2) / f"{n}.npy", values)
    dataset = open_dataset(npz, DataOptions(**{part: str(other)}))
    found = getattr(dataset, part)
    assert (len(dataset.train), len(found)) == (12, 4)
    assert sorted(found.labels.tolist()) == [0, 0, 1, 1]


@pytest.mark.parametrize("names", [("X", "y"), ("X_train", "y_train"), ("x_train", "y_train")])
def test_usual_names_of_arrays(tmp_path, names):
    arrays = dict(zip(names, (INPUTS, LABELS), strict=True))
    if names[0] != "X":
        arrays |= {names[0].replace("train", "test"): INPUTS[:3] + 1, "y_test": LABELS[:3]}
    dataset = open_dataset(save(tmp_path / "x.npz", **arrays))
    assert (len(dataset.train), dataset.train.longest, dataset.train.input_size) == (12, 10, 3)
    assert dataset.test is None if names[0] == "X" else len(dataset.test) == 3


def test_two_arrays_of_one_role_are_refused(tmp_path):
    path = save(tmp_path / "x.npz", X=INPUTS, inputs=INPUTS, y=LABELS)
    with pytest.raises(DataError, match="has two arrays for inputs, one of them 'inputs'"):
        open_dataset(path)


def test_two_axes_are_one_feature(tmp_path):
    dataset = open_dataset(save(tmp_path / "x.npz", X=INPUTS[:, :, 0], y=LABELS))
    assert (dataset.train.longest, dataset.train.input_size) == (10, 1)


@pytest.mark.parametrize("ending", ["npz", "npy"])
def test_axes(tmp_path, ending):
    """sktime and aeon order the axes as (sequences, channels, time steps)."""
    swapped = np.ascontiguousarray(INPUTS.transpose(0, 2, 1))
    path = tmp_path / f"x.{ending}"
    if ending == "npz":
        save(path, inputs=swapped, labels=LABELS)
    else:
        np.save(path, swapped)
        np.save(tmp_path / "x_labels.npy", LABELS)
    (warning,) = open_dataset(str(path)).warnings
    assert "3 time steps of 10 features" in warning
    assert "--axes nct" in warning
    dataset = open_dataset(str(path), DataOptions(axes="nct"))
    assert dataset.warnings == ()
    np.testing.assert_array_equal(dataset.train.steps, INPUTS.reshape(-1, 3))
    (piece,) = read_pieces(path, 3, DataOptions(axes="nct")).pieces
    np.testing.assert_array_equal(piece.sequences.steps, INPUTS.reshape(-1, 3))


@pytest.mark.parametrize("window", [None, 5])
@pytest.mark.parametrize("flat", [False, True])
def test_a_large_constant_does_not_swallow_the_signal(tmp_path, window, flat):
    values = INPUTS + np.array([0, 1.7e9, 0])
    arrays = {"inputs": values}
    if flat:
        arrays = {"values": values.reshape(-1, 3), "offsets": np.arange(0, 121, 10)}
    path = save(tmp_path / "x.npz", **arrays, labels=LABELS)
    dataset = open_dataset(path, DataOptions(window=window))
    assert dataset.offsets[0] == dataset.offsets[2] == 0
    expected = values.reshape(-1, 3)
    found = dataset.train.steps.double().numpy() + dataset.offsets
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    reading = DataOptions(window=window, offsets=dataset.offsets)
    (piece,) = read_pieces(path_of(path), 3, reading).pieces
    np.testing.assert_array_equal(piece.sequences.steps, dataset.train.steps)


@pytest.mark.parametrize("ending", ["npz", "npy"])
def test_a_large_label_is_refused_unless_it_is_expected(tmp_path, ending):
    labels = np.arange(12) * 1000
    path = tmp_path / f"x.{ending}"
    if ending == "npz":
        save(path, inputs=INPUTS, labels=labels)
    else:
        np.save(path, INPUTS)
        np.save(tmp_path / "x_labels.npy", labels)
    with pytest.raises(DataError, match=r"holds 11000; expected at most 4999.*--max-classes 11001"):
        open_dataset(str(path))
    assert len(open_dataset(str(path), DataOptions(max_classes=11001)).classes) == 11001
