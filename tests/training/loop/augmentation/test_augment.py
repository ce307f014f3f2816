"""What all augmentations may and may not change."""

import pytest
import torch
from augmenting import EVERYTHING, LENGTHS, augmented, make_batch, make_generator

from bothways.config import Augmentation
from bothways.data.batching import IGNORED, LabeledBatch

ONE_BY_ONE = [{name: value} for name, value in EVERYTHING.items()]


@pytest.mark.parametrize("settings", [*ONE_BY_ONE, EVERYTHING], ids=lambda s: "+".join(s))
def test_every_augmentation_changes_values_and_keeps_lengths_labels_and_padding(settings):
    batch = make_batch()
    before = batch.inputs.clone()
    result = augmented(batch, **settings)
    assert torch.equal(batch.inputs, before)
    assert not torch.equal(result.inputs, before)
    assert torch.equal(result.lengths, LENGTHS)
    assert torch.equal(result.labels, batch.labels)
    assert result.inputs.dtype == torch.float32
    assert result.inputs.isfinite().all()
    assert (result.inputs[torch.arange(20) >= LENGTHS[:, None]] == 0).all()


@pytest.mark.parametrize("settings", [*ONE_BY_ONE, EVERYTHING], ids=lambda s: "+".join(s))
def test_the_generator_alone_determines_the_changes(settings):
    batch = make_batch()
    torch.manual_seed(1)
    first = augmented(batch, seed=3, **settings)
    torch.manual_seed(2)
    assert torch.equal(augmented(batch, seed=3, **settings).inputs, first.inputs)
    assert not torch.equal(augmented(batch, seed=4, **settings).inputs, first.inputs)


@pytest.mark.parametrize("settings", ONE_BY_ONE[:6], ids=lambda s: "+".join(s))
def test_padding_never_enters_a_sequence(settings):
    """Images end in rows of zeros, which a transform may move into them."""
    batch = make_batch()
    padding = torch.arange(20) >= LENGTHS[:, None]
    poisoned = batch.inputs.masked_fill(padding[..., None], torch.nan)
    result = augmented(LabeledBatch(poisoned, LENGTHS, batch.labels), **settings)
    torch.testing.assert_close(result.inputs, augmented(batch, **settings).inputs)


def test_no_augmentation_changes_nothing():
    batch = make_batch()
    assert Augmentation().active_augmentations == {}
    assert torch.equal(augmented(batch).inputs, batch.inputs)


def test_sequences_of_a_batch_are_changed_differently():
    inputs = torch.randn(1, 20, 3).expand(4, -1, -1).contiguous()
    batch = LabeledBatch(inputs, torch.full((4,), 20), torch.arange(4))
    for settings in ONE_BY_ONE:
        rows = augmented(batch, **settings).inputs.flatten(1)
        assert len(rows.unique(dim=0)) > 1, settings


def test_labels_of_steps_move_with_their_steps():
    batch = make_batch(step_labels=True)
    settings = {"augment_time_shift": 0.3, "augment_time_warp": 0.5}
    result = augmented(batch, **settings)
    valid = torch.arange(20) < LENGTHS[:, None]
    assert (result.labels[~valid] == IGNORED).all()
    # The first feature is the position from which a step came.
    distance = (result.inputs[..., 0] - result.labels)[valid].abs()
    assert distance.max() <= 0.5
    assert not torch.equal(result.labels, batch.labels)


def test_categories_are_moved_and_masked_but_never_computed():
    batch = make_batch()
    batch.inputs[..., 1] = torch.randint(1, 6, (4, 20), generator=make_generator())
    batch.inputs[torch.arange(20) >= LENGTHS[:, None]] = 0
    settings = {name: value for name, value in EVERYTHING.items() if "time" in name}
    settings |= {"augment_scale": 0.5, "augment_feature_mask": 0.5}
    for seed in range(20):
        categories = augmented(batch, seed, (0, 5, 0), **settings).inputs[..., 1]
        assert set(categories.unique().tolist()) <= {0.0, 1.0, 2.0, 3.0, 4.0, 5.0}


def test_masked_values_are_the_mean_of_the_sequence():
    batch = make_batch()
    masked = augmented(batch, augment_time_mask=0.9, augment_feature_mask=0.5).inputs
    for row, before, length in zip(masked, batch.inputs, LENGTHS.tolist(), strict=True):
        differs = row[:length] != before[:length]
        means = before[:length].mean(0).expand(length, -1)
        torch.testing.assert_close(row[:length][differs], means[differs])
