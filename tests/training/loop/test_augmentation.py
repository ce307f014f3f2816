"""Random changes of batches: each is checked against what it may and may not change."""

import pytest
import torch

from bothways.config import Augmentation, ModelConfig
from bothways.config.augmentation import PICTURE_CHANGES
from bothways.data.batching import IGNORED, LabeledBatch
from bothways.training.loop.augmentation import augment
from bothways.training.loop.augmentation.draws import Draws
from bothways.training.loop.augmentation.values import feature_mask, time_mask
from bothways.training.loop.augmentation.warping import random_positions, resample

LENGTHS = torch.tensor([20, 1, 7, 13])
EVERYTHING = {
    "augment_time_shift": 0.2,
    "augment_time_warp": 0.3,
    "augment_scale": 0.2,
    "augment_noise": 0.1,
    "augment_time_mask": 0.3,
    "augment_feature_mask": 0.3,
    "augment_rotation": 10,
    "augment_zoom": 0.1,
    "augment_shear": 0.1,
    "augment_translation": 1.0,
    "augment_elastic": 0.5,
}
ONE_BY_ONE = [{name: value} for name, value in EVERYTHING.items()]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draws(seed=0):
    return Draws(generator(seed))


def make_batch(features=3, step_labels=False, seed=0):
    """Return a ragged batch whose steps contain their own position as the first feature."""
    inputs = torch.randn(4, 20, features, generator=generator(seed))
    inputs[:, :, 0] = torch.arange(20)
    valid = torch.arange(20) < LENGTHS[:, None]
    inputs[~valid] = 0
    labels = torch.arange(4)
    if step_labels:
        labels = torch.arange(20).expand(4, -1).where(valid, IGNORED)
    return LabeledBatch(inputs, LENGTHS, labels)


def model_for(batch, categories=()):
    return ModelConfig(input_size=batch.inputs.shape[2], num_classes=4, categories=categories)


def changed(batch, seed=0, categories=(), **settings):
    return augment(batch, Augmentation(**settings), model_for(batch, categories), generator(seed))


@pytest.mark.parametrize("settings", [*ONE_BY_ONE, EVERYTHING], ids=lambda s: "+".join(s))
def test_every_augmentation_changes_values_and_keeps_lengths_labels_and_padding(settings):
    batch = make_batch()
    before = batch.inputs.clone()
    augmented = changed(batch, **settings)
    assert torch.equal(batch.inputs, before)
    assert not torch.equal(augmented.inputs, before)
    assert torch.equal(augmented.lengths, LENGTHS)
    assert torch.equal(augmented.labels, batch.labels)
    assert augmented.inputs.dtype == torch.float32
    assert augmented.inputs.isfinite().all()
    assert (augmented.inputs[torch.arange(20) >= LENGTHS[:, None]] == 0).all()


@pytest.mark.parametrize("settings", [*ONE_BY_ONE, EVERYTHING], ids=lambda s: "+".join(s))
def test_the_generator_alone_determines_the_changes(settings):
    batch = make_batch()
    torch.manual_seed(1)
    first = changed(batch, seed=3, **settings)
    torch.manual_seed(2)
    assert torch.equal(changed(batch, seed=3, **settings).inputs, first.inputs)
    assert not torch.equal(changed(batch, seed=4, **settings).inputs, first.inputs)


@pytest.mark.parametrize("settings", ONE_BY_ONE[:6], ids=lambda s: "+".join(s))
def test_padding_never_enters_a_sequence(settings):
    """Pictures end in rows of zeros, which a transform may move into them."""
    batch = make_batch()
    padding = torch.arange(20) >= LENGTHS[:, None]
    poisoned = batch.inputs.masked_fill(padding[..., None], torch.nan)
    found = changed(LabeledBatch(poisoned, LENGTHS, batch.labels), **settings)
    torch.testing.assert_close(found.inputs, changed(batch, **settings).inputs)


def test_no_augmentation_changes_nothing():
    batch = make_batch()
    assert Augmentation().changes == {}
    assert torch.equal(changed(batch).inputs, batch.inputs)


def test_sequences_of_a_batch_are_changed_differently():
    inputs = torch.randn(1, 20, 3).expand(4, -1, -1).contiguous()
    batch = LabeledBatch(inputs, torch.full((4,), 20), torch.arange(4))
    for settings in ONE_BY_ONE:
        rows = changed(batch, **settings).inputs.flatten(1)
        assert len(rows.unique(dim=0)) > 1, settings


def test_warped_time_rises_from_the_first_to_the_last_step():
    positions = random_positions(LENGTHS, 20, 0.0, 0.8, draws())
    for row, length in zip(positions, LENGTHS.tolist(), strict=True):
        steps = row[:length]
        assert steps[0] == 0
        assert steps[-1] == pytest.approx(length - 1, abs=1e-4)
        assert (steps.diff() > 0).all()
    assert (positions[0] - torch.arange(20)).abs().max() > 0.5


