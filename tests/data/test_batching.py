import pytest
import torch

from bothways.data.batching import POOL_BATCHES, batches_by_length, padding_waste, shuffled_batches


def log_uniform_lengths(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (20 * 50 ** torch.rand(count, generator=generator)).long()  # 20..1000


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
    bucketed = padding_waste(lengths[rows] for rows in shuffled_batches(lengths, 64, generator))
    random = padding_waste(lengths[torch.randperm(20_000, generator=generator)].split(64))
    assert random > 0.7
    assert bucketed < 0.1


def test_padding_waste_counts_steps():
    lengths = torch.tensor([1, 3, 4])
    assert padding_waste([lengths[:2], lengths[2:]]) == pytest.approx(0.2)
    assert padding_waste([torch.tensor([5, 5])]) == 0


def test_by_length_visits_all_the_shortest_first():
    batches = batches_by_length(torch.tensor([3, 1, 4, 2]), 2, 100)
    assert [batch.tolist() for batch in batches] == [[1, 3], [0, 2]]
