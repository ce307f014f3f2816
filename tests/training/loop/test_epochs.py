"""How many epochs a training has, and what each consists of."""

import pytest
import torch

from bothways import ModelConfig, Sequences, TrainConfig
from bothways.data.batching import IGNORED
from bothways.training.loop.crops import count_crops, random_crops
from bothways.training.loop.epochs import Epochs, balanced_odds
from bothways.training.loop.events import EpochDone
from bothways.training.loop.trainer import start_training


def make_sequences(count, time=4):
    return Sequences.from_padded(torch.zeros(count, time, 2), labels=torch.arange(count) % 2)


def make_recordings(*lengths):
    """Return recordings whose labels are the positions of the steps."""
    arrays = [torch.arange(2.0 * length).view(-1, 2) for length in lengths]
    return Sequences.from_arrays(arrays).with_step_labels([torch.arange(n) for n in lengths])


def test_epochs_are_passes_by_default():
    epochs = Epochs(make_sequences(10), TrainConfig(epochs=3, batch_size=4))
    assert (epochs.count, epochs.passes, epochs.steps, epochs.total_steps) == (3, 1, 3, 9)
    assert epochs.sequences_seen == 10


@pytest.mark.parametrize(
    ("sequences", "steps", "expected"),
    [
        (40, 3000, (30, 33, 99)),  # 3 steps a pass
        (5000, 3000, (10, 1, 313)),
        (100_000, 3000, (1, 1, 6250)),  # at least one pass
        (40, 20, (1, 7, 21)),  # fewer steps than an epoch usually has
        (16, 1, (1, 1, 1)),
    ],
)
def test_a_length_in_steps(sequences, steps, expected):
    epochs = Epochs(make_sequences(sequences), TrainConfig(steps=steps, batch_size=16))
    assert (epochs.count, epochs.passes, epochs.steps) == expected
    assert epochs.sequences_seen == sequences * epochs.passes


@pytest.mark.parametrize(
    ("sequences", "expected"),
    [
        (40, (3, 33, 99)),  # 99 passes
        (5000, (10, 1, 313)),  # 10 passes, although these are more than 300 steps
    ],
)
def test_of_steps_and_epochs_the_longer_counts(sequences, expected):
    config = TrainConfig(steps=300, epochs=10, batch_size=16)
    epochs = Epochs(make_sequences(sequences), config)
    assert (epochs.count, epochs.passes, epochs.steps) == expected


@pytest.mark.parametrize(
    ("sequences", "size"), [(3, 16), (1087, 16), (1088, 17), (5000, 78), (60_000, 128)]
)
def test_batch_size_auto_grows_with_the_training_part(sequences, size):
    assert Epochs(make_sequences(sequences), TrainConfig(batch_size="auto")).batch_size == size


def test_each_pass_of_an_epoch_has_every_sequence_once_in_its_own_order():
    epochs = Epochs(make_sequences(40), TrainConfig(steps=30, batch_size=16))
    found = epochs.batches(0)
    assert len(found) == epochs.steps == 30
    orders = [torch.cat([rows for n, rows in found.batches if n == number]) for number in range(10)]
    for order in orders:
        assert order.sort().values.tolist() == list(range(40))
    assert len({tuple(order.tolist()) for order in orders}) == 10


def test_batches_depend_on_seed_and_epoch_only():
    def order(seed, epoch):
        found = Epochs(make_sequences(40), TrainConfig(steps=30, seed=seed)).batches(epoch)
        return [rows.tolist() for _, rows in found.batches]

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)


def test_padding_waste_is_that_of_all_passes():
    lengths = [1, 10] * 8
    arrays = [torch.zeros(length, 1) for length in lengths]
    sequences = Sequences.from_arrays(arrays, [0, 1] * 8)
    found = Epochs(sequences, TrainConfig(steps=2, batch_size=16)).batches(0)
    assert len(found.passes) == 2
    assert found.padding_waste == pytest.approx(1 - 88 / 160)


def test_padding_waste_counts_what_is_drawn():
    """Balanced sampling draws with replacement, here mostly the only sequence of a class."""
    arrays = [torch.zeros(length, 1) for length in (*[10] * 9, 100)]
    sequences = Sequences.from_arrays(arrays, [*[0] * 9, 1])
    found = Epochs(sequences, TrainConfig(batch_size=10, sampling="balanced")).batches(0)
    ((_, rows),) = found.batches
    drawn = sequences.lengths[rows]
    assert len(drawn.unique()) == 2
    assert found.padding_waste == pytest.approx(1 - int(drawn.sum()) / 1000)