def test_without_randomness_a_warp_is_the_identity():
    positions = random_positions(LENGTHS, 20, 0.0, 1e-9, draws())
    expected = torch.arange(20.0).expand(4, -1).minimum(LENGTHS[:, None] - 1)
    torch.testing.assert_close(positions, expected, atol=1e-4, rtol=0)


def test_a_shift_repeats_the_first_or_last_step():
    positions = random_positions(torch.full((200,), 10), 10, 0.3, 0.0, draws())
    shift = positions[:, 5] - 5
    assert -3 <= shift.min() < -2
    assert 2 < shift.max() <= 3
    expected = (torch.arange(10) + shift[:, None]).clamp(0, 9)
    torch.testing.assert_close(positions, expected, atol=1e-5, rtol=0)


def test_values_between_steps_are_interpolated():
    inputs = torch.tensor([[[0.0, 1], [10, 2], [20, 5]]])
    positions = torch.tensor([[0.25, 1.0, 1.75]])
    expected = torch.tensor([[[2.5, 1], [10, 2], [17.5, 5]]])
    assert torch.equal(resample(inputs, positions, categorical=[1]), expected)


def test_a_missing_value_does_not_spread_to_other_steps():
    inputs = torch.tensor([[[0.0], [torch.nan], [2]]])
    found = resample(inputs, torch.tensor([[0.0, 0.5, 2.0]]), []).flatten()
    assert found.isnan().tolist() == [False, True, False]


def test_labels_of_steps_move_with_their_steps():
    batch = make_batch(step_labels=True)
    settings = {"augment_time_shift": 0.3, "augment_time_warp": 0.5}
    augmented = changed(batch, **settings)
    valid = torch.arange(20) < LENGTHS[:, None]
    assert (augmented.labels[~valid] == IGNORED).all()
    # The first feature is the position from which a step came.
    distance = (augmented.inputs[..., 0] - augmented.labels)[valid].abs()
    assert distance.max() <= 0.5
    assert not torch.equal(augmented.labels, batch.labels)


def test_categories_are_moved_and_masked_but_never_computed():
    batch = make_batch()
    batch.inputs[..., 1] = torch.randint(1, 6, (4, 20), generator=generator())
    batch.inputs[torch.arange(20) >= LENGTHS[:, None]] = 0
    settings = {name: value for name, value in EVERYTHING.items() if "time" in name}
    settings |= {"augment_scale": 0.5, "augment_feature_mask": 0.5}
    for seed in range(20):
        found = changed(batch, seed, (0, 5, 0), **settings).inputs[..., 1]
        assert set(found.unique().tolist()) <= {0.0, 1.0, 2.0, 3.0, 4.0, 5.0}


def test_scaling_keeps_the_mean_of_each_feature_and_multiplies_its_deviation():
    batch = make_batch()
    found = changed(batch, augment_scale=0.5).inputs
    for row, before, length in zip(found, batch.inputs, LENGTHS.tolist(), strict=True):
        own, original = row[:length], before[:length]
        torch.testing.assert_close(own.mean(0), original.mean(0), atol=1e-4, rtol=1e-4)
        distances = original - original.mean(0)
        factors = own.std(0) / original.std(0) if length > 1 else torch.ones(3)
        torch.testing.assert_close(own - own.mean(0), factors * distances, atol=1e-4, rtol=1e-4)
        assert length == 1 or (factors - 1).abs().min() > 0.001


def test_noise_is_relative_to_the_deviation_of_each_feature_of_a_sequence():
    scales = torch.tensor([1.0, 100.0, 0.0])
    lengths = torch.tensor([4000, 3000])
    inputs = torch.randn(2, 4000, 3, generator=generator()) * scales + 7
    inputs[0] *= 10
    inputs[0, ::7] = torch.nan
    inputs[1, 3000:] = 0
    batch = LabeledBatch(inputs, lengths, torch.arange(2))
    noise = changed(batch, augment_noise=0.3).inputs - inputs
    assert torch.equal(noise.isnan(), inputs.isnan())
    for row, factor in enumerate((10, 1)):
        own = noise[row, : lengths[row]]
        own = own[~own.isnan().any(dim=1)]
        torch.testing.assert_close(own.std(dim=0), 0.3 * factor * scales, rtol=0.05, atol=1e-4)
        assert (own.mean(dim=0).abs() <= 0.03 * factor * scales + 1e-4).all()


def test_masked_spans_of_time():
    lengths = torch.randint(1, 40, (500,), generator=generator())
    masked = time_mask(lengths, 40, 0.25, draws())
    assert not (masked & (torch.arange(40) >= lengths[:, None])).any()
    sizes = masked.sum(dim=1)
    assert (sizes <= 0.25 * lengths).all()
    assert (sizes == 0).any()
    assert sizes.max() >= 8
    assert (masked.int().diff(dim=1).abs().sum(dim=1) <= 2).all()  # one span


def test_masked_features_leave_one():
    masked = feature_mask(1000, 3, 0.9, draws())
    assert not masked.all(dim=-1).any()
    assert 0.5 < masked.float().mean() < 0.67  # at most two of three
    rare = feature_mask(10_000, 3, 0.1, draws())
    assert rare.float().mean() == pytest.approx(0.1, abs=0.01)
    assert not feature_mask(10, 1, 0.9, draws()).any()


