"""Random numbers of a batch."""

import pytest
import torch
from augmenting import make_draws


def test_uniform_numbers():
    drawn = make_draws().uniform(2, 5000)
    assert drawn.shape == (2, 5000)
    assert drawn.dtype == torch.float32
    assert 0 <= drawn.min() < 0.01
    assert 0.99 < drawn.max() <= 1
    assert drawn.mean() == pytest.approx(0.5, abs=0.02)


def test_numbers_around_zero():
    drawn = make_draws().around_zero(3.0, 10_000)
    assert -3 <= drawn.min() < -2.98
    assert 2.98 < drawn.max() <= 3
    assert drawn.mean() == pytest.approx(0, abs=0.1)


def test_normal_numbers():
    drawn = make_draws().normal(0.5, 10_000)
    assert drawn.dtype == torch.float32
    assert drawn.mean() == pytest.approx(0, abs=0.02)
    assert drawn.std() == pytest.approx(0.5, rel=0.05)


def test_the_default_generator_of_torch_is_not_used():
    torch.manual_seed(1)
    first = make_draws(seed=3).normal(1.0, 10)
    torch.manual_seed(2)
    assert torch.equal(make_draws(seed=3).normal(1.0, 10), first)
    assert not torch.equal(make_draws(seed=4).normal(1.0, 10), first)
