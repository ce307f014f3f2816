"""Relative errors of the engine's tanh and sigmoid against float64, over the range of float32.

Layers with unit weights apply them to given values: every 61st float32 number of a range. The
bounds contain the fitting errors that `codegen/vectors.py` states, and rounding. Small sigmoids
have the rounding error of log2(e) too, which grows with their argument.
"""

import numpy as np
import pytest
import torch

import bothways.nn

UNITS = 64


def floats(low, high):
    """Return every 61st positive float32 from `low` to `high`, as rows of `UNITS` values."""
    first, last = np.array([low, high], np.float32).view(np.int32)
    values = np.arange(first, last, 61, np.int32).view(np.float32)
    return torch.from_numpy(values[: len(values) // UNITS * UNITS].reshape(-1, UNITS))


def engine_tanh(values):
    layer = bothways.nn.RNN(UNITS, UNITS, bias=False, backend="compiled")
    with torch.inference_mode():
        layer.weight_ih_l0.copy_(torch.eye(UNITS))
        return layer(values[None])[0][0]


def engine_sigmoid(values):
    """Return the cell state i * g of an LSTM with g = 1."""
    layer = bothways.nn.LSTM(UNITS, UNITS, backend="compiled")
    with torch.inference_mode():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.weight_ih_l0[:UNITS] = torch.eye(UNITS)
        layer.bias_ih_l0[2 * UNITS : 3 * UNITS] = 100
        return layer(values[None])[1][1][0]


@pytest.mark.parametrize("sign", [1, -1])
def test_error_of_tanh(sign):
    values = sign * floats(2**-20, 2**5)
    exact = values.double().tanh()
    errors = (engine_tanh(values) - exact).abs() / exact.abs()
    assert errors.max() <= 3e-7


def test_error_of_sigmoid():
    for values, bound in (
        (floats(2**-20, 2**7), 2.5e-7),
        (-floats(2**-20, 10), 4e-7),
        (-floats(10, 40), 9e-7),
    ):
        exact = values.double().sigmoid()
        errors = (engine_sigmoid(values) - exact).abs() / exact
        assert errors.max() <= bound


def test_saturated_values_are_exact():
    values = torch.tensor([9.4, 20.0, 1e37])[:, None].expand(-1, UNITS)
    for sign in (1, -1):
        assert (engine_tanh(sign * values) == sign).all()
    assert (engine_sigmoid(2 * values) == 1).all()
    assert (engine_sigmoid(-10 * values) == 0).all()
    assert (engine_sigmoid(torch.zeros(1, UNITS)) == 0.5).all()
