"""Shifts and warps of time."""

import pytest
import torch
from augmenting import LENGTHS, make_draws

from bothways.training.loop.augmentation.warping import random_positions, resample


def test_warped_time_rises_from_the_first_to_the_last_step():
    positions = random_positions(LENGTHS, 20, 0.0, 0.8, make_draws())
    for row, length in zip(positions, LENGTHS.tolist(), strict=True):
        steps = row[:length]
        assert steps[0] == 0
        assert steps[-1] == pytest.approx(length - 1, abs=1e-4)
        assert (steps.diff() > 0).all()
    assert (positions[0] - torch.arange(20)).abs().max() > 0.5


def test_without_randomness_a_warp_is_the_identity():
    positions = random_positions(LENGTHS, 20, 0.0, 1e-9, make_draws())
    expected = torch.arange(20.0).expand(4, -1).minimum(LENGTHS[:, None] - 1)
    torch.testing.assert_close(positions, expected, atol=1e-4, rtol=0)


def test_a_shift_repeats_the_first_or_last_step():
    positions = random_positions(torch.full((200,), 10), 10, 0.3, 0.0, make_draws())
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


def test_beside_a_missing_value_the_nearest_step_counts():
    inputs = torch.tensor([[[1.0, 5], [torch.nan, 6], [3, 7]]])
    positions = torch.tensor([[0.0, 0.4, 0.6, 1.0, 1.4, 1.6, 2.0]])
    values = resample(inputs, positions.view(1, -1)[:, :3], [])[0]
    torch.testing.assert_close(
        values, torch.tensor([[1, 5], [1, 5.4], [torch.nan, 5.6]]), equal_nan=True
    )
    values = resample(inputs, positions[:, 4:], [])[0]
    torch.testing.assert_close(
        values, torch.tensor([[torch.nan, 6.4], [3, 6.6], [3, 7]]), equal_nan=True
    )


@pytest.mark.parametrize(("shift", "warp"), [(0.2, 0.0), (0.0, 0.3), (0.2, 0.3)])
def test_the_expected_fraction_of_missing_values_stays(shift, warp):
    draws = make_draws()
    missing = draws.uniform(200, 100, 5) < 0.2
    inputs = torch.zeros(missing.shape).masked_fill(missing, torch.nan)
    positions = random_positions(torch.full((200,), 100), 100, shift, warp, draws)
    fraction = resample(inputs, positions, []).isnan().float().mean()
    assert fraction == pytest.approx(0.2, abs=0.01)  # 3 standard errors, as steps are repeated
