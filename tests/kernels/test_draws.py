"""Random numbers of a batch."""

import pytest
import torch
from augmenting import make_draws

from bothways.kernels.dropout import dropout


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
    drawn = make_draws().normal(10_000)
    assert drawn.dtype == torch.float32
    assert drawn.mean() == pytest.approx(0, abs=0.04)
    assert drawn.std() == pytest.approx(1, rel=0.05)


def test_the_default_generator_of_torch_is_not_used():
    torch.manual_seed(1)
    first = make_draws(seed=3).normal(10)
    torch.manual_seed(2)
    assert torch.equal(make_draws(seed=3).normal(10), first)
    assert not torch.equal(make_draws(seed=4).normal(10), first)


@pytest.mark.parametrize("batch_axis", [0, 1, 2])
@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_some_rows_get_the_numbers_of_the_whole_batch(kind, batch_axis):
    shape, own = [3, 4, 5], torch.tensor([2, 0])
    whole = getattr(make_draws(), kind)(*shape, batch_axis=batch_axis)
    part = make_draws()
    part.rows, part.batch_size = own, shape[batch_axis]
    shape[batch_axis] = len(own)
    drawn = getattr(part, kind)(*shape, batch_axis=batch_axis)
    assert torch.equal(drawn, whole.index_select(batch_axis, own))


def test_dropout_of_some_rows_is_that_of_the_whole_batch():
    inputs, own = torch.ones(7, 5, 3), torch.tensor([4, 1, 2])
    whole = dropout(inputs, 0.5, make_draws(), batch_axis=1)
    part = make_draws()
    part.rows, part.batch_size = own, 5
    assert torch.equal(dropout(inputs[:, own], 0.5, part, batch_axis=1), whole[:, own])
