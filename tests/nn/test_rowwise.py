import pytest
import torch

from bothways.nn import rowwise
from bothways.nn.rowwise import rowwise_linear


@pytest.mark.parametrize("rows", [0, 1, 2, 7, 300])
def test_a_row_has_the_same_bits_in_every_batch(rows, monkeypatch):
    inputs, weight, bias = torch.randn(300, 70), torch.randn(5, 70), torch.randn(5)
    expected = torch.cat([rowwise_linear(row[None], weight, bias) for row in inputs])
    monkeypatch.setattr(rowwise, "_PRODUCTS", 1000)  # several parts
    assert torch.equal(rowwise_linear(inputs[:rows], weight, bias), expected[:rows])


def test_axes_and_values_are_those_of_a_linear_layer():
    layer, inputs = torch.nn.Linear(6, 4, bias=False), torch.randn(2, 3, 6)
    found = rowwise_linear(inputs, layer.weight)
    torch.testing.assert_close(found, layer(inputs))
