"""Labeled sequences from `.npz` and `.npy` files."""

import re

import numpy as np
import pytest
import torch

from bothways.data.open import open_dataset
from bothways.data.options import DataOptions
from bothways.data.validation import value_range
from bothways.errors import BothwaysError, DataError
from bothways.models.pieces import read_pieces

INPUTS = np.arange(4 * 5 * 3, dtype=np.float32).reshape(4, 5, 3)
NUMBERS = np.array([0, 2, 1, 2])
NAMES = np.array(["wave", "circle", "wave", "tap"])
TEST = {"test_inputs": INPUTS[:2], "test_labels": NUMBERS[:2]}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "gestures.npz"


def read(path, **arrays):
    np.savez(path, **{"inputs": INPUTS, "labels": NUMBERS, **arrays})
    return open_dataset(str(path))


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "uint64"])
def test_whole_numbers_name_their_classes(path, dtype):
    dataset = read(path, labels=NUMBERS.astype(dtype))
    assert dataset.classes == ("0", "1", "2")
    assert dataset.train.labels.tolist() == [0, 2, 1, 2]
    assert (dataset.name, dataset.test) == ("gestures.npz", None)


def test_texts_are_classes_in_order_of_the_alphabet(path):
    dataset = read(path, labels=NAMES)
    assert dataset.classes == ("circle", "tap", "wave")
    assert dataset.train.labels.tolist() == [2, 0, 2, 1]


def test_classes_give_the_order(path):
    dataset = read(path, labels=NAMES, classes=np.array(["wave", "tap", "circle", "rest"]))
    assert dataset.classes == ("wave", "tap", "circle", "rest")
    assert dataset.train.labels.tolist() == [0, 2, 0, 1]


def test_classes_give_numbers_a_name(path):
    dataset = read(path, classes=np.array(["a", "b", "c"]))
    assert dataset.classes == ("a", "b", "c")
    assert dataset.train.labels.tolist() == [0, 2, 1, 2]


@pytest.mark.parametrize(
    ("labels", "test_labels", "classes"),
    [
        (NUMBERS, np.array([3, 0]), ("0", "1", "2", "3")),
        (NAMES, np.array(["rest", "tap"]), ("circle", "rest", "tap", "wave")),
    ],
)
def test_classes_of_the_test_part_count(path, labels, test_labels, classes):
    dataset = read(path, labels=labels, test_inputs=INPUTS[:2], test_labels=test_labels)
    assert dataset.classes == classes
    assert [classes[label] for label in dataset.test.labels] == [str(t) for t in test_labels]


def test_padding_is_dropped(path):
    lengths, test_lengths = np.array([5, 1, 3, 2]), np.array([4, 5])
    dataset = read(path, lengths=lengths, **TEST, test_lengths=test_lengths)
    assert dataset.train.lengths.tolist() == [5, 1, 3, 2]
    assert dataset.test.lengths.tolist() == [4, 5]
    batch = dataset.train.batch([2])
    np.testing.assert_array_equal(batch.inputs[0], INPUTS[2, :3])


def test_lengths_in_a_file_cause_no_warning(path):
    torch.set_warn_always(True)  # torch warns of a read-only array once in a process otherwise
    try:
        dataset = read(path, lengths=np.array([5, 1, 3, 2]))
    finally:
        torch.set_warn_always(False)
    assert dataset.train.lengths.tolist() == [5, 1, 3, 2]


def test_without_lengths_every_step_counts(path):
    dataset = read(path)
    assert dataset.train.lengths.tolist() == [5, 5, 5, 5]
    np.testing.assert_array_equal(dataset.train.batch(range(4)).inputs, INPUTS)


