"""Scaling, noise and masks."""

import pytest
import torch
from augmenting import LENGTHS, augmented, make_batch, make_draws, make_generator

from bothways.data.batching import LabeledBatch
from bothways.kernels.lengths import Lengths
from bothways.training.loop.augmentation.values import feature_mask, means_over_time, time_mask


def test_scaling_keeps_the_mean_of_each_feature_and_multiplies_its_deviation():
    batch = make_batch()
    result = augmented(batch, augment_scale=0.5).inputs
    for row, before, length in zip(result, batch.inputs, LENGTHS.tolist(), strict=True):
        scaled, original = row[:length], before[:length]
        torch.testing.assert_close(scaled.mean(0), original.mean(0), atol=1e-4, rtol=1e-4)
        distances = original - original.mean(0)
        factors = scaled.std(0) / original.std(0) if length > 1 else torch.ones(3)
        torch.testing.assert_close(
            scaled - scaled.mean(0), factors * distances, atol=1e-4, rtol=1e-4
        )
        assert length == 1 or (factors - 1).abs().min() > 0.001


def test_noise_is_relative_to_the_deviation_of_each_feature_of_a_sequence():
    scales = torch.tensor([1.0, 100.0, 0.0])
    lengths = torch.tensor([4000, 3000])
    inputs = torch.randn(2, 4000, 3, generator=make_generator()) * scales + 7
    inputs[0] *= 10
    inputs[0, ::7] = torch.nan
    inputs[1, 3000:] = 0
    batch = LabeledBatch(inputs, lengths, torch.arange(2))
    noise = augmented(batch, augment_noise=0.3).inputs - inputs
    assert torch.equal(noise.isnan(), inputs.isnan())
    for row, factor in enumerate((10, 1)):
        known = noise[row, : lengths[row]]
        known = known[~known.isnan().any(dim=1)]
        torch.testing.assert_close(known.std(dim=0), 0.3 * factor * scales, rtol=0.05, atol=1e-4)
        assert (known.mean(dim=0).abs() <= 0.03 * factor * scales + 1e-4).all()


def test_masked_spans_of_time():
    lengths = torch.randint(1, 40, (500,), generator=make_generator())
    masked = time_mask(lengths, 40, 0.25, make_draws())
    assert not (masked & (torch.arange(40) >= lengths[:, None])).any()
    sizes = masked.sum(dim=1)
    assert (sizes <= 0.25 * lengths).all()
    assert (sizes == 0).any()
    assert sizes.max() >= 8
    assert (masked.int().diff(dim=1).abs().sum(dim=1) <= 2).all()  # one span


def test_masked_features_leave_one():
    masked = feature_mask(1000, 3, 0.9, make_draws())
    assert not masked.all(dim=-1).any()
    assert 0.5 < masked.float().mean() < 0.67  # at most two of three
    rare = feature_mask(10_000, 3, 0.1, make_draws())
    assert rare.float().mean() == pytest.approx(0.1, abs=0.01)
    assert not feature_mask(10, 1, 0.9, make_draws()).any()


def test_constant_features_stay_as_they_are():
    values = torch.randn(4, 1, 50, generator=make_generator()).expand(-1, 20, -1)
    means = means_over_time(values, Lengths.of(LENGTHS, 4, 20))
    assert torch.equal(means, values[:, :1])
    valid = torch.arange(20) < LENGTHS[:, None]
    batch = LabeledBatch(torch.where(valid[..., None], values, 0.0), LENGTHS, torch.arange(4))
    settings = {"augment_scale": 0.5, "augment_noise": 0.3, "augment_time_mask": 0.5}
    assert torch.equal(augmented(batch, **settings).inputs, batch.inputs)


def test_noise_of_large_values_is_finite():
    batch = make_batch()
    batch.inputs.mul_(1e30)
    result = augmented(batch, augment_noise=0.3).inputs
    assert result.isfinite().all()
    assert not torch.equal(result, batch.inputs)
