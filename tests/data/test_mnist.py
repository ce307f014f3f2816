"""The included digits are the published ones; splits of labeled data."""

import gzip
import sys
from importlib.resources import files

import pytest
import torch

from bothways.data.builtin.mnist import mnist
from bothways.data.dataset import Dataset
from bothways.data.sequences import Sequences
from bothways.data.splitting import stratified_split
from bothways.data.validation import value_range
from bothways.errors import DataError

TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.fixture(scope="module")
def digits():
    return mnist()


@pytest.mark.parametrize(
    ("part", "counts", "first"),
    [("train", TRAIN_COUNTS, [5, 0, 4, 1]), ("test", TEST_COUNTS, [7, 2, 1, 0])],
)
def test_labels_are_the_published_ones(digits, part, counts, first):
    labels = getattr(digits, part).labels
    assert labels[:4].tolist() == first
    assert labels.bincount().tolist() == counts


@pytest.mark.parametrize(("part", "count"), [("train", 60_000), ("test", 10_000)])
def test_each_digit_is_28_rows_of_28_pixels(digits, part, count):
    sequences = getattr(digits, part)
    assert (len(sequences), sequences.input_size) == (count, 28)
    assert set(sequences.lengths.tolist()) == {28}
    assert value_range(sequences.chunks()) == (0, 1)


def test_pixels_have_the_known_mean_and_deviation(digits):
    assert digits.train.steps.mean().item() == pytest.approx(0.1307, abs=1e-4)
    assert digits.train.steps.std().item() == pytest.approx(0.3081, abs=1e-4)


def test_names(digits):
    assert digits.name == "mnist"
    assert digits.classes == tuple("0123456789")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.unlink(), "cannot be read"),
        (lambda file: file.write_bytes(b""), "cannot be read"),
        (lambda file: file.write_bytes(b"plain text"), "cannot be read"),
        (lambda file: file.write_bytes(file.read_bytes()[:-9]), "cannot be read"),
        (lambda file: file.write_bytes(flip_a_bit(file.read_bytes())), "cannot be read"),
        (lambda file: file.write_bytes(gzip.compress(b"other")), "has MD5 .*; expected 27ae3e4e"),
    ],
    ids=["missing", "empty", "text", "truncated", "flipped bit", "other content"],
)
def test_a_damaged_file_is_named(tmp_path, monkeypatch, damage, message):
    (tmp_path / "mnist_idx").mkdir()
    for file in (files("bothways.data.builtin") / "mnist_idx").iterdir():
        (tmp_path / "mnist_idx" / file.name).symlink_to(file)
    damaged = tmp_path / "mnist_idx" / "t10k-labels-idx1-ubyte.gz"
    content = damaged.read_bytes()
    damaged.unlink()
    damaged.write_bytes(content)
    damage(damaged)
    monkeypatch.setattr(
        sys.modules["bothways.data.builtin.mnist"], "files", lambda package: tmp_path
    )
    with pytest.raises(DataError, match=f"{damaged} {message}.*Install bothways again"):
        mnist()


def flip_a_bit(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.fixture
def labels():
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    return torch.tensor([0] * 50 + [1] * 30 + [2] * 20)[order]


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5, 0.99])
def test_split_is_complete_disjoint_and_sorted(labels, fraction):
    training, held_out = stratified_split(labels, fraction, seed=0)
    assert sorted(training.tolist() + held_out.tolist()) == list(range(100))
    assert training.tolist() == sorted(training.tolist())
    assert held_out.tolist() == sorted(held_out.tolist())


def test_split_is_stratified(labels):
    training, held_out = stratified_split(labels, 0.1, seed=0)
    assert labels[held_out].bincount().tolist() == [5, 3, 2]
    assert labels[training].bincount().tolist() == [45, 27, 18]


def test_split_depends_on_the_seed_alone(labels):
    first, again, other = (stratified_split(labels, 0.1, seed)[1].tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other
    torch.manual_seed(9)
    assert stratified_split(labels, 0.1, seed=1)[1].tolist() == first


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_split_leaves_each_class_something_on_both_sides(fraction):
    labels = torch.tensor([0] * 9 + [1] * 2 + [2])
    training, held_out = stratified_split(labels, fraction, seed=0)
    assert set(labels[training].tolist()) == {0, 1, 2}
    assert set(labels[held_out].tolist()) == {0, 1}  # the only 2 is for training


def sequences(labels, input_size=3):
    count = 2 if labels is None else len(labels)
    return Sequences.from_padded(torch.zeros(count, 4, input_size), labels=labels)


def test_a_dataset_needs_no_test_part():
    assert Dataset("toy", sequences([0, 1]), None, ("a", "b")).test is None


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (sequences(None), None, "toy: the train sequences have no labels"),
        (sequences([0, 1]), sequences(None), "toy: the test sequences have no labels"),
        (sequences([0, 2]), None, r"a train label is 2 but there are 2 classes; expected 0\.\.1"),
        (sequences([0, 1]), sequences([5]), "a test label is 5 but there are 2 classes"),
        (
            sequences([0, 1]),
            sequences([0, 1], input_size=4),
            "the test sequences have 4 features per step; expected 3, as in the training set",
        ),
    ],
)
def test_a_dataset_that_contradicts_itself_is_refused(train, test, message):
    with pytest.raises(DataError, match=message):
        Dataset("toy", train, test, ("a", "b"))