def test_bytes_are_scaled(path):
    dataset = read(path, inputs=np.full((4, 5, 3), 255, np.uint8))
    assert value_range(dataset.train.chunks()) == (1, 1)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"lables": NUMBERS}, "holds an array 'lables'; did you mean 'labels'"),
        ({"target": NUMBERS}, "holds an array 'target'; expected only inputs, lengths, values"),
        ({"test_inputs": INPUTS}, "has only one of test_inputs and test_labels; expected both"),
        ({"test_labels": NUMBERS}, "has only one of test_inputs and test_labels; expected both"),
        ({"test_lengths": np.array([1])}, "test_lengths"),
        (
            {"inputs": INPUTS[0]},
            r"\[labels\] has shape \(4,\) for 5 sequences",
        ),
        ({"inputs": INPUTS[:, :0]}, r"inputs\S* has shape \(4, 0, 3\)"),
        ({"inputs": INPUTS.astype(int)}, r"\[inputs\] has dtype int64; expected uint8"),
        ({"inputs": np.array(1.0)}, r"inputs\S* has shape .*expected \(count, time, features\)"),
        ({"inputs": INPUTS[:0], "labels": NUMBERS[:0]}, r"has shape \(0,"),
        ({"labels": NUMBERS[:0]}, r"labels\S* has shape \(0,\)"),
        ({"labels": NUMBERS[:3]}, r"labels\S* has shape \(3,\) for 4 sequences"),
        ({"labels": NUMBERS[:, None]}, r"labels\S* has shape \(4, 1\)"),
        ({"labels": NAMES[:, None]}, r"labels\S* has shape \(4, 1\)"),
        ({"labels": np.array(1)}, r"labels\S* has shape \(\)"),
        ({"labels": NUMBERS - 1}, r"labels\S* holds .* from -1; expected class numbers 0, 1, 2"),
        ({"labels": NUMBERS * 500_000}, "1000000"),
        ({"labels": NUMBERS / 2}, r"labels\S* .*float64; expected integers or text"),
        ({"labels": NUMBERS > 1}, r"labels\S* .*bool; expected integers or text"),
        ({"labels": NAMES.astype("S")}, r"labels\S* .*S6; expected integers or text"),
        ({"labels": NAMES.astype(object)}, "holds Python objects, which are not unpickled"),
        ({"test_inputs": INPUTS, "test_labels": NAMES}, "test_labels"),
        ({"labels": NAMES, **TEST}, "test_labels"),
        ({"lengths": np.array([5, 6, 1, 1])}, r"lengths\S* is 6 but inputs has 5 steps"),
        ({"lengths": np.array([5, 0, 1, 1])}, r"lengths\S* is 0 but .*expected 1\.\.5"),
        ({"lengths": np.array([5, 1])}, r"lengths\S* has shape \(2,\); expected \(4,\)"),
        ({"lengths": np.ones(4)}, r"lengths\S* has dtype .*float64; expected integers"),
        (
            {**TEST, "test_lengths": np.array([5, 9])},
            r"test_lengths\]: lengths\S* is 9 but .* 5 steps",
        ),
        ({"classes": np.array(["a", "b"])}, "holds 2 but there are 2 classes"),
        ({**TEST, "test_inputs": INPUTS[:2, :, :2]}, "test sequence 0 has 2 features; expected 3"),
        (
            {"labels": NAMES, "classes": np.array(["wave", "tap"])},
            r"\[labels\] holds 'circle', which is not in classes wave, tap",
        ),
        ({"classes": np.array("abc")}, r"classes\S* has shape \(\)"),
        ({"classes": np.array([["a"], ["b"], ["c"]])}, r"classes\S* has shape \(3, 1\)"),
        ({"classes": np.array(["a", "b", "a"])}, "classes.*'a'"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_arrays_that_do_not_fit_are_refused(path, arrays, message):
    with pytest.raises(BothwaysError, match=message) as caught:
        read(path, **arrays)
    assert path.name in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "holds nothing; expected 'inputs' among them"),
        ({"labels": NUMBERS}, "holds labels; expected 'inputs' among them"),
        ({"inputs": INPUTS}, "holds inputs; expected 'labels' among them"),
    ],
)
def test_inputs_and_labels_are_needed(path, arrays, message):
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=message):
        open_dataset(str(path))


