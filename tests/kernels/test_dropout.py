import pytest
import torch

from bothways.kernels.draws import Draws
from bothways.kernels.dropout import dropout


@pytest.mark.parametrize("p", [0.001, 0.1, 0.5, 0.9])
def test_a_share_p_is_zeroed_and_the_mean_kept(p):
    outputs = dropout(torch.ones(1001, 999), p, Draws(torch.Generator().manual_seed(0)))
    dropped = outputs == 0
    assert dropped.double().mean().item() == pytest.approx(p, abs=4 * (p / 1e6) ** 0.5)
    assert outputs[~dropped].unique().tolist() == pytest.approx([1 / (1 - p)], rel=2e-4)
    assert outputs.double().mean().item() == pytest.approx(1, abs=4 * (p / (1 - p) / 1e6) ** 0.5)


def test_neighbors_are_dropped_independently():
    dropped = dropout(torch.ones(400_000), 0.5, Draws(torch.Generator().manual_seed(1))) == 0
    for distance in (1, 2, 3, 4, 8):
        both = (dropped[distance:] & dropped[:-distance]).double().mean().item()
        assert both == pytest.approx(0.25, abs=4e-3)


def test_the_generator_decides():
    inputs = torch.randn(7, 5)
    first, again, other = (
        dropout(inputs, 0.5, Draws(torch.Generator().manual_seed(s))) for s in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_gradient_passes_where_the_value_does(dtype):
    inputs = torch.randn(50, 3, dtype=dtype, requires_grad=True)
    outputs = dropout(inputs, 0.3, Draws(torch.Generator().manual_seed(0)))
    outputs.sum().backward()
    assert outputs.dtype == dtype
    torch.testing.assert_close(inputs.grad * inputs, outputs)


@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (3, 1)])
def test_any_shape(shape):
    inputs = torch.ones(shape)
    assert dropout(inputs, 0.5, Draws(torch.Generator())).shape == shape
    assert dropout(inputs, 0.0, Draws(torch.Generator())) is inputs
