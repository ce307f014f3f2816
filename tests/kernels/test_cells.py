import pytest
import torch

from bothways.errors import ConfigError
from bothways.kernels.cells import GRU, LSTM, RNN_RELU, RNN_TANH, cell_named


@pytest.mark.parametrize("cell", [RNN_TANH, RNN_RELU, GRU, LSTM], ids=lambda cell: cell.mode)
def test_number_of_gates_matches_the_weights_of_torch(cell):
    layers = torch.nn.RNNBase(cell.mode, 3, 5)
    assert layers.weight_hh_l0.shape == (len(cell.gates) * 5, 5)


def test_cells_are_found_by_name():
    assert cell_named("lstm") is LSTM
    assert cell_named("rnn", "relu") is RNN_RELU


@pytest.mark.parametrize(("cell", "nonlinearity"), [("tcn", "tanh"), ("gru", "relu")])
def test_unknown_cell_raises(cell, nonlinearity):
    with pytest.raises(ConfigError, match=f"cell '{cell}' with nonlinearity '{nonlinearity}'"):
        cell_named(cell, nonlinearity)