def read_beside(folder, **arrays):
    for name, array in {"": INPUTS, "_labels": NUMBERS, **arrays}.items():
        if array is not None:
            np.save(folder / f"waves{name}.npy", array)
    return open_dataset(str(folder / "waves.npy"))


@pytest.mark.parametrize("labels", [NUMBERS, NAMES])
def test_npy_takes_labels_and_lengths_beside_it(tmp_path, path, labels):
    lengths = np.array([5, 1, 3, 2])
    assert read_beside(tmp_path, _labels=labels).train.lengths.tolist() == [5, 5, 5, 5]
    dataset = read_beside(tmp_path, _labels=labels, _lengths=lengths)
    expected = read(path, labels=labels, lengths=lengths)
    assert dataset.train.fingerprint() == expected.train.fingerprint()
    assert (dataset.name, dataset.classes, dataset.test) == ("waves.npy", expected.classes, None)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"_labels": None}, r"waves\.npy has no labels next to it; expected waves_labels\.npy"),
        (
            {"_labels": NUMBERS[:3]},
            r"waves_labels\.npy has shape \(3,\) for 4 sequences",
        ),
        ({"_labels": NUMBERS[:, None]}, r"waves_labels\.npy has shape \(4, 1\); expected \(count,"),
        (
            {"_labels": NUMBERS / 2},
            r"waves_labels\.npy has dtype float64; expected integers or text",
        ),
        (
            {"_labels": NAMES.astype(object)},
            r"waves_labels\.npy holds .*Save text with .astype\(str",
        ),
        (
            {"_lengths": np.array([5, 6, 1, 1])},
            r"waves_lengths\.npy: lengths\S* is 6 but inputs has 5 steps",
        ),
        ({"_lengths": np.array([5, 6])}, r"waves_lengths\.npy has shape \(2,\)"),
        ({"": INPUTS[0]}, r"waves_labels\.npy has shape \(4,\) for 5 sequences"),
        ({"": INPUTS.astype(int)}, r"waves\.npy has dtype int64; expected uint8"),
    ],
)
def test_npy_files_that_do_not_fit_are_refused(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message) as caught:
        read_beside(tmp_path, **arrays)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["waves.npy", "waves_labels.npy"])
def test_a_truncated_npy_file_is_refused(tmp_path, name):
    read_beside(tmp_path)
    file = tmp_path / name
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match=rf"{name} ends in row 3; expected 4 rows"):
        open_dataset(str(tmp_path / "waves.npy"))


def test_the_line_that_saves_python_objects_anew_works(tmp_path, path):
    arrays = [np.ones((length, 3)) * length for length in (2, 4, 1, 3)]
    ragged = np.empty(4, object)
    ragged[:] = arrays
    with pytest.raises(DataError, match="holds Python objects") as caught:
        read_beside(tmp_path, **{"": ragged})
    (line,) = re.findall(r"np\.savez\(.*\)(?=\.$)", str(caught.value))
    exec(line, {"np": np, "path": path, "arrays": arrays, "labels": NUMBERS})
    assert open_dataset(str(path)).train.lengths.tolist() == [2, 4, 1, 3]


BOMB = np.zeros(3 << 20, np.int64)


@pytest.mark.parametrize("name", ["labels", "lengths", "groups", "classes"])
def test_small_files_with_huge_arrays_are_not_read(path, name):
    arrays = {"inputs": INPUTS, "labels": NUMBERS, name: BOMB}
    np.savez_compressed(path, **arrays)
    with pytest.raises(
        DataError, match=rf"\[{name}\] has shape \(3145728,\); expected [\d,]+ elem"
    ):
        open_dataset(str(path))


def test_offsets_that_are_more_than_the_steps_are_not_read(path):
    np.savez_compressed(path, values=INPUTS[0], offsets=BOMB, labels=NUMBERS)
    with pytest.raises(DataError, match=r"\[offsets\] has shape \(3145728,\); expected 6 elements"):
        open_dataset(str(path))


