import numpy as np
import pytest
import torch

from bothways.errors import DataError, ShapeError
from bothways.sequences import POOL_BATCHES, Sequences, padding_waste, shuffled_batches


@pytest.fixture
def ragged():
    arrays = [np.full((length, 2), length, np.float32) for length in (3, 1, 4, 2)]
    return Sequences.from_arrays(arrays, labels=[0, 1, 2, 0])


def log_uniform_lengths(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (20 * 50 ** torch.rand(count, generator=generator)).long()  # 20..1000


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


def test_value_range_is_of_the_subset_alone(ragged):
    assert ragged.value_range() == (1.0, 4.0)
    assert ragged.subset(torch.tensor([0, 3])).value_range() == (2.0, 3.0)


def test_not_finite_value_is_named():
    arrays = [np.zeros((2, 1)), np.array([[0.0], [np.nan]])]
    with pytest.raises(DataError, match=r"sequences\[1\] holds nan at step 1, feature 0"):
        Sequences.from_arrays(arrays).value_range()


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


def test_by_length_visits_all_the_shortest_first(ragged):
    batches = list(ragged.by_length(2))
    assert [batch.tolist() for batch in batches] == [[1, 3], [0, 2]]


@pytest.mark.parametrize("count", [1, 63, 64, 65, 64 * POOL_BATCHES + 1])
@pytest.mark.parametrize("ragged_lengths", [False, True])
def test_an_epoch_visits_each_sequence_once(count, ragged_lengths):
    lengths = log_uniform_lengths(count) if ragged_lengths else torch.full((count,), 28)
    batches = shuffled_batches(lengths, 64, torch.Generator().manual_seed(0))
    assert torch.cat(batches).sort().values.tolist() == list(range(count))
    assert len(batches) == -(-count // 64)
    assert sum(len(batch) < 64 for batch in batches) <= 1


def test_batches_are_a_function_of_the_seed():
    lengths = log_uniform_lengths(500)

    def order(seed):
        return torch.cat(shuffled_batches(lengths, 16, torch.Generator().manual_seed(seed)))

    assert torch.equal(order(1), order(1))
    assert not torch.equal(order(1), order(2))


def test_batch_mates_and_places_change_every_epoch():
    """A sequence meets its neighbours by length, and comes early as often as late.

    A pool holds an eighth of the data, so the 15 next on either side there are drawn from some 240
    sequences; 30 batches of 16 meet most of them.
    """
    lengths = log_uniform_lengths(4096)
    generator = torch.Generator().manual_seed(0)
    mates, places = set(), []
    for _ in range(30):
        batches = shuffled_batches(lengths, 16, generator)
        place = next(n for n, batch in enumerate(batches) if (batch == 0).any())
        mates |= set(batches[place].tolist())
        places.append(place / len(batches))
    assert len(mates) > 120
    assert 0.35 < sum(places) / len(places) < 0.65


def test_batch_mates_change_where_one_pool_holds_all():
    lengths = log_uniform_lengths(16 * POOL_BATCHES)
    generator = torch.Generator().manual_seed(0)
    epochs = [shuffled_batches(lengths, 16, generator) for _ in range(10)]
    mates = [next(tuple(b.sort().values) for b in batches if (b == 0).any()) for batches in epochs]
    assert len(set(mates)) == len(epochs)


def test_bucketing_wastes_little():
    """Log-uniform lengths 20..1000, batches of 64: random batches are mostly padding."""
    lengths = log_uniform_lengths(20_000)
    generator = torch.Generator().manual_seed(0)
    bucketed = padding_waste(lengths, shuffled_batches(lengths, 64, generator))
    random = padding_waste(lengths, torch.randperm(20_000, generator=generator).split(64))
    assert random > 0.7
    assert bucketed < 0.1


def test_padding_waste_counts_steps():
    lengths = torch.tensor([1, 3, 4])
    assert padding_waste(lengths, [torch.tensor([0, 1]), torch.tensor([2])]) == pytest.approx(0.2)
    assert padding_waste(torch.tensor([5, 5]), [torch.tensor([0, 1])]) == 0


@pytest.mark.parametrize(
    ("arrays", "labels", "error", "message"),
    [
        ([], None, DataError, "sequences is empty"),
        ([np.ones((2, 3)), np.ones((0, 3))], None, DataError, r"sequences\[1\] has shape \(0, 3\)"),
        ([np.ones((2, 3)), np.ones((2, 4))], None, DataError, r"shape \(2, 4\).*\(time, 3\)"),
        ([np.ones(3)], None, DataError, r"sequences\[0\] has shape \(3,\)"),
        ([np.ones((2, 3), np.uint8)], None, DataError, "dtype uint8; expected floats"),
        ([np.ones((2, 3))], [0, 1], ShapeError, r"labels has shape \(2,\) but there are 1"),
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
