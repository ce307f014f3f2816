"""Weights in one block of memory."""

import torch

from bothways.training.loop.flat_weights import FlatWeights


def test_the_parameters_and_gradients_are_views():
    first, second = torch.nn.Parameter(torch.arange(5.0)), torch.nn.Parameter(torch.ones(2, 9))
    flat = FlatWeights([first, second])
    assert not flat.are_attached
    flat.attach()
    assert flat.are_attached
    assert first.tolist() == [0, 1, 2, 3, 4]
    assert second.shape == (2, 9)
    flat.weights.mul_(2)
    flat.gradients.fill_(3)
    assert first.tolist() == [0, 2, 4, 6, 8]
    assert second.tolist() == [[2.0] * 9] * 2
    assert second.grad.tolist() == [[3.0] * 9] * 2


def test_parameters_begin_at_cache_lines():
    parameters = [torch.nn.Parameter(torch.ones(size)) for size in (3, 17, 16)]
    flat = FlatWeights(parameters)
    flat.attach()
    starts = [(p.data_ptr() - flat.weights.data_ptr()) // 4 for p in parameters]
    assert starts == [0, 16, 48]
    assert flat.weights.sum() == 36


def test_detached_parameters_have_memory_of_their_own():
    parameter = torch.nn.Parameter(torch.ones(3))
    flat = FlatWeights([parameter])
    flat.attach()
    flat.detach()
    assert not flat.are_attached
    assert parameter.grad is None
    flat.weights.zero_()
    assert parameter.tolist() == [1, 1, 1]
    assert parameter.untyped_storage().nbytes() == 12


def test_a_parameter_with_other_memory_is_moved_again():
    parameter = torch.nn.Parameter(torch.ones(3))
    flat = FlatWeights([parameter])
    flat.attach()
    parameter.data = torch.full((3,), 2.0)
    assert not flat.are_attached
    flat.attach()
    assert flat.weights[:3].tolist() == [2, 2, 2]