def test_steps_and_labels_of_a_crop_stay_together():
    crops = random_crops(make_recordings(100, 7), 30, torch.Generator().manual_seed(0))
    batch = crops.batch(range(len(crops)))
    valid = batch.labels != IGNORED
    time = batch.inputs.shape[1]
    # A label is the position of its step, and its first feature rises by 2 with each step.
    own = batch.inputs[..., 0][valid] - batch.inputs[:, :1, 0].expand(-1, time)[valid]
    assert torch.equal(own, 2.0 * (batch.labels - batch.labels[:, :1])[valid])


@pytest.mark.parametrize("crop_steps", [2, 3, 7, 20, 199, 200, 1000])
def test_crops_contain_each_step_once(crop_steps):
    recordings = make_recordings(200, 1, 2, 3, 5, 21, 199)
    generator = torch.Generator().manual_seed(0)
    found = set()
    for _ in range(50):
        crops = random_crops(recordings, crop_steps, generator)
        assert len(crops) == count_crops(recordings.lengths, crop_steps)
        assert crops.lengths.min() >= 1
        assert crops.lengths.max() <= crop_steps
        steps = [range(s, s + n) for s, n in zip(crops.starts, crops.lengths, strict=True)]
        assert sorted(n for part in steps for n in part) == list(range(len(recordings.steps)))
        found.add(tuple(crops.starts.tolist()))
    assert len(found) > 1 or crop_steps >= 200


def test_crops_are_cut_anywhere():
    generator = torch.Generator().manual_seed(0)
    starts = [random_crops(make_recordings(200), 20, generator).starts[1:] for _ in range(4000)]
    counts = torch.cat(starts).bincount(minlength=200)[2:-1]  # no part is empty
    assert counts.min() > 0.6 * counts.float().mean()
    assert counts.max() < 1.4 * counts.float().mean()


def test_an_epoch_of_crops_shares_the_steps_of_the_recordings():
    recordings = make_recordings(100, 90)
    config = TrainConfig(steps=12, batch_size=4, crop_steps=25)
    epochs = Epochs(recordings, config)
    found = epochs.batches(0)
    assert epochs.passes == 4
    assert epochs.sequences_seen == 4 * (5 + 5)
    assert len({tuple(crops.starts.tolist()) for crops in found.passes}) == 4
    assert all(crops.steps is recordings.steps for crops in found.passes)


def test_crops_without_labels_are_trained_on_without_harm():
    labels = torch.full((40,), IGNORED)
    labels[:10] = torch.arange(10) % 2
    recordings = Sequences.from_arrays([torch.randn(40, 2)]).with_step_labels([labels])
    config = TrainConfig(
        epochs=3, batch_size=1, crop_steps=8, sampling="balanced", augment_time_shift=0.3
    )
    model = ModelConfig(input_size=2, num_classes=2, hidden_size=4, readout="step")
    for sampling in ("balanced", "shuffled"):
        config = config.model_copy(update={"sampling": sampling})
        *_, last = start_training(model, config, recordings).events()
        assert last.loss > 0
        assert 0 < last.accuracy <= 1


def test_balanced_odds_draw_all_classes_equally_often():
    labels = [0] * 90 + [1] * 9 + [2]
    sequences = Sequences.from_padded(torch.zeros(100, 1, 1), labels=labels)
    odds = balanced_odds(sequences)
    shares = torch.zeros(3).index_add_(0, torch.tensor(labels), odds)
    torch.testing.assert_close(shares, shares[:1].expand(3))


def test_an_epoch_whose_labels_are_all_lost_is_no_error():
    """A shift in time can move the only label out of a crop."""
    labels = torch.full((40,), IGNORED)
    labels[0] = 1
    recordings = Sequences.from_arrays([torch.randn(40, 2)]).with_step_labels([labels])
    model = ModelConfig(input_size=2, num_classes=2, hidden_size=4, readout="step")
    config = TrainConfig(epochs=40, crop_steps=8, augment_time_shift=0.9)
    events = list(start_training(model, config, recordings).events())
    accuracies = [event.accuracy for event in events if isinstance(event, EpochDone)]
    assert 0 in accuracies
    assert max(accuracies) == 1