@pytest.mark.parametrize("flat", [False, True])
def test_more_features_than_anything_has_are_refused(path, flat):
    wide = np.zeros((2, 2**20 + 1), np.uint8)
    arrays = {"values": wide, "offsets": [0, 1, 2]} if flat else {"inputs": wide[:, None]}
    np.savez_compressed(path, **arrays, labels=NUMBERS[:2])
    with pytest.raises(DataError, match=r"1,048,577 features for each time step; expected at most"):
        open_dataset(str(path))


def test_a_damaged_directory_does_not_hide_the_lengths(path):
    np.savez(path, inputs=INPUTS, lengths=[5, 3, 2, 1])
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 33] ^= 1  # the comment of the first entry: 256 bytes more
    path.write_bytes(content)
    with pytest.raises(
        DataError, match=r"npz says that it has 2 members but its directory names 1; expected all"
    ):
        list(read_pieces(path, 3).pieces)


def test_open_dataset_by_path(path):
    np.savez(path, inputs=INPUTS, labels=NUMBERS)
    assert len(open_dataset(str(path)).train) == 4


def test_open_dataset_without_a_file(tmp_path):
    with pytest.raises(DataError, match=r"/none\.npz' is not found; expected mnist, or a .csv"):
        open_dataset(str(tmp_path / "none.npz"))
    with pytest.raises(DataError, match="expected a folder for each class with a file"):
        open_dataset(str(tmp_path))


def test_open_dataset_of_another_format(path):
    path.write_text("gesture,x,y\n")
    with pytest.raises(DataError, match=r"gestures\.npz is not a \.npz file, or is damaged"):
        open_dataset(str(path))


@pytest.mark.parametrize("layout", ["padded", "flat", "npy"])
def test_arrays_beyond_the_memory_limit_are_kept_in_a_file(tmp_path, layout):
    """The dataset is the same, bit for bit."""
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 300, 400)
    inputs = generator.normal(size=(400, 300, 8)).astype(np.float32)  # 1.9 MB without padding
    labels = np.arange(400) % 2
    rows = [row[:length] for row, length in zip(inputs, lengths, strict=True)]
    name = "x.npy" if layout == "npy" else "x.npz"
    if layout == "flat":
        offsets = np.cumsum([0, *lengths])
        np.savez(tmp_path / name, values=np.concatenate(rows), offsets=offsets, labels=labels)
    elif layout == "padded":
        np.savez(tmp_path / name, inputs=inputs, lengths=lengths, labels=labels)
    else:
        np.save(tmp_path / "x.npy", inputs)
        np.save(tmp_path / "x_lengths.npy", lengths)
        np.save(tmp_path / "x_labels.npy", labels)
    held = open_dataset(str(tmp_path / name))
    mapped = open_dataset(str(tmp_path / name), DataOptions(memory_mb=1))
    assert (held.train.in_file, mapped.train.in_file) == (False, True)
    assert held.train.fingerprint() == mapped.train.fingerprint()
    for row, found in zip(rows, mapped.train.rows(), strict=True):
        np.testing.assert_array_equal(found, row)


def test_padding_of_step_labels_may_hold_anything(path):
    labels = np.tile(np.arange(5) % 3, (4, 1))
    lengths = np.array([5, 2, 3, 1])
    padded = np.where(np.arange(5) < lengths[:, None], labels, -100)
    options = DataOptions(target="step")
    np.savez(path, inputs=INPUTS, lengths=lengths, labels=padded)
    dataset = open_dataset(str(path), options)
    assert dataset.train.flat_labels().tolist() == [0, 1, 2, 0, 1, 0, 1, 0, 1, 2, 0]
    padded[1, 1] = -100
    np.savez(path, inputs=INPUTS, lengths=lengths, labels=padded)
    with pytest.raises(DataError, match=r"\[labels\] holds .* from -100; expected class numbers"):
        open_dataset(str(path), options)
