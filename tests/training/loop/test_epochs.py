"""How many epochs a training has, and what each consists of."""

import pytest
import torch

from bothways import Sequences, TrainConfig
from bothways.data.batching import IGNORED
from bothways.training.loop.epochs import Epochs, sampling_weights


def make_sequences(count, time=4):
    return Sequences.from_padded(torch.zeros(count, time, 2), labels=torch.arange(count) % 2)


def test_epochs_are_passes_by_default():
    epochs = Epochs(make_sequences(10), TrainConfig(epochs=3, batch_size=4))
    assert (epochs.num_epochs, epochs.passes, epochs.steps_per_epoch, epochs.total_steps) == (
        3,
        1,
        3,
        9,
    )
    assert epochs.sequences_per_epoch == 10


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
    assert (epochs.num_epochs, epochs.passes, epochs.steps_per_epoch) == expected
    assert epochs.sequences_per_epoch == sequences * epochs.passes


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
    assert (epochs.num_epochs, epochs.passes, epochs.steps_per_epoch) == expected


@pytest.mark.parametrize(
    ("settings", "note"),
    [
        ({"epochs": 2}, None),
        ({"steps": 6}, None),
        ({"steps": 7}, "steps=7 is rounded to whole epochs of 6 steps: training for 6 steps"),
        (
            {"steps": 1},
            "steps=1 is less than one pass over the training set (3 batches): training for 3 steps",
        ),
        ({"steps": 1, "epochs": 2}, None),  # the epochs are longer, as the settings say
    ],
)
def test_another_length_than_the_steps_of_the_settings_is_noted(settings, note):
    config = TrainConfig(batch_size=16, **settings)
    assert Epochs(make_sequences(40), config).length_note == note


@pytest.mark.parametrize(
    ("sequences", "size"), [(3, 16), (1087, 16), (1088, 17), (5000, 78), (60_000, 128)]
)
def test_batch_size_auto_grows_with_the_training_part(sequences, size):
    assert Epochs(make_sequences(sequences), TrainConfig(batch_size="auto")).batch_size == size


def make_recordings(*labels):
    """Return recordings with these labels of their steps."""
    recordings = Sequences.from_arrays([torch.zeros(len(steps), 2) for steps in labels])
    return recordings.with_step_labels([torch.as_tensor(steps) for steps in labels])


def test_each_pass_of_an_epoch_has_every_sequence_once_in_its_own_order():
    epochs = Epochs(make_sequences(40), TrainConfig(steps=30, batch_size=16))
    batches = epochs.batches(0)
    assert len(batches) == epochs.steps_per_epoch == 30
    orders = [torch.cat([rows for _, rows in batches[n : n + 3]]) for n in range(0, 30, 3)]
    for order in orders:
        assert order.sort().values.tolist() == list(range(40))
    assert len({tuple(order.tolist()) for order in orders}) == 10


def test_batches_depend_on_seed_and_epoch_only():
    def order(seed, epoch):
        epochs = Epochs(make_sequences(40), TrainConfig(steps=30, seed=seed))
        return [rows.tolist() for _, rows in epochs.batches(epoch)]

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)


def test_an_epoch_of_crops_shares_the_steps_of_the_recordings():
    recordings = make_recordings([0, 1] * 50, [0, 1] * 45)
    config = TrainConfig(steps=12, batch_size=4, crop_steps=25)
    epochs = Epochs(recordings, config)
    passes = {id(crops): crops for crops, _ in epochs.batches(0)}.values()
    assert len(passes) == epochs.passes == 4
    assert epochs.sequences_per_epoch == 4 * (5 + 5)
    assert len({tuple(crops.starts.tolist()) for crops in passes}) == 4
    assert all(crops.steps is recordings.steps for crops in passes)


def test_steps_are_counted_over_all_epochs():
    epochs = Epochs(make_sequences(10), TrainConfig(epochs=3, batch_size=4))
    steps = [epochs.global_step(epoch, step) for epoch in range(3) for step in range(3)]
    assert [*steps, epochs.total_steps] == list(range(10))


@pytest.mark.parametrize("crop_steps", [None, 5])
def test_balanced_sampling_draws_rare_classes_more_often(crop_steps):
    recordings = make_recordings(*[[0] * 10] * 99, [1] * 10)
    config = TrainConfig(batch_size=1000, sampling="balanced", crop_steps=crop_steps)
    ((sequences, rows),) = Epochs(recordings, config).batches(0)
    rare = sequences.batch(rows).labels.amax(dim=1) == 1
    assert 0.35 < rare.double().mean() < 0.65


def test_sampling_weights_draw_the_classes_of_sequences_equally_often():
    labels = [0] * 90 + [1] * 9 + [2]
    sequences = Sequences.from_padded(torch.zeros(100, 1, 1), labels=labels)
    weights = sampling_weights(sequences)
    shares = torch.zeros(3).index_add_(0, torch.tensor(labels), weights)
    torch.testing.assert_close(shares, shares[:1].expand(3))


def test_sampling_weights_are_the_mean_class_weights_of_the_steps():
    """Class 0 has 6 of 8 labels and weight 2/3; class 1 has 2 and weight 2."""
    recordings = make_recordings([0, 0, 0, 0], [0, 1], [IGNORED, IGNORED], [0, IGNORED, 1])
    torch.testing.assert_close(sampling_weights(recordings), torch.tensor([2 / 3, 4 / 3, 0, 4 / 3]))