def test_masked_values_are_the_mean_of_the_sequence():
    batch = make_batch()
    found = changed(batch, augment_time_mask=0.9, augment_feature_mask=0.5).inputs
    for row, before, length in zip(found, batch.inputs, LENGTHS.tolist(), strict=True):
        differs = row[:length] != before[:length]
        means = before[:length].mean(0).expand(length, -1)
        torch.testing.assert_close(row[:length][differs], means[differs])


def picture(*pixels, height=9, width=7):
    found = torch.zeros(1, height, width)
    for y, x in pixels:
        found[0, y, x] = 1
    return LabeledBatch(found, torch.tensor([height]), torch.tensor([0]))


def centers(batch, **settings):
    """Return the centers of mass of 500 transforms of a picture."""
    rows = LabeledBatch(
        batch.inputs.expand(500, -1, -1), batch.lengths.expand(500), batch.labels.expand(500)
    )
    found = changed(rows, **settings).inputs
    height, width = found.shape[1:]
    mass = found.sum(dim=(1, 2))
    y = (found.sum(dim=2) * torch.arange(height)).sum(dim=1) / mass
    x = (found.sum(dim=1) * torch.arange(width)).sum(dim=1) / mass
    return y, x


def test_a_rotation_turns_about_the_center():
    y, x = centers(picture((4, 3)), augment_rotation=90)
    torch.testing.assert_close(y, torch.full((500,), 4.0), atol=1e-4, rtol=0)
    torch.testing.assert_close(x, torch.full((500,), 3.0), atol=1e-4, rtol=0)
    y, x = centers(picture((1, 3)), augment_rotation=20)  # three rows above the center
    torch.testing.assert_close((y - 4).hypot(x - 3), torch.full((500,), 3.0), atol=0.25, rtol=0)
    angle = torch.atan2(x - 3, 4 - y).rad2deg()
    assert angle.min() == pytest.approx(-20, abs=3)
    assert angle.max() == pytest.approx(20, abs=3)


def test_a_translation_moves_by_up_to_the_limit():
    y, x = centers(picture((4, 3)), augment_translation=1.5)
    for moved in (y - 4, x - 3):
        assert moved.min() == pytest.approx(-1.5, abs=0.05)
        assert moved.max() == pytest.approx(1.5, abs=0.05)


def test_a_shear_is_horizontal():
    y, x = centers(picture((1, 3), height=9, width=9), augment_shear=0.3)
    torch.testing.assert_close(y, torch.full((500,), 1.0), atol=1e-4, rtol=0)
    assert (x - 3).abs().max() == pytest.approx(0.9, abs=0.05)


def test_a_zoom_scales_about_the_center():
    y, x = centers(picture((1, 1), height=9, width=9), augment_zoom=0.2)
    for distance in (4 - y, 4 - x):
        assert distance.min() == pytest.approx(3 * 0.8, abs=0.1)
        assert distance.max() == pytest.approx(3 * 1.2, abs=0.1)


def test_pictures_of_different_heights_turn_about_their_own_centers():
    inputs = torch.zeros(2, 9, 7)
    inputs[0, 4, 3] = inputs[1, 2, 3] = 1  # the centers of 9 and of 5 rows
    batch = LabeledBatch(inputs, torch.tensor([9, 5]), torch.tensor([0, 1]))
    found = changed(batch, augment_rotation=180).inputs
    assert found[0].argmax() == 4 * 7 + 3
    assert found[1].argmax() == 2 * 7 + 3


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (1, 1)])
def test_pictures_of_one_row_or_column(shape):
    """The only row or column is its own center: turning and zooming leave the middle pixel."""
    batch = LabeledBatch(torch.ones(1, *shape), torch.tensor([shape[0]]), torch.tensor([0]))
    turned = changed(batch, augment_rotation=10, augment_zoom=0.1, augment_shear=0.1).inputs
    torch.testing.assert_close(turned[0, shape[0] // 2, shape[1] // 2], torch.tensor(1.0))
    everything = {name: EVERYTHING[name] for name in PICTURE_CHANGES}
    found = changed(batch, **everything).inputs
    assert found.isfinite().all()
    assert found.max() <= 1


def test_a_picture_is_changed_alike_alone_and_beside_longer_ones():
    """Also if time is shifted before: the padding is no part of the picture."""
    settings = {"augment_time_shift": 0.2, "augment_elastic": 2.0, "augment_translation": 4.0}
    short = torch.rand(2, 6, 8, generator=generator()) + 1
    for height in (6, 60):
        inputs = torch.zeros(2, height, 8)
        inputs[:, :6] = short
        lengths = torch.tensor([6, 6])
        found = changed(LabeledBatch(inputs, lengths, torch.tensor([0, 1])), **settings).inputs
        if height == 6:
            expected = found
    torch.testing.assert_close(found[:, :6], expected, atol=1e-4, rtol=1e-4)
    assert not found[:, 6:].any()
