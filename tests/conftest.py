import pytest
import torch

from bothways.kernels.cells import GRU, LSTM, RNN_RELU, RNN_TANH
from bothways.kernels.compiled.cache import entry_address

# The tensors in these tests are tiny: a second thread would only wait for the first.
torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def engine():
    """Compile before the first test: some compare what a command prints, compilation included."""
    for cell in (RNN_TANH, RNN_RELU, GRU, LSTM):
        entry_address(cell)
