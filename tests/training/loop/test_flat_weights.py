"""Weights in one block of memory."""

import torch

from bothways.training.loop.flat_weights import FlatWeights


def test_the_parameters_and_gradients_are_views():
    first, second = torch.nn.Parameter(torch.arange(5.0)), torch.nn.Parameter(torch.ones(2, 9))
    flat = FlatWeights([first, second])
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
    starts = [(p.data_ptr() - flat.weights.data_ptr()) // 4 for p in parameters]
    assert starts == [0, 16, 48]
    assert flat.weights.sum() == 36
